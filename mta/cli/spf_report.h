// What `rockdove spf check` has found, as text and as JSON.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "policy/spf.h"
#include "policy/spf_second.h"
#include "policy/spf_survey.h"

namespace rockdove::cli {

struct SpfFindings {
  std::string domain;  // empty: only a record was given
  policy::SpfSurvey survey;
  // Of one client; nullopt: without a domain there is none.
  std::optional<policy::SpfRequest> request;
  policy::SpfOutcome verdict;
  policy::SpfSecondOpinion second;
};

// Nothing is wrong with the record.
[[nodiscard]] bool is_in_order(const SpfFindings& findings);

[[nodiscard]] std::string format_findings(const SpfFindings& findings);
[[nodiscard]] nlohmann::ordered_json findings_as_json(const SpfFindings& findings);

}  // namespace rockdove::cli
