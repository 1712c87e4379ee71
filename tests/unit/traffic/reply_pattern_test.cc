#include "mta/traffic/reply_pattern.h"

#include <catch2/catch.hpp>

using namespace rockdove;
using namespace rockdove::traffic;

namespace {

// The line that patterns see of a reply as a log shows it.
std::string line(std::string_view text) {
  const base::Result<smtp::Reply> reply = parse_refusal(text);
  REQUIRE(reply);
  return line_of(*reply);
}

bool matches(std::string_view pattern, std::string_view text) {
  const auto compiled = ReplyPattern::compile(pattern);
  REQUIRE(compiled);
  return (*compiled)->matches(line(text));
}

}  // namespace

TEST_CASE("a reply of one line, of several and as logs join them are the same to patterns") {
  const std::string wanted = "421 4.7.28 Gmail has detected an unusual rate - gsmtp";
  CHECK(line("421 4.7.28 Gmail has detected an unusual rate - gsmtp") == wanted);
  CHECK(line("421-4.7.28 Gmail has detected\r\n421-4.7.28 an unusual rate\r\n421 4.7.28 - gsmtp") ==
        wanted);
  CHECK(line(" 421-4.7.28 Gmail has detected 421-4.7.28 an unusual rate 421 4.7.28 - gsmtp ") ==
        wanted);
}

TEST_CASE("a reply without enhanced codes is joined at its code") {
  CHECK(line("554-gmx.net (mxgmx104) Nemesis ESMTP Service not available 554-No SMTP service 554 "
             "For explanation visit https://postmaster.gmx.net/") ==
        "554 gmx.net (mxgmx104) Nemesis ESMTP Service not available No SMTP service For "
        "explanation visit https://postmaster.gmx.net/");
}

TEST_CASE("a number in the text of a single line is not taken for the next line") {
  CHECK(line("550 5.1.1 Error 550 in row 7") == "550 5.1.1 Error 550 in row 7");
  CHECK(line("421 Try 421 times") == "421 Try 421 times");
}

TEST_CASE("a bare code is a reply") {
  CHECK(line("450") == "450");
  CHECK(line("450 ") == "450");
}

TEST_CASE("what is no refusal is told apart") {
  for (const std::string_view text :
       {"", "Try again later", "250 2.0.0 OK", "354 go on", "42", "4210 four digits", "650 no",
        "421_x", "host said: 421 4.7.0 no"}) {
    CAPTURE(text);
    CHECK(!parse_refusal(text));
  }
}

TEST_CASE("a reply of any length ends") {
  CHECK(!parse_refusal("421 " + std::string(100'000, 'x')));  // longer than a line may be
  std::string lines;
  for (int i = 0; i < 1000; ++i) lines += "421-x ";
  CHECK(!parse_refusal(lines + "421 x"));
  CHECK(line("421-" + std::string(1500, 'a') + " 421-" + std::string(1500, 'b') + " 421-" +
             std::string(1500, 'c') + " 421 d")
            .size() == kMatchedOctetsMax);
}

TEST_CASE("letters match in any case, and a dot is any octet") {
  CHECK(matches("^421 4\\.7\\.0 \\[tss04\\]", "421 4.7.0 [TSS04] Messages"));
  CHECK(matches("^550 .*refus.e",
                "550 Message refus\xE9"
                "e"));
  CHECK(!matches("^550 ", "450 4.2.0 Greylisted"));
}

TEST_CASE("patterns are bounded and must be understood") {
  CHECK(!ReplyPattern::compile(""));
  CHECK(!ReplyPattern::compile("(unclosed"));
  CHECK(!ReplyPattern::compile("(a)\\1"));  // no back-references: time stays linear
  CHECK(!ReplyPattern::compile(std::string(kPatternOctetsMax + 1, 'a')));
  CHECK(!ReplyPattern::compile("((((a{100}){100}){100}){100}){100}"));
  CHECK(ReplyPattern::compile(std::string(kPatternOctetsMax, 'a')));
}
