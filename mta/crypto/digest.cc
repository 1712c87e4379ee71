#include "mta/crypto/digest.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

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

void fill_random(std::span<std::uint8_t> octets) {
  MTA_ASSERT(RAND_bytes(octets.data(), octets.size()) == 1);
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace rockdove::crypto
