// What a provider has taken on average while mail waited for it: the figure to plan the next
// mailing with (adr/0023). The pace of the moment (traffic/backoff.h) is where it tries now; this
// one holds what pauses, push-backs and the ways up again have cost.
//
// Only time in which further mail waited behind what was being sent counts, so that little mail
// does not look like a slow provider. One for each account, told the time.
#pragma once

#include <optional>

#include "mta/base/time.h"

namespace rockdove::traffic {

// What outlives a restart.
struct UptakeState {
  double accepted = 0;     // messages; what is old counts less
  base::Duration busy{0};  // the time in which they were, likewise
  base::WallTime last{};   // when that was known
};

class Uptake {
 public:
  // What is so old counts a third.
  static constexpr base::Duration kMemory = std::chrono::hours(24);
  // Fewer say nothing: a site's window is still growing then.
  static constexpr double kMessagesLeast = 200;

  Uptake() = default;
  // Numbers that cannot be are not taken.
  Uptake(const UptakeState& state, base::Now now);

  // Nothing had waited, and now something does: what lies behind does not count.
  void began() { is_busy_ = false; }

  // A transaction ended, after which others still wait or do not.
  void answered(bool was_accepted, bool others_wait, base::Instant now);

  // Messages a second; nullopt: too few are known.
  [[nodiscard]] std::optional<double> mean() const;
  // With what is old at its worth of now.
  [[nodiscard]] UptakeState state(base::Now now) const;

 private:
  // What a span of this length leaves of what was known before.
  [[nodiscard]] static double kept(std::chrono::nanoseconds span);

  double accepted_ = 0;
  double busy_ = 0;  // seconds
  base::Instant looked_{};
  bool is_busy_ = false;  // since looked_
};

}  // namespace rockdove::traffic
