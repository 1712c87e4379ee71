// `rockdove serve`: builds everything in order, runs the loops, and ends in order. This is where
// the adapters to the world are chosen; what they are joined into is daemon::Relay.
#pragma once

#include "mta/daemon/configuration.h"

namespace rockdove::daemon {

// Runs until SIGTERM or SIGINT, in the foreground. Exit status: 0 after an orderly stop, 1 when it
// could not start; the reason is on stderr.
[[nodiscard]] int serve(const Configuration& configuration);

}  // namespace rockdove::daemon
