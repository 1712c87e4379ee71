// The public suffix list that --psl names, or Debian's, for the areas that need one.
#pragma once

#include "dns/public_suffix.h"
#include "tests/probe/area.h"

namespace rockdove::probe {

// Read at the first call. Throws std::runtime_error with what is wrong with the file.
[[nodiscard]] const dns::PublicSuffixes& suffixes_of(const Options& options);

}  // namespace rockdove::probe
