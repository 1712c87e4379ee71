// `queue summary --by provider`: lines of destinations joined to those of the accounts that their
// mail shares, with when that will have gone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mta/admin/queue_explainer.h"
#include "queue/store.h"

namespace rockdove::admin {

inline constexpr std::string_view kProviderNeedsRelay =
    "a summary by provider needs a running rockdove: only that knows which hosts take the mail";

// What to ask the relay of a summary by destination: each destination once.
[[nodiscard]] std::vector<Waiting> waiting_of(const queue::QueueSummary& destinations);

// A line a state and account, most deliveries first; `lines_max` 0: all. What nobody has looked up
// yet has the account "".
[[nodiscard]] std::vector<std::string> format_providers(const queue::QueueSummary& destinations,
                                                        const Forecast& forecast,
                                                        std::uint32_t lines_max);

}  // namespace rockdove::admin
