// The private keys that mail is signed and sealed with. RSA signatures are made by the OpenSSL in
// libdkim_seal (policy/dkim_seal.h), about twice as fast as BoringSSL makes them, from a key that
// is parsed once; Ed25519 ones by BoringSSL. Why: contrib/doc/adr/0016. A key never changes, and
// any number of threads may sign with it at once.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "mta/base/result.h"
#include "mta/crypto/signing_key.h"
#include "policy/dkim_seal.h"

namespace rockdove::policy {

class SigningKey {
 public:
  // PKCS #8 or PKCS #1, not encrypted. Errors: anything else, a kind or size that is not taken
  // (crypto::PrivateKey), or parts that do not belong together, so that nothing would verify.
  [[nodiscard]] static base::Result<std::shared_ptr<const SigningKey>> from_pem(
      std::string_view pem);
  // A new key; `rsa_bits` is 1,024 to 8,192, and of no meaning for Ed25519.
  [[nodiscard]] static std::shared_ptr<const SigningKey> make(
      crypto::KeyKind kind, std::size_t rsa_bits = crypto::kRsaBitsNew);

  [[nodiscard]] crypto::KeyKind kind() const { return key_.kind(); }

  [[nodiscard]] std::size_t bits() const { return key_.bits(); }

  // PKCS #8.
  [[nodiscard]] std::string to_pem() const { return key_.to_pem(); }

  // What DKIM publishes: a SubjectPublicKeyInfo, or Ed25519's 32 octets.
  [[nodiscard]] std::string public_octets() const { return key_.public_octets(); }

  // a= of a signature: "rsa-sha256" or "ed25519-sha256" (RFC 6376 §3.3, RFC 8463 §3).
  [[nodiscard]] std::string_view algorithm() const;
  // The record that publishes it: "v=DKIM1; k=rsa; p=…" (RFC 6376 §3.6.1).
  [[nodiscard]] std::string key_record() const;
  // RSA: as many octets as the key has; Ed25519: 64.
  [[nodiscard]] std::string sign(const crypto::Digest& digest) const;

 private:
  SigningKey(crypto::PrivateKey key, std::unique_ptr<SealedRsaKey> sealed)
      : key_(std::move(key)), sealed_(std::move(sealed)) {}

  crypto::PrivateKey key_;
  std::unique_ptr<SealedRsaKey> sealed_;  // of RSA
};

}  // namespace rockdove::policy
