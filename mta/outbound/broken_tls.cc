#include "mta/outbound/broken_tls.h"

#include "mta/base/text.h"

namespace rockdove::outbound {

BrokenTls::News BrokenTls::remember(const base::SocketAddress& host, std::string_view reason,
                                    base::Instant now) {
  forget(now);
  const base::Instant until = now + kFor;
  Entry entry{until, base::printable(reason, kReasonOctetsMax)};
  const bool is_new = hosts_.insert_or_assign(host, std::move(entry)).second;
  ends_.emplace_back(until, host);
  return is_new ? News::New : News::Known;
}

const BrokenTls::Entry* BrokenTls::find(const base::SocketAddress& host, base::Instant now) const {
  const auto found = hosts_.find(host);
  return found == hosts_.end() || found->second.until <= now ? nullptr : &found->second;
}

void BrokenTls::forget(base::Instant now) {
  while (!ends_.empty() && (ends_.front().first <= now || ends_.size() >= kHostsMax)) {
    const auto found = hosts_.find(ends_.front().second);
    if (found != hosts_.end() && found->second.until <= ends_.front().first) hosts_.erase(found);
    ends_.pop_front();
  }
}

}  // namespace rockdove::outbound
