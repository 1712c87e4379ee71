// Whether the name that a client gave in HELO or EHLO can be its name (RFC 5321 §4.1.1.1, §4.1.3).
// A part of check_client(): never waits, see recorded_dns.h.
#pragma once

#include <optional>
#include <string>

#include "policy/client_check.h"

namespace rockdove::policy {

struct HeloFinding {
  bool is_wrong = false;  // false, too, when the DNS failed
  std::string words;      // "your server calls itself …", or what it is
};

// nullopt: answers are missing.
[[nodiscard]] std::optional<HeloFinding> check_helo(const ClientPolicy& policy,
                                                    const ClientFacts& facts, RecordedDns& dns);

}  // namespace rockdove::policy
