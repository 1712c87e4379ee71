// What attempts came to within the last minute, by destination and by reason, for `rockdove top`.
// One loop's; the daemon sums up what all of them say.
//
// Bounded however many destinations there are: for each ten seconds at most kDestinationsMax are
// counted, and a newcomer takes the place of the least busy, whose weight it inherits (the
// "space-saving" of Metwally et al., 2005), so that who is busy for long gets in and stays. The
// slowest attempts are kept beside them, because who is slow is seldom busy.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mta/base/time.h"
#include "queue/reason.h"

namespace rockdove::outbound {

struct SlowAttempt {
  std::string destination;
  std::string host;  // as describe(HostAddress); "" when none was reached
  base::Duration took{};
};

struct AttemptCounts {
  std::uint64_t delivered = 0;
  std::uint64_t deferred = 0;
  std::uint64_t bounced = 0;  // and all else that ended without being delivered
  base::Duration slowest{};   // the longest attempt

  void add(const AttemptCounts& other);

  [[nodiscard]] std::uint64_t total() const { return delivered + deferred + bounced; }
};

class Activity {
 public:
  static constexpr std::size_t kDestinationsMax = 64;
  static constexpr std::size_t kSlowestMax = 8;  // for each ten seconds, of different destinations
  static constexpr base::Duration kSlice = std::chrono::seconds(10);
  static constexpr std::size_t kSlices = 6;  // and the one that is being filled

  struct Seen {
    std::unordered_map<std::string, AttemptCounts> destinations;
    std::array<std::uint64_t, queue::kReasons> deferrals{};  // by queue::Reason
    std::vector<SlowAttempt> slowest;  // in no order; a destination may be there several times
  };

  // `host` is where the last of it went to, "" for none.
  void attempted(std::string_view destination, std::string_view host, const AttemptCounts& counts,
                 base::Instant now);
  void deferred(queue::Reason reason, base::Instant now);

  // Of the last 60 to 70 seconds. A destination that was pushed out meanwhile has less than it had.
  [[nodiscard]] Seen last_minute(base::Instant now) const;

 private:
  struct Counted {
    AttemptCounts counts;
    std::uint64_t weight = 0;  // at least what it truly had
  };

  struct Slice {
    std::int64_t number = -1;  // of the clock; the slice is empty otherwise
    std::unordered_map<std::string, Counted> destinations;
    std::array<std::uint64_t, queue::kReasons> deferrals{};
    std::vector<SlowAttempt> slowest;
  };

  [[nodiscard]] static std::int64_t number_of(base::Instant now);
  static void note_slow(Slice& slice, std::string_view destination, std::string_view host,
                        base::Duration took);
  [[nodiscard]] Slice& slice_at(base::Instant now);

  std::array<Slice, kSlices + 1> slices_;
};

}  // namespace rockdove::outbound
