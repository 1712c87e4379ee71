#include "mta/mail/address_list.h"

#include <catch2/catch.hpp>

namespace rockdove::mail {
namespace {

// Joined by blanks; "!" and the error where there is one.
std::string list(std::string_view value) {
  const base::Result<std::vector<Address>> addresses = parse_address_list(value, 100);
  if (!addresses) return "!" + addresses.error().text();
  std::string text;
  for (const Address& address : *addresses) {
    if (!text.empty()) text += ' ';
    text += format_address(address);
  }
  return text;
}

TEST_CASE("an address list gives its addresses, whatever stands around them") {
  CHECK(list("a@x.example") == "a@x.example");
  CHECK(list(" Bob <b@x.example> , c@y.example") == "b@x.example c@y.example");
  CHECK(list("\"Doe, John\" <j@x.example>") == "j@x.example");
  CHECK(list("j@x.example (John, the other one (really)), k@x.example") ==
        "j@x.example k@x.example");
  CHECK(list("=?utf-8?Q?J=C3=B6rg=2C?= M. <j@x.example>") == "j@x.example");
  CHECK(list("J\u00f6rg <j@x.example>") == "j@x.example");
  CHECK(list("a@x.example,\r\n\tb@x.example") == "a@x.example b@x.example");
  CHECK(list("<@gate.example,@other.example:a@x.example>") == "a@x.example");
  CHECK(list("\"with blank\"@x.example") == "\"with blank\"@x.example");
  CHECK(list("a@[192.0.2.1]") == "a@[192.0.2.1]");
  CHECK(list("a . b @ x.example") == "a.b@x.example");
  CHECK(list("< a @ x . example >") == "a@x.example");
  CHECK(list(",, a@x.example,,") == "a@x.example");
}

TEST_CASE("users of this machine need no domain") {
  CHECK(list("root, www-data") == "root www-data");
  CHECK(list("Charlie Root <root>") == "root");
}

TEST_CASE("groups give their members") {
  CHECK(list("undisclosed-recipients:;") == "");
  CHECK(list("Friends of mine: a@x.example, Bob <b@x.example>;, c@x.example") ==
        "a@x.example b@x.example c@x.example");
  CHECK(list("a@x.example; b@x.example") == "a@x.example b@x.example");
  CHECK(list("\"us @ home\": a@x.example;") == "a@x.example");
  CHECK(list("A:a@x.example;B:;C:c@x.example") == "a@x.example c@x.example");
}

TEST_CASE("what is no address makes the list an error that shows it") {
  using Catch::Matchers::Contains;
  CHECK_THAT(list("John Smith"), Contains("\"JohnSmith\" is no address"));
  CHECK_THAT(list("a@x.example, b@@y.example"), Contains("b@@y.example"));
  CHECK_THAT(list("<a@x.example"), Contains("closing angle bracket"));
  CHECK_THAT(list("a@x.example>"), Contains("opening angle bracket"));
  CHECK_THAT(list("<John Smith@x.example>"), Contains("blanks"));
  CHECK_THAT(list("<>"), Contains("is no address"));
  CHECK_THAT(list("<a@x.example> b@x.example"), Contains("a comma is missing"));
  CHECK_THAT(list("<a@x.example> <b@x.example>"), Contains("a comma is missing"));
  CHECK_THAT(list("a@x.example\r\nBcc: b@x.example"), Catch::Matchers::StartsWith("!"));
}

TEST_CASE("absurd lists end in good time") {
  CHECK(list("") == "");
  CHECK(list("(((((((((") == "");
  CHECK_THAT(list("\"\"\"\"\\"), Catch::Matchers::StartsWith("!"));
  CHECK_THAT(list("a@[[[["), Catch::Matchers::StartsWith("!"));
  CHECK_THAT(list(std::string("a\0b@x.example", 13)), Catch::Matchers::StartsWith("!"));
  CHECK_THAT(list(std::string(100'000, '<')), Catch::Matchers::StartsWith("!"));
  CHECK(list(std::string(100'000, ',')) == "");
  CHECK_THAT(list("a@" + std::string(100'000, 'x')), Catch::Matchers::StartsWith("!"));
  std::string many;
  for (int i = 0; i < 101; ++i) many += "a@x.example,";
  CHECK_THAT(list(many), Catch::Matchers::Contains("more than 100"));
}

}  // namespace
}  // namespace rockdove::mail
