// Goal: no record costs more than RFC 7208 §4.6.4 allows. Method: the shapes that amplify, each
// against a zone that counts questions.
#include <catch2/catch.hpp>

#include "policy/spf_macro.h"
#include "tests/unit/policy/spf_zone.h"

namespace rockdove::policy {
namespace {

using Catch::Contains;

std::string numbered(const std::string& prefix, int number, const std::string& domain) {
  return prefix + std::to_string(number) + "." + domain;
}

TEST_CASE("spf limits: a tree of includes is cut after ten terms") {
  SpfZone zone;
  const auto ten_includes = [](const std::string& domain) {
    std::string record = "v=spf1";
    for (int i = 0; i < 10; ++i) record += " include:" + numbered("i", i, domain);
    return record + " ?all";
  };
  zone.text("example.com", ten_includes("example.com"));
  for (int i = 0; i < 10; ++i) {
    const std::string domain = numbered("i", i, "example.com");
    zone.text(domain, ten_includes(domain));
    for (int j = 0; j < 10; ++j) {
      const std::string below = numbered("i", j, domain);
      zone.text(below, ten_includes(below));
      for (int k = 0; k < 10; ++k) zone.text(numbered("i", k, below), "v=spf1 ?all");
    }
  }
  const SpfOutcome outcome = zone.check(SpfZone::request("192.0.2.1"));
  CHECK(outcome.result == SpfResult::PermError);
  CHECK_THAT(outcome.reason, Contains("more than 10 terms cause look-ups"));
  CHECK(zone.asked.size() == 1 + kSpfTermsMax);
  CHECK(outcome.terms == kSpfTermsMax);
}

TEST_CASE("spf limits: circles of includes and redirects end") {
  SpfZone zone;
  zone.text("example.com", "v=spf1 include:example.com -all");
  CHECK(zone.result("192.0.2.1") == SpfResult::PermError);
  CHECK(zone.asked.size() == 1);  // a question is asked once
  zone.text("example.net", "v=spf1 redirect=%{d}");
  CHECK(zone.check(SpfZone::request("192.0.2.1", "a@example.net")).result == SpfResult::PermError);
  CHECK(zone.asked.size() == 1);
  zone.text("example.org", "v=spf1 include:a.%{d}");
  std::string domain = "example.org";
  for (int i = 0; i < 20; ++i) zone.text(domain = "a." + domain, "v=spf1 include:a.%{d}");
  CHECK(zone.check(SpfZone::request("192.0.2.1", "a@example.org")).result == SpfResult::PermError);
  CHECK(zone.asked.size() == 1 + kSpfTermsMax);
}

// Ten mx with ten hosts each, all of which exist and none of which is the client.
SpfZone fan_out(const std::string& rest) {
  SpfZone zone;
  std::string record = "v=spf1";
  for (int i = 0; i < 10; ++i) {
    const std::string domain = numbered("m", i, "example.com");
    record += " mx:" + domain;
    for (int j = 0; j < 10; ++j) {
      zone.mx(domain, numbered("h", j, domain));
      zone.address(numbered("h", j, domain), "198.51.100.1");
    }
  }
  zone.text("example.com", record + rest);
  return zone;
}

TEST_CASE("spf limits: the most that a check can ask") {
  SpfZone zone = fan_out(" -all exp=%{p}.example.com");
  for (int i = 0; i < 100; ++i) {
    zone.ptr("192.0.2.1", numbered("p", i, "example.net"));
    zone.address(numbered("p", i, "example.net"), "192.0.2.1");
  }
  zone.text("p0.example.net.example.com", "no");
  SpfRequest request = SpfZone::request("192.0.2.1");
  request.explaining = SpfExplaining::Yes;
  const SpfOutcome outcome = zone.check(request);
  CHECK(outcome.result == SpfResult::Fail);
  CHECK(outcome.explanation == "no");
  CHECK(zone.asked.size() == kSpfQuestionsMax);
  CHECK(zone.rounds == 1 + 1 + 2 * 10 + 3);
}

TEST_CASE("spf limits: the eleventh term is not asked") {
  SpfZone zone = fan_out(" a:one.too.many.example -all");
  CHECK(zone.result("192.0.2.1") == SpfResult::PermError);
  CHECK(zone.asked.size() == 1 + 10 * 11);
}

TEST_CASE("spf limits: an mx with eleven hosts is an error, and no host is asked for") {
  SpfZone zone;
  zone.text("example.com", "v=spf1 mx -all");
  for (int i = 0; i < 11; ++i) zone.mx("example.com", numbered("h", i, "example.com"));
  const SpfOutcome outcome = zone.check(SpfZone::request("192.0.2.1"));
  CHECK(outcome.result == SpfResult::PermError);
  CHECK_THAT(outcome.reason, Contains("example.com has more than 10 mail hosts"));
  CHECK(zone.asked.size() == 2);
}

TEST_CASE("spf limits: of the client's names ten are looked at, once for all terms") {
  SpfZone zone;
  zone.text("example.com", "v=spf1 ptr ptr ptr ptr ptr ptr ptr ptr ptr ptr -all");
  for (int i = 0; i < 100; ++i) {
    zone.ptr("192.0.2.1", numbered("p", i, "example.com"));
    zone.address(numbered("p", i, "example.com"), i < 10 ? "198.51.100.1" : "192.0.2.1");
  }
  CHECK(zone.result("192.0.2.1") == SpfResult::Fail);
  CHECK(zone.asked.size() == 1 + 1 + kSpfNamesMax);
  CHECK(zone.rounds == 4);
}

TEST_CASE("spf limits: a third term that leads to nothing is an error") {
  SpfZone zone;
  zone.text(
      "example.com",
      "v=spf1 a:n1.example.com mx:n2.example.com exists:n3.example.com a:n4.example.com -all");
  const SpfOutcome outcome = zone.check(SpfZone::request("192.0.2.1"));
  CHECK(outcome.result == SpfResult::PermError);
  CHECK(outcome.reason ==
        "more than 2 terms lead to nothing in the DNS; one more is "
        "exists:n3.example.com of example.com");
  CHECK(zone.asked.size() == 4);
  zone.text("example.net", "v=spf1 a:n1.example.com include:inc.example.net -all");
  zone.text("inc.example.net", "v=spf1 a:n2.example.com a:n3.example.com ?all");
  CHECK(zone.check(SpfZone::request("192.0.2.1", "a@example.net")).result == SpfResult::PermError);
}

TEST_CASE("spf limits: an mx counts once among the void terms, whatever its hosts do") {
  SpfZone zone;
  zone.text("example.com", "v=spf1 mx:m1.example.com mx:m2.example.com ip6:2001:db8::1 -all");
  for (int i = 0; i < 10; ++i) zone.mx("m1.example.com", numbered("h", i, "example.com"));
  for (int i = 0; i < 10; ++i) zone.mx("m2.example.com", numbered("g", i, "example.com"));
  const SpfOutcome outcome = zone.check(SpfZone::request("2001:db8::1"));
  CHECK(outcome.result == SpfResult::Pass);
  CHECK(outcome.void_terms == 2);
  CHECK(zone.asked.size() == 23);
}

TEST_CASE("spf limits: the PTR question of a macro counts as a term, once") {
  SpfZone zone;
  zone.address("unknown.example.com", "127.0.0.2");
  zone.text("example.com", "v=spf1 -exists:%{p}.example.com -all");
  CHECK(zone.check(SpfZone::request("192.0.2.1")).terms == 2);
  zone.text("example.net", "v=spf1 ptr:%{p}.example.com -exists:%{p}.example.com -all");
  const SpfOutcome outcome = zone.check(SpfZone::request("192.0.2.1", "a@example.net"));
  CHECK(outcome.terms == 2);
  CHECK(outcome.result == SpfResult::Fail);
}

TEST_CASE("spf limits: records of 64 kB are read, and cost no more questions") {
  SpfZone zone;
  std::string terms = "v=spf1";
  while (terms.size() < 64'000) terms += " a";
  zone.text("example.com", terms);
  zone.address("example.com", "198.51.100.1");
  CHECK(zone.result("192.0.2.1") == SpfResult::PermError);
  CHECK(zone.asked.size() == 2);

  std::string networks = "v=spf1";
  while (networks.size() < 64'000) networks += " ip4:198.51.100.1";
  zone.text("example.net", networks + " ip4:192.0.2.1 -all");
  CHECK(zone.check(SpfZone::request("192.0.2.1", "a@example.net")).result == SpfResult::Pass);

  std::string macros = "v=spf1 -exists:";
  for (std::size_t i = 0; i < kSpfMacrosMax; ++i) macros += "%{s}%{h}";
  zone.text("example.org", macros + ".com -all");
  const SpfOutcome outcome = zone.check(SpfZone::request("192.0.2.1", "a@example.org"));
  CHECK(outcome.result == SpfResult::PermError);
  CHECK_THAT(outcome.reason, Contains("too many macros"));

  zone.text("example.edu", "v=spf1 exists:" + std::string(60'000, 'a') + ".com -all");
  CHECK(zone.check(SpfZone::request("192.0.2.1", "a@example.edu")).result == SpfResult::Fail);
  CHECK(zone.asked == std::vector<std::string>{"example.edu", "com"});
}

TEST_CASE("spf limits: a sender and a HELO of any length are taken") {
  SpfZone zone;
  zone.text("example.com", "v=spf1 exists:%{l1}.x.example exists:%{h1}.x.example -all");
  SpfRequest request = SpfZone::request("192.0.2.1", std::string(100'000, '.') + "@example.com");
  request.helo = std::string(100'000, 'h') + ".example";
  CHECK(zone.check(request).result == SpfResult::Fail);
  // An empty label is no name; a name that is too long loses its first label (RFC 7208 §7.3).
  CHECK(zone.asked == std::vector<std::string>{"example.com", "x.example"});
}

}  // namespace
}  // namespace rockdove::policy
