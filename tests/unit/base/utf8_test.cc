#include "mta/base/utf8.h"

#include <algorithm>
#include <string>

#include <catch2/catch.hpp>

#include "mta/base/wipe.h"

namespace rockdove::base {
namespace {

TEST_CASE("UTF-8 has one form for each character, and no surrogates") {
  for (const char* text :
       {"", "ascii", "b\u00fccher", "\u20ac", "\U0001F426", "\xf4\x8f\xbf\xbf"}) {
    CHECK(is_utf8(text));
  }
  for (const char* text : {"\xff", "\xc3", "\xc0\xaf", "\xe0\x9f\xbf", "\xed\xa0\x80",
                           "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "a\x80", "\xe2\x82"}) {
    CHECK_FALSE(is_utf8(text));
  }
}

TEST_CASE("one octet above 127 anywhere is not ASCII") {
  for (std::size_t size = 0; size < 40; ++size) {
    std::string text(size, 'x');
    CHECK(is_ascii(text));
    for (std::size_t at = 0; at < size; ++at) {
      text[at] = '\x80';
      CHECK_FALSE(is_ascii(text));
      text[at] = '\x7f';
    }
  }
}

TEST_CASE("what is wiped is gone from its memory") {
  std::string secret(100, 's');
  const char* const memory = secret.data();
  wipe(secret);
  CHECK(secret.empty());
  REQUIRE(secret.data() == memory);
  CHECK(std::count(memory, memory + 100, '\0') == 100);
}

}  // namespace
}  // namespace rockdove::base
