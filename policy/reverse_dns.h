// "iprev" (RFC 8601 §3), or forward-confirmed reverse DNS: whether a name that the DNS gives for
// the client's address leads back to that address. A part of check_client(): never waits, see
// recorded_dns.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mta/base/ip_address.h"
#include "policy/recorded_dns.h"

namespace rockdove::policy {

// RFC 8601 §2.7.3.
enum class ReverseResult : std::uint8_t {
  Pass,
  Fail,            // it has names, and none of them leads back
  TemporaryError,  // the DNS failed, and the answer might have been Pass
  PermanentError,  // it has no name
};

// "pass", "fail", "temperror", "permerror".
[[nodiscard]] std::string_view name_of(ReverseResult result);

struct ReverseFinding {
  ReverseResult result = ReverseResult::Fail;
  std::string name;   // that leads back; empty unless it is Pass
  std::string words;  // what was found, for a person; of a failure also what to do
};

// nullopt: answers are missing.
[[nodiscard]] std::optional<ReverseFinding> check_reverse_dns(const base::IpAddress& client,
                                                              RecordedDns& dns);

}  // namespace rockdove::policy
