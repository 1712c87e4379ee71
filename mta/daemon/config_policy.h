// The keys of [policy] about clients: lists, DNS lists, HELO and reverse DNS
// (policy/client_policy.h), and the files that lists name.
#pragma once

#include <span>

#include "mta/daemon/config_security.h"
#include "mta/daemon/config_table.h"

namespace rockdove::daemon {

inline constexpr std::size_t kListFilesMax = 20;  // of one key

// This part of the table.
[[nodiscard]] std::span<const Section> policy_sections();
[[nodiscard]] std::span<const Key> policy_keys();

// After all keys are read and the hostname is known: reads the files, and makes the settings of it.
void finish_policy(Draft& draft, NamedFiles& files, Problems& problems);

}  // namespace rockdove::daemon
