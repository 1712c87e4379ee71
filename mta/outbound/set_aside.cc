#include "mta/outbound/set_aside.h"

namespace rockdove::outbound {

bool SetAside::failed(const base::SocketAddress& host, std::uint32_t tries, base::Instant now) {
  const auto [found, is_new] = hosts_.try_emplace(host);
  if (is_new) order_.push_back(host);
  while (order_.size() > kHostsMax) {
    if (order_.front() != host) hosts_.erase(order_.front());
    order_.pop_front();
  }
  Entry& entry = found->second;
  if (++entry.failures < tries) return false;
  entry.failures = 0;
  entry.until = now + kFor;
  return true;
}

}  // namespace rockdove::outbound
