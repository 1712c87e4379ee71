// What the commands that take Postfix's options (postfix_queue.h, postfix_super.h, postfix_cat.h)
// share: their world, their options, and the way they say that something failed.
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/result.h"
#include "mta/cli/queue_source.h"

namespace rockdove::cli {

// EX_UNAVAILABLE of sysexits.h: how postqueue ends whatever failed.
inline constexpr int kUnavailable = 69;

struct PostfixWorld {
  std::istream& in;
  std::ostream& out;
  std::ostream& error;
  // `folder` is the value of -c; "" without one.
  std::function<base::Result<std::unique_ptr<QueueSource>>(const std::string& folder)> open_queue;
};

struct GivenOption {
  char letter;
  std::string value;  // "" for an option that takes none
};

struct GivenOptions {
  std::vector<GivenOption> options;  // in their order
  std::vector<std::string> rest;     // what is no option
  std::string mistake;               // "invalid option -- 'x'"; the options end there

  [[nodiscard]] bool has(char letter) const;
  // The last one's value; "" without one.
  [[nodiscard]] std::string value_of(char letter) const;
};

// As getopt(3): `letters` are the options, with a colon behind those that take a value; options and
// other arguments may come in any order, and "--" ends the options.
[[nodiscard]] GivenOptions read_options(const std::vector<std::string>& arguments,
                                        std::string_view letters);

// Control characters become "?", as Postfix's commands show strangers' text.
[[nodiscard]] std::string harmless(std::string_view text);

}  // namespace rockdove::cli
