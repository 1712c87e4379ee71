// `mailq` and `postqueue`: the queue as Postfix's commands show it, and their ways to have it tried
// again. contrib/doc/postfix.md says what each option does here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mta/cli/postfix_options.h"

namespace rockdove::cli {

// The table of `postqueue -p`, from the lines of QueueSource::list. Deleted messages, which can be
// brought back, are not in it.
class PostfixTable {
 public:
  // The text of one message, with the heading before the first.
  [[nodiscard]] std::string entry(std::string_view line);
  // What stands below.
  [[nodiscard]] std::string summary() const;

 private:
  std::uint64_t messages_ = 0;
  std::uint64_t octets_ = 0;
};

// The line of `postqueue -j` with its end; "" for a deleted message.
[[nodiscard]] std::string postfix_json(std::string_view line);

// Arguments without the command's name. They return the exit status: 0, or kUnavailable.
[[nodiscard]] int run_mailq(const std::vector<std::string>& arguments, const PostfixWorld& world);
[[nodiscard]] int run_postqueue(const std::vector<std::string>& arguments,
                                const PostfixWorld& world);

}  // namespace rockdove::cli
