// The options of `rockdove queue …` and `rockdove route`, for the table of commands (main.cc).
#pragma once

#include <functional>
#include <string>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "mta/base/result.h"
#include "mta/cli/queue_commands.h"
#include "mta/cli/queue_source.h"

namespace rockdove::cli {

// Where the queue is: reads the configuration, whichever way it is found.
using FindPaths = std::function<base::Result<QueuePaths>()>;

struct QueueEnvironment {
  FindPaths find_paths;
  OpenRows open_rows;
  OpenRows open_rows_to_write;
};

// An option for each part of a filter.
void add_filters(CLI::App& app, FilterOptions& filter);

// Add their options to `app`; what they return runs the command, once the options are parsed, on
// standard output and error, and gives its exit status.
[[nodiscard]] std::function<int()> add_queue_options(CLI::App& app, QueueEnvironment environment);
[[nodiscard]] std::function<int()> add_pause_options(CLI::App& app, QueueEnvironment environment);
[[nodiscard]] std::function<int()> add_resume_options(CLI::App& app, QueueEnvironment environment);
[[nodiscard]] std::function<int()> add_route_options(CLI::App& app, QueueEnvironment environment);

}  // namespace rockdove::cli
