// The DNS of a case: {name: {TYPE: [...] or "SERVFAIL"}}. A name that has records, or names below
// it, exists; all others do not (RFC 8020).
#pragma once

#include <map>
#include <string>

#include <nlohmann/json.hpp>

#include "dns/answers.h"
#include "policy/recorded_dns.h"

namespace rockdove::probe {

class Zone {
 public:
  explicit Zone(const nlohmann::json& zone);

  // Answers all that is missing in `dns`; false: nothing was.
  bool answer_missing(policy::RecordedDns& dns) const;

 private:
  [[nodiscard]] dns::Answer answer(const policy::Question& question) const;
  [[nodiscard]] bool exists(const std::string& name) const;

  std::map<std::string, nlohmann::json> names_;  // lower case
};

}  // namespace rockdove::probe
