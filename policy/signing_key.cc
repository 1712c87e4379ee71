#include "policy/signing_key.h"

#include <utility>

#include "mta/base/assert.h"
#include "mta/base/base64.h"
#include "mta/base/wipe.h"

namespace rockdove::policy {
namespace {

using base::Error;
using base::Result;

// Null, or the same key in OpenSSL's hands, if what it signs verifies.
std::unique_ptr<SealedRsaKey> seal(const crypto::PrivateKey& key) {
  std::string pem = key.to_pem();
  auto sealed = std::make_unique<SealedRsaKey>(pem);
  base::wipe(pem);
  const crypto::Digest digest = crypto::sha256("to see whether it signs");
  const auto shown = crypto::PublicKey::from_rsa(key.public_octets());
  const std::string signature = sealed->sign_rsa_sha256(digest);
  return shown && shown->has_signed(digest, signature) ? std::move(sealed) : nullptr;
}

}  // namespace

Result<std::shared_ptr<const SigningKey>> SigningKey::from_pem(std::string_view pem) {
  Result<crypto::PrivateKey> key = crypto::PrivateKey::from_pem(pem);
  if (!key) return key.error();
  std::unique_ptr<SealedRsaKey> sealed;
  if (key->kind() == crypto::KeyKind::Rsa) {
    sealed = seal(*key);
    if (!sealed) return Error("what the key signs does not verify");
  }
  return std::shared_ptr<const SigningKey>(new SigningKey(*std::move(key), std::move(sealed)));
}

std::shared_ptr<const SigningKey> SigningKey::make(crypto::KeyKind kind, std::size_t rsa_bits) {
  std::string pem = crypto::PrivateKey::make(kind, rsa_bits).to_pem();
  auto key = from_pem(pem);
  base::wipe(pem);
  return std::move(key).value();
}

std::string_view SigningKey::algorithm() const {
  switch (kind()) {
    case crypto::KeyKind::Rsa:
      return "rsa-sha256";
    case crypto::KeyKind::Ed25519:
      return "ed25519-sha256";
  }
  return {};
}

std::string SigningKey::key_record() const {
  const std::string_view kind = this->kind() == crypto::KeyKind::Rsa ? "rsa" : "ed25519";
  return "v=DKIM1; k=" + std::string(kind) + "; p=" + base::encode_base64(public_octets());
}

std::string SigningKey::sign(const crypto::Digest& digest) const {
  if (!sealed_) return key_.sign(digest);
  std::string signature = sealed_->sign_rsa_sha256(digest);
  MTA_ASSERT(!signature.empty());  // it could when the key was made
  return signature;
}

}  // namespace rockdove::policy
