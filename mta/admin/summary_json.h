// A line of a summary as JSON; for the files of this folder that make such lines.
#pragma once

#include <string_view>

#include <nlohmann/json.hpp>

#include "queue/store.h"

namespace rockdove::admin {

// `by` is the key of its name.
[[nodiscard]] nlohmann::ordered_json summary_json(const queue::QueueSummary::Line& line,
                                                  std::string_view by);

}  // namespace rockdove::admin
