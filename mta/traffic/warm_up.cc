#include "mta/traffic/warm_up.h"

#include <algorithm>

namespace rockdove::traffic {
namespace {

constexpr base::Duration kDay = std::chrono::hours(24);

std::uint64_t day_of(base::WallTime time) {
  return base::to_unix_milliseconds(time) / static_cast<std::uint64_t>(kDay.count());
}

}  // namespace

// A clock that was put back changes nothing: the day goes on until it is over again.
void WarmUp::turn(base::WallTime now) {
  const std::uint64_t today = day_of(now);
  if (today <= state_.day) return;
  const bool is_warm = state_.steps >= plan_.daily.size();
  if (today - state_.day > kColdAfter) {
    state_.steps = 0;
  } else if (!is_warm && pushed_back_share() <= plan_.hold_above &&
             2 * state_.accepted >= plan_.daily[state_.steps]) {
    ++state_.steps;
  }
  // The last day with mail is what counts for kColdAfter: only answers move it.
  if (state_.accepted + state_.pushed_back == 0) return;
  state_.accepted = 0;
  state_.pushed_back = 0;
}

bool WarmUp::is_cold(base::WallTime now) const {
  return day_of(now) > state_.day + kColdAfter;
}

std::optional<std::uint32_t> WarmUp::allowance(base::WallTime now) {
  turn(now);
  if (state_.steps >= plan_.daily.size()) return std::nullopt;
  return plan_.daily[state_.steps];
}

void WarmUp::answered(bool is_pushed_back, base::WallTime now) {
  turn(now);
  state_.day = std::max(state_.day, day_of(now));
  ++(is_pushed_back ? state_.pushed_back : state_.accepted);
}

std::optional<base::WallTime> WarmUp::stopped_until(base::WallTime now) {
  turn(now);
  if (state_.steps >= plan_.daily.size()) return std::nullopt;
  if (state_.accepted + state_.pushed_back < kStopFewest) return std::nullopt;
  if (pushed_back_share() <= plan_.stop_above) return std::nullopt;
  return base::from_unix_milliseconds((state_.day + 1) * static_cast<std::uint64_t>(kDay.count()));
}

const WarmUpState& WarmUp::state(base::WallTime now) {
  turn(now);
  return state_;
}

double WarmUp::pushed_back_share() const {
  const std::uint64_t attempts = state_.accepted + state_.pushed_back;
  return attempts == 0 ? 0
                       : static_cast<double>(state_.pushed_back) / static_cast<double>(attempts);
}

}  // namespace rockdove::traffic
