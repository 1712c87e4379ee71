#include "queue/rocks_checksum.h"

#include <dlfcn.h>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

using rockdove::queue::rocks_checksum;

TEST_CASE("rocks checksum: the examples of RFC 3720 appendix B.4") {
  std::string rising;
  for (char octet = 0; octet < 32; ++octet) rising.push_back(octet);
  CHECK(rocks_checksum(0, "") == 0);
  CHECK(rocks_checksum(0, "123456789") == 0xE3069283U);
  CHECK(rocks_checksum(0, std::string(32, '\0')) == 0x8A9136AAU);
  CHECK(rocks_checksum(0, std::string(32, '\xFF')) == 0x62A8AB43U);
  CHECK(rocks_checksum(0, rising) == 0x46DD794EU);
  CHECK(rocks_checksum(0, std::string(rising.rbegin(), rising.rend())) == 0x113FDB5CU);
}

TEST_CASE("rocks checksum: octets may come in any pieces") {
  std::string octets;
  for (int i = 0; i < 100; ++i) octets.push_back(static_cast<char>(i * 37));
  const std::uint32_t whole = rocks_checksum(0, octets);
  for (std::size_t cut = 0; cut <= octets.size(); ++cut) {
    const std::string_view text = octets;
    CHECK(rocks_checksum(rocks_checksum(0, text.substr(0, cut)), text.substr(cut)) == whole);
  }
}

#if defined(__x86_64__)
TEST_CASE("rocks checksum: RocksDB finds ours in front of its own") {
  void* const found = ::dlsym(RTLD_DEFAULT, "_ZN7rocksdb6crc32c6ExtendEjPKcm");
  REQUIRE(found != nullptr);
  Dl_info object = {};
  REQUIRE(::dladdr(found, &object) != 0);
  CHECK(std::string_view(object.dli_fname).find("librocksdb") == std::string_view::npos);
}
#endif
