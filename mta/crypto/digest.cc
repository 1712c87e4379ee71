#include "mta/crypto/digest.h"

#include <cstring>

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "mta/base/assert.h"

namespace rockdove::crypto {

Digest hmac_sha256(std::span<const std::uint8_t> key, std::string_view message) {
  Digest digest{};
  unsigned octets = 0;
  const auto* text = reinterpret_cast<const std::uint8_t*>(message.data());
  const auto* made =
      HMAC(EVP_sha256(), key.data(), key.size(), text, message.size(), digest.data(), &octets);
  MTA_ASSERT(made != nullptr && octets == digest.size());
  return digest;
}

Sha256::Sha256() {
  static_assert(sizeof(SHA256_CTX) == sizeof(state_) && alignof(SHA256_CTX) <= 8);
  SHA256_CTX state;
  MTA_ASSERT(SHA256_Init(&state) == 1);
  std::memcpy(state_.data(), &state, sizeof state);
}

void Sha256::add(std::string_view octets) {
  SHA256_CTX state;
  std::memcpy(&state, state_.data(), sizeof state);
  MTA_ASSERT(SHA256_Update(&state, octets.data(), octets.size()) == 1);
  std::memcpy(state_.data(), &state, sizeof state);
}

Digest Sha256::finish() const {
  SHA256_CTX state;
  std::memcpy(&state, state_.data(), sizeof state);
  Digest digest{};
  MTA_ASSERT(SHA256_Final(digest.data(), &state) == 1);
  return digest;
}

Digest sha256(std::string_view octets) {
  Sha256 sum;
  sum.add(octets);
  return sum.finish();
}

std::string format_digest(const Digest& digest) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * digest.size());
  for (const std::uint8_t octet : digest) {
    text += kDigits[octet >> 4];
    text += kDigits[octet & 15];
  }
  return text;
}

void fill_random(std::span<std::uint8_t> octets) {
  MTA_ASSERT(RAND_bytes(octets.data(), octets.size()) == 1);
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace rockdove::crypto
