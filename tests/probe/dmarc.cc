// dmarc: what DMARC says about a message, or whether reports about a domain are wanted. `reject` is
// what the record asks for, before the percentage of RFC 7489 picks a part of the messages.
#include "policy/dmarc.h"

#include <optional>
#include <stdexcept>

#include "policy/author_domains.h"
#include "policy/report_authorisation.h"
#include "tests/probe/lists.h"
#include "tests/probe/zone.h"

namespace rockdove::probe {
namespace {

using nlohmann::json;
using policy::AuthenticatedDomain;

// More would mean that a check asks again for what it was told.
constexpr int kRoundsMax = 20;

std::vector<AuthenticatedDomain> identifiers_of(const json& test_case, const char* key,
                                                AuthenticatedDomain::Method method) {
  std::vector<AuthenticatedDomain> identifiers;
  for (const json& one : test_case.value(key, json::array())) {
    AuthenticatedDomain identifier;
    identifier.method = method;
    identifier.domain = one.contains("domain") ? one.at("domain").get<std::string>()
                                               : one.value("d", std::string());
    const auto result = one.at("result").get<std::string>();
    if (result == "pass") identifier.result = AuthenticatedDomain::Result::Pass;
    if (result == "temperror") identifier.result = AuthenticatedDomain::Result::TemporaryError;
    identifiers.push_back(std::move(identifier));
  }
  return identifiers;
}

json answer_authorisation(const json& test_case, const policy::OrganisationRule& rule,
                          const Zone& zone) {
  using State = policy::ReportAuthorisation::State;
  policy::RecordedDns dns;
  for (int round = 0; round < kRoundsMax; ++round) {
    const auto found =
        policy::authorise_reports(test_case.at("report_for").get<std::string>(),
                                  test_case.at("report_to").get<std::string>(), rule, dns);
    if (found.state != State::Unfinished) {
      return {{"accepts", found.state == State::Wanted}, {"why", found.why}};
    }
    zone.answer_missing(dns);
  }
  throw std::runtime_error("the check does not end");
}

// `from` is an address, or only its domain.
policy::Authors authors_of(const std::string& from) {
  if (from.find('@') != std::string::npos) return policy::find_authors("From: " + from + "\r\n");
  policy::Authors authors;
  authors.form = policy::Authors::Form::Single;
  if (!from.empty()) authors.domains.push_back(from);
  return authors;
}

json described(const policy::DmarcVerdict& verdict, std::size_t questions) {
  const bool rejects = verdict.result == policy::DmarcResult::Fail && verdict.policy &&
                       *verdict.policy == policy::DmarcPolicy::Reject;
  json result = {{"result", policy::name_of(verdict.result)},
                 {"policy", nullptr},
                 {"policy_domain", nullptr},
                 {"reject", rejects},
                 {"questions", questions},
                 {"why", verdict.why}};
  if (verdict.policy) result["policy"] = policy::name_of(*verdict.policy);
  if (!verdict.policy_domain.empty()) result["policy_domain"] = verdict.policy_domain;
  return result;
}

}  // namespace

json answer_dmarc(const json& test_case, const Options& options) {
  const Zone zone(test_case.at("zone"));
  policy::DmarcQuestion question;
  if (test_case.value("organisation", "tree-walk") == "psl") {
    question.rule.suffixes = &suffixes_of(options);
  }
  if (test_case.contains("report_for")) {
    return answer_authorisation(test_case, question.rule, zone);
  }
  question.identifiers = identifiers_of(test_case, "dkim", AuthenticatedDomain::Method::Dkim);
  for (auto& one : identifiers_of(test_case, "spf", AuthenticatedDomain::Method::Spf)) {
    question.identifiers.push_back(std::move(one));
  }
  const policy::Authors authors = authors_of(test_case.at("from").get<std::string>());
  policy::RecordedDns dns;
  for (int round = 0; round < kRoundsMax; ++round) {
    const auto verdict = policy::evaluate_dmarc(authors, question, dns);
    if (verdict) return described(*verdict, dns.size());
    zone.answer_missing(dns);
  }
  throw std::runtime_error("the check does not end");
}

}  // namespace rockdove::probe
