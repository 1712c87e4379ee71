// `postcat -q`: a queued message with its envelope, as Postfix's command shows a queue file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mta/cli/postfix_options.h"

namespace rockdove::cli {

// Arguments without the command's name. The exit status: 0, or 1.
[[nodiscard]] int run_postcat(const std::vector<std::string>& arguments, const PostfixWorld& world);

// Octets with CRLF as line ends, in pieces cut anywhere, to lines as Unix has them.
class UnixLines {
 public:
  explicit UnixLines(std::ostream& out) : out_(out) {}

  void write(std::string_view octets);
  // A CR that was the last octet is written, too.
  void end();

 private:
  std::ostream& out_;
  bool owes_return_ = false;  // the last octet was a CR
};

}  // namespace rockdove::cli
