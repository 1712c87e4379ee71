// The keys of [[listener]] and [sendmail] that say whose mail comes in, and [[tenant]] and
// [[campaign]], which say what each may send (contrib/doc/senders.md).
#pragma once

#include <span>
#include <string>

#include "mta/daemon/config_table.h"

namespace rockdove::daemon {

// This part of the table.
[[nodiscard]] std::span<const Section> sender_sections();
[[nodiscard]] std::span<const Key> sender_keys();

// A tenant, or a pattern of tenants with `*`, in lower case; what it is not is told as a problem,
// and leaves `pattern` as it is.
void read_tenant_pattern(Value& value, std::string& pattern);

// What needs more than one key.
void finish_senders(Draft& draft, Problems& problems);

}  // namespace rockdove::daemon
