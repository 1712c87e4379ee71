#include "mta/crypto/signing_key.h"

#include <optional>
#include <utility>

#include <openssl/base.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/bytestring.h>
#include <openssl/curve25519.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "mta/base/assert.h"

namespace rockdove::crypto {
namespace {

using base::Error;
using base::Result;

const std::uint8_t* octets_of(std::string_view text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}

// The kind of a key that may be used, or what is wrong with it.
Result<KeyKind> judge_key(const EVP_PKEY* key) {
  switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_ED25519:
      return KeyKind::Ed25519;
    case EVP_PKEY_RSA:
      break;
    default:
      return Error("it is neither an RSA nor an Ed25519 key");
  }
  const auto bits = static_cast<std::size_t>(EVP_PKEY_bits(key));
  if (bits < kRsaBitsMin) {
    return Error("an RSA key of " + std::to_string(bits) + " bits is too short");
  }
  if (bits > kRsaBitsMax) {
    return Error("an RSA key of " + std::to_string(bits) + " bits is too long");
  }
  return KeyKind::Rsa;
}

KeyPointer parse_subject_public_key(std::string_view der) {
  CBS octets;
  CBS_init(&octets, octets_of(der), der.size());
  KeyPointer key(EVP_parse_public_key(&octets));
  return CBS_len(&octets) == 0 ? std::move(key) : nullptr;
}

KeyPointer parse_bare_rsa_key(std::string_view der) {
  CBS octets;
  CBS_init(&octets, octets_of(der), der.size());
  const bssl::UniquePtr<RSA> rsa(RSA_parse_public_key(&octets));
  KeyPointer key(EVP_PKEY_new());
  if (!rsa || !key || CBS_len(&octets) != 0 || EVP_PKEY_set1_RSA(key.get(), rsa.get()) != 1) {
    return nullptr;
  }
  return key;
}

// Nobody is asked for the password of an encrypted key.
int refuse_password(char* /*buffer*/, int /*size*/, int /*is_writing*/, void* /*user*/) {
  return 0;
}

KeyPointer make_rsa_key(std::size_t bits) {
  KeyPointer key(EVP_PKEY_new());
  const bssl::UniquePtr<RSA> rsa(RSA_new());
  const bssl::UniquePtr<BIGNUM> exponent(BN_new());
  const bool is_made =
      key && rsa && exponent && BN_set_word(exponent.get(), RSA_F4) == 1 &&
      RSA_generate_key_ex(rsa.get(), static_cast<int>(bits), exponent.get(), nullptr) == 1 &&
      EVP_PKEY_set1_RSA(key.get(), rsa.get()) == 1;
  return is_made ? std::move(key) : nullptr;
}

KeyPointer make_ed25519_key() {
  std::array<std::uint8_t, 32> seed{};
  fill_random(seed);
  KeyPointer key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
  OPENSSL_cleanse(seed.data(), seed.size());
  return key;
}

// As DKIM publishes it.
std::string shown_octets(KeyKind kind, const EVP_PKEY* key) {
  if (kind == KeyKind::Ed25519) {
    std::string octets(ED25519_PUBLIC_KEY_LEN, '\0');
    std::size_t size = octets.size();
    MTA_ASSERT(EVP_PKEY_get_raw_public_key(key, reinterpret_cast<std::uint8_t*>(octets.data()),
                                           &size) == 1);
    return octets;
  }
  bssl::ScopedCBB der;
  std::uint8_t* octets = nullptr;
  std::size_t size = 0;
  MTA_ASSERT(CBB_init(der.get(), 0) == 1 && EVP_marshal_public_key(der.get(), key) == 1 &&
             CBB_finish(der.get(), &octets, &size) == 1);
  const bssl::UniquePtr<std::uint8_t> owned(octets);
  return {reinterpret_cast<const char*>(octets), size};
}

}  // namespace

void FreeKey::operator()(evp_pkey_st* key) const {
  EVP_PKEY_free(key);
}

Result<PublicKey> PublicKey::from_rsa(std::string_view der) {
  KeyPointer key = parse_subject_public_key(der);
  if (!key) key = parse_bare_rsa_key(der);
  ERR_clear_error();
  if (!key) return Error("it is no public key");
  if (EVP_PKEY_id(key.get()) != EVP_PKEY_RSA) return Error("it is no RSA key");
  const Result<KeyKind> kind = judge_key(key.get());
  if (!kind) return kind.error();
  return PublicKey(KeyKind::Rsa, std::move(key));
}

Result<PublicKey> PublicKey::from_ed25519(std::string_view octets) {
  if (octets.size() != ED25519_PUBLIC_KEY_LEN) {
    return Error("an Ed25519 key has 32 octets, not " + std::to_string(octets.size()));
  }
  KeyPointer key(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, octets_of(octets), octets.size()));
  MTA_ASSERT(key != nullptr);
  return PublicKey(KeyKind::Ed25519, std::move(key));
}

std::size_t PublicKey::bits() const {
  return static_cast<std::size_t>(EVP_PKEY_bits(key_.get()));
}

std::string PublicKey::octets() const {
  return shown_octets(kind_, key_.get());
}

bool PublicKey::has_signed(const Digest& digest, std::string_view signature) const {
  int status = 0;
  switch (kind_) {
    case KeyKind::Rsa:
      status = RSA_verify(NID_sha256, digest.data(), digest.size(), octets_of(signature),
                          signature.size(), EVP_PKEY_get0_RSA(key_.get()));
      break;
    case KeyKind::Ed25519: {
      bssl::ScopedEVP_MD_CTX context;
      if (EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1) {
        status = EVP_DigestVerify(context.get(), octets_of(signature), signature.size(),
                                  digest.data(), digest.size());
      }
      break;
    }
  }
  ERR_clear_error();
  return status == 1;
}

Result<PrivateKey> PrivateKey::from_pem(std::string_view pem) {
  if (pem.size() > kPrivateKeyOctetsMax) return Error("a private key is not so long");
  const bssl::UniquePtr<BIO> text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  MTA_ASSERT(text != nullptr);
  KeyPointer key(PEM_read_bio_PrivateKey(text.get(), nullptr, refuse_password, nullptr));
  ERR_clear_error();
  if (!key) return Error("there is no private key in it, or it is encrypted");
  const Result<KeyKind> kind = judge_key(key.get());
  if (!kind) return kind.error();
  return PrivateKey(*kind, std::move(key));
}

PrivateKey PrivateKey::make(KeyKind kind, std::size_t rsa_bits) {
  KeyPointer key;
  switch (kind) {
    case KeyKind::Rsa:
      MTA_ASSERT(rsa_bits >= kRsaBitsMin && rsa_bits <= kRsaBitsMax);
      key = make_rsa_key(rsa_bits);
      break;
    case KeyKind::Ed25519:
      key = make_ed25519_key();
      break;
  }
  MTA_ASSERT(key != nullptr);
  return {kind, std::move(key)};
}

std::size_t PrivateKey::bits() const {
  return static_cast<std::size_t>(EVP_PKEY_bits(key_.get()));
}

std::string PrivateKey::to_pem() const {
  const bssl::UniquePtr<BIO> text(BIO_new(BIO_s_mem()));
  MTA_ASSERT(text != nullptr && PEM_write_bio_PKCS8PrivateKey(text.get(), key_.get(), nullptr,
                                                              nullptr, 0, nullptr, nullptr) == 1);
  const std::uint8_t* octets = nullptr;
  std::size_t size = 0;
  MTA_ASSERT(BIO_mem_contents(text.get(), &octets, &size) == 1);
  return {reinterpret_cast<const char*>(octets), size};
}

std::string PrivateKey::public_octets() const {
  return shown_octets(kind_, key_.get());
}

std::string PrivateKey::sign(const Digest& digest) const {
  std::string signature(static_cast<std::size_t>(EVP_PKEY_size(key_.get())), '\0');
  auto* octets = reinterpret_cast<std::uint8_t*>(signature.data());
  switch (kind_) {
    case KeyKind::Rsa: {
      unsigned size = 0;
      MTA_ASSERT(RSA_sign(NID_sha256, digest.data(), static_cast<unsigned>(digest.size()), octets,
                          &size, EVP_PKEY_get0_RSA(key_.get())) == 1);
      signature.resize(size);
      break;
    }
    case KeyKind::Ed25519: {
      bssl::ScopedEVP_MD_CTX context;
      std::size_t size = signature.size();
      MTA_ASSERT(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1 &&
                 EVP_DigestSign(context.get(), octets, &size, digest.data(), digest.size()) == 1);
      signature.resize(size);
      break;
    }
  }
  return signature;
}

}  // namespace rockdove::crypto
