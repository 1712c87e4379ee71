// The keys of [[listener]] and [sendmail] that say whose mail comes in, and [[tenant]] and
// [[campaign]], which say what each may send (contrib/doc/senders.md).
#pragma once

#include <span>

#include "mta/daemon/config_table.h"

namespace rockdove::daemon {

// This part of the table.
[[nodiscard]] std::span<const Section> sender_sections();
[[nodiscard]] std::span<const Key> sender_keys();

// What needs more than one key.
void finish_senders(Draft& draft, Problems& problems);

}  // namespace rockdove::daemon
