// Where a [[route]] sends to: "mx", "mx:PORT", "smtp://host[:port]", "smtps://…", "lmtp://…",
// "lmtp+unix:/path", a list of these last four, "maildir:/path", "discard:".
#pragma once

#include <string>
#include <string_view>

#include "mta/daemon/config_value.h"
#include "mta/outbound/target.h"

namespace rockdove::daemon {

struct Draft;

// Into the last route of the draft.
void read_target(Value& value, Draft& draft);

using outbound::format_target;
using outbound::parse_target;

// The name of a route that was given none: "mx", "mx-2525", "discard", the first host and its port,
// "lmtp+unix:/path" or "maildir:/path".
[[nodiscard]] std::string name_of(const outbound::Target& target);

}  // namespace rockdove::daemon
