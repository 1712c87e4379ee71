// [[warm_up]], plans by which source addresses become known at providers: its part of the table of
// keys (config_table.h), and what is made of it when all have been read.
#pragma once

#include <span>

#include "mta/daemon/config_table.h"

namespace rockdove::daemon {

[[nodiscard]] std::span<const Section> warm_up_sections();
[[nodiscard]] std::span<const Key> warm_up_keys();

// After the sources and the traffic profiles are known.
void finish_warm_ups(Draft& draft, Problems& problems);

}  // namespace rockdove::daemon
