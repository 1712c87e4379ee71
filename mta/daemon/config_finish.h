// The second half of reading a configuration: what only shows once all keys are known. Fills in
// defaults that depend on others, reads the files that are named, and reports what does not fit.
#pragma once

#include "mta/daemon/config_problem.h"
#include "mta/daemon/config_table.h"
#include "mta/daemon/configuration.h"

namespace rockdove::daemon {

// Afterwards draft.configuration is whole, unless `problems` has errors.
void finish_configuration(Draft& draft, Surroundings& surroundings, Problems& problems);

}  // namespace rockdove::daemon
