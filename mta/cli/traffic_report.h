// What `rockdove traffic` prints: findings, the rule that a reply fires, what applies to a domain;
// as text for a terminal and as JSON. What strangers wrote in it is made safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "mta/smtp/reply.h"
#include "mta/traffic/lint.h"
#include "mta/traffic/profiles.h"

namespace rockdove::cli {

// "FILE:LINE:COLUMN: error: …", as all problems of files.
[[nodiscard]] std::string format_finding(const traffic::Finding& finding);
[[nodiscard]] nlohmann::ordered_json finding_as_json(const traffic::Finding& finding);

// A reply at a destination, and what comes of it.
struct FiredRule {
  const traffic::Provider* provider = nullptr;  // null: none
  const traffic::Rule* rule = nullptr;          // null: none fires
};

// What happens, a phrase each; also when no rule fires.
[[nodiscard]] std::vector<std::string> consequences(const smtp::Reply& reply,
                                                    const traffic::Rule* rule);

// All destinations at which a rule of its own provider, domain or of [default] fires: each provider
// whose own rules do, then everybody else.
[[nodiscard]] std::vector<FiredRule> fired_anywhere(const traffic::Profiles& profiles,
                                                    const smtp::Reply& reply, smtp::Stage stage);

// As --json has it: file, line, pattern, conditions and what it does.
[[nodiscard]] nlohmann::ordered_json rule_as_json(const traffic::Rule& rule);

[[nodiscard]] std::string format_fired(const smtp::Reply& reply, const FiredRule& fired);
[[nodiscard]] nlohmann::ordered_json fired_as_json(const smtp::Reply& reply,
                                                   const FiredRule& fired);

// What applies to a domain.
struct Applying {
  std::string domain;
  std::vector<traffic::MxHost> hosts;
  const traffic::Provider* provider = nullptr;
  const traffic::DomainSection* section = nullptr;
  traffic::Knobs knobs;
  std::vector<const traffic::Rule*> rules;  // in the order in which they are asked
};

[[nodiscard]] Applying find_applying(const traffic::Profiles& profiles, const std::string& domain,
                                     std::vector<traffic::MxHost> hosts,
                                     const std::optional<base::IpAddress>& source);

[[nodiscard]] std::string format_applying(const Applying& applying);
[[nodiscard]] nlohmann::ordered_json applying_as_json(const Applying& applying);

}  // namespace rockdove::cli
