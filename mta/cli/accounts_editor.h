// Changes the accounts file as a whole or not at all: the new content is written beside it, synced,
// and takes its name, with mode and owner as before. A lock on the file keeps two editors apart.
#pragma once

#include <string>
#include <string_view>

#include "mta/base/result.h"
#include "mta/base/unique_function.h"
#include "mta/inbound/accounts_file.h"

namespace rockdove::cli {

enum class IfMissing : std::uint8_t { Make, Fail };

struct EditOptions {
  IfMissing if_missing = IfMissing::Fail;
  // A file that root makes may be read by the group of this user, whom the daemon runs as; unless
  // there is no such user.
  std::string daemon_user;
};

// The new text, or why nothing is to change.
using Edit = base::UniqueFunction<base::Result<std::string>(std::string_view text,
                                                            const inbound::AccountTable& table)>;

// Errors: the file is bad or cannot be written, somebody else edits it for 10 s, or what `edit`
// says.
[[nodiscard]] base::Result<void> edit_accounts(const std::string& path, const EditOptions& options,
                                               Edit edit);

}  // namespace rockdove::cli
