// The PROXY protocol's header, versions 1 and 2 (haproxy's proxy-protocol.txt): what a proxy says
// first on a connection, about the client that it speaks for. Bytes in, a value out.
//
// Strict, because whoever is believed decides who may relay: one space between fields, canonical
// numbers, addresses of the family that is named. TLVs of version 2 are passed over.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <variant>

#include "mta/base/ip_address.h"
#include "mta/base/result.h"

namespace rockdove::net {

// Both versions together; what is longer is refused. Addresses and the TLVs that proxies send come
// to a few hundred octets.
inline constexpr std::size_t kProxyHeaderOctetsMax = 4096;

struct ProxyHeader {
  struct Ends {
    base::SocketAddress client;  // the source: who speaks
    base::SocketAddress called;  // the destination: the address that the client called
  };

  // None: version 1 said UNKNOWN, or version 2 LOCAL (the proxy speaks for itself, as for a health
  // check), UNSPEC or a Unix socket. The connection's own addresses count then.
  std::optional<Ends> ends;
  std::size_t octets = 0;  // how long the header is; the client's own bytes stand behind it
};

// The header may still become good with more bytes.
struct ProxyHeaderUnfinished {};

using ParsedProxyHeader = std::variant<ProxyHeader, ProxyHeaderUnfinished, base::Error>;

// `bytes` is all that arrived so far.
[[nodiscard]] ParsedProxyHeader parse_proxy_header(std::string_view bytes);

}  // namespace rockdove::net
