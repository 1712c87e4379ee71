// `rockdove queue salvage QUEUE DIR`: mail out of a database that does not open (queue/salvage.h),
// into a folder as `queue export` writes it, with a report of what could not be read.
#pragma once

#include <string>

#include "mta/cli/queue_commands.h"

namespace rockdove::cli {

inline constexpr std::string_view kSalvageReport = "report.txt";

// `source` is a state directory or the database's own. Failed: some message did not come out whole.
[[nodiscard]] Ended run_queue_salvage(const std::string& source, const std::string& folder,
                                      const Output& output);

}  // namespace rockdove::cli
