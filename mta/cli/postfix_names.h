// The names of Postfix's commands that this program answers to: called by one of them (a link), or
// as `rockdove NAME`, it takes that command's options.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rockdove::cli {

// Runs mailq, postqueue, postsuper or postcat on standard input and output. Nullopt: `name` is none
// of these.
[[nodiscard]] std::optional<int> run_postfix_command(std::string_view name,
                                                     const std::vector<std::string>& arguments);

}  // namespace rockdove::cli
