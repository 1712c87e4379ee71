// The options of `rockdove trace` and `rockdove stats`, and what they print.
#pragma once

#include <functional>
#include <string>

#include "mta/cli/queue_commands.h"
#include "mta/cli/queue_options.h"

namespace rockdove::cli {

// Each question as admin::TraceRun and admin::StatsRun take it.
[[nodiscard]] Ended run_trace(QueueSource& source, const admin::Parameters& parameters,
                              const Output& output);
[[nodiscard]] Ended run_stats(QueueSource& source, const admin::Parameters& parameters,
                              const Output& output);

// Add their options to `app`; what they return runs the command, once the options are parsed, on
// standard output and error, and gives its exit status.
[[nodiscard]] std::function<int()> add_trace_options(CLI::App& app, QueueEnvironment environment);
[[nodiscard]] std::function<int()> add_stats_options(CLI::App& app, QueueEnvironment environment);

}  // namespace rockdove::cli
