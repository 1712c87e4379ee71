// What `rockdove check` says of a configuration's outgoing side: routes, traffic profiles, source
// addresses, warm-up plans, and what senders may do.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "mta/daemon/configuration.h"

namespace rockdove::cli {

// A heading with its lines, each a name and what there is to say.
struct CheckedPart {
  std::string heading;
  std::vector<std::pair<std::string, std::string>> lines;
};

[[nodiscard]] std::vector<CheckedPart> describe_sending(const daemon::Configuration& configuration);

// By the same names as in the configuration.
[[nodiscard]] nlohmann::json sending_as_json(const daemon::Configuration& configuration);

}  // namespace rockdove::cli
