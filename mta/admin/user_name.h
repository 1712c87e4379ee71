// Who asked, in words: for audit lines and history.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "mta/net/protocol.h"

namespace rockdove::admin {

// As /etc/passwd names it; "" where it does not. Other sources of names are not asked, because they
// may take seconds.
[[nodiscard]] std::string name_of_user(std::uint32_t user);

// "uid 1000 (alice)", "uid 1000", "somebody".
[[nodiscard]] std::string describe_user(const std::optional<net::PeerCredentials>& peer);

}  // namespace rockdove::admin
