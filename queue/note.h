// A note that becomes true together with the acceptance of a message: see Change::join(). One that
// stands alone, or goes with a result, is queue::noted() of queue/change.h.
#pragma once

#include <string_view>

#include "queue/change.h"

namespace rockdove::queue {

// A row of `sites`; `value` is not empty.
[[nodiscard]] Change noted_if_accepted(std::string_view kind, std::string_view name,
                                       std::string_view value);

}  // namespace rockdove::queue
