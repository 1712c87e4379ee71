// Two measures of how fast mail goes, in messages a second: what we send now, and what a provider
// has taken lately. Parts of traffic::Backoff.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>

#include "mta/base/time.h"

namespace rockdove::traffic {

using Seconds = std::chrono::duration<double>;

// The rate of the last sixteen sends. It is below the pace when something else holds us up: no
// mail, no connection, another window.
class SendRate {
 public:
  void sent(base::Instant now) { times_[count_++ % times_.size()] = now; }

  // 0 as long as nothing was sent.
  [[nodiscard]] double at(base::Instant now) const {
    const std::uint64_t known = std::min<std::uint64_t>(count_, times_.size());
    if (known == 0) return 0;
    const Seconds span = now - times_[(count_ - known) % times_.size()];
    return static_cast<double>(known) / std::max(span.count(), 1e-6);
  }

 private:
  std::array<base::Instant, 16> times_{};
  std::uint64_t count_ = 0;
};

// An average of what was accepted, in which older messages count exponentially less. What came
// before the first message does not count as a time without any.
class Throughput {
 public:
  // One more; `memory` is the time after which it counts 1/e.
  void accepted(base::Instant now, Seconds memory) {
    age(now, memory);
    sum_ += 1 / memory.count();
  }

  [[nodiscard]] double at(base::Instant now, Seconds memory) {
    age(now, memory);
    return known_ > 1e-6 ? sum_ / known_ : 0;
  }

 private:
  void age(base::Instant now, Seconds memory) {
    if (last_ != base::Instant()) {
      const double kept = std::exp(-std::max(Seconds(now - last_).count(), 0.0) / memory.count());
      sum_ *= kept;
      known_ = 1 - (1 - known_) * kept;
    }
    last_ = now;
  }

  double sum_ = 0;
  double known_ = 0;  // the share of the average's time that has been seen
  base::Instant last_;
};

}  // namespace rockdove::traffic
