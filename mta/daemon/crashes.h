// What the crash table of the last run says is counted here: a delivery, or a client's session, in
// whose turn the process failed three times is put on hold with reason `crash`, so that one message
// cannot take the relay down for ever. A delivery waits for `rockdove queue retry`; a client is
// answered 421 for a day.
#pragma once

#include <unordered_set>
#include <vector>

#include "mta/base/ip_address.h"
#include "mta/base/log.h"
#include "mta/base/loop.h"
#include "mta/base/unique_function.h"
#include "mta/daemon/working.h"
#include "queue/settings.h"
#include "queue/store.h"

namespace rockdove::daemon {

inline constexpr std::uint32_t kCrashesMax = 3;

// On the loop's thread, before any queue is looked for. `done` runs once all is durable, with the
// clients that are on hold. Only what is marked as crashed counts; the others were on somebody
// else's loop, or the process was stopped from outside. A hold is a step of history.
void count_crashes(queue::Store& store, base::Loop& loop, base::Log& log,
                   const std::vector<WorkedOn>& found, const queue::HistorySettings& history,
                   base::UniqueFunction<void(std::unordered_set<base::IpAddress>)> done);

}  // namespace rockdove::daemon
