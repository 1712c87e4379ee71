#include "policy/judgement.h"

#include <catch2/catch.hpp>

namespace rockdove::policy {
namespace {

using Catch::Matchers::Contains;

DkimSignature signature(DkimResult result, const std::string& domain) {
  DkimSignature one;
  one.result = result;
  one.domain = domain;
  one.selector = "s";
  one.algorithm = "rsa-sha256";
  one.covers_body = true;
  return one;
}

DmarcVerdict failed(DmarcPolicy policy) {
  DmarcVerdict verdict;
  verdict.result = DmarcResult::Fail;
  verdict.author_domain = "bank.example";
  verdict.policy_domain = "bank.example";
  verdict.policy = policy;
  verdict.disposition = policy;
  verdict.why = "nothing that passed is aligned with bank.example";
  return verdict;
}

Findings found(DmarcPolicy policy) {
  Findings findings;
  findings.sender = "x@thief.example";
  findings.helo = "thief.example";
  findings.authors = Authors{Authors::Form::Single, {"bank.example"}, ""};
  findings.dmarc = failed(policy);
  return findings;
}

Judgement judged(const Findings& findings, CheckMode mode = CheckMode::Enforce,
                 bool is_exempt = false) {
  Checks checks;
  checks.dmarc = mode;
  return judge_message(findings, checks, {}, is_exempt);
}

TEST_CASE("what fails DMARC meets what its domain asks for, where that is enforced") {
  const Judgement refused = judged(found(DmarcPolicy::Reject));
  CHECK(refused.disposition == Disposition::Refuse);
  CHECK(refused.enhanced_code == "5.7.1");
  CHECK_THAT(refused.why, Contains("bank.example (p=reject)"));
  const Judgement held = judged(found(DmarcPolicy::Quarantine));
  CHECK(held.disposition == Disposition::Quarantine);
  CHECK_THAT(held.why, Contains("bank.example (p=quarantine)"));
  CHECK(judged(found(DmarcPolicy::None)).disposition == Disposition::Accept);
  CHECK(judged(found(DmarcPolicy::Reject), CheckMode::Check).disposition == Disposition::Accept);
  CHECK(judged(found(DmarcPolicy::Reject), CheckMode::Enforce, true).disposition ==
        Disposition::Accept);
}

TEST_CASE("by pct= a policy of reject may become quarantine or none for this message") {
  Findings findings = found(DmarcPolicy::Reject);
  findings.dmarc->disposition = DmarcPolicy::Quarantine;
  CHECK(judged(findings).disposition == Disposition::Quarantine);
  findings.dmarc->disposition = DmarcPolicy::None;
  CHECK(judged(findings).disposition == Disposition::Accept);
}

TEST_CASE("what cannot be told now is to come again, but not where only its policy is unknown") {
  Findings findings = found(DmarcPolicy::Reject);
  findings.dmarc->result = DmarcResult::TemporaryError;
  CHECK(judged(findings).disposition == Disposition::Defer);
  CHECK(judged(findings).enhanced_code == "4.4.3");
  CHECK(judged(findings, CheckMode::Check).disposition == Disposition::Accept);
  findings.dmarc->policy = DmarcPolicy::None;
  CHECK(judged(findings).disposition == Disposition::Accept);
  findings.dmarc->policy.reset();
  CHECK(judged(findings).disposition == Disposition::Accept);
}

TEST_CASE("an author that cannot be told is refused, but in reports of old systems") {
  Findings findings;
  findings.sender = "x@y.example";
  for (const Authors::Form form :
       {Authors::Form::Missing, Authors::Form::SeveralFields, Authors::Form::Unreadable,
        Authors::Form::TooMany, Authors::Form::NoAddress}) {
    findings.authors = Authors{form, {}, "there are two From fields"};
    const Judgement judgement = judged(findings);
    CHECK(judgement.disposition == Disposition::Refuse);
    CHECK_THAT(judgement.why, Contains("two From fields"));
  }
  for (const Authors::Form form :
       {Authors::Form::Single, Authors::Form::NoDomain, Authors::Form::SeveralDomains}) {
    findings.authors = Authors{form, {}, "odd"};
    CHECK(judged(findings).disposition == Disposition::Accept);
  }
  findings.sender = "";
  findings.authors = Authors{Authors::Form::NoAddress, {}, "it names nobody"};
  CHECK(judged(findings).disposition == Disposition::Accept);
}

TEST_CASE("DMARC rests on signatures that cover the whole body, and on what SPF checked") {
  Findings findings;
  findings.sender = "x@y.example";
  findings.spf_mail_from.emplace();
  findings.spf_mail_from->result = SpfResult::TempError;
  findings.spf_mail_from->domain = "y.example";
  DkimSignature partial = signature(DkimResult::Pass, "b.example");
  partial.covers_body = false;
  findings.dkim = std::vector{signature(DkimResult::Pass, "a.example"), partial,
                              signature(DkimResult::Fail, "c.example"),
                              signature(DkimResult::TemporaryError, "d.example")};
  const std::vector<AuthenticatedDomain> domains = authenticated_domains(findings);
  using Result = AuthenticatedDomain::Result;
  REQUIRE(domains.size() == 5);
  CHECK(domains[0].method == AuthenticatedDomain::Method::Spf);
  CHECK(domains[0].result == Result::TemporaryError);
  CHECK(domains[1].result == Result::Pass);
  CHECK(domains[2].result == Result::Other);
  CHECK(domains[3].result == Result::Other);
  CHECK(domains[4].result == Result::TemporaryError);
}

TEST_CASE("results are written in their fixed order") {
  Findings findings = found(DmarcPolicy::Reject);
  findings.client = {{"iprev", "pass", "", "", {}}};
  findings.spf_helo.emplace();
  findings.spf_mail_from.emplace();
  findings.dkim.emplace();
  DkimSignature partial = signature(DkimResult::Pass, "b.example");
  partial.covers_body = false;
  findings.dkim->push_back(partial);
  findings.arc.emplace();
  findings.arc->status = ArcStatus::Fail;
  const std::vector<MethodResult> results = results_of(findings);
  std::string methods;
  for (const MethodResult& result : results) methods += result.method + " ";
  CHECK(methods == "iprev spf spf dkim arc dmarc ");
  CHECK(results[1].properties[0].name == "helo");
  CHECK(results[2].properties[0].name == "mailfrom");
  CHECK(results[3].result == "policy");
  findings.sender = "";  // then SPF has looked at HELO only
  CHECK(results_of(findings).size() == 5);
  findings.dkim->clear();
  CHECK(results_of(findings)[2].result == "none");
}

TEST_CASE("a trusted seal that saw DMARC pass stands in for a failure here") {
  Findings findings = found(DmarcPolicy::Reject);
  ArcVerdict& arc = findings.arc.emplace();
  arc.status = ArcStatus::Pass;
  arc.covers_from = true;
  arc.covers_body = true;
  const std::string passed = " mx.list.example; spf=pass; dmarc=pass header.from=Bank.example";
  arc.handlers = {{"list.example", "s", passed}, {"mx.example", "s", " mx.example; dmarc=fail"}};
  JudgingSettings settings;
  const auto disposition = [&] {
    return judge_message(findings, Checks(), settings, false).disposition;
  };
  CHECK(disposition() == Disposition::Refuse);
  settings.trusted_sealers = {"list.example"};
  CHECK(disposition() == Disposition::Refuse);  // who sealed after it is not trusted
  settings.trusted_sealers = {"mx.example", "list.example"};
  CHECK(disposition() == Disposition::Accept);
  CHECK_THAT(judge_message(findings, Checks(), settings, false).why, Contains("list.example"));
  SECTION("not for another author") {
    findings.dmarc->author_domain = "shop.example";
    CHECK(disposition() == Disposition::Refuse);
  }
  SECTION("not when the chain does not cover From") {
    arc.covers_from = false;
    CHECK(disposition() == Disposition::Refuse);
  }
  SECTION("not when there is text behind what it covers") {
    arc.covers_body = false;
    CHECK(disposition() == Disposition::Refuse);
  }
  SECTION("not when the chain is broken") {
    arc.status = ArcStatus::Fail;
    CHECK(disposition() == Disposition::Refuse);
  }
}

TEST_CASE("SPF refuses before there is content only where it is enforced, and says whose words") {
  Findings findings;
  findings.spf_mail_from.emplace();
  findings.spf_mail_from->result = SpfResult::Fail;
  findings.spf_mail_from->domain = "y.example";
  findings.spf_mail_from->reason = "192.0.2.1 matches -all of y.example";
  findings.spf_mail_from->explanation = "see https://y.example";
  Checks checks;
  CHECK_FALSE(judge_envelope(findings, checks));
  checks.spf = CheckMode::Enforce;
  const std::optional<Judgement> judgement = judge_envelope(findings, checks);
  REQUIRE(judgement);
  CHECK(judgement->enhanced_code == "5.7.23");
  CHECK(judgement->why ==
        "SPF: 192.0.2.1 matches -all of y.example; y.example explains: see https://y.example");
  findings.spf_mail_from->result = SpfResult::SoftFail;
  CHECK_FALSE(judge_envelope(findings, checks));
}

TEST_CASE("the first override that fits the listener and the client holds") {
  JudgingSettings settings;
  ChecksFor& lan = settings.overrides.emplace_back();
  lan.listener = "lan";
  lan.clients = {*base::parse_ip_network("10.0.0.0/8")};
  lan.spf = CheckMode::Off;
  ChecksFor& all = settings.overrides.emplace_back();
  all.dmarc = CheckMode::Check;
  const base::IpAddress inside = *base::parse_ip_address("10.1.2.3");
  const base::IpAddress outside = *base::parse_ip_address("192.0.2.1");
  CHECK(checks_for(settings, "lan", inside).spf == CheckMode::Off);
  CHECK(checks_for(settings, "lan", inside).dmarc == CheckMode::Enforce);
  CHECK(checks_for(settings, "lan", outside).spf == CheckMode::Check);
  CHECK(checks_for(settings, "lan", outside).dmarc == CheckMode::Check);
  CHECK(checks_for(settings, "mx", inside).dmarc == CheckMode::Check);
}

}  // namespace
}  // namespace rockdove::policy
