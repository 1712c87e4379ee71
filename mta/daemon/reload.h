// What a reload may change, and what it leaves for the next start.
#pragma once

#include <string>
#include <vector>

#include "mta/daemon/configuration.h"

namespace rockdove::daemon {

// The keys of `next` that differ and count only from the next start; they are set back in it to
// what is in use.
[[nodiscard]] std::vector<std::string> keep_what_needs_a_restart(const Configuration& in_use,
                                                                 Configuration& next);

}  // namespace rockdove::daemon
