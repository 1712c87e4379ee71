#include "mta/daemon/serve.h"

#include <cstdio>

#include "mta/cli/commands.h"
#include "mta/daemon/configuration.h"

namespace rockdove::cli {
namespace {

int serve(const std::string& path) {
  const daemon::ParsedConfiguration parsed =
      daemon::load_configuration(daemon::configuration_path(path));
  for (const daemon::Problem& problem : parsed.problems) {
    std::fprintf(stderr, "%s\n", daemon::format_problem(problem).c_str());
  }
  return parsed.configuration ? daemon::serve(*parsed.configuration) : kFailed;
}

}  // namespace

Action add_serve(CLI::App& app) {
  auto path = std::make_shared<std::string>();
  add_config_option(app, *path);
  return [path] { return serve(*path); };
}

}  // namespace rockdove::cli
