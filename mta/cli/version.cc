#include <cstdio>

#include "mta/cli/commands.h"

namespace rockdove::cli {

Action add_version(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  app.add_flag("--json", *json, "Print an object");
  return [json] {
    std::puts(*json ? "{\"version\":\"" ROCKDOVE_VERSION "\"}" : "rockdove " ROCKDOVE_VERSION);
    return kDone;
  };
}

}  // namespace rockdove::cli
