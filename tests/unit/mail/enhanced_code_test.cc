#include "mta/mail/enhanced_code.h"

#include <catch2/catch.hpp>

using namespace rockdove::mail;

TEST_CASE("enhanced code: a code at the front of a reply is read, and what follows") {
  const auto parsed = parse_enhanced_code("5.1.1 <a@b.example>: unknown");
  REQUIRE(parsed);
  CHECK(parsed->code == EnhancedCode{5, 1, 1});
  CHECK(parsed->text == "<a@b.example>: unknown");
  CHECK(parse_enhanced_code("2.0.0")->text.empty());
  CHECK(parse_enhanced_code("4.7.650  slow")->text == "slow");
  CHECK(parse_enhanced_code("5.7.1: no")->text == ": no");
  CHECK(parse_enhanced_code("5.7.1.")->code == EnhancedCode{5, 7, 1});
  CHECK(format_enhanced_code(parse_enhanced_code("5.999.999 x")->code) == "5.999.999");
}

TEST_CASE("enhanced code: what only looks like one is left alone") {
  for (const std::string_view text :
       {"", "5", "5.1", "5.1.", "5..1", "3.1.1 x", "1.1.1", "5.1.1234 x", "5.01.1 x", "5.1.00",
        "5.1.1x", "4.3.2.1 is blocked", " 5.1.1 x", "#5.1.1", "550 5.1.1"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_enhanced_code(text));
  }
}

TEST_CASE("enhanced code: each one is explained, unknown ones by subject, then class") {
  CHECK(explain({5, 1, 1}) == "there is no such mailbox");
  CHECK(explain({4, 2, 2}) == "the mailbox is full");
  CHECK(explain({5, 7, 30}) == "the message may travel over encrypted connections only");
  CHECK(explain({5, 7, 606}) == explain({5, 7, 0}));
  CHECK(explain({4, 9, 1}) == "it could not be delivered for now");
  CHECK(explain({5, 0, 0}) == "it cannot be delivered");
  CHECK(explain({2, 1, 5}) == "it was accepted");
  CHECK(explain({}) == "the reason is not known");
  CHECK_FALSE(EnhancedCode{}.is_set());
}
