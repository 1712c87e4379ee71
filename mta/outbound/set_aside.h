// Hosts that could not be connected to so often in a row that others of their site are tried before
// them for a while (`host_tries` of a traffic profile). Belongs to one loop. Bounded; the oldest
// are forgotten first.
#pragma once

#include <cstdint>
#include <deque>
#include <map>

#include "mta/base/ip_address.h"
#include "mta/base/time.h"

namespace rockdove::outbound {

class SetAside {
 public:
  static constexpr base::Duration kFor = std::chrono::minutes(10);
  static constexpr std::size_t kHostsMax = 10'000;

  // A connection could not be made. true: with it there were `tries` in a row, and the host is set
  // aside from now on.
  bool failed(const base::SocketAddress& host, std::uint32_t tries, base::Instant now);

  // It answered.
  void answered(const base::SocketAddress& host) { hosts_.erase(host); }

  [[nodiscard]] bool is_aside(const base::SocketAddress& host, base::Instant now) const {
    const auto found = hosts_.find(host);
    return found != hosts_.end() && found->second.until > now;
  }

 private:
  struct Entry {
    std::uint32_t failures = 0;
    base::Instant until{};
  };

  std::map<base::SocketAddress, Entry> hosts_;
  std::deque<base::SocketAddress> order_;  // as they were first noted; some are gone meanwhile
};

}  // namespace rockdove::outbound
