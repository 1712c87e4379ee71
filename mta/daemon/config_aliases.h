// The aliases file, in the format of Sendmail's and Postfix's aliases(5), as far as it makes sense
// on a machine without mailboxes: names and addresses. Programs (|command), files (/path) and
// :include: are refused by line, because nobody should find out by silence that his script no
// longer runs.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "mta/daemon/config_problem.h"

namespace rockdove::daemon {

inline constexpr std::size_t kAliasesOctetsMax = 1024 * 1024;

struct AliasesContext {
  std::string hostname;    // what an address without a domain gets
  std::string postmaster;  // "postmaster" means this where it is no alias; "" : none
  const std::unordered_set<std::string>& domains;  // ours: their addresses may be aliases, too
  Severity refused = Severity::Error;              // what |command, /path and :include: are
};

using Aliases = std::map<std::string, std::vector<std::string>>;

// Lower-case alias to addresses, chains followed to their ends.
[[nodiscard]] Aliases parse_aliases(std::string_view text, const AliasesContext& context,
                                    Problems& problems);

}  // namespace rockdove::daemon
