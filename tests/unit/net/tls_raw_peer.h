// A peer with habits of its own: BoringSSL without anything of ours, so that a test decides which
// versions and ciphers it knows.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "mta/net/tls.h"

namespace rockdove::net {

struct RawHabits {
  TlsVersion least = TlsVersion::V1_0;
  TlsVersion most = TlsVersion::V1_3;
  std::string ciphers;      // as of SSL_CTX_set_strict_cipher_list; empty: all
  std::string groups;       // "P-256:X25519"; empty: all
  bool rsa_only = false;    // knows no signatures but those of RSA
  std::string server_name;  // as client
};

class RawPeer {
 public:
  // A server with an identity, or, without one, a client.
  RawPeer(const RawHabits& habits, const PemIdentity* identity);
  ~RawPeer();

  // What arrived; then what it has to say.
  std::string hear(std::string_view ciphertext);

  void say(std::string_view plaintext);

  [[nodiscard]] bool is_open() const;

  [[nodiscard]] std::string certificate_key() const;  // "RSA" or "EC": the server's, as we saw it

  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
  std::string text_;
};

}  // namespace rockdove::net
