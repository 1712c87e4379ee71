#include "mta/traffic/uptake.h"

#include <algorithm>
#include <cmath>

namespace rockdove::traffic {
namespace {

using Seconds = std::chrono::duration<double>;

}  // namespace

Uptake::Uptake(const UptakeState& state, base::Now now) : looked_(now.instant) {
  if (!std::isfinite(state.accepted) || state.accepted <= 0 || state.busy.count() <= 0) return;
  const double rest = kept(std::max(now.wall - state.last, base::Duration(0)));
  accepted_ = state.accepted * rest;
  busy_ = Seconds(state.busy).count() * rest;
}

double Uptake::kept(std::chrono::nanoseconds span) {
  return std::exp(-Seconds(span) / Seconds(kMemory));
}

void Uptake::answered(bool was_accepted, bool others_wait, base::Instant now) {
  const std::chrono::nanoseconds span = now - looked_;
  const double rest = kept(span);
  accepted_ *= rest;
  busy_ *= rest;
  if (is_busy_) {
    busy_ += Seconds(span).count();
    if (was_accepted) accepted_ += 1;
  }
  looked_ = now;
  is_busy_ = others_wait;
}

std::optional<double> Uptake::mean() const {
  if (accepted_ < kMessagesLeast || busy_ <= 0) return std::nullopt;
  return accepted_ / busy_;
}

UptakeState Uptake::state(base::Now now) const {
  const double rest = kept(now.instant - looked_);
  return {accepted_ * rest, std::chrono::duration_cast<base::Duration>(Seconds(busy_ * rest)),
          now.wall};
}

}  // namespace rockdove::traffic
