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
  // In the order of trying, at least one.
  std::vector<HostAddress> hosts;
  // So many at the front are equals, as MX hosts of one preference and a route's with order =
  // "share" are: each new connection begins at another of them (RFC 5321 §5.1).
  std::size_t equals = 1;

  // Which of `hosts` is the `tried`-th to try, from 0 on, on a connection that begins at `first`.
  [[nodiscard]] const HostAddress& host(std::size_t first, std::size_t tried) const {
    return hosts[tried < equals ? (first + tried) % equals : tried];
  }
};

}  // namespace rockdove::outbound
