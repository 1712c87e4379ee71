// What `rockdove plan` prints of a rehearsal (queue/rehearsal.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "mta/base/time.h"
#include "queue/rehearsal.h"

namespace rockdove::cli {

// Recipients for whom nothing can be planned.
struct Unplanned {
  std::uint64_t no_hosts = 0;  // their domains do not exist or take no mail
  std::uint64_t unknown = 0;   // the DNS did not answer
  std::uint64_t kept = 0;      // a route puts their mail into a folder, or discards it
};

// "rate", "connections to the provider", …; "nothing" where it goes as fast as it comes.
[[nodiscard]] std::string_view name_of(queue::Limit limit);

// Providers and the slowest other accounts, then everything together. `shown_max` accounts.
[[nodiscard]] std::string format_plan(const std::vector<queue::RehearsedAccount>& accounts,
                                      const Unplanned& unplanned, base::WallTime begin,
                                      std::size_t shown_max);
// An object an account, then one with "total": true.
[[nodiscard]] std::vector<nlohmann::ordered_json> plan_as_json(
    const std::vector<queue::RehearsedAccount>& accounts, const Unplanned& unplanned);

}  // namespace rockdove::cli
