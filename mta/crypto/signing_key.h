// The keys that mail is signed with (RFC 6376, RFC 8301, RFC 8463): RSA with SHA-256 and Ed25519,
// over BoringSSL. Both sign a SHA-256 digest: RSA as PKCS #1 v1.5 has it, Ed25519 the digest's 32
// octets as its message. RSA keys have 1,024 to 8,192 bits: less proves nothing (RFC 8301 §3.2),
// and more costs whoever verifies too much. Keys never change, and any thread may use them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "mta/base/result.h"
#include "mta/crypto/digest.h"

struct evp_pkey_st;  // BoringSSL's

namespace rockdove::crypto {

inline constexpr std::size_t kRsaBitsMin = 1024;
inline constexpr std::size_t kRsaBitsMax = 8192;
inline constexpr std::size_t kRsaBitsNew = 2048;                // RFC 8301 §3.2
inline constexpr std::size_t kPrivateKeyOctetsMax = 64 * 1024;  // of PEM

enum class KeyKind : std::uint8_t { Rsa, Ed25519 };

struct FreeKey {
  void operator()(evp_pkey_st* key) const;
};

using KeyPointer = std::unique_ptr<evp_pkey_st, FreeKey>;

class PublicKey {
 public:
  // `der` is a SubjectPublicKeyInfo or, as some publish it, a bare RSAPublicKey. Errors: anything
  // else, octets after it, or a size that is not taken.
  [[nodiscard]] static base::Result<PublicKey> from_rsa(std::string_view der);
  // 32 octets (RFC 8463 §4).
  [[nodiscard]] static base::Result<PublicKey> from_ed25519(std::string_view octets);

  [[nodiscard]] KeyKind kind() const { return kind_; }

  [[nodiscard]] std::size_t bits() const;
  // A SubjectPublicKeyInfo, or Ed25519's 32 octets.
  [[nodiscard]] std::string octets() const;
  [[nodiscard]] bool has_signed(const Digest& digest, std::string_view signature) const;

 private:
  PublicKey(KeyKind kind, KeyPointer key) : kind_(kind), key_(std::move(key)) {}

  KeyKind kind_;
  KeyPointer key_;
};

class PrivateKey {
 public:
  // PKCS #8 or PKCS #1, not encrypted (RFC 7468). Errors: anything else, or a size that is not
  // taken.
  [[nodiscard]] static base::Result<PrivateKey> from_pem(std::string_view pem);
  // A new key: RSA with so many bits, kRsaBitsMin to kRsaBitsMax, which takes some tenths of a
  // second, or many seconds of the longest; or Ed25519.
  [[nodiscard]] static PrivateKey make(KeyKind kind, std::size_t rsa_bits = kRsaBitsNew);

  [[nodiscard]] KeyKind kind() const { return kind_; }

  [[nodiscard]] std::size_t bits() const;
  // PKCS #8.
  [[nodiscard]] std::string to_pem() const;
  // What DKIM publishes: a SubjectPublicKeyInfo, or Ed25519's 32 octets.
  [[nodiscard]] std::string public_octets() const;
  // RSA: as many octets as the key has; Ed25519: 64.
  [[nodiscard]] std::string sign(const Digest& digest) const;

 private:
  PrivateKey(KeyKind kind, KeyPointer key) : kind_(kind), key_(std::move(key)) {}

  KeyKind kind_;
  KeyPointer key_;
};

}  // namespace rockdove::crypto
