// How the machine calls itself, where the configuration does not say it.
#pragma once

#include <string>

namespace rockdove::daemon {

// Its full name; it may have to ask DNS. "" when it has none; need not be a valid host name.
[[nodiscard]] std::string machine_name();

}  // namespace rockdove::daemon
