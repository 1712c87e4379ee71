// What `rockdove dkim check` finds out about a key, and how it is told: whether what the DNS
// publishes is the key that signs, what is wrong, and what to publish.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "policy/recorded_dns.h"
#include "policy/signing_table.h"

namespace rockdove::cli {

struct DkimSurvey {
  std::string domain;
  std::string selector;
  std::string name;  // where the key is published
  crypto::KeyKind kind = crypto::KeyKind::Rsa;
  std::size_t bits = 0;  // of an RSA key
  base::WallTime active_from{};
  bool is_active = true;            // its time has come
  bool is_followed = false;         // another key signs in its place
  std::vector<std::string> found;   // the records there, as they are
  std::string publish;              // what ought to be there
  std::vector<std::string> wrong;   // sentences without a full stop
  std::vector<std::string> advice;  // what works, but might be better
};

// Of each rule, in their order. nullopt: answers are missing, and noted.
[[nodiscard]] std::optional<std::vector<DkimSurvey>> survey_dkim(
    const std::vector<policy::SigningRule>& rules, base::WallTime now, policy::RecordedDns& dns);

// Whether nothing is wrong with any of them.
[[nodiscard]] bool is_in_order(const std::vector<DkimSurvey>& surveys);

// The record for a zone file: "NAME. IN TXT "…" "…"".
[[nodiscard]] std::string format_zone_line(const std::string& name, const std::string& record);

// Lines for a terminal; safe, whatever the DNS said.
[[nodiscard]] std::string format_surveys(const std::vector<DkimSurvey>& surveys);
[[nodiscard]] nlohmann::ordered_json surveys_as_json(const std::vector<DkimSurvey>& surveys);

}  // namespace rockdove::cli
