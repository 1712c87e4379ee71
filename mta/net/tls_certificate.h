// Certificates and keys as BoringSSL has them: read from PEM (RFC 7468), and asked for what they
// say (RFC 5280). Only for the files of TLS in this folder; all others see mta/net/tls.h.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <openssl/base.h>
#include <openssl/evp.h>
#include <openssl/pool.h>
#include <openssl/x509.h>

#include "mta/base/result.h"
#include "mta/net/tls.h"

namespace rockdove::net {

// All certificates of a PEM text, in order; other blocks are passed over. Errors: one that cannot
// be read, or none at all.
[[nodiscard]] base::Result<std::vector<bssl::UniquePtr<X509>>> read_certificates(
    std::string_view pem);

// The DNS and IP alternative names, in lower case; at most 1,000.
[[nodiscard]] std::vector<std::string> names_of(const X509& certificate);

// What a server shows: its chain, and the key of the first in it.
struct TlsIdentity {
  enum class Kind : std::uint8_t { Rsa, P256, P384, OtherKey };

  std::vector<bssl::UniquePtr<CRYPTO_BUFFER>> chain;
  bssl::UniquePtr<EVP_PKEY> key;
  std::vector<std::string> names;
  Kind kind = Kind::OtherKey;
};

// Errors name the source.
[[nodiscard]] base::Result<TlsIdentity> read_identity(const PemIdentity& pem);

// Whether `host`, in lower case, is `name` or, if that is "*.rest", has one label more than rest
// (RFC 9525 §6.3).
[[nodiscard]] bool name_covers(std::string_view name, std::string_view host);

// Whether its own key has signed it.
[[nodiscard]] bool is_self_signed(const X509& certificate);

// The first error of BoringSSL's queue in its own words, "bad end line"; empties the queue.
[[nodiscard]] std::string take_crypto_error();

}  // namespace rockdove::net
