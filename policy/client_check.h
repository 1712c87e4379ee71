// What can be said about a client before it has sent a message: by its address, the name it gave in
// HELO, and the sender it named. In this order: lists of ours (allow, block), HELO, reverse DNS
// ("iprev", RFC 8601 §3), and the lists of others that are asked over the DNS (RFC 5782).
//
// It never waits: it is a function of its arguments and of what is known from the DNS, and is run
// again with more answers until it decides (recorded_dns.h). What can be asked at once is noted at
// once. A failure of the DNS that may pass never refuses anyone.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/ip_address.h"
#include "policy/authentication_results.h"
#include "policy/client_policy.h"
#include "policy/recorded_dns.h"
#include "policy/refusal.h"

namespace rockdove::policy {

// Of names that reverse DNS gives, and of addresses of each (as RFC 7208 §4.6.4 has it for SPF).
inline constexpr std::size_t kReverseNamesMax = 10;
inline constexpr std::size_t kListingsShownMax = 3;  // DNS lists that a refusal names
// HELO's A, AAAA and MX; a PTR and addresses of its names; an A of each list, and some TXT.
inline constexpr std::size_t kClientQuestionsMax =
    3 + 1 + kReverseNamesMax + kDnsListsMax + kListingsShownMax;

struct ClientFacts {
  base::IpAddress client;
  std::string helo;    // as the client said it
  std::string sender;  // of MAIL FROM, without its brackets; "" the null sender
};

struct ClientNote {
  std::string_view check;  // "lists", "helo", "iprev", "dnsbl"
  std::string words;       // printable ASCII, without a full stop
};

struct ClientVerdict {
  bool is_allowed = false;  // an allow list has it: nothing of policy refuses its mail
  std::optional<Refusal> refusal;
  // For Authentication-Results: "iprev", and "dnswl" (RFC 8904).
  std::vector<MethodResult> results;
  std::vector<ClientNote> notes;  // for the log, of the checks that are not off, in their order
  // DNS lists that cannot be used as they are, for the log of the operator, who must do something.
  std::vector<std::string> list_errors;
  std::string client_name;  // that iprev has confirmed; empty: none
};

// `modes` are those that hold for this client (checks.h). nullopt: answers are
// missing; `dns` has noted which.
[[nodiscard]] std::optional<ClientVerdict> check_client(const ClientPolicy& policy,
                                                        const ClientModes& modes,
                                                        const ClientFacts& facts, RecordedDns& dns);

}  // namespace rockdove::policy
