// Limits that contradict each other: of two that hold at once, one can never be reached. A part of
// traffic/lint.h.
#pragma once

#include <string>
#include <vector>

#include "mta/traffic/profiles.h"

namespace rockdove::traffic {

struct ContradictingRates {
  Origin at;
  std::string text;
};

// Looks at what holds by default, for each provider and for each domain; each is told once.
[[nodiscard]] std::vector<ContradictingRates> contradicting_rates(const Profiles& profiles);

}  // namespace rockdove::traffic
