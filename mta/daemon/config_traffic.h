// [traffic]: which traffic profiles hold. Its part of the table of keys (config_table.h), and how
// the files are read when all keys have been.
#pragma once

#include <span>

#include "mta/daemon/config_table.h"

namespace rockdove::daemon {

[[nodiscard]] std::span<const Section> traffic_sections();
[[nodiscard]] std::span<const Key> traffic_keys();

// `overflow` of the routes, once all have their names.
void check_overflows(const Draft& draft, Problems& problems);
// Its limits, where nothing obeys them.
void check_limits(const RouteDraft& draft, Problems& problems);
void finish_traffic(Draft& draft, Surroundings& surroundings, Problems& problems);

}  // namespace rockdove::daemon
