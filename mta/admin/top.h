// What GET /v1/top answers: all counters, how things stand, how much waits, what the last minute
// brought by destination and by reason, and which attempts are slow. Rates are the asker's
// business: the difference of two answers.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mta/admin/metrics.h"
#include "mta/base/unique_function.h"
#include "queue/pauses.h"
#include "queue/reason.h"

namespace rockdove::admin {

inline constexpr std::size_t kTopDestinationsMax = 100;  // in one answer
inline constexpr std::size_t kTopPausesMax = 10;         // likewise
inline constexpr std::size_t kTopSlowestMax = 10;        // likewise

// What attempts came to within about the last minute.
struct RecentActivity {
  struct Destination {
    std::string name;
    std::uint64_t delivered = 0;
    std::uint64_t deferred = 0;
    std::uint64_t bounced = 0;
    base::Duration slowest{};  // the longest attempt
  };

  // An attempt that took long, or that is at work and has taken so long up to now.
  struct Slow {
    std::string destination;
    std::string host;   // the one tried last; "" when none was reached
    std::string stage;  // "connect", "RCPT", … of one at work; "": it has ended
    base::Duration took{};
  };

  std::vector<Destination> destinations;                   // the busiest ones
  std::array<std::uint64_t, queue::kReasons> deferrals{};  // by queue::Reason
  std::vector<Slow> slowest;                               // in no order
  unsigned silent_loops = 0;                               // did not answer in time
};

class ActivitySource {
 public:
  using Done = base::UniqueFunction<void(RecentActivity)>;

  virtual ~ActivitySource() = default;
  // From the control socket's loop; `done` runs there, once, within about a second and never within
  // this call.
  virtual void recent(Done done) = 0;
};

// One object; keys are in contrib/doc/control.md.
[[nodiscard]] std::string format_top(const base::CounterTotals& counts, const Standing& standing,
                                     const std::optional<QueueCount>& queue,
                                     const std::vector<queue::Pause>& pauses,
                                     RecentActivity activity);

}  // namespace rockdove::admin
