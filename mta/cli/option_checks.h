// What a command's options refuse (CLI11's check()): each gives "" or a sentence without a dot that
// says what to write instead.
#pragma once

#include <string>

namespace rockdove::cli {

// A script's variable that is empty must not make a filter mean more than it says.
[[nodiscard]] std::string refuse_empty(const std::string& value);

// Whole numbers from 1 on.
[[nodiscard]] std::string refuse_below_one(const std::string& value);

// Messages a second, 0 to 1,000,000, also with a fraction; not "inf" or "nan".
[[nodiscard]] std::string refuse_other_than_pace(const std::string& value);

}  // namespace rockdove::cli
