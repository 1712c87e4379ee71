#include "policy/dmarc.h"

#include <cstdio>
#include <memory>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/policy/fake_dns.h"

using namespace rockdove;
using namespace rockdove::policy;

namespace {

using Method = AuthenticatedDomain::Method;
using Result = AuthenticatedDomain::Result;

AuthenticatedDomain dkim(const char* domain, Result result = Result::Pass) {
  return {Method::Dkim, result, domain};
}

AuthenticatedDomain spf(const char* domain, Result result = Result::Pass) {
  return {Method::Spf, result, domain};
}

DmarcVerdict evaluate(FakeDns& dns, std::string_view author,
                      std::vector<AuthenticatedDomain> identifiers = {}, OrganisationRule rule = {},
                      unsigned sample = 0) {
  DmarcQuestion question;
  question.identifiers = std::move(identifiers);
  question.rule = rule;
  question.sample = sample;
  const auto verdict =
      dns.run([&](RecordedDns& recorded) { return evaluate_dmarc(author, question, recorded); });
  REQUIRE(verdict);
  INFO(verdict->why);
  CHECK_FALSE(verdict->why.empty());
  return *verdict;
}

DmarcVerdict evaluate(FakeDns&& dns, std::string_view author,
                      std::vector<AuthenticatedDomain> identifiers = {}, OrganisationRule rule = {},
                      unsigned sample = 0) {
  return evaluate(dns, author, std::move(identifiers), rule, sample);
}

// A list of four suffixes.
OrganisationRule by_list() {
  static const auto kSuffixes = [] {
    char path[] = "/tmp/rockdove-suffixes-XXXXXX";
    const int file = mkstemp(path);
    REQUIRE(file >= 0);
    constexpr std::string_view kList = "com\nnet\nexample\nco.example\n";
    REQUIRE(::write(file, kList.data(), kList.size()) == static_cast<ssize_t>(kList.size()));
    ::close(file);
    auto suffixes = dns::PublicSuffixes::load(path);
    std::remove(path);
    REQUIRE(suffixes);
    return *suffixes;
  }();
  return {kSuffixes.get()};
}

}  // namespace

TEST_CASE("dmarc: most mail costs one question") {
  FakeDns dns = FakeDns::of({{"_dmarc.example.com", {"v=DMARC1; p=reject"}}});
  const DmarcVerdict verdict = evaluate(dns, "Example.com.", {dkim("EXAMPLE.com")});
  CHECK(verdict.result == DmarcResult::Pass);
  CHECK(verdict.policy == DmarcPolicy::Reject);
  CHECK(verdict.disposition == DmarcPolicy::None);
  CHECK(verdict.policy_domain == "example.com");
  CHECK(verdict.why == "DKIM example.com passed and is aligned with example.com");
  CHECK(dns.asked() == std::vector<std::string>{"_dmarc.example.com"});
}

TEST_CASE("dmarc: a long name is walked in eight questions, all that can be at once") {
  FakeDns dns = FakeDns::of({{"_dmarc.example.com", {"v=DMARC1; p=reject"}}});
  const DmarcVerdict verdict = evaluate(dns, "a.b.c.d.e.f.g.h.i.j.mail.example.com");
  CHECK(verdict.result == DmarcResult::Fail);
  CHECK(verdict.policy_domain == "example.com");
  CHECK(dns.asked() ==
        std::vector<std::string>{"_dmarc.a.b.c.d.e.f.g.h.i.j.mail.example.com",
                                 "_dmarc.g.h.i.j.mail.example.com", "_dmarc.h.i.j.mail.example.com",
                                 "_dmarc.i.j.mail.example.com", "_dmarc.j.mail.example.com",
                                 "_dmarc.mail.example.com", "_dmarc.example.com", "_dmarc.com"});
  CHECK(dns.rounds() == 2);
}

TEST_CASE("dmarc: the walk goes from eight labels and from nine to the last seven") {
  CHECK(tree_walk_domains("a.b.c.d.e.f.example.com").at(1) == "b.c.d.e.f.example.com");
  CHECK(tree_walk_domains("x.a.b.c.d.e.f.example.com").at(1) == "b.c.d.e.f.example.com");
  CHECK(tree_walk_domains("b.c.d.e.f.example.com").at(1) == "c.d.e.f.example.com");
  CHECK(tree_walk_domains("x.a.b.c.d.e.f.example.com").size() == kTreeWalkQuestionsMax);
  CHECK(tree_walk_domains("com") == std::vector<std::string>{"com"});
  CHECK(tree_walk_domains("").empty());
  std::string long_name = "com";
  for (int i = 0; i < 500; ++i) long_name = "a." + long_name;
  CHECK(tree_walk_domains(long_name).size() == kTreeWalkQuestionsMax);
}

TEST_CASE("dmarc: the record with the fewest labels is the organisation's, not one between") {
  const DmarcVerdict verdict =
      evaluate(FakeDns::of({{"_dmarc.b.example.com", {"v=DMARC1; p=none"}},
                            {"_dmarc.example.com", {"v=DMARC1; p=reject"}}}),
               "a.b.example.com", {dkim("c.example.com")});
  CHECK(verdict.policy_domain == "example.com");
  CHECK(verdict.result == DmarcResult::Pass);
}

TEST_CASE("dmarc: psd=n makes a name an organisation of its own, and ends the walk") {
  FakeDns dns = FakeDns::of({{"_dmarc.mail.example.com", {"v=DMARC1; p=reject; psd=n"}},
                             {"_dmarc.example.com", {"v=DMARC1; p=reject"}}});
  const DmarcVerdict verdict = evaluate(dns, "mail.example.com", {dkim("example.com")});
  CHECK(verdict.result == DmarcResult::Fail);
  CHECK(dns.asked() == std::vector<std::string>{"_dmarc.mail.example.com"});
  CHECK(evaluate(FakeDns::of({{"_dmarc.b.example.com", {"v=DMARC1; p=reject; psd=n"}},
                              {"_dmarc.example.com", {"v=DMARC1; p=none"}}}),
                 "a.b.example.com")
            .policy_domain == "b.example.com");
}

TEST_CASE("dmarc: below a public suffix (psd=y) everybody is an organisation of his own") {
  const FakeDns::Records bank = {
      {"_dmarc.bank.example", {"v=DMARC1; p=reject; sp=quarantine; psd=y"}}};
  // RFC 9989 appendix B.4.3: the suffix's record applies where the organisation has none.
  const DmarcVerdict own = evaluate(bank, "mail.giant.bank.example", {dkim("giant.bank.example")});
  CHECK(own.result == DmarcResult::Pass);
  CHECK(own.policy_domain == "bank.example");
  CHECK(own.policy == DmarcPolicy::Quarantine);
  const DmarcVerdict strangers =
      evaluate(bank, "giant.bank.example", {dkim("mega.bank.example"), spf("bank.example")});
  CHECK(strangers.result == DmarcResult::Fail);
  CHECK(strangers.disposition == DmarcPolicy::Quarantine);
  // The suffix itself sends as its own organisation.
  const DmarcVerdict suffix = evaluate(bank, "bank.example", {spf("mail.bank.example")});
  CHECK(suffix.policy == DmarcPolicy::Reject);
  CHECK(suffix.result == DmarcResult::Fail);
  // Its policy is not used for those who have one.
  FakeDns::Records both = bank;
  both["_dmarc.giant.bank.example"] = {"v=DMARC1; p=none"};
  CHECK(evaluate(both, "x.giant.bank.example").policy_domain == "giant.bank.example");
}

TEST_CASE("dmarc: several records at a name count as none, and other texts do not count") {
  const DmarcVerdict above = evaluate(
      FakeDns::of(
          {{"_dmarc.mail.example.com", {"v=DMARC1; p=reject", "v=DMARC1; p=quarantine"}},
           {"_dmarc.example.com", {"hello", "v=DMARC1; p=none; sp=quarantine", "v=spf1 -all"}}}),
      "mail.example.com");
  CHECK(above.policy_domain == "example.com");
  CHECK(above.policy == DmarcPolicy::Quarantine);
  const DmarcVerdict none =
      evaluate(FakeDns::of({{"_dmarc.example.com", {"v=DMARC1; p=reject", "v=DMARC1"}}}),
               "example.com", {dkim("example.com")});
  CHECK(none.result == DmarcResult::None);
  CHECK(none.why == "example.com has more than one DMARC record, which counts as none");
  // RFC 7489 §6.6.3 looks no further then.
  CHECK(
      evaluate(FakeDns::of({{"_dmarc.mail.example.com", {"v=DMARC1; p=reject", "v=DMARC1; p=none"}},
                            {"_dmarc.example.com", {"v=DMARC1; p=reject"}}}),
               "mail.example.com", {}, by_list())
          .result == DmarcResult::None);
}

TEST_CASE("dmarc: np is for names that the DNS does not have, and is only asked for when needed") {
  const FakeDns::Records zone = {
      {"_dmarc.example.com", {"v=DMARC1; p=reject; sp=none; np=quarantine"}},
      {"real.example.com", {}},
      {"below.empty.example.com", {"x"}}};
  CHECK(evaluate(zone, "fake.example.com").policy == DmarcPolicy::Quarantine);
  CHECK(evaluate(zone, "real.example.com").policy == DmarcPolicy::None);
  CHECK(evaluate(zone, "empty.example.com").policy == DmarcPolicy::None);
  // Too long a label can be in no zone.
  CHECK(evaluate(zone, std::string(64, 'a') + ".example.com").policy == DmarcPolicy::Quarantine);
  FakeDns own(zone);
  CHECK(evaluate(own, "example.com").policy == DmarcPolicy::Reject);
  CHECK(own.asked().size() == 1);
  FakeDns passing(zone, {"fake.example.com"});
  CHECK(evaluate(passing, "fake.example.com", {dkim("example.com")}).result == DmarcResult::Pass);
  FakeDns failing(zone, {"fake.example.com"});
  CHECK(evaluate(failing, "fake.example.com").result == DmarcResult::TemporaryError);
  CHECK(evaluate(zone, "fake.example.com", {}, by_list()).policy == DmarcPolicy::None);
}

TEST_CASE("dmarc: t=y asks for one level less, in the new way only") {
  const auto verdict = [](const char* record, OrganisationRule rule) {
    return evaluate(FakeDns::of({{"_dmarc.example.com", {record}}}), "example.com", {}, rule);
  };
  CHECK(verdict("v=DMARC1; p=reject; t=y", {}).disposition == DmarcPolicy::Quarantine);
  CHECK(verdict("v=DMARC1; p=quarantine; t=y", {}).disposition == DmarcPolicy::None);
  CHECK(verdict("v=DMARC1; p=reject; t=n", {}).disposition == DmarcPolicy::Reject);
  CHECK(verdict("v=DMARC1; p=reject; t=yes", {}).disposition == DmarcPolicy::Reject);
  CHECK(verdict("v=DMARC1; p=reject; t=y", by_list()).disposition == DmarcPolicy::Reject);
}

TEST_CASE("dmarc: pct samples in the old way, and the rest is treated one level milder") {
  const auto disposition = [](const char* record, OrganisationRule rule, unsigned sample) {
    return evaluate(FakeDns::of({{"_dmarc.example.com", {record}}}), "example.com", {}, rule,
                    sample)
        .disposition;
  };
  CHECK(disposition("v=DMARC1; p=reject; pct=25", by_list(), 24) == DmarcPolicy::Reject);
  CHECK(disposition("v=DMARC1; p=reject; pct=25", by_list(), 25) == DmarcPolicy::Quarantine);
  CHECK(disposition("v=DMARC1; p=quarantine; pct=0", by_list(), 0) == DmarcPolicy::None);
  CHECK(disposition("v=DMARC1; p=reject; pct=0", {}, 99) == DmarcPolicy::Reject);
}

TEST_CASE("dmarc: strict alignment takes the same domain only, each method by its own tag") {
  const FakeDns::Records zone = {{"_dmarc.example.com", {"v=DMARC1; p=reject; adkim=s"}}};
  CHECK(evaluate(zone, "example.com", {dkim("mail.example.com")}).result == DmarcResult::Fail);
  CHECK(evaluate(zone, "example.com", {spf("mail.example.com")}).result == DmarcResult::Pass);
  CHECK(evaluate(zone, "example.com", {dkim("example.com")}).result == DmarcResult::Pass);
  CHECK(evaluate(zone, "example.com", {dkim("notexample.com")}).result == DmarcResult::Fail);
}

TEST_CASE("dmarc: strangers' domains are not asked about, however many there are") {
  FakeDns dns = FakeDns::of({{"_dmarc.example.com", {"v=DMARC1; p=reject"}}});
  std::vector<AuthenticatedDomain> many;
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) names.push_back("s" + std::to_string(i) + ".example.net");
  for (const std::string& name : names) many.push_back(dkim(name.c_str()));
  CHECK(evaluate(dns, "example.com", many).result == DmarcResult::Fail);
  CHECK(dns.asked() == std::vector<std::string>{"_dmarc.example.com", "_dmarc.com"});
}

TEST_CASE("dmarc: signatures of one organisation are looked at up to a limit") {
  // Each is an organisation of its own, so that none is aligned.
  FakeDns::Records zone = {{"_dmarc.example.com", {"v=DMARC1; p=reject"}}};
  std::vector<AuthenticatedDomain> many;
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) names.push_back("s" + std::to_string(i) + ".example.com");
  for (const std::string& name : names) {
    zone["_dmarc." + name] = {"v=DMARC1; p=none; psd=n"};
    many.push_back(dkim(name.c_str()));
    many.push_back(dkim(name.c_str()));
  }
  FakeDns dns(zone);
  const DmarcVerdict verdict = evaluate(dns, "example.com", many);
  CHECK(verdict.result == DmarcResult::Fail);
  CHECK(dns.asked().size() == 2 + kIdentifiersMax);
  CHECK(verdict.why.find("not all of it was looked at") != std::string::npos);
}

TEST_CASE("dmarc: a failing DNS is a temporary error only when its answer matters") {
  const FakeDns::Records zone = {{"_dmarc.example.com", {"v=DMARC1; p=reject"}}};
  const auto result = [&](std::set<std::string> failing, std::string_view author,
                          std::vector<AuthenticatedDomain> identifiers) {
    return evaluate(FakeDns(zone, std::move(failing)), author, std::move(identifiers));
  };
  const DmarcVerdict unknown =
      result({"_dmarc.example.com"}, "mail.example.com", {dkim("example.com")});
  CHECK(unknown.result == DmarcResult::TemporaryError);
  CHECK_FALSE(unknown.policy);
  CHECK(unknown.why.find("_dmarc.example.com") != std::string::npos);
  CHECK(result({"_dmarc.com"}, "example.com", {dkim("example.com")}).result == DmarcResult::Pass);
  CHECK(result({"_dmarc.com"}, "example.com", {}).result == DmarcResult::Fail);
  const DmarcVerdict above = result({"_dmarc.com"}, "example.com", {dkim("mail.example.com")});
  CHECK(above.result == DmarcResult::TemporaryError);
  CHECK(above.policy == DmarcPolicy::Reject);
  CHECK(above.disposition == DmarcPolicy::None);
  CHECK(result({"_dmarc.mail.example.com"}, "example.com", {dkim("mail.example.com")}).result ==
        DmarcResult::TemporaryError);
  CHECK(result({"_dmarc.mail.example.com"}, "example.com",
               {dkim("mail.example.com"), spf("bounce.example.com")})
            .result == DmarcResult::Pass);
}

TEST_CASE("dmarc: what could not be checked for now matters only when it is aligned") {
  const FakeDns::Records zone = {{"_dmarc.example.com", {"v=DMARC1; p=reject"}}};
  const auto result = [&](std::vector<AuthenticatedDomain> identifiers) {
    return evaluate(zone, "example.com", std::move(identifiers)).result;
  };
  CHECK(result({dkim("mail.example.com", Result::TemporaryError)}) == DmarcResult::TemporaryError);
  CHECK(result({spf("mail.example.com", Result::TemporaryError)}) == DmarcResult::TemporaryError);
  // Otherwise a forger would add a signature whose key nobody can fetch.
  CHECK(result({dkim("forger.example", Result::TemporaryError)}) == DmarcResult::Fail);
  CHECK(result({dkim("mail.example.com", Result::TemporaryError), spf("example.com")}) ==
        DmarcResult::Pass);
  CHECK(result({dkim("example.com", Result::Other)}) == DmarcResult::Fail);
}

TEST_CASE("dmarc: a broken record is ignored piece by piece in the new way, and void in the old") {
  const FakeDns::Records zone = {{"_dmarc.example.com", {"v=DMARC1; p=reject; bogus"}}};
  CHECK(evaluate(zone, "example.com").disposition == DmarcPolicy::Reject);
  const DmarcVerdict old = evaluate(zone, "example.com", {}, by_list());
  CHECK(old.result == DmarcResult::PermanentError);
  CHECK(old.disposition == DmarcPolicy::None);
  // Neither edition takes one of two policies.
  const FakeDns::Records twice = {{"_dmarc.example.com", {"v=DMARC1; p=reject; p=none"}}};
  CHECK(evaluate(twice, "example.com").result == DmarcResult::None);
  // No policy at all: the walk does not go on.
  const FakeDns::Records none = {{"_dmarc.mail.example.com", {"v=DMARC1; adkim=s"}},
                                 {"_dmarc.example.com", {"v=DMARC1; p=reject"}}};
  CHECK(evaluate(none, "mail.example.com").result == DmarcResult::None);
}

TEST_CASE("dmarc: the list of public suffixes says what is one organisation in the old way") {
  const FakeDns::Records zone = {{"_dmarc.shop.co.example", {"v=DMARC1; p=reject; sp=quarantine"}},
                                 {"_dmarc.co.example", {"v=DMARC1; p=none"}}};
  const auto old = [&](std::string_view author, std::vector<AuthenticatedDomain> identifiers) {
    return evaluate(zone, author, std::move(identifiers), by_list());
  };
  CHECK(old("a.b.shop.co.example", {dkim("c.shop.co.example")}).result == DmarcResult::Pass);
  CHECK(old("a.b.shop.co.example", {dkim("other.co.example")}).disposition ==
        DmarcPolicy::Quarantine);
  CHECK(old("shop.co.example", {dkim("co.example")}).disposition == DmarcPolicy::Reject);
  // The suffix's own record is for nobody else.
  CHECK(old("other.co.example", {}).result == DmarcResult::None);
  CHECK(old("co.example", {}).policy_domain == "co.example");
}

TEST_CASE("dmarc: of several authors the strictest outcome counts") {
  const FakeDns::Records zone = {{"_dmarc.bank.example", {"v=DMARC1; p=reject"}},
                                 {"_dmarc.mild.example", {"v=DMARC1; p=quarantine"}}};
  const auto verdict = [&](std::string_view header) {
    DmarcQuestion question;
    question.identifiers = {dkim("forger.example")};
    FakeDns dns(zone);
    const Authors authors = find_authors(header);
    const auto result =
        dns.run([&](RecordedDns& recorded) { return evaluate_dmarc(authors, question, recorded); });
    REQUIRE(result);
    return *result;
  };
  const DmarcVerdict two = verdict("From: a@forger.example, b@mild.example, c@bank.example\r\n");
  CHECK(two.author_domain == "bank.example");
  CHECK(two.disposition == DmarcPolicy::Reject);
  CHECK(two.why.find("From has addresses of 3 domains") != std::string::npos);
  CHECK(verdict("From: a@forger.example\r\nFrom: a@bank.example\r\n").disposition ==
        DmarcPolicy::Reject);
  CHECK(verdict("From: a@bank.example, x y\r\n").disposition == DmarcPolicy::Reject);
  const DmarcVerdict nobody = verdict("Subject: x\r\n");
  CHECK(nobody.result == DmarcResult::None);
  CHECK(nobody.why == "the message has no From field");
}

TEST_CASE("dmarc: the same answers give the same verdict, whatever was known before") {
  RecordedDns dns;
  DmarcQuestion question;
  CHECK_FALSE(evaluate_dmarc("example.com", question, dns));
  const std::vector<Question> missing = dns.take_missing();
  REQUIRE(missing.size() == 1);
  CHECK(missing[0].name == "_dmarc.example.com");
  CHECK_FALSE(evaluate_dmarc("example.com", question, dns));
  CHECK(dns.take_missing().size() == 1);
}

TEST_CASE("dmarc: a verdict is a result for whoever reads the message behind us") {
  FakeDns dns = FakeDns::of({{"_dmarc.example.com", {"v=DMARC1; p=reject; t=y"}}});
  const std::vector<MethodResult> results = {as_method_result(evaluate(dns, "example.com")),
                                             as_method_result(DmarcVerdict())};
  CHECK(
      format_authentication_results("mx.example.net", results) ==
      "Authentication-Results: mx.example.net;\r\n"
      "\tdmarc=fail\r\n"
      "\t(neither SPF nor DKIM passed; example.com has a DMARC record and asks for quarantine, one "
      "level below what it says, because it is being tested \\(t=y\\))\r\n"
      "\theader.from=example.com policy.dmarc=quarantine;\r\n"
      "\tdmarc=none\r\n");
}
