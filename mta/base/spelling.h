// What was probably meant by a word that is not known: for messages about files and commands.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rockdove::base {

// ", did you mean `x`?" for the candidate that is at most two typing errors away; else "".
[[nodiscard]] std::string did_you_mean(std::string_view word,
                                       const std::vector<std::string_view>& candidates);

}  // namespace rockdove::base
