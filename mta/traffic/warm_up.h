// How a new source address becomes known at a provider: a little on the first day, more from day to
// day, and no more while the provider pushes back. One for each account of a source; told the time,
// pure. The day's number is kept to by a traffic::Limiter.
//
// A day (UTC) counts as a step of the plan if at least half of its number was accepted and few
// attempts were pushed back; otherwise the next day has the same number. After the last step the
// address is warm, and has no limit from here. After kColdAfter without mail it is cold again.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "mta/base/time.h"

namespace rockdove::traffic {

inline constexpr std::size_t kWarmUpStepsMax = 366;

struct WarmUpPlan {
  std::vector<std::uint32_t> daily;  // messages a day, rising; 1 to kWarmUpStepsMax numbers
  double hold_above = 0.05;  // with a larger share of pushed back attempts a day does not count
  double stop_above = 0.25;  // and with this, nothing more goes on that day
};

// What must survive a restart.
struct WarmUpState {
  std::uint32_t steps = 0;        // days that counted
  std::uint64_t day = 0;          // the last one with mail, in days since 1970
  std::uint64_t accepted = 0;     // on that day
  std::uint64_t pushed_back = 0;  // likewise
};

class WarmUp {
 public:
  static constexpr std::uint64_t kColdAfter = 30;   // days
  static constexpr std::uint64_t kStopFewest = 20;  // attempts, before a day may be stopped

  WarmUp(WarmUpPlan plan, const WarmUpState& state) : plan_(std::move(plan)), state_(state) {}

  // Another plan from now on; the days that counted stay.
  void set(WarmUpPlan plan) { plan_ = std::move(plan); }

  // Messages that may go in 24 hours; nullopt: it is warm.
  [[nodiscard]] std::optional<std::uint32_t> allowance(base::WallTime now);
  // The provider has accepted a message, or pushed it back.
  void answered(bool is_pushed_back, base::WallTime now);
  // When the next day begins, if nothing more goes today; nullopt: it goes.
  [[nodiscard]] std::optional<base::WallTime> stopped_until(base::WallTime now);
  // As it stands, today's counts with today's day.
  [[nodiscard]] const WarmUpState& state(base::WallTime now);

  // As it was when something was asked or answered last.
  [[nodiscard]] const WarmUpState& last_state() const { return state_; }

  // There was no mail for so long that nothing of it counts any more.
  [[nodiscard]] bool is_cold(base::WallTime now) const;

  // Of today's attempts; 0 without any.
  [[nodiscard]] double pushed_back_share() const;

  [[nodiscard]] const WarmUpPlan& plan() const { return plan_; }

 private:
  void turn(base::WallTime now);

  WarmUpPlan plan_;
  WarmUpState state_;
};

}  // namespace rockdove::traffic
