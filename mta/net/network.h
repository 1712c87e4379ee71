// Connections of one loop: the way out, and the way in. net::UvNetwork is the real one; tests/sim
// has one that splits, delays and cuts.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "mta/base/ip_address.h"
#include "mta/base/result.h"
#include "mta/base/unique_function.h"
#include "mta/net/protocol.h"

namespace rockdove::net {

struct ConnectRequest {
  base::SocketAddress to;
  std::optional<base::IpAddress> from;  // the source address; none: the system chooses
  base::Duration timeout = std::chrono::seconds(30);  // until the TCP handshake is done
  std::string unix_path{};                            // not empty: to this socket instead of `to`
};

class Network {
 public:
  // Makes the protocol of a connection that came in. A null pointer closes it at once.
  using Accept = base::UniqueFunction<std::unique_ptr<Protocol>(const ConnectionInfo&)>;

  virtual ~Network() = default;

  // Never calls `protocol` back within this call. It hears connected() or lost(). The network owns
  // it and destroys it once it is over and all it said is sent, or after lost().
  virtual void connect(const ConnectRequest& request, std::unique_ptr<Protocol> protocol) = 0;
};

}  // namespace rockdove::net
