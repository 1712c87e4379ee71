// The keys of [[listener]] and [sendmail] that say whose mail comes in (contrib/doc/senders.md).
#pragma once

#include <span>

#include "mta/daemon/config_table.h"

namespace rockdove::daemon {

// This part of the table.
[[nodiscard]] std::span<const Key> sender_keys();

}  // namespace rockdove::daemon
