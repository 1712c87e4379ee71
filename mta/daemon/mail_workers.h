// The workers that mail is judged and signed with (inbound/inspection.h): apart from those of
// logins, so that a flood of these holds up no signature.
#pragma once

#include <memory>

#include "mta/base/counters.h"
#include "mta/base/workers.h"
#include "mta/daemon/working.h"

namespace rockdove::daemon {

// Both outlive the workers, who count there, and note there what they fail at, in the places
// behind those of the loops. After WorkingTable::reset().
[[nodiscard]] std::unique_ptr<base::WorkerPool> make_mail_workers(WorkingTable& working,
                                                                  base::CounterTable& counters);

}  // namespace rockdove::daemon
