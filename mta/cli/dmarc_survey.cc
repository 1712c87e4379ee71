#include "mta/cli/dmarc_survey.h"

#include <algorithm>
#include <utility>

#include "mta/cli/safe_text.h"

namespace rockdove::cli {

using policy::DmarcEdition;
using policy::DmarcLookup;
using policy::DmarcPolicies;
using policy::DmarcPolicy;
using policy::DmarcProblem;
using policy::DmarcRecord;
using policy::Organisation;
using policy::PolicyDiscovery;
using policy::PublicSuffixFlag;
using policy::ReportAuthorisation;
using policy::ReportUri;

namespace {

// What is found at one name, in a few words.
std::string state_of(const DmarcLookup& lookup) {
  switch (lookup.state) {
    case DmarcLookup::State::Found:
      return safe_text(lookup.text);
    case DmarcLookup::State::None:
    case DmarcLookup::State::Unasked:
      return "no DMARC record";
    case DmarcLookup::State::Several:
      return "more than one DMARC record, which counts as none";
    case DmarcLookup::State::Failed:
      return safe_text(lookup.detail);
  }
  return "";
}

std::string joined(const std::vector<ReportUri>& uris) {
  std::string text;
  for (const ReportUri& uri : uris) text += (text.empty() ? "" : ",") + uri.uri;
  return text;
}

void add_tag(std::string& text, std::string_view name, std::string_view value) {
  text += "; ";
  text += name;
  text += '=';
  text += value;
}

// What was understood of a record, as both editions write it.
std::string format_record(const DmarcRecord& record, const std::string& domain) {
  std::string text = "v=DMARC1";
  add_tag(text, "p", policy::name_of(record.policy.value_or(DmarcPolicy::None)));
  if (record.subdomain_policy) add_tag(text, "sp", policy::name_of(*record.subdomain_policy));
  if (record.nonexistent_policy) add_tag(text, "np", policy::name_of(*record.nonexistent_policy));
  if (record.dkim_alignment == policy::DmarcAlignment::Strict) add_tag(text, "adkim", "s");
  if (record.spf_alignment == policy::DmarcAlignment::Strict) add_tag(text, "aspf", "s");
  const std::string reports = joined(record.aggregate_reports);
  add_tag(text, "rua", reports.empty() ? "mailto:postmaster@" + domain : reports);
  if (!record.failure_reports.empty()) {
    const policy::FailureReporting& wanted = record.failure_reporting;
    std::string options;
    if (wanted.when_any_fails) {
      options = "1";
    } else if (wanted.when_all_fail) {
      options = "0";
    }
    if (wanted.of_dkim) options += options.empty() ? "d" : ":d";
    if (wanted.of_spf) options += options.empty() ? "s" : ":s";
    add_tag(text, "ruf", joined(record.failure_reports));
    add_tag(text, "fo", options);
  }
  if (record.public_suffix == PublicSuffixFlag::Yes) add_tag(text, "psd", "y");
  if (record.public_suffix == PublicSuffixFlag::No) add_tag(text, "psd", "n");
  if (record.is_test) add_tag(text, "t", "y");
  // Those who follow RFC 7489 would else be asked for more than now.
  if (record.percent != 100) add_tag(text, "pct", std::to_string(record.percent));
  return text;
}

std::string_view treatment(DmarcPolicy policy) {
  switch (policy) {
    case DmarcPolicy::None:
      return "is to be treated like other mail";
    case DmarcPolicy::Quarantine:
      return "is suspicious, and to be kept apart";
    case DmarcPolicy::Reject:
      return "is to be rejected";
  }
  return "";
}

std::string with_address(const ReportUri& uri) {
  return safe_text(uri.mailbox ? mail::format_address(*uri.mailbox) : uri.uri);
}

// Sentences that say what the record asks for.
std::vector<std::string> meaning(const DmarcSurvey& survey) {
  const DmarcLookup& lookup = survey.discovery.lookup;
  const DmarcRecord& record = lookup.record;
  const std::optional<DmarcPolicies> policies = requested_policies(record, survey.edition);
  if (!policies) {
    return {"It asks for nothing: it has neither a valid policy nor an address for reports."};
  }
  std::vector<std::string> lines;
  const auto say = [&](const std::string& whose, DmarcPolicy policy) {
    lines.push_back("From " + whose + ", mail that fails " + std::string(treatment(policy)) + " (" +
                    std::string(policy::name_of(policy)) + ").");
  };
  say(lookup.domain, policies->domain);
  say("names below it", policies->subdomains);
  if (policies->nonexistent != policies->subdomains) {
    say("names below it that do not exist", policies->nonexistent);
  }
  if (survey.edition == DmarcEdition::Rfc9989 && record.is_test) {
    lines.emplace_back("It is being tested (t=y): each policy counts one level less.");
  }
  if (survey.edition == DmarcEdition::Rfc7489 && record.percent != 100) {
    lines.push_back("Of that mail " + std::to_string(record.percent) +
                    " % are to be treated so, the rest one level more mildly (pct).");
  }
  const auto say_alignment = [&](const std::string& what, policy::DmarcAlignment alignment) {
    const bool is_strict = alignment == policy::DmarcAlignment::Strict;
    lines.push_back(what + (is_strict ? " is the domain in From itself."
                                      : " is of the same organisation as the domain in From."));
  };
  say_alignment("A DKIM signature counts when its domain", record.dkim_alignment);
  say_alignment("SPF counts when the domain of MAIL FROM", record.spf_alignment);
  if (survey.organisation.state == Organisation::State::Known) {
    lines.push_back("The organisation of " + survey.domain + " is " + survey.organisation.domain +
                    ".");
  }
  for (const DmarcSurvey::Destination& one : survey.destinations) {
    lines.push_back(std::string(one.is_aggregate ? "Reports" : "Reports of single failures") +
                    " go to " + with_address(one.uri) + ": " + one.authorisation.why + ".");
  }
  return lines;
}

std::string_view edition_of(DmarcProblem::Against against) {
  switch (against) {
    case DmarcProblem::Against::Rfc7489:
      return " (by RFC 7489, which many receivers still follow)";
    case DmarcProblem::Against::Rfc9989:
      return " (by RFC 9989)";
    case DmarcProblem::Against::Both:
    case DmarcProblem::Against::Nobody:
      break;
  }
  return "";
}

void advise_on_record(const DmarcSurvey& survey, DmarcAdvice& advice) {
  const DmarcLookup& lookup = survey.discovery.lookup;
  const DmarcRecord& record = lookup.record;
  for (const DmarcProblem& problem : record.problems) {
    const bool is_allowed = problem.against == DmarcProblem::Against::Nobody;
    (is_allowed ? advice.remarks : advice.wrong)
        .push_back(problem.text + std::string(edition_of(problem.against)));
  }
  for (const DmarcSurvey::Destination& one : survey.destinations) {
    const ReportAuthorisation::State state = one.authorisation.state;
    if (!one.uri.mailbox) {
      advice.remarks.push_back(one.uri.uri +
                               " is no address that every receiver can send reports to");
    } else if (state == ReportAuthorisation::State::Unwanted) {
      advice.wrong.push_back(with_address(one.uri) + " gets no reports: " + one.authorisation.why +
                             "; \"v=DMARC1\" at that name would say so");
    } else if (state == ReportAuthorisation::State::Failed) {
      advice.wrong.push_back(with_address(one.uri) + ": " + one.authorisation.why);
    }
  }
  if (record.percent != 100) {
    advice.remarks.push_back("pct=" + std::to_string(record.percent) +
                             " is not known to RFC 9989, by which the policy counts for all mail; "
                             "t=y asks for one level less");
  }
  if (record.aggregate_reports.empty()) {
    advice.remarks.emplace_back("nobody gets reports (rua=…), so that what fails stays unseen");
  }
  const bool is_wrong = std::any_of(
      record.problems.begin(), record.problems.end(),
      [](const DmarcProblem& problem) { return problem.against != DmarcProblem::Against::Nobody; });
  if (!is_wrong && record.policy) return;
  advice.publish_at = "_dmarc." + lookup.domain;
  advice.publish = format_record(record, lookup.domain);
}

std::string indented(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += "  " + line + "\n";
  return text;
}

std::vector<policy::DmarcLookup> look_by_list(const std::string& domain, const Organisation& owner,
                                              policy::RecordedDns& dns) {
  std::vector<policy::DmarcLookup> lookups{policy::look_up_dmarc(domain, dns)};
  if (owner.domain != domain) lookups.push_back(policy::look_up_dmarc(owner.domain, dns));
  return lookups;
}

}  // namespace

std::optional<DmarcSurvey> survey_dmarc(const std::string& domain,
                                        const policy::OrganisationRule& rule,
                                        policy::RecordedDns& dns) {
  DmarcSurvey survey;
  survey.domain = domain;
  survey.edition = rule.edition();
  survey.organisation = policy::find_organisation(domain, rule, dns);
  if (survey.organisation.state == Organisation::State::Unfinished) return std::nullopt;
  survey.discovery = policy::discover_policy(domain, rule, dns);
  if (survey.discovery.state == PolicyDiscovery::State::Unfinished) return std::nullopt;
  survey.looked_at = rule.suffixes == nullptr ? policy::walk_dns_tree(domain, dns).steps
                                              : look_by_list(domain, survey.organisation, dns);
  bool is_unfinished = false;
  const DmarcLookup& lookup = survey.discovery.lookup;
  const auto add = [&](const std::vector<ReportUri>& uris, bool is_aggregate) {
    for (const ReportUri& uri : uris) {
      ReportAuthorisation found = policy::authorise_reports(lookup.domain, uri.host, rule, dns);
      is_unfinished = is_unfinished || found.state == ReportAuthorisation::State::Unfinished;
      survey.destinations.push_back({uri, is_aggregate, std::move(found)});
    }
  };
  add(lookup.record.aggregate_reports, /*is_aggregate=*/true);
  add(lookup.record.failure_reports, /*is_aggregate=*/false);
  if (is_unfinished) return std::nullopt;
  return survey;
}

DmarcAdvice advise(const DmarcSurvey& survey) {
  DmarcAdvice advice;
  switch (survey.discovery.state) {
    case PolicyDiscovery::State::Found:
      advise_on_record(survey, advice);
      return advice;
    case PolicyDiscovery::State::Failed:
      advice.wrong.push_back(survey.discovery.why);
      return advice;
    case PolicyDiscovery::State::Unfinished:
    case PolicyDiscovery::State::None:
      break;
  }
  advice.wrong.push_back(survey.discovery.why);
  const auto several =
      std::find_if(survey.looked_at.begin(), survey.looked_at.end(),
                   [](const DmarcLookup& one) { return one.state == DmarcLookup::State::Several; });
  const bool has_several = several != survey.looked_at.end();
  const std::string& where = has_several ? several->domain : survey.domain;
  advice.publish_at = "_dmarc." + where;
  advice.publish = format_record({}, where);
  advice.remarks.emplace_back(
      has_several ? "remove all of these records but one"
                  : "p=none changes nothing for your mail; once the reports show that all of it "
                    "passes, ask for quarantine, then reject");
  return advice;
}

bool is_in_order(const DmarcSurvey& survey) {
  return survey.discovery.state == PolicyDiscovery::State::Found &&
         requested_policies(survey.discovery.lookup.record, survey.edition) &&
         advise(survey).wrong.empty();
}

std::string format_survey(const DmarcSurvey& survey) {
  const DmarcAdvice advice = advise(survey);
  std::size_t width = 0;
  for (const DmarcLookup& lookup : survey.looked_at) width = std::max(width, lookup.domain.size());
  std::string text = survey.discovery.why + ".\n\nlooked at\n";
  for (const DmarcLookup& lookup : survey.looked_at) {
    text += "  _dmarc." + lookup.domain + std::string(width - lookup.domain.size() + 2, ' ') +
            state_of(lookup) + "\n";
  }
  if (survey.discovery.state == PolicyDiscovery::State::Found) {
    text += "\nthe record of " + survey.discovery.lookup.domain + " means\n";
    text += indented(meaning(survey));
  }
  if (!advice.wrong.empty()) text += "\nwrong\n" + indented(advice.wrong);
  if (!advice.remarks.empty()) text += "\nto know\n" + indented(advice.remarks);
  if (!advice.publish_at.empty()) {
    text +=
        "\nto publish, as a TXT record at " + advice.publish_at + "\n  " + advice.publish + "\n";
  }
  return text;
}

nlohmann::ordered_json survey_as_json(const DmarcSurvey& survey) {
  using nlohmann::ordered_json;
  const DmarcAdvice advice = advise(survey);
  const bool is_found = survey.discovery.state == PolicyDiscovery::State::Found;
  ordered_json json = {{"domain", survey.domain},
                       {"edition", survey.edition == DmarcEdition::Rfc9989 ? "rfc9989" : "rfc7489"},
                       {"organisation", survey.organisation.domain},
                       {"policy_domain", is_found ? survey.discovery.lookup.domain : ""},
                       {"record", survey.discovery.lookup.text},
                       {"why", survey.discovery.why}};
  const std::optional<DmarcPolicies> policies =
      is_found ? requested_policies(survey.discovery.lookup.record, survey.edition) : std::nullopt;
  if (policies) {
    json["policies"] = {{"domain", policy::name_of(policies->domain)},
                        {"subdomains", policy::name_of(policies->subdomains)},
                        {"nonexistent", policy::name_of(policies->nonexistent)}};
  }
  json["looked_at"] = ordered_json::array();
  for (const DmarcLookup& lookup : survey.looked_at) {
    json["looked_at"].push_back({{"name", "_dmarc." + lookup.domain}, {"found", state_of(lookup)}});
  }
  json["reports"] = ordered_json::array();
  for (const DmarcSurvey::Destination& one : survey.destinations) {
    json["reports"].push_back(
        {{"to", one.uri.uri},
         {"kind", one.is_aggregate ? "aggregate" : "failure"},
         {"wanted", one.authorisation.state == ReportAuthorisation::State::Wanted},
         {"why", one.authorisation.why}});
  }
  json["wrong"] = advice.wrong;
  json["to_know"] = advice.remarks;
  json["publish_at"] = advice.publish_at;
  json["publish"] = advice.publish;
  json["in_order"] = is_in_order(survey);
  return json;
}

}  // namespace rockdove::cli
