#include "queue/retry.h"

#include <algorithm>

namespace rockdove::queue {

base::Duration retry_wait(const std::vector<base::Duration>& schedule, std::uint32_t attempts,
                          base::Random& random) {
  MTA_ASSERT(!schedule.empty());
  const std::size_t entry = std::min<std::size_t>(std::max(attempts, 1U) - 1, schedule.size() - 1);
  const base::Duration wait = schedule[entry];
  const auto jitter_max = static_cast<std::uint64_t>(wait.count() / 8 + 1);
  return wait + base::Duration(static_cast<std::int64_t>(random.below(jitter_max)));
}

base::Duration ClockWatch::jump_at(base::Now now) const {
  const auto run = std::chrono::duration_cast<base::Duration>(now.instant - base_.instant);
  const base::Duration wall = now.wall - base_.wall;
  const base::Duration jump = wall - run;
  return jump < kJump && jump > -kJump ? base::Duration::zero() : jump;
}

base::Duration ClockWatch::observe(base::Now now) {
  const base::Duration jump = jump_at(now);
  if (jump == base::Duration::zero()) return jump;
  base_ = now;
  trusted_since_ = now.instant + kAgeGrace;
  return jump;
}

}  // namespace rockdove::queue
