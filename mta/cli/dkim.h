// `rockdove dkim`: keys for signatures (dkim.cc).
#pragma once

#include "mta/cli/commands.h"

namespace rockdove::cli {

Action add_dkim(CLI::App& app);

}  // namespace rockdove::cli
