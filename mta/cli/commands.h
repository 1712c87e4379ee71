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

// Each in the file of its name.
Action add_check(CLI::App& app);
Action add_queue(CLI::App& app);
Action add_route(CLI::App& app);
Action add_send(CLI::App& app);
Action add_serve(CLI::App& app);
Action add_sink(CLI::App& app);
Action add_user(CLI::App& app);
Action add_version(CLI::App& app);

}  // namespace rockdove::cli
