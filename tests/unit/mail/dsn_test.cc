#include "mta/mail/dsn.h"

#include <catch2/catch.hpp>

using namespace rockdove::mail;

TEST_CASE("dsn: NOTIFY reads and writes in any combination that RFC 3461 has") {
  for (const char* text : {"NEVER", "SUCCESS", "FAILURE", "DELAY", "SUCCESS,FAILURE",
                           "SUCCESS,DELAY", "FAILURE,DELAY", "SUCCESS,FAILURE,DELAY"}) {
    const auto notify = parse_notify(text);
    REQUIRE(notify);
    CHECK(format_notify(*notify) == text);
  }
  CHECK(format_notify(*parse_notify("delay,Success")) == "SUCCESS,DELAY");
  for (const char* text : {"", "NEVER,SUCCESS", "SUCCESS,SUCCESS", "SOMETIMES", "SUCCESS,", ","})
    CHECK_FALSE(parse_notify(text));
}

TEST_CASE("dsn: without NOTIFY failures and delays are told, with it only what it names") {
  CHECK(NotifySet{}.wants_failure());
  CHECK(NotifySet{}.wants_delay());
  CHECK_FALSE(NotifySet{}.wants_success());
  const NotifySet never = *parse_notify("NEVER");
  CHECK_FALSE((never.wants_failure() || never.wants_delay() || never.wants_success()));
  const NotifySet success = *parse_notify("SUCCESS");
  CHECK(success.wants_success());
  CHECK_FALSE((success.wants_failure() || success.wants_delay()));
}

TEST_CASE("dsn: xtext carries any octets") {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  CHECK(decode_xtext(encode_xtext(all)) == all);
  CHECK(encode_xtext("a+b=c d") == "a+2Bb+3Dc+20d");
  for (const char* text : {"a=b", "a b", "a+2", "a+2b", "\xC3\xBC"})
    CHECK_FALSE(decode_xtext(text));
}

TEST_CASE("dsn: an address with UTF-8 has a form in ASCII, RFC 6533") {
  const std::string address = "b\xC3\xBC\xE2\x82\xAC\xF0\x9F\x90\xA6+=\\ @x";
  const std::string encoded = encode_utf8_address(address);
  CHECK(encoded == "b\\x{FC}\\x{20AC}\\x{1F426}\\x{2B}\\x{3D}\\x{5C}\\x{20}@x");
  CHECK(decode_utf8_address(encoded) == address);
  CHECK(decode_utf8_address("b\xC3\xBC@x") == "b\xC3\xBC@x");
  CHECK(encode_utf8_address("\xFF") == "\\x{FFFD}");
}

TEST_CASE("dsn: a form in ASCII that stands for no character is refused") {
  for (const char* text : {"\\", "\\x", "\\x{", "\\x{}", "\\x{A", "\\x{A}", "\\x{0A}", "\\x{0D}",
                           "\\x{7F}", "\\x{80}", "\\x{fc}", "\\x{D800}", "\\x{110000}",
                           "\\x{1000000}", "a+b", "a=b", "a b", "\xC3", "\\y{FC}"}) {
    INFO(text);
    CHECK_FALSE(decode_utf8_address(text));
  }
}
