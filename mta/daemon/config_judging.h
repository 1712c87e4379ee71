// What [policy] says of SPF, DKIM, ARC and DMARC, [[policy.for]] of some clients otherwise, and
// [arc] of seals: their part of the table of keys (config_table.h), and what is made of them when
// all have been read.
#pragma once

#include <span>

#include "mta/daemon/config_security.h"
#include "mta/daemon/config_table.h"

namespace rockdove::daemon {

[[nodiscard]] std::span<const Section> judging_sections();
[[nodiscard]] std::span<const Key> judging_keys();

void finish_judging(Draft& draft, NamedFiles& files, Problems& problems);

}  // namespace rockdove::daemon
