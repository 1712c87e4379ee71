// The commands of `rockdove`, one file each, and the table of them (main.cc). A command adds its
// options to its App and returns what is to be done once they are parsed. The only layer that knows
// CLI11.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "mta/base/result.h"
#include "mta/cli/queue_source.h"

namespace rockdove::cli {

// Exit statuses.
inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

// Runs the command after its options were parsed, and returns its exit status.
using Action = std::function<int()>;

struct Command {
  const char* name;
  const char* help;
  Action (*add)(CLI::App& app);
};

// Runs the program with the arguments of main().
[[nodiscard]] int run(int count, char** arguments);

// --config FILE; empty: not given (see daemon::configuration_path).
void add_config_option(CLI::App& app, std::string& path);

// Where the configuration at `path` has the queue; "" for the path: see add_config_option().
[[nodiscard]] base::Result<QueuePaths> find_queue_paths(const std::string& path);
// For reading, with no daemon there.
[[nodiscard]] base::Result<std::unique_ptr<queue::Rows>> open_queue_rows(
    const std::string& state_dir);

// The queue below `state_dir`, which may be one of a relay elsewhere; "": the configuration's.
[[nodiscard]] base::Result<std::unique_ptr<QueueSource>> open_queue_at(
    const std::string& state_dir, const std::string& config);

// Each in the file of its name; those of Postfix's names in postfix_names.cc.
Action add_check(CLI::App& app);
Action add_dmarc(CLI::App& app);
Action add_mailq(CLI::App& app);
Action add_pause(CLI::App& app);
Action add_plan(CLI::App& app);
Action add_postcat(CLI::App& app);
Action add_postqueue(CLI::App& app);
Action add_postsuper(CLI::App& app);
Action add_queue(CLI::App& app);
Action add_resume(CLI::App& app);
Action add_route(CLI::App& app);
Action add_send(CLI::App& app);
Action add_sendmail(CLI::App& app);
Action add_serve(CLI::App& app);
Action add_sink(CLI::App& app);
Action add_stats(CLI::App& app);
Action add_top(CLI::App& app);
Action add_trace(CLI::App& app);
Action add_traffic(CLI::App& app);
Action add_spf(CLI::App& app);
Action add_user(CLI::App& app);
Action add_version(CLI::App& app);

}  // namespace rockdove::cli
