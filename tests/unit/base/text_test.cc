#include "mta/base/text.h"

#include <catch2/catch.hpp>

using namespace rockdove;

TEST_CASE("a pattern's * is any run of characters, and case does not matter") {
  CHECK(base::matches_pattern("*", ""));
  CHECK(base::matches_pattern("", ""));
  CHECK_FALSE(base::matches_pattern("", "a"));
  CHECK(base::matches_pattern("*@example.com", "User@EXAMPLE.com"));
  CHECK_FALSE(base::matches_pattern("*@example.com", "user@example.com.evil"));
  CHECK_FALSE(base::matches_pattern("*@example.com", "user@notexample.com"));
  CHECK(base::matches_pattern("*@*.example.com", "a@b.c.example.com"));
  CHECK_FALSE(base::matches_pattern("*@*.example.com", "a@example.com"));
  CHECK(base::matches_pattern("a*b*c", "abbbcbc"));
  CHECK_FALSE(base::matches_pattern("a*b*c", "abbbcb"));
  CHECK(base::matches_pattern("a**", "a"));
  // A pattern that would take for ever with plain backtracking.
  CHECK_FALSE(base::matches_pattern("*a*a*a*a*a*a*a*a*b", std::string(5000, 'a')));
}
