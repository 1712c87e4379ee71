// The options of `rockdove queue export|import|salvage`, among those of `rockdove queue`.
#pragma once

#include <functional>
#include <vector>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "mta/cli/queue_options.h"

namespace rockdove::cli {

struct RescueCommand {
  CLI::App* app;
  std::function<int()> run;  // once its options are parsed; gives the exit status
};

[[nodiscard]] std::vector<RescueCommand> add_rescue_options(CLI::App& queue,
                                                            const QueueEnvironment& environment);

}  // namespace rockdove::cli
