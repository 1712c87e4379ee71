// The command `sendmail`, as every program on a Unix machine knows it: takes a message on standard
// input and hands it to the relay. Needs no rights of any kind.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rockdove::cli {

// Arguments without the command's name. The exit status is one of sysexits.h.
[[nodiscard]] int run_sendmail(const std::vector<std::string>& arguments);

// `name` is what the program was started as, without a folder: sendmail, newaliases, or, with
// "sendmail" as the first argument, anything. Nullopt: it is none of these.
[[nodiscard]] std::optional<int> run_sendmail_command(std::string_view name,
                                                      const std::vector<std::string>& arguments);

}  // namespace rockdove::cli
