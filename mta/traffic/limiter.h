// Keeps to rates exactly: no half-open window of a rate's time, by the time at which we send MAIL,
// holds more than Rate::most_in_window(). It grants; who is granted sends. One limiter for what one
// budget shares (a site, a provider, a source), on one loop, told the time.
//
//   take() ── Go ────▶ send MAIL before `at`, or let unused() know and ask again
//     │ ├──── Wait ──▶ ask again at `at`
//     └─└──── Store ─▶ ask again once stored() was called for what state_to_store() gave
//
// A grant may be used for a while (the guard: a fiftieth of the shortest window, 1 to 50 ms), so
// that it can go to another loop without a word coming back. The guard is part of the arithmetic:
// n grants are spaced over window + guard, which makes a rate up to 3 % slower, never faster. Where
// they are no further apart than five guards, who asks late catches up by half a guard at most,
// which is part of the arithmetic, too: turns of loops are no shorter than a millisecond or two.
//
// Windows of an hour and more hold over a restart: what may be granted is first stored as used, in
// slices of 1 %. Shorter ones begin with a full interval, as though all had just been used. The
// wall clock is used only for what is stored: a jump of it within a run costs a write, and nothing
// is granted twice. (A clock that is put forward while nothing runs cannot be told from time that
// passed.)
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "mta/base/time.h"
#include "mta/traffic/rate.h"
#include "mta/traffic/rolling_window.h"
#include "mta/traffic/spacing.h"

namespace rockdove::traffic {

// What must survive a crash: what the counted windows hold. Nothing of it depends on the rates' own
// numbers, so that another configuration can begin with it.
struct LimiterState {
  struct Part {
    base::WallTime until;     // granted then, or before
    std::uint32_t count = 0;  // at least 1
  };

  struct Window {
    base::Duration per{0};
    std::uint32_t reserved = 0;  // may have been granted since `written`
    std::vector<Part> parts;     // oldest first, at most 61
  };

  base::WallTime written;
  std::vector<Window> windows;  // at most kRatesMax
};

// Where grants have costs (recipients, octets), one of cost c takes c places of each window; one
// that costs more than a window holds goes alone, once in its time. No half-open window holds more
// than its rate says, such a one apart: evenly spaced windows have a count beside their spacing
// then, and begin as though they had been used up just before Costs::unknown_until.
class Limiter {
 public:
  struct Answer {
    enum class Kind : std::uint8_t { Go, Wait, Store };
    Kind kind;
    base::Instant at;  // Go: valid until before then. Wait: ask again then. Store: now
  };

  // Of a limiter whose grants have costs other than 1.
  struct Costs {
    base::Instant unknown_until;  // nobody knows what was sent before
  };

  // `rates` as parse_rates() makes them: at most kRatesMax, one for each time; none is no limit.
  Limiter(std::span<const Rate> rates, base::Now now, std::optional<Costs> costs = std::nullopt);
  // The same, after a restart. What an unknown or damaged state says is taken as it is meant at
  // worst: times to come count as now, counts are cut at kCostMax.
  Limiter(std::span<const Rate> rates, const LimiterState& state, base::Now now,
          std::optional<Costs> costs = std::nullopt);

  // Other rates from now on. What was granted still counts: for windows of the same time exactly;
  // a new counted window begins with what the longest of the old ones knows, a new spaced one with
  // a full interval.
  void set_rates(std::span<const Rate> rates, base::Now now);
  // A pace below the rates, in messages a second, at even distance (traffic/backoff.h's); nullopt:
  // none. From 1 a day up to kRateCountMax a second; what lies outside becomes the nearest.
  void set_pace(std::optional<double> per_second, base::Now now);

  // Costs are 1 to kCostMax; without Costs always 1.

  // All windows grant, or none does.
  [[nodiscard]] Answer take(base::Now now, std::uint32_t cost = 1);
  // take() would say Store where it may not say Wait.
  [[nodiscard]] bool needs_store(base::Now now, std::uint32_t cost = 1);
  // When take() may say Go, for all that is known now (what is not stored yet not regarded); now's
  // instant if at once.
  [[nodiscard]] base::Instant next_at(base::Now now, std::uint32_t cost = 1);

  // A window of an hour or more that is used up.
  struct UsedUp {
    Rate rate;
    base::Instant until;  // then it has room again for what was asked about
  };

  // The one that has room last, of those that have none now for this cost; nullopt: all have.
  [[nodiscard]] std::optional<UsedUp> used_up(base::Now now, std::uint32_t cost = 1);
  // When the n-th grant of cost 1 from now on may be, n from 1, where each is used as soon as it is
  // there; nth_at(1) is next_at(). For estimates: where counted windows and others take turns in
  // holding back, it may be some parts (a sixtieth) of the counted window too early.
  [[nodiscard]] base::Instant nth_at(std::uint64_t n, base::Now now);
  // The grant of the moment `given` was not and will not be used. Counted windows have it back;
  // in spaced ones the place is lost where costs are 1.
  void unused(base::Instant given, base::Now now, std::uint32_t cost = 1);

  // For how long a grant may be used.
  [[nodiscard]] std::chrono::nanoseconds guard() const { return guard_; }

  // What should be made durable now, if anything; ask after each take(). It reserves a slice, and
  // at least this cost where that may be granted now. One is under way at a time, until stored() or
  // not_stored() (also when nobody knows).
  [[nodiscard]] std::optional<LimiterState> state_to_store(base::Now now, std::uint32_t cost = 1);
  void stored();
  void not_stored();
  // What to store when nothing more will be granted: what is reserved is given back.
  [[nodiscard]] LimiterState last_state(base::Now now);

 private:
  struct Spaced {
    Rate rate;
    Spacing spacing;
  };

  // A slice that is being stored.
  struct Slice {
    std::uint64_t serial;
    std::uint64_t end;
  };

  void add_counted(const Rate& rate, std::span<const RollingWindow::Counted> before, base::Now now);
  // Notes when the clocks have moved against each other since the last state.
  void look_at_clocks(base::Now now);
  [[nodiscard]] LimiterState describe(base::Now now);

  std::chrono::nanoseconds guard_{0};
  std::vector<Spaced> spaced_;
  // Those of an hour and more; with costs all.
  std::vector<RollingWindow> counted_;
  bool has_costs_ = false;
  std::optional<Spacing> pace_;
  std::uint64_t serials_ = 0;
  bool storing_ = false;
  bool store_again_ = false;   // what is stored must not stay as it is
  std::vector<Slice> slices_;  // under way
  // Wall clock less monotonic clock, as what is stored and what is being stored have it.
  std::chrono::nanoseconds apart_{0};
  std::chrono::nanoseconds apart_storing_{0};
};

}  // namespace rockdove::traffic
