#include "mta/mail/idna.h"

#include <catch2/catch.hpp>

namespace rockdove::mail {
namespace {

std::string ascii(std::string_view domain) {
  const auto result = to_ascii_domain(domain);
  return result ? *result : "(" + std::string(result.error().text()) + ")";
}

TEST_CASE("idna: U-labels become A-labels, whatever their case and form") {
  CHECK(ascii("b\u00fccher.example") == "xn--bcher-kva.example");
  CHECK(ascii("B\u00dcCHER.Example") == "xn--bcher-kva.example");
  CHECK(ascii("bu\u0308cher.example") == "xn--bcher-kva.example");  // not composed
  CHECK(ascii("stra\u00dfe.example") == "xn--strae-oqa.example");   // IDNA2008, not "strasse"
  CHECK(ascii("Mail.Example") == "mail.example");
  CHECK(ascii("XN--BCHER-KVA.example") == "xn--bcher-kva.example");
}

TEST_CASE("idna: what only looks like a domain is another one") {
  CHECK(ascii("\u043eurs.example") == "xn--urs-red.example");  // a Cyrillic o
  CHECK(ascii("ours\u200b.example") == "ours.example");        // nothing to be seen: the same
  CHECK(ascii("\uff4furs.example") == "ours.example");         // a wide o is an o
  CHECK(ascii("ours\u2260.example") == "xn--ours-8n9a.example");
}

TEST_CASE("idna: what is no domain is an error, fit for a reply") {
  for (const std::string domain :
       {"", ".", "a..example", "\u00fc..example", "\u00fc.example.", "-\u00fc.example",
        "\u00fc_.example", "\xfc.example", "\u2100.example", "a b\u00fc.example",
        "\u2474\u00fc.example", "\u00fc@x.example", "xn--\u00fc.example"}) {
    CAPTURE(domain);
    const auto result = to_ascii_domain(domain);
    CHECK_FALSE(result);
    if (!result) {
      for (const char c : result.error().text()) CHECK((c >= ' ' && c <= '~'));
    }
  }
  CHECK_FALSE(to_ascii_domain(std::string_view("\xc3\xbc\0.example", 11)));
  std::string labels = "\u00fc";
  for (int i = 0; i < 200; ++i) labels += ".\u00fc";
  CHECK_FALSE(to_ascii_domain(labels));
  CHECK_FALSE(to_ascii_domain(std::string(2000, '\xc3')));
}

TEST_CASE("idna: the domain of a pattern becomes what addresses are kept with") {
  const auto pattern = [](std::string_view text) {
    const auto result = to_ascii_pattern(text);
    return result ? *result : "(" + std::string(result.error().text()) + ")";
  };
  CHECK(pattern("*@B\u00dccher.example") == "*@xn--bcher-kva.example");
  CHECK(pattern("m\u00fcl*@*.b\u00fccher.Ex*") == "m\u00fcl*@*.xn--bcher-kva.ex*");
  CHECK(pattern("*.b\u00fccher.example") == "*.xn--bcher-kva.example");
  for (const std::string as_it_is : {"", "*", "<>", "a@b", "M\u00fcl*@Example.com", "*@*.Example"})
    CHECK(pattern(as_it_is) == as_it_is);
  CHECK(pattern("*@b\u00fc*.example") ==
        "(a label of the domain has * beside letters that are not ASCII)");
  CHECK_FALSE(to_ascii_pattern("*@-\u00fc.example"));
  CHECK_FALSE(to_ascii_pattern("*@\xfc.example"));
  CHECK_FALSE(to_ascii_pattern("*@" + std::string(2000, '\xc3')));
}

}  // namespace
}  // namespace rockdove::mail
