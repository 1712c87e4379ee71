// Lists that are asked over the DNS (RFC 5782), with weights: what those that list the client, its
// sender or its HELO name add up to. A part of check_client(): never waits, see recorded_dns.h.
//
// A list that does not answer counts as one that does not list; where a list that vouches for
// clients (DNSWL) does not answer, nobody is refused whom it might have saved.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "policy/client_check.h"

namespace rockdove::policy {

struct DnsListsFinding {
  int weight = 0;                        // of all that list it
  bool refuses = false;                  // by the weights; what it costs is the mode's matter
  std::string refusal;                   // when it refuses: for the sender
  std::string words;                     // for the log
  std::vector<MethodResult> results;     // "dnswl" (RFC 8904)
  std::vector<std::string> list_errors;  // see ClientVerdict
};

// nullopt: answers are missing. The lists' own words (TXT) are asked for only when it refuses and
// `mode` is Enforce.
[[nodiscard]] std::optional<DnsListsFinding> check_dns_lists(const ClientPolicy& policy,
                                                             CheckMode mode,
                                                             const ClientFacts& facts,
                                                             RecordedDns& dns);

// `text` with %a, %d, %z and %% replaced; nullopt: it has another letter behind a percent sign.
[[nodiscard]] std::optional<std::string> expand_list_text(std::string_view text,
                                                          std::string_view address,
                                                          std::string_view domain,
                                                          std::string_view zone);

}  // namespace rockdove::policy
