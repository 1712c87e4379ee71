// Messages at even distance: the generic cell rate algorithm (GCRA, ITU-T I.371), which is a leaky
// bucket that remembers one moment only. A part of traffic::Limiter.
//
// With burst 1 two grants are never closer than the interval. With burst b, b may come at once, and
// any time t holds at most b - 1 more than t holds intervals. Who asks late loses the time, but for
// what catching up makes good: then any time t holds what t and that time hold together. What has
// been granted is a debt that is paid back at one grant an interval; a change of interval or burst
// leaves the debt as it is, in grants, so that however often limits change, nothing is granted
// twice.
//
// A grant of several places may be as soon as those before it are paid back, and is paid back
// after it. So a window may hold more than its intervals, by the places of its last grant less 1.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "mta/base/time.h"

namespace rockdove::traffic {

class Spacing {
 public:
  using Interval = std::chrono::nanoseconds;

  // What was granted before `now` is not known, so the whole burst is owed: the first grant is one
  // full interval away.
  Spacing(Interval interval, std::uint32_t burst, base::Instant now)
      : interval_(interval), burst_(burst), paid_(now + interval * burst) {}

  // When the next grant may be; in the past for one that may be now.
  [[nodiscard]] base::Instant next_at() const { return paid_ - interval_ * (burst_ - 1); }

  // When the n-th from `now` on may be, n from 1, if each goes as soon as it may.
  [[nodiscard]] base::Instant nth_at(std::uint64_t n, base::Instant now) const {
    const base::Instant at =
        std::max(paid_, now - catch_up_) + interval_ * (static_cast<std::int64_t>(n) - burst_);
    return std::max(at, now);
  }

  // One is granted, which has so many places. Only when next_at() <= now.
  void take(base::Instant now, std::uint32_t places = 1) {
    paid_ = std::max(paid_, now - catch_up_) + interval_ * places;
  }

  // How far behind a grant may be asked for without a loss to those after it.
  void catch_up(Interval most) { catch_up_ = most; }

  // These places were not used. Where later grants stand behind them the next may follow closely.
  void give_back(std::uint32_t places) { paid_ -= interval_ * places; }

  // Another interval or burst from now on.
  void change(Interval interval, std::uint32_t burst, base::Instant now);

 private:
  Interval interval_;
  std::uint32_t burst_;
  Interval catch_up_{0};
  base::Instant paid_;  // when all that was granted is paid back
};

}  // namespace rockdove::traffic
