// A connection that comes through a proxy: reads the PROXY header first, then makes the protocol
// that speaks with the client, with the client's address, and from then on is only handed through.
// The header stands before everything else, a TLS handshake too.
#pragma once

#include <memory>
#include <string_view>

#include "mta/base/time.h"
#include "mta/base/unique_function.h"
#include "mta/net/protocol.h"

namespace rockdove::net {

// A proxy sends its header with the connection's first octets.
inline constexpr base::Duration kProxyHeaderTime = std::chrono::seconds(5);

struct ProxiedHandlers {
  // Makes the protocol of the client's connection; `info` says what the header said, and what the
  // connection says itself where the header names no addresses. Called at most once; not null.
  base::UniqueFunction<std::unique_ptr<Protocol>(const ConnectionInfo& info)> make;
  // There was no good header in time, and the connection is closed without a word.
  base::UniqueFunction<void(std::string_view why)> refused;
};

// For a connection from a proxy that must send a header.
[[nodiscard]] std::unique_ptr<Protocol> make_proxied(ProxiedHandlers handlers);

}  // namespace rockdove::net
