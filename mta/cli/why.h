// `rockdove queue why`: why a delivery waits, since when and until when, what decides that, and
// what a person can do.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mta/cli/queue_commands.h"

namespace rockdove::cli {

[[nodiscard]] Ended run_queue_why(QueueSource& source, const std::vector<std::string>& ids,
                                  const Output& output);

// A line as admin::format_why() makes it, for people; times of day are local ones.
[[nodiscard]] std::string why_page(std::string_view line, base::WallTime now);

}  // namespace rockdove::cli
