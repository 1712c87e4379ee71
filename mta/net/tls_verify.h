// Whether a server's certificate is good for the name that we wanted: a chain to a known authority
// (RFC 5280 §6) and the name or address among its alternative names (RFC 9525 §6).
#pragma once

#include <cstdint>
#include <string>

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "mta/base/result.h"

namespace rockdove::net {

// The authorities that are known. Immutable, for all threads.
class TlsAuthorities {
 public:
  // Of a PEM file; empty: the system's, where a missing one is no error but leaves us knowing none.
  static base::Result<TlsAuthorities> load(const std::string& ca_file);

  struct Judgement {
    std::string fault;       // in plain words; empty: the certificate is good
    std::uint8_t alert = 0;  // what the peer is told
  };

  // Of the chain that the peer has shown in this handshake.
  [[nodiscard]] Judgement judge(const SSL& connection, const std::string& host) const;

 private:
  bssl::UniquePtr<X509_STORE> store_;
  bool is_systems_ = false;
  std::string why_empty_;
};

}  // namespace rockdove::net
