// Where mail is sent, as text: "mx", "mx:PORT", "smtp://host[:port]", "smtps://…", "lmtp://…",
// "lmtp+unix:/path", a list of these last four, "maildir:/path", "discard:". So it stands in the
// configuration ([[route]] to), and with a delivery that a person has rerouted.
#pragma once

#include <string>
#include <string_view>

#include "mta/base/result.h"
#include "mta/outbound/settings.h"

namespace rockdove::outbound {

inline constexpr std::size_t kRouteHostsMax = 32;

// One target; an error says what would do.
[[nodiscard]] base::Result<Target> parse_target(std::string_view text);

// Likewise, or several hosts with commas between them, the first one that works.
[[nodiscard]] base::Result<Target> parse_targets(std::string_view text);

// As parse_targets() reads it.
[[nodiscard]] std::string format_target(const Target& target);

// "host:port", "[2001:db8::1]:25", "lmtp+unix:/path".
[[nodiscard]] std::string format_host(const ToHosts::Host& host);

}  // namespace rockdove::outbound
