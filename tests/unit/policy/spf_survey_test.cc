#include "policy/spf_survey.h"

#include <catch2/catch.hpp>

#include "tests/unit/policy/spf_zone.h"

namespace rockdove::policy {
namespace {

SpfSurvey survey(const SpfZone& zone, std::string_view domain,
                 std::optional<std::string_view> record = std::nullopt) {
  RecordedDns known;
  for (int round = 0; round < 100; ++round) {
    if (std::optional<SpfSurvey> done = survey_spf(domain, record, known)) return *std::move(done);
    for (Question& question : known.take_missing()) {
      auto answer = std::make_shared<const dns::Answer>(zone.answer(question));
      known.add(std::move(question), std::move(answer));
    }
  }
  FAIL("the survey does not end");
  return {};
}

std::string shown(const SpfSurvey& survey) {
  std::string text;
  for (const SpfSurveyLine& line : survey.lines)
    text += std::string(2 * line.depth, ' ') + line.term + " = " + line.meaning + "\n";
  return text;
}

TEST_CASE("spf survey: each term, with what it includes") {
  SpfZone zone;
  zone.text("example.com",
            "v=spf1 ip4:192.0.2.9/24 include:_spf.example.net mx a//64 exists:%{i}.x.example -all");
  zone.text("_spf.example.net", "v=spf1 ip6:2001:db8::/32 a:gone.example.net ?all");
  zone.mx("example.com", "mx.example.com");
  zone.address("mx.example.com", "192.0.2.1");
  zone.address("example.com", "192.0.2.2");
  zone.address("example.com", "2001:db8::2");
  const SpfSurvey done = survey(zone, "example.com");
  CHECK(
      shown(done) ==
      "ip4:192.0.2.9/24 = pass: 192.0.2.0/24\n"
      "include:_spf.example.net = whoever passes there: v=spf1 ip6:2001:db8::/32 "
      "a:gone.example.net ?all\n"
      "  ip6:2001:db8::/32 = pass: 2001:db8::/32\n"
      "  a:gone.example.net = pass: nobody, for there is no such thing in the DNS\n"
      "  ?all = everybody else: neutral\n"
      "mx = pass: the mail hosts of example.com: mx.example.com (192.0.2.1)\n"
      "a//64 = pass: the addresses of example.com (192.0.2.2, 2001:db8::2), in IPv6 their /64 "
      "networks\n"
      "exists:%{i}.x.example = pass: whenever %{i}.x.example exists, which depends on the message\n"
      "-all = everybody else: fail\n");
  CHECK(done.terms == 5);
  CHECK(done.void_terms == 1);
  CHECK(done.wrong.empty());
  CHECK(done.advice == std::vector<std::string>{"a:gone.example.net leads to nothing in the DNS"});
  CHECK(done.better.empty());
}

TEST_CASE("spf survey: what is wrong is said, and what to publish instead") {
  const SpfZone zone;
  const SpfSurvey done = survey(zone, "", "v=spf1 ipv4:192.0.2.1 all -mx redirect=x.example");
  REQUIRE(done.wrong.size() == 1);
  CHECK(
      done.wrong.front() ==
      "the SPF record is wrong at octet 8, in \"ipv4:192.0.2.1\": \"ipv4\" is no mechanism of SPF; "
      "ip4 is one");
  CHECK(done.better == "v=spf1 ip4:192.0.2.1 all");
  const std::pair<std::string_view, std::string_view> repairs[] = {
      {"v=spf1 +mx -all", "v=spf1 +mx -all"},
      {"v=spf1 exp=x.example mx  -all", "v=spf1 exp=x.example mx  -all"},
      {"v=spf1 mx", "v=spf1 mx ~all"},
      {"v=spf1 mx redirect:x.example", "v=spf1 mx redirect=x.example"},
      {"v=spf1 -exp:x.example mx include=y.example a:y.example mx -all",
       "v=spf1 exp=x.example mx include:y.example a:y.example -all"},
      {"v=spf1 ptr moo -all ~all v=spf1", "v=spf1 ptr -all"},
      {"v=spf1", "v=spf1 ~all"},
      {"V=SPF1 -", "v=spf1 ~all"},
  };
  for (const auto& [record, expected] : repairs) CHECK(repaired_spf_record(record) == expected);
}

TEST_CASE("spf survey: terms behind all are without effect, modifiers are not") {
  const SpfZone zone;
  CHECK(shown(survey(zone, "", "v=spf1 -all a:x.example exp=y.example")) ==
        "-all = everybody else: fail\n"
        "a:x.example = without effect, because it stands behind \"all\"\n"
        "exp=y.example = the words for senders that fail are the TXT record there\n");
}

TEST_CASE("spf survey: what is to be published does not lock out who passes now") {
  const SpfZone zone;
  SpfSurvey done = survey(zone, "", "v=spf1 ptr -all");
  CHECK(done.better.empty());
  REQUIRE(done.advice.size() == 1);
  CHECK(done.advice.front().starts_with("ptr is slow and unreliable: name the hosts by ip4:"));
  done = survey(zone, "", "v=spf1 ip4:192.0.2.300 -all");
  CHECK(done.better == "v=spf1 -all");
  CHECK(done.advice ==
        std::vector<std::string>{"the record to publish is without ip4:192.0.2.300, which nobody "
                                 "understands: put in what was meant"});
}

TEST_CASE("spf survey: what the DNS does not say just now is no mistake of the record") {
  SpfZone zone;
  zone.text("example.com", "v=spf1 a:late.example mx:late.example exists:late.example -all");
  zone.text("example.net", "v=spf1 include:late.example -all");
  for (const auto type :
       {dns::RecordType::A, dns::RecordType::AAAA, dns::RecordType::MX, dns::RecordType::TXT})
    zone.fails("late.example", type);
  SpfSurvey done = survey(zone, "example.com");
  CHECK(shown(done) ==
        "a:late.example = pass: not to be found out just now\n"
        "mx:late.example = pass: not to be found out just now\n"
        "exists:late.example = pass: not to be found out just now\n"
        "-all = everybody else: fail\n");
  CHECK(done.void_terms == 0);
  CHECK(done.advice.empty());
  CHECK(done.wrong == std::vector<std::string>{"late.example: timed out"});
  done = survey(zone, "example.net");
  CHECK(done.lines.front().meaning == "not to be found out just now");
  CHECK(survey(zone, "late.example").better.empty());
}

TEST_CASE("spf survey: mail hosts without an address, and a domain that takes no mail") {
  SpfZone zone;
  zone.text("example.com", "v=spf1 mx -all");
  zone.mx("example.com", "gone.example");
  SpfSurvey done = survey(zone, "example.com");
  CHECK(done.void_terms == 1);
  CHECK(done.lines.front().meaning ==
        "pass: the mail hosts of example.com: gone.example (no address)");
  zone.text("example.net", "v=spf1 mx -all");
  zone.mx("example.net", "");
  CHECK(survey(zone, "example.net").lines.front().meaning ==
        "pass: nobody, for example.net takes no mail (RFC 7505)");
}

TEST_CASE("spf survey: a record of 64 kB says little about it many times") {
  const SpfZone zone;
  std::string record = "v=spf1";
  for (int i = 0; record.size() < 65'000; ++i)
    record += " ptr:p" + std::to_string(i) + ".example x";
  const SpfSurvey done = survey(zone, "", record);
  CHECK(done.advice.size() <= 30);
  CHECK(done.lines.size() <= kSpfSurveyLinesMax);
}

TEST_CASE("spf survey: too many look-ups, circles, and records that are not there") {
  SpfZone zone;
  std::string record = "v=spf1";
  for (int i = 0; i < 6; ++i) {
    const std::string domain = "i" + std::to_string(i) + ".example";
    record += " include:" + domain;
    zone.text(domain, "v=spf1 a ?all");
    zone.address(domain, "192.0.2.1");
  }
  zone.text("example.com", record + " include:example.com include:gone.example -all");
  const SpfSurvey done = survey(zone, "example.com");
  CHECK(done.terms == 14);
  CHECK(done.wrong ==
        std::vector<std::string>{"example.com leads back to itself", "gone.example does not exist",
                                 "if nothing matches before, 14 terms cause look-ups, and 10 are "
                                 "allowed (RFC 7208 4.6.4)"});
}

TEST_CASE("spf survey: a tree of includes ends, whatever it holds") {
  SpfZone zone;
  std::string record = "v=spf1";
  for (int i = 0; i < 100; ++i) record += " include:i" + std::to_string(i) + ".example";
  for (int i = 0; i < 100; ++i) zone.text("i" + std::to_string(i) + ".example", record);
  zone.text("example.com", record);
  const SpfSurvey done = survey(zone, "example.com");
  CHECK_FALSE(done.wrong.empty());
  CHECK(done.lines.size() <= kSpfSurveyLinesMax);
}

TEST_CASE("spf survey: no record, a near one, several") {
  SpfZone zone;
  zone.text("example.com", "v=spf 1 -all");
  SpfSurvey done = survey(zone, "example.com");
  CHECK(done.wrong == std::vector<std::string>{"example.com has no SPF record",
                                               "\"v=spf 1 -all\" is no SPF record: one begins with "
                                               "\"v=spf1 \""});
  CHECK(done.better == "v=spf1 mx -all");
  zone.text("example.com", "v=spf1 -all");
  zone.text("example.com", "v=spf1 mx -all");
  done = survey(zone, "example.com");
  REQUIRE_FALSE(done.wrong.empty());
  CHECK(done.wrong.front() ==
        "example.com has several SPF records; receivers take that for an error");
  CHECK(done.better.empty());
  CHECK(done.advice.front().starts_with("make one of them"));
  CHECK(survey(zone, "example.net").wrong.front() == "example.net does not exist");
}

}  // namespace
}  // namespace rockdove::policy
