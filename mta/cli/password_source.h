// Where a command gets a new password from: typed twice on a terminal, read from standard input, or
// made. Never from an argument, which everybody on the machine can see.
#pragma once

#include <string>

#include "mta/base/result.h"

namespace rockdove::cli {

enum class PasswordSource : std::uint8_t {
  Terminal,       // asked for twice on standard input, without echo
  StandardInput,  // all of it, without the end of its one line
  Generated,      // 24 letters and digits, 120 bits
};

// 1 to 511 octets without control characters.
[[nodiscard]] base::Result<std::string> get_password(PasswordSource source,
                                                     const std::string& user);

}  // namespace rockdove::cli
