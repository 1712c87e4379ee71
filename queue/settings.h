// What an operator decides about the queue ([queue], [bounce] and parts of [limits] in product.md).
// Filled by the daemon's configuration, immutable while in use.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mta/base/time.h"
#include "mta/traffic/rate.h"

namespace rockdove::queue {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

// What is kept of mail that has gone ([history]).
struct HistorySettings {
  bool is_kept = true;             // false: nothing is written; what is there stays for a while
  base::Duration keep = 24h * 90;  // since a message's acceptance
  std::uint64_t size_max = 10'000'000'000;  // octets on disk with the index; the oldest goes first

  bool operator==(const HistorySettings&) const = default;
};

// What a sender may do: a tenant, or a campaign ([[tenant]], [[campaign]]).
struct SenderSettings {
  std::string name;                  // "*" stands for any run of characters; case is ignored
  std::uint32_t weight = 1;          // of a tenant, 1 to kTenantWeightMax
  std::vector<traffic::Rate> rates;  // messages to everywhere, as traffic::parse_rates() makes them

  bool operator==(const SenderSettings&) const = default;
};

inline constexpr std::uint32_t kTenantWeightMax = 1000;

struct QueueSettings {
  // Waits between attempts; the last one repeats. Each gets up to an eighth of itself at random on
  // top, so that what failed together is not tried together for ever.
  std::vector<base::Duration> retry = {5min, 15min, 30min, 1h, 2h, 4h};
  base::Duration lifetime = 120h;            // then the next failure is final
  base::Duration delay_notice = 4h;          // the sender hears of mail that waits so long; 0: never
  base::Duration undo_time = 24h;            // how long what a person deleted can be brought back
  base::Duration quarantine = 720h;          // how long what comes into quarantine now waits there
  std::uint64_t min_free_disk = 1'000'000'000;  // octets; below it MAIL is answered 452 4.3.1
  std::uint64_t memory = 256'000'000;        // octets, for message data held in memory
  std::uint32_t connections_out = 0;         // all outbound connections; 0: half of the file descriptors
  std::uint32_t site_connections = 10;       // at once, for a site reached by MX
  std::uint32_t route_connections = 20;      // at once, for a smarthost that a route names
  std::uint32_t messages_per_connection = 100;
  std::uint32_t loaded_max = 100'000;        // deliveries in memory, all queues
  std::uint64_t bounce_returned = 50'000;    // octets of the message that come back in a report
  HistorySettings history;
  std::string hostname;                      // ours: reports, EHLO
  std::string postmaster;                    // gets reports that cannot be returned; "" : none
  std::vector<SenderSettings> tenants;       // the first whose name matches counts; none: 1, no limit
  std::vector<SenderSettings> campaigns;     // likewise
};

}  // namespace rockdove::queue
