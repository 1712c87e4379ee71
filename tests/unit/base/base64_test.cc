#include "mta/base/base64.h"

#include <catch2/catch.hpp>

namespace rockdove::base {
namespace {

TEST_CASE("base64 reads and writes the examples of RFC 4648 section 10") {
  const std::pair<std::string, std::string> kExamples[] = {{"", ""},
                                                           {"f", "Zg=="},
                                                           {"fo", "Zm8="},
                                                           {"foo", "Zm9v"},
                                                           {"foob", "Zm9vYg=="},
                                                           {"fooba", "Zm9vYmE="},
                                                           {"foobar", "Zm9vYmFy"}};
  for (const auto& [octets, text] : kExamples) {
    CHECK(encode_base64(octets) == text);
    CHECK(decode_base64(text) == octets);
  }
}

TEST_CASE("base64 gives every octet back") {
  std::string octets;
  for (int i = 0; i < 1000; ++i) {
    CHECK(decode_base64(encode_base64(octets)) == octets);
    octets += static_cast<char>(i * 7);
  }
}

TEST_CASE("base64 that is not strict is none") {
  for (const char* text : {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "Z===", "====", "=",
                           " Zg==", "Zg==\n", "Zm9v\r\n", "Z-_=", "Zm=v", "Zg==="}) {
    INFO(text);
    CHECK_FALSE(decode_base64(text));
  }
  CHECK_FALSE(decode_base64(std::string_view("Zg\0=", 4)));
}

}  // namespace
}  // namespace rockdove::base
