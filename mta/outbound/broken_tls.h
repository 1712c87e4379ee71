// Hosts whose TLS does not work, as the attempts of the last hour have shown: with tls = "may" they
// are spoken to in clear at once until then, instead of failing first each time.
//
// Belongs to one loop. Bounded; the oldest are forgotten first.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <utility>

#include "mta/base/ip_address.h"
#include "mta/base/time.h"

namespace rockdove::outbound {

class BrokenTls {
 public:
  static constexpr base::Duration kFor = std::chrono::hours(1);
  static constexpr std::size_t kHostsMax = 10'000;
  static constexpr std::size_t kReasonOctetsMax = 200;

  struct Entry {
    base::Instant until{};
    std::string reason;
  };

  enum class News : std::uint8_t { New, Known };
  // `reason` is in plain words. New: it was not known, so that it is worth a line in the log.
  News remember(const base::SocketAddress& host, std::string_view reason, base::Instant now);

  // Null: nothing is known against its TLS. Valid until the next remember().
  [[nodiscard]] const Entry* find(const base::SocketAddress& host, base::Instant now) const;

  [[nodiscard]] std::size_t size() const { return hosts_.size(); }

 private:
  void forget(base::Instant now);

  std::map<base::SocketAddress, Entry> hosts_;
  // In the order of their end; one for each remember(), so some are for an entry that was renewed.
  std::deque<std::pair<base::Instant, base::SocketAddress>> ends_;
};

}  // namespace rockdove::outbound
