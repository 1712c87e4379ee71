// What `rockdove dmarc check` finds out about a domain, and how it is told: which DMARC record
// applies to mail from it and why, what that asks for, what is wrong, and what to publish.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "policy/dmarc_discovery.h"
#include "policy/recorded_dns.h"
#include "policy/report_authorisation.h"

namespace rockdove::cli {

struct DmarcSurvey {
  struct Destination {
    policy::ReportUri uri;
    bool is_aggregate = true;  // else of failures
    policy::ReportAuthorisation authorisation;
  };

  std::string domain;
  policy::DmarcEdition edition = policy::DmarcEdition::Rfc9989;
  std::vector<policy::DmarcLookup> looked_at;  // in the order of the walk
  policy::PolicyDiscovery discovery;
  policy::Organisation organisation;
  std::vector<Destination> destinations;
};

// nullopt: answers are missing, and noted.
[[nodiscard]] std::optional<DmarcSurvey> survey_dmarc(const std::string& domain,
                                                      const policy::OrganisationRule& rule,
                                                      policy::RecordedDns& dns);

struct DmarcAdvice {
  std::vector<std::string> wrong;    // sentences
  std::vector<std::string> remarks;  // what is allowed, but might surprise
  std::string publish_at;            // a name; empty: nothing needs to be published
  std::string publish;               // the record for it
};

[[nodiscard]] DmarcAdvice advise(const DmarcSurvey& survey);

// Whether a record applies that asks for something, and nothing is wrong.
[[nodiscard]] bool is_in_order(const DmarcSurvey& survey);

// Lines for a terminal; safe, whatever the DNS said.
[[nodiscard]] std::string format_survey(const DmarcSurvey& survey);
[[nodiscard]] nlohmann::ordered_json survey_as_json(const DmarcSurvey& survey);

}  // namespace rockdove::cli
