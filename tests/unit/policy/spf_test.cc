// Goal: what RFC 7208's suite (tests/probe spf) leaves open: identities, reasons, explanations, and
// that the same facts give the same verdict however they arrive.
#include <algorithm>

#include <catch2/catch.hpp>

#include "tests/unit/policy/spf_zone.h"

namespace rockdove::policy {
namespace {

using Catch::Contains;

TEST_CASE("spf: the reason names the term, the record and what follows") {
  SpfZone zone;
  zone.text("example.com", "v=spf1 include:_spf.example.net redirect=other.example.com");
  zone.text("_spf.example.net", "v=spf1 ip4:192.0.2.0/24 ~all");
  zone.text("other.example.com", "v=spf1 ?ip4:198.51.100.1 -all");
  CHECK(
      zone.check(SpfZone::request("192.0.2.7")).reason ==
      "192.0.2.7 matches ip4:192.0.2.0/24 of _spf.example.net, and so include:_spf.example.net of "
      "example.com: it may send mail for example.com");
  const SpfOutcome fail = zone.check(SpfZone::request("203.0.113.1"));
  CHECK(fail.result == SpfResult::Fail);
  CHECK(fail.term == "-all");
  CHECK(fail.terms == 2);
  CHECK(fail.reason ==
        "203.0.113.1 matches -all of other.example.com (example.com redirects there): "
        "it may not send mail for example.com");
  CHECK(zone.check(SpfZone::request("198.51.100.1")).result == SpfResult::Neutral);
}

TEST_CASE("spf: a mistake in a record is named with its place") {
  SpfZone zone;
  zone.text("example.com", "v=spf1 mx ipv4:192.0.2.1 -all");
  const SpfOutcome outcome = zone.check(SpfZone::request("192.0.2.1"));
  CHECK(outcome.result == SpfResult::PermError);
  CHECK(outcome.term == "ipv4:192.0.2.1");
  CHECK(outcome.reason ==
        "the SPF record of example.com is wrong at octet 11, in "
        "\"ipv4:192.0.2.1\": \"ipv4\" is no mechanism of SPF; ip4 is one");
  CHECK(zone.asked.size() == 1);
}

TEST_CASE("spf: whatever is in a record, a reason is printable and short") {
  SpfZone zone;
  zone.text("example.com", "v=spf1 " + std::string(60'000, '\x01'));
  const std::string reason = zone.check(SpfZone::request("192.0.2.1")).reason;
  CHECK(std::all_of(reason.begin(), reason.end(), [](char c) { return c >= ' ' && c <= '~'; }));
  CHECK(reason.size() < 1000);
}

TEST_CASE("spf: without a sender postmaster at the HELO name is checked") {
  SpfZone zone;
  zone.text("mail.example.net", "v=spf1 exists:%{l}.%{o}.list.example.net -all");
  zone.address("postmaster.mail.example.net.list.example.net", "127.0.0.2");
  zone.text("example.com", "v=spf1 -all");
  SpfRequest request = SpfZone::request("192.0.2.1", "");
  CHECK(zone.check(request).result == SpfResult::Pass);
  CHECK(zone.check(request).domain == "mail.example.net");
  request.sender = "a@example.com";
  CHECK(zone.check(request).result == SpfResult::Fail);
  request.identity = SpfIdentity::Helo;
  CHECK(zone.check(request).result == SpfResult::Pass);
}

TEST_CASE("spf: what cannot have a record is none, and nobody is asked") {
  SpfZone zone;
  for (const std::string helo : {"", "localhost", "192.0.2.1", "[192.0.2.1]", "a..b", "a b.com",
                                 "x.12", ".", "-", "%{d}.com", "\xff\xfe.com"}) {
    SpfRequest request = SpfZone::request("192.0.2.1", "");
    request.helo = helo;
    CAPTURE(helo);
    CHECK(zone.check(request).result == SpfResult::None);
    CHECK(zone.asked.empty());
  }
}

TEST_CASE("spf: a domain in Unicode is asked for by its A-labels") {
  SpfZone zone;
  zone.text("xn--bcher-kva.example", "v=spf1 exists:%{o}.x.example -all");
  zone.address("xn--bcher-kva.example.x.example", "127.0.0.2");
  const SpfOutcome outcome = zone.check(SpfZone::request("192.0.2.1",
                                                         "a@B\xc3\xbc"
                                                         "cher.example"));
  CHECK(outcome.result == SpfResult::Pass);
}

TEST_CASE("spf: a local part that is not ASCII matches nothing and is not asked for (RFC 8616)") {
  SpfZone zone;
  zone.text("example.com", "v=spf1 exists:%{l}.x.example exists:%{L}.x.example -all");
  zone.address("b%c3%bc.x.example", "127.0.0.2");
  CHECK(zone.check(SpfZone::request("192.0.2.1", "b\xc3\xbc@example.com")).result ==
        SpfResult::Pass);
  CHECK(zone.asked == std::vector<std::string>{"example.com", "b%c3%bc.x.example"});
}

TEST_CASE("spf: an explanation is asked for only when it is wanted") {
  SpfZone zone;
  zone.text("example.com", "v=spf1 exp=why.%{p}.example.com -all");
  zone.text("why.unknown.example.com", "%{i} is not one of %{d}'s%_hosts, says %{r}");
  SpfRequest request = SpfZone::request("192.0.2.1");
  CHECK_FALSE(zone.check(request).explanation.has_value());
  CHECK(zone.asked.size() == 1);
  request.explaining = SpfExplaining::Yes;
  CHECK(zone.check(request).explanation ==
        "192.0.2.1 is not one of example.com's hosts, says mx.example.org");
  CHECK(zone.asked.size() == 3);
  CHECK(zone.check(request).terms == 0);
}

TEST_CASE("spf: an mx that is known to match asks for no further host") {
  SpfZone zone;
  zone.text("example.com", "v=spf1 a:h1.example.com/25 mx -all");
  for (const char* host : {"h1.example.com", "h2.example.com", "h3.example.com"})
    zone.mx("example.com", host);
  zone.address("h1.example.com", "192.0.2.1");
  zone.fails("h2.example.com", dns::RecordType::A);
  CHECK(zone.result("192.0.2.1") == SpfResult::Pass);
  CHECK(zone.asked.size() == 2);
  zone.text("example.net", "v=spf1 ?a:h1.example.com/0 mx:example.com -all");
  CHECK(zone.check(SpfZone::request("192.0.2.1", "a@example.net")).result == SpfResult::Neutral);
  CHECK(zone.left_over == 0);
}

TEST_CASE("spf: hosts of an mx are asked for in one round, and errors count in their order") {
  SpfZone zone;
  zone.text("example.com", "v=spf1 mx -all");
  for (int i = 0; i < 10; ++i) zone.mx("example.com", "h" + std::to_string(i) + ".example.com");
  for (int i = 0; i < 10; ++i) zone.address("h" + std::to_string(i) + ".example.com", "192.0.2.9");
  CHECK(zone.result("192.0.2.1") == SpfResult::Fail);
  CHECK(zone.rounds == 4);
  CHECK(zone.asked.size() == 12);
  zone.fails("h5.example.com", dns::RecordType::A);
  const SpfOutcome failed = zone.check(SpfZone::request("192.0.2.1"));
  CHECK(failed.result == SpfResult::TempError);
  CHECK(failed.reason == "asking for A of h5.example.com: timed out, for mx of example.com");
  CHECK(zone.result("192.0.2.9") == SpfResult::Pass);  // h0 matches before h5 is looked at
}

TEST_CASE("spf: errors of the DNS about the client's own names are no errors") {
  SpfZone zone;
  zone.text("example.com", "v=spf1 ptr -all");
  zone.fails("1.2.0.192.in-addr.arpa", dns::RecordType::PTR);
  CHECK(zone.result("192.0.2.1") == SpfResult::Fail);
  zone.ptr("192.0.2.2", "bad.example.com");
  zone.ptr("192.0.2.2", "good.example.com");
  zone.fails("bad.example.com", dns::RecordType::A);
  zone.address("good.example.com", "192.0.2.2");
  CHECK(zone.result("192.0.2.2") == SpfResult::Pass);
  zone.ptr("192.0.2.3", "good.notexample.com");
  zone.address("good.notexample.com", "192.0.2.3");
  CHECK(zone.result("192.0.2.3") == SpfResult::Fail);
  CHECK(zone.asked.size() == 2);  // a name outside the domain need not be looked at
}

// Gives the answers one at a time, the missing ones in another order each.
SpfOutcome check_one_at_a_time(const SpfZone& zone, const SpfRequest& request, std::size_t seed) {
  RecordedDns known;
  while (true) {
    if (std::optional<SpfOutcome> outcome = check_spf(request, known)) return *std::move(outcome);
    const std::vector<Question> missing = known.take_missing();
    REQUIRE_FALSE(missing.empty());
    const Question& question = missing[seed++ % missing.size()];
    known.add(question, std::make_shared<const dns::Answer>(zone.answer(question)));
  }
}

TEST_CASE("spf: the same facts give the same verdict, in whatever order they come") {
  SpfZone zone;
  zone.text("example.com",
            "v=spf1 mx exists:%{p}.%{ir}.x.example include:inc.example.com ptr -all "
            "exp=%{p}.example.com");
  zone.text("inc.example.com", "v=spf1 a:h3.example.com mx:example.com ?all");
  zone.text("good.example.net.example.com", "%{p} may not");
  for (int i = 0; i < 8; ++i) zone.mx("example.com", "h" + std::to_string(i) + ".example.com");
  for (int i = 0; i < 7; ++i) zone.address("h" + std::to_string(i) + ".example.com", "192.0.2.9");
  for (int i = 0; i < 8; ++i) zone.ptr("192.0.2.1", "h" + std::to_string(i) + ".example.com");
  zone.ptr("192.0.2.1", "good.example.net");
  zone.address("good.example.net", "192.0.2.1");
  SpfRequest request = SpfZone::request("192.0.2.1");
  request.explaining = SpfExplaining::Yes;
  const SpfOutcome whole = zone.check(request);
  CHECK(whole.result == SpfResult::PermError);  // the eighth host makes both mx void, and exists is
  request.client = *base::parse_ip_address("192.0.2.9");
  CHECK(zone.check(request).result == SpfResult::Pass);
  request.client = *base::parse_ip_address("192.0.2.1");
  zone.address("h7.example.com", "192.0.2.9");
  const SpfOutcome failed = zone.check(request);
  CHECK(failed.result == SpfResult::Fail);
  CHECK(failed.explanation == "good.example.net may not");
  for (std::size_t seed = 0; seed < 20; ++seed) {
    const SpfOutcome slow = check_one_at_a_time(zone, request, seed);
    CHECK(slow.result == failed.result);
    CHECK(slow.reason == failed.reason);
    CHECK(slow.explanation == failed.explanation);
    CHECK(slow.terms == failed.terms);
    CHECK(slow.void_terms == failed.void_terms);
  }
}

}  // namespace
}  // namespace rockdove::policy
