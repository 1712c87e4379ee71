// `postsuper`: deleting, holding, releasing, requeueing and expiring with Postfix's options and
// words. contrib/doc/postfix.md says what each does here.
#pragma once

#include <string>
#include <vector>

#include "mta/cli/postfix_options.h"

namespace rockdove::cli {

// Arguments without the command's name. The exit status: 0, also when some ids are not in the
// queue; 1 when nothing could be done.
[[nodiscard]] int run_postsuper(const std::vector<std::string>& arguments,
                                const PostfixWorld& world);

}  // namespace rockdove::cli
