// Runs a check that never waits (policy/recorded_dns.h) on the real DNS, for commands: what it
// lacks is asked for, all at once, and then it is run again.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mta/base/ip_address.h"
#include "mta/base/result.h"
#include "mta/base/unique_function.h"
#include "policy/recorded_dns.h"

namespace rockdove::cli {

// A check that asks for more than this does not end by itself.
inline constexpr unsigned kRoundsMax = 50;
inline constexpr std::size_t kQuestionsMax = 500;

// `is_done` runs the check and says whether it came to its end. Waits for answers, at most
// dns::kQuestionTimeMax for each round. `servers`: none are those of /etc/resolv.conf.
[[nodiscard]] base::Result<void> run_with_dns(
    const std::vector<base::SocketAddress>& servers,
    base::UniqueFunction<bool(policy::RecordedDns&)> is_done);

// A domain as people write one on a command line, in A-labels and lower case: "Example.com." with
// its final dot, "bücher.example", "_spf.example.com". The error shows it.
[[nodiscard]] base::Result<std::string> parse_dns_name(std::string_view text);

// What --server says, else what the configuration at `config` does, where there is one (see
// add_config_option()), else none.
[[nodiscard]] base::Result<std::vector<base::SocketAddress>> choose_servers(
    const std::vector<std::string>& asked_for, const std::string& config);

}  // namespace rockdove::cli
