// [[source]], the addresses that mail goes out from, and [[pool]], who shares which of them: their
// part of the table of keys (config_table.h), and what is made of them when all have been read.
#pragma once

#include <span>

#include "mta/daemon/config_table.h"

namespace rockdove::daemon {

[[nodiscard]] std::span<const Section> sources_sections();
[[nodiscard]] std::span<const Key> sources_keys();

// After the hostname is known.
void finish_sources(Draft& draft, Problems& problems);

}  // namespace rockdove::daemon
