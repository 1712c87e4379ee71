// Reads a file whole, within a limit: what the configuration and the state directory name.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "mta/base/result.h"

namespace rockdove::daemon {

// Fails on what is no file of at most so many octets; nullopt as value: there is none of this name.
[[nodiscard]] base::Result<std::optional<std::string>> read_file(const std::string& path,
                                                                 std::size_t octets_max);

}  // namespace rockdove::daemon
