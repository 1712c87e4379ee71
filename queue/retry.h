// When a delivery is tried again, and when it has been tried long enough (RFC 5321 §4.5.4.1).
#pragma once

#include <cstdint>

#include "mta/base/random.h"
#include "mta/base/time.h"
#include "queue/settings.h"
#include "queue/types.h"

namespace rockdove::queue {

// The wait behind the attempt number `attempts` (from 1): the schedule's entry, the last one
// repeating, and up to an eighth of it on top by chance.
[[nodiscard]] base::Duration retry_wait(const std::vector<base::Duration>& schedule,
                                        std::uint32_t attempts, base::Random& random);

// By `[queue] retry`.
[[nodiscard]] inline base::Duration retry_wait(const QueueSettings& settings,
                                               std::uint32_t attempts, base::Random& random) {
  return retry_wait(settings.retry, attempts, random);
}

// After an end that is uncertain, the receiver has most likely got the message and its queue may
// still be busy with it: the first time at least this long.
inline constexpr base::Duration kUncertainWait = std::chrono::minutes(15);

// Nobody is bounced for age in the first minutes of a run or behind a jump of the wall clock: the
// network may only be coming up, and the age may be the clock's error.
inline constexpr base::Duration kAgeGrace = std::chrono::minutes(10);

// The two clocks, watched: tells how far a stored time lies ahead although the wall clock was set,
// and since when ages can be believed.
class ClockWatch {
 public:
  static constexpr base::Duration kJump = std::chrono::minutes(10);

  explicit ClockWatch(base::Now start) : base_(start), trusted_since_(start.instant + kAgeGrace) {}

  // Compares what both clocks did since the start or the last jump, so that several small steps are
  // noticed as well. The jump, by how much the wall clock is ahead; zero while they agree to kJump.
  base::Duration observe(base::Now now);

  // Whether a failure now may end a delivery because of its age. Not behind a jump either that
  // observe() has not seen yet.
  [[nodiscard]] bool may_expire(base::Now now) const {
    return now.instant >= trusted_since_ && jump_at(now) == base::Duration::zero();
  }

 private:
  [[nodiscard]] base::Duration jump_at(base::Now now) const;

  base::Now base_;
  base::Instant trusted_since_;
};

// Whether a delivery that is alive_since() then (queue/quarantine.h) has used up its lifetime.
[[nodiscard]] inline bool is_over_age(const QueueSettings& settings, WallTime since, WallTime now) {
  return now - since >= settings.lifetime;
}

}  // namespace rockdove::queue
