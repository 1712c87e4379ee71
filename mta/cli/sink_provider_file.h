// Reads the file of `rockdove sink --providers`, TOML with a section for each provider:
//
//   [provider.yahoo]
//   listen = ["127.0.61.1:2525"]
//   limit = "50/min"
//   over_limit = "421 4.7.0 [TSS04] Messages from {client} temporarily deferred …"
//   connections = 5
//
//   [[provider.yahoo.change]]
//   at = "2m"
//   limit = ["10/min", "200/h"]
//
// contrib/doc/sink.md lists the keys. Unknown ones, wrong types and impossible values are errors.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mta/cli/sink_provider.h"
#include "mta/daemon/config_problem.h"

namespace rockdove::cli {

inline constexpr std::size_t kSinkProvidersMax = 1000;

// In the order of their names. With errors among the problems, what could be read.
[[nodiscard]] std::vector<SinkProviderSettings> parse_sink_providers(std::string_view text,
                                                                     daemon::Problems& problems);

}  // namespace rockdove::cli
