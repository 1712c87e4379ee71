// The keys of [[dkim]]: who signs which mail (policy/signing_table.h). Key files must be the
// operator's alone, as those of passwords.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "mta/daemon/config_security.h"
#include "mta/daemon/config_table.h"
#include "policy/signing_key.h"

namespace rockdove::daemon {

inline constexpr std::size_t kDkimSectionsMax = 10'000;
inline constexpr std::size_t kSignedNamesMax = 100;

// This part of the table.
[[nodiscard]] std::span<const Section> dkim_sections();
[[nodiscard]] std::span<const Key> dkim_keys();

// The private key in a file that only its owner and group may read; `what` names its key in the
// configuration, in ticks. Null: an error was reported.
[[nodiscard]] std::shared_ptr<const policy::SigningKey> read_signing_key(const NamedFile& file,
                                                                         std::string_view what,
                                                                         NamedFiles& files,
                                                                         Problems& problems);

// After all keys and the listeners: reads the key files, and makes the table of them. Without any
// section there is none.
void finish_dkim(Draft& draft, NamedFiles& files, Problems& problems);

}  // namespace rockdove::daemon
