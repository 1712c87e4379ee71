#include "mta/crypto/digest.h"

#include <catch2/catch.hpp>

namespace rockdove::crypto {
namespace {

std::string hex(std::span<const std::uint8_t> octets) {
  std::string text;
  for (const std::uint8_t octet : octets) {
    text += "0123456789abcdef"[octet >> 4];
    text += "0123456789abcdef"[octet & 15];
  }
  return text;
}

TEST_CASE("HMAC-SHA-256 gives what RFC 4231 says") {
  const std::array<std::uint8_t, 4> jefe = {'J', 'e', 'f', 'e'};
  CHECK(hex(hmac_sha256(jefe, "what do ya want for nothing?")) ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  const std::vector<std::uint8_t> long_key(131, 0xaa);
  CHECK(hex(hmac_sha256(long_key, "Test Using Larger Than Block-Size Key - Hash Key First")) ==
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST_CASE("SHA-256 of octets that come in pieces gives what FIPS 180-4 says") {
  Sha256 sum;
  sum.add("ab");
  sum.add("");
  sum.add("c");
  CHECK(format_digest(sum.finish()) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sum.finish() == sha256("abc"));
}

TEST_CASE("a copy of a SHA-256 goes on alone") {
  Sha256 sum;
  sum.add("a");
  Sha256 other = sum;
  sum.add("bc");
  other.add("x");
  CHECK(sum.finish() == sha256("abc"));
  CHECK(other.finish() == sha256("ax"));
}

TEST_CASE("random octets differ") {
  Digest a{};
  Digest b{};
  fill_random(a);
  fill_random(b);
  CHECK(a != b);
}

TEST_CASE("comparing in constant time compares") {
  CHECK(equal_in_constant_time("", ""));
  CHECK(equal_in_constant_time("abc", "abc"));
  CHECK_FALSE(equal_in_constant_time("abc", "abd"));
  CHECK_FALSE(equal_in_constant_time("abc", "abcd"));
}

}  // namespace
}  // namespace rockdove::crypto
