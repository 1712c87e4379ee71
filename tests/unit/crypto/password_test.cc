#include "mta/crypto/password.h"

#include <catch2/catch.hpp>

namespace rockdove::crypto {
namespace {

TEST_CASE("a hash matches its password and no other") {
  const base::Result<std::string> hash = hash_password("Grün & gut");
  REQUIRE(hash);
  CHECK(is_password_hash(*hash));
  CHECK(*matches_password("Grün & gut", *hash));
  CHECK_FALSE(*matches_password("Grün & gut ", *hash));
  CHECK_FALSE(*matches_password("grün & gut", *hash));
  CHECK_FALSE(*matches_password("", *hash));
}

TEST_CASE("two hashes of one password differ") {
  CHECK(*hash_password("x") != *hash_password("x"));
}

TEST_CASE("a hash that another program made matches") {
  // perl -e 'print crypt("tea", q($y$j9T$F5Jx5fExrKuPp53xLKQ..1))'
  const std::string made =
      "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$MnlGrnDFChzUR8qW4u6uK3Z5RkpXBigLTPaL7fxNSz0";
  REQUIRE(is_password_hash(made));
  CHECK(*matches_password("tea", made));
}

TEST_CASE("passwords have 1 to 511 octets and no NUL") {
  CHECK(hash_password(std::string(511, 'x')));
  CHECK(hash_password(std::string(512, 'x')).error().text() == "the password has over 511 octets");
  CHECK(hash_password("").error().text() == "the password is empty");
  CHECK(hash_password(std::string("a\0b", 3)).error().text() == "the password has a NUL in it");
  const std::string hash = *hash_password("a");
  CHECK_FALSE(*matches_password(std::string("a\0b", 3), hash));
  CHECK_FALSE(*matches_password(std::string(512, 'a'), hash));
}

TEST_CASE("what is no yescrypt hash is known as such") {
  const std::string hash = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$" + std::string(43, 'a');
  CHECK(is_password_hash(hash));
  CHECK_FALSE(is_password_hash(""));
  CHECK_FALSE(is_password_hash("$y$"));
  CHECK_FALSE(is_password_hash("$y$j9T$"));
  CHECK_FALSE(is_password_hash(hash + "a"));
  CHECK_FALSE(is_password_hash(hash.substr(0, hash.size() - 1)));
  CHECK_FALSE(is_password_hash(hash.substr(0, hash.size() - 1) + " "));
  CHECK_FALSE(is_password_hash("$6$salt$" + std::string(86, 'a')));
  CHECK_FALSE(is_password_hash("secret"));
  CHECK(!matches_password("a", "*none"));
}

}  // namespace
}  // namespace rockdove::crypto
