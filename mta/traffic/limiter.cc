#include "mta/traffic/limiter.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "mta/base/assert.h"

namespace rockdove::traffic {

using base::Instant;
using base::Now;
using base::WallTime;
using std::chrono::nanoseconds;

namespace {

constexpr nanoseconds kGuardMin = std::chrono::milliseconds(1);
constexpr nanoseconds kGuardMax = std::chrono::milliseconds(50);
// The clocks may come apart by so much before what is stored is written anew, and by twice as much
// when nobody knows whether it was.
constexpr std::chrono::milliseconds kClockTolerance(1'000);
constexpr double kPaceMin = 1.0 / 86'400;
// Of the time that is caught up with: grants that are further apart lose little.
constexpr int kCatchUpWithin = 10;

// For how long a grant of this rate may be used.
nanoseconds guard_of(const Rate& rate) {
  return std::clamp(nanoseconds(rate.per) / 50, kGuardMin, kGuardMax);
}

nanoseconds guard_of(std::span<const Rate> rates) {
  nanoseconds guard = kGuardMax;
  for (const Rate& rate : rates) guard = std::min(guard, guard_of(rate));
  return guard;
}

// Where grants are so close together that the turns of a loop would lose many of them, what was
// late is caught up with.
nanoseconds catch_up_of(const Rate& rate) {
  const nanoseconds most = guard_of(rate) / 2;
  return nanoseconds(rate.per) / rate.count <= kCatchUpWithin * most ? most : nanoseconds(0);
}

// n + 1 grants in a row, the first used as late and the last as early as may be, span the window:
// they are n intervals apart, less what is caught up, which is the window and the guard. It is the
// rate's own guard, though another rate may make the common one shorter: a reload may take that one
// away.
Spacing::Interval interval_of(const Rate& rate) {
  return (nanoseconds(rate.per) + guard_of(rate) + catch_up_of(rate)) / rate.count + nanoseconds(1);
}

Spacing spacing_of(const Rate& rate, Instant now) {
  Spacing spacing(interval_of(rate), rate.burst, now);
  spacing.catch_up(catch_up_of(rate));
  return spacing;
}

nanoseconds between_clocks(Now now) {
  return nanoseconds(now.wall.time_since_epoch()) - now.instant.time_since_epoch();
}

// The moment of this run for a stored one; one that is to come counts as now.
Instant to_instant(WallTime time, Now now) {
  if (time < WallTime()) time = WallTime();
  constexpr std::chrono::milliseconds kAgeMax = std::chrono::hours(24 * 366);
  const auto age =
      std::clamp(now.wall - time - 2 * kClockTolerance, std::chrono::milliseconds(0), kAgeMax);
  return now.instant - age;
}

std::vector<RollingWindow::Counted> read_window(const LimiterState::Window& window, Now now) {
  std::vector<RollingWindow::Counted> all;
  for (const LimiterState::Part& part : window.parts) {
    all.push_back({to_instant(part.until, now), std::min(part.count, kCostMax)});
  }
  // Nobody knows when these were used, but it was before now.
  if (window.reserved > 0) all.push_back({now.instant, std::min(window.reserved, kCostMax)});
  return all;
}

}  // namespace

Limiter::Limiter(std::span<const Rate> rates, Now now, std::optional<Costs> costs)
    : Limiter(rates, LimiterState{now.wall, {}}, now, costs) {}

Limiter::Limiter(std::span<const Rate> rates, const LimiterState& state, Now now,
                 std::optional<Costs> costs)
    : guard_(guard_of(rates)), has_costs_(costs.has_value()), apart_(between_clocks(now)) {
  MTA_ASSERT(rates.size() <= kRatesMax);
  const LimiterState::Window* longest = nullptr;
  for (const LimiterState::Window& window : state.windows) {
    if (longest == nullptr || window.per > longest->per) longest = &window;
  }
  for (const Rate& rate : rates) {
    if (!rate.is_counted()) {
      const Instant begin = costs ? std::min(costs->unknown_until, now.instant) : now.instant;
      spaced_.push_back({rate, spacing_of(rate, begin)});
      if (!costs) continue;
      add_counted(rate, {}, now);
      const auto most = static_cast<std::uint32_t>(rate.most_in_window());
      counted_.back().add({begin, most}, now.instant);
      continue;
    }
    const auto same = std::find_if(state.windows.begin(), state.windows.end(),
                                   [&](const auto& window) { return window.per == rate.per; });
    const LimiterState::Window* before = same != state.windows.end() ? &*same : longest;
    add_counted(rate, before ? read_window(*before, now) : std::vector<RollingWindow::Counted>(),
                now);
  }
}

void Limiter::add_counted(const Rate& rate, std::span<const RollingWindow::Counted> before,
                          Now now) {
  RollingWindow& window = counted_.emplace_back(rate, kGuardMax, ++serials_, now.instant);
  for (const RollingWindow::Counted& counted : before) window.add(counted, now.instant);
}

void Limiter::set_rates(std::span<const Rate> rates, Now now) {
  MTA_ASSERT(rates.size() <= kRatesMax);
  guard_ = guard_of(rates);
  const std::vector<Spaced> spaced = std::exchange(spaced_, {});
  std::vector<RollingWindow> counted = std::exchange(counted_, {});
  std::vector<RollingWindow::Counted> longest;
  base::Duration longest_per(0);
  for (RollingWindow& window : counted) {
    if (window.rate().per <= longest_per) continue;
    longest_per = window.rate().per;
    longest = window.counted(now.instant);
  }
  for (const Rate& rate : rates) {
    const auto is_same = [&](const Rate& other) { return other.per == rate.per; };
    if (rate.is_counted() || has_costs_) {
      auto same = std::find_if(counted.begin(), counted.end(),
                               [&](const RollingWindow& window) { return is_same(window.rate()); });
      if (same == counted.end()) {
        add_counted(rate, longest, now);
      } else {
        counted_.push_back(*same);
        counted_.back().set_rate(rate);
      }
    }
    if (rate.is_counted()) continue;
    const auto same = std::find_if(spaced.begin(), spaced.end(),
                                   [&](const Spaced& window) { return is_same(window.rate); });
    Spacing spacing = same == spaced.end() ? spacing_of(rate, now.instant) : same->spacing;
    spacing.change(interval_of(rate), rate.burst, now.instant);
    spacing.catch_up(catch_up_of(rate));
    spaced_.push_back({rate, spacing});
  }
}

void Limiter::set_pace(std::optional<double> per_second, Now now) {
  if (!per_second) return pace_.reset();
  const double pace = std::clamp(*per_second, kPaceMin, double{kRateCountMax});
  const Spacing::Interval interval(static_cast<Spacing::Interval::rep>(std::ceil(1e9 / pace)));
  if (!pace_) pace_.emplace(interval, 1, now.instant);
  pace_->change(interval, 1, now.instant);
}

Instant Limiter::next_at(Now now, std::uint32_t cost) {
  Instant next = now.instant;
  if (pace_) next = std::max(next, pace_->next_at());
  for (const Spaced& window : spaced_) next = std::max(next, window.spacing.next_at());
  for (RollingWindow& window : counted_) next = std::max(next, window.next_at(cost, now.instant));
  return next;
}

std::optional<Limiter::UsedUp> Limiter::used_up(Now now, std::uint32_t cost) {
  std::optional<UsedUp> last;
  for (RollingWindow& window : counted_) {
    if (!window.is_durable()) continue;
    const Instant until = window.next_at(cost, now.instant);
    if (until > now.instant && (!last || until > last->until)) last = {window.rate(), until};
  }
  return last;
}

Instant Limiter::nth_at(std::uint64_t n, Now now) {
  const auto spaced_at = [this, now](std::uint64_t number) {
    Instant at = now.instant;
    if (pace_) at = std::max(at, pace_->nth_at(number, now.instant));
    for (const Spaced& window : spaced_)
      at = std::max(at, window.spacing.nth_at(number, now.instant));
    return at;
  };
  Instant at = spaced_at(n);
  for (RollingWindow& window : counted_) {
    // What it grants in its first round it grants in each further one, as far apart.
    const std::uint64_t rounds = (n - 1) / window.most();
    const std::uint64_t in_round = (n - 1) % window.most() + 1;
    const Instant first = std::max(window.next_at(in_round, now.instant), spaced_at(in_round));
    at = std::max(at, rounds == 0 ? first : window.round_after(first, rounds, now.instant));
  }
  return at;
}

Limiter::Answer Limiter::take(Now now, std::uint32_t cost) {
  MTA_ASSERT(cost == 1 || (has_costs_ && cost > 0 && cost <= kCostMax));
  const Instant next = next_at(now, cost);
  if (next > now.instant) return {Answer::Kind::Wait, next};
  if (needs_store(now, cost)) return {Answer::Kind::Store, now.instant};
  if (pace_) pace_->take(now.instant);
  for (Spaced& window : spaced_) {
    // The interval of what goes alone ends with its window.
    window.spacing.take(now.instant, std::min(cost, window.rate.count));
  }
  for (RollingWindow& window : counted_) window.take(cost, now.instant);
  return {Answer::Kind::Go, now.instant + guard_};
}

bool Limiter::needs_store(Now now, std::uint32_t cost) {
  look_at_clocks(now);
  return std::any_of(counted_.begin(), counted_.end(),
                     [cost](const RollingWindow& window) { return window.reserved() < cost; });
}

void Limiter::unused(Instant given, Now now, std::uint32_t cost) {
  for (RollingWindow& window : counted_) window.give_back(given, cost, now.instant);
  // Their count holds, even if the next one follows closely.
  if (!has_costs_) return;
  for (Spaced& window : spaced_) window.spacing.give_back(std::min(cost, window.rate.count));
}

void Limiter::look_at_clocks(Now now) {
  if (counted_.empty()) return;
  const nanoseconds moved = between_clocks(now) - apart_;
  if (moved <= kClockTolerance && -moved <= kClockTolerance) return;
  // Times in what is stored, or being stored, would be read wrongly after a crash.
  apart_ = between_clocks(now);
  store_again_ = true;
  slices_.clear();
  for (RollingWindow& window : counted_) window.forget_reserved();
}

std::optional<LimiterState> Limiter::state_to_store(Now now, std::uint32_t cost) {
  look_at_clocks(now);
  if (storing_) return std::nullopt;
  bool wanted = store_again_;
  for (RollingWindow& window : counted_) wanted = wanted || window.wants_slice(cost, now.instant);
  if (!wanted) return std::nullopt;
  LimiterState state = describe(now);
  if (state.windows.empty()) return std::nullopt;
  auto described = state.windows.begin();
  for (RollingWindow& window : counted_) {
    if (!window.is_durable()) continue;
    const std::uint64_t reserved = window.slice_size(cost, now.instant);
    slices_.push_back({window.serial(), window.used() + reserved});
    (described++)->reserved = static_cast<std::uint32_t>(reserved);
  }
  apart_storing_ = between_clocks(now);
  storing_ = true;
  store_again_ = false;
  return state;
}

LimiterState Limiter::describe(Now now) {
  LimiterState state{now.wall, {}};
  for (RollingWindow& window : counted_) {
    if (!window.is_durable()) continue;
    LimiterState::Window& described = state.windows.emplace_back();
    described.per = window.rate().per;
    for (const RollingWindow::Counted& counted : window.counted(now.instant)) {
      const auto age = std::chrono::floor<std::chrono::milliseconds>(now.instant - counted.latest);
      described.parts.push_back({now.wall - age, counted.count});
    }
  }
  return state;
}

void Limiter::stored() {
  for (const Slice& slice : slices_) {
    for (RollingWindow& window : counted_) {
      if (window.serial() == slice.serial) window.reserve_up_to(slice.end);
    }
  }
  if (!store_again_) apart_ = apart_storing_;
  slices_.clear();
  storing_ = false;
}

void Limiter::not_stored() {
  slices_.clear();
  storing_ = false;
  store_again_ = true;
}

LimiterState Limiter::last_state(Now now) {
  for (RollingWindow& window : counted_) window.forget_reserved();
  return describe(now);
}

}  // namespace rockdove::traffic
