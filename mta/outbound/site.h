// Where a job goes: the hosts to try, in order, and what they share. Immutable; made by the Router,
// used by the sessions of an account on any loop.
#pragma once

#include <string>
#include <vector>

#include "mta/base/ip_address.h"
#include "queue/scheduler.h"

namespace rockdove::outbound {

struct HostAddress {
  std::string host;
  base::SocketAddress address;
};

// "mx.example.net[192.0.2.1]:25", as logs, history and reports name a next hop.
[[nodiscard]] std::string describe(const HostAddress& host);

struct Site : queue::SiteSpec {
  enum class Order : std::uint8_t {
    InOrder,  // as they stand: MX preference, or a route's order = "first"
    Shared,   // each new connection begins at another one
  };

  std::vector<HostAddress> hosts;  // at least one
  Order order = Order::InOrder;
};

}  // namespace rockdove::outbound
