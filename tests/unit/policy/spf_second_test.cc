// Goal: the second opinion is libspf2's own, and nothing that it does harms who asks. The places
// where it judges otherwise than RFC 7208 are those of contrib/doc/adr/0014.
#include "policy/spf_second.h"

#include <catch2/catch.hpp>

#include "tests/unit/policy/spf_zone.h"

namespace rockdove::policy {
namespace {

struct Asked {
  SpfSecondOpinion opinion;
  std::size_t questions = 0;
};

Asked ask(const SpfZone& zone, const SpfRequest& request) {
  RecordedDns known;
  Asked asked;
  for (unsigned round = 0; round < kSecondRoundsMax; ++round) {
    asked.opinion = ask_libspf2(request, known);
    if (asked.opinion.missing.empty()) break;
    for (const Question& question : asked.opinion.missing) {
      ++asked.questions;
      known.add(question, std::make_shared<const dns::Answer>(zone.answer(question)));
    }
  }
  return asked;
}

TEST_CASE("spf second opinion: it judges ordinary records as we do") {
  SpfZone zone;
  zone.text("example.com", "v=spf1 include:_spf.example.com mx ~all");
  zone.text("_spf.example.com", "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 ?all");
  zone.mx("example.com", "mx.example.com");
  zone.address("mx.example.com", "198.51.100.1");
  for (const char* client : {"192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"}) {
    const SpfRequest request = SpfZone::request(client);
    const Asked asked = ask(zone, request);
    CAPTURE(client, asked.opinion.words);
    REQUIRE(asked.opinion.result);
    CHECK(*asked.opinion.result == zone.check(request).result);
  }
  CHECK(ask(zone, SpfZone::request("192.0.2.1", "a@none.example")).opinion.result ==
        SpfResult::None);
  zone.fails("slow.example", dns::RecordType::TXT);
  const Asked slow = ask(zone, SpfZone::request("192.0.2.1", "a@slow.example"));
  CAPTURE(slow.opinion.words, slow.questions);
  REQUIRE(slow.opinion.result);
  CHECK(name_of(*slow.opinion.result) == "temperror");
}

TEST_CASE("spf second opinion: where it is known to judge otherwise") {
  SpfZone zone;
  zone.text("zero.example", "v=spf1 ip4:192.0.2.1/0 -all");
  zone.text("both.example", "v=spf1 redirect=pass.example ~all");
  zone.text("pass.example", "v=spf1 +all");
  const SpfRequest zero = SpfZone::request("203.0.113.1", "a@zero.example");
  CHECK(zone.check(zero).result == SpfResult::Pass);
  const Asked second = ask(zone, zero);
  CHECK(second.opinion.result == SpfResult::None);  // so it says of every record that is wrong
  CHECK_THAT(second.opinion.words, Catch::Contains("Invalid IPv4 CIDR netmask"));
  const SpfRequest both = SpfZone::request("203.0.113.1", "a@both.example");
  CHECK(zone.check(both).result == SpfResult::SoftFail);
  CHECK(ask(zone, both).opinion.result == SpfResult::Pass);
}

TEST_CASE("spf second opinion: it is stopped when it asks too much or takes too long") {
  SpfZone zone;
  std::string record = "v=spf1";
  for (int i = 0; i < 10; ++i) record += " include:i" + std::to_string(i) + ".%{d}";
  zone.text("example.com", record + " ?all");
  std::vector<std::string> level{"example.com"};
  for (int depth = 0; depth < 2; ++depth) {
    std::vector<std::string> below;
    for (const std::string& domain : level) {
      for (int i = 0; i < 10; ++i) {
        below.push_back("i" + std::to_string(i) + "." + domain);
        zone.text(below.back(), record + " ?all");
      }
    }
    level = std::move(below);
  }
  const Asked asked = ask(zone, SpfZone::request("192.0.2.1"));
  CHECK(asked.questions <= kSecondRoundsMax * kSecondQuestionsMax);
}

TEST_CASE("spf second opinion: whatever is in a record, the asker lives on") {
  SpfZone zone;
  const std::string hostile[] = {
      "v=spf1 exp=%{l1000000000r-.+,/_=} a:%{d0}.com -all",
      "v=spf1 " + std::string(60'000, 'a'),
      "v=spf1 a:" + std::string(60'000, '%'),
      "v=spf1 \xff\xfe include:\x01\x02 -all",
      "v=spf1 exists:%{H}%{S}%{L}%{O}%{D}%{P}.com exp=%{H}%{H}%{H}%{H}.com -all",
  };
  for (const std::string& record : hostile) {
    zone = {};
    zone.text("example.com", record);
    SpfRequest request = SpfZone::request("192.0.2.1", "%%%%%%\xff\"'@example.com");
    request.helo = "%%%%\x01%%%%";
    const Asked asked = ask(zone, request);
    CHECK((asked.opinion.result || !asked.opinion.words.empty() || asked.questions > 0));
  }
}

}  // namespace
}  // namespace rockdove::policy
