// A provider with a limit that it tells nobody, for tests of the back-off: it takes what fits into
// a sliding window, or what its token bucket has left, and defers the rest. The limit moves at
// given times. Time is a Duration from the beginning.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <vector>

namespace rockdove::traffic {

struct HiddenLimit {
  double from = 0;        // seconds
  double per_second = 0;  // a whole number of messages in the provider's window
};

class SimulatedProvider {
 public:
  enum class Kind : std::uint8_t { SlidingWindow, TokenBucket };

  // `window` in seconds; a bucket holds what the limit gives in so long.
  SimulatedProvider(Kind kind, double window, std::vector<HiddenLimit> limits)
      : kind_(kind),
        window_(window),
        limits_(std::move(limits)),
        tokens_(limits_[0].per_second * window) {}

  [[nodiscard]] double limit(double now) {
    while (current_ + 1 < limits_.size() && limits_[current_ + 1].from <= now) ++current_;
    return limits_[current_].per_second;
  }

  // Whether a message that arrives now is taken. Times come in order.
  bool take(double now) {
    const double limit_now = limit(now);
    if (kind_ == Kind::TokenBucket) {
      tokens_ = std::min(limit_now * window_, tokens_ + (now - last_) * limit_now);
      last_ = now;
      if (tokens_ < 1) return false;
      tokens_ -= 1;
      return true;
    }
    while (!taken_.empty() && taken_.front() <= now - window_) taken_.pop_front();
    if (static_cast<double>(taken_.size() + 1) > limit_now * window_ + 1e-6) return false;
    taken_.push_back(now);
    return true;
  }

  // How long `messages` take for one who knows the limits and stays below `ceiling`.
  [[nodiscard]] static double optimum(const std::vector<HiddenLimit>& limits, double ceiling,
                                      double messages) {
    double left = messages;
    for (std::size_t i = 0; i < limits.size(); ++i) {
      const double rate = std::min(ceiling, limits[i].per_second);
      const double needed = limits[i].from + left / rate;
      if (i + 1 == limits.size() || needed <= limits[i + 1].from) return needed;
      left -= (limits[i + 1].from - limits[i].from) * rate;
    }
    return 0;
  }

 private:
  Kind kind_;
  double window_;
  std::vector<HiddenLimit> limits_;
  std::size_t current_ = 0;
  std::deque<double> taken_;
  double tokens_;
  double last_ = 0;
};

}  // namespace rockdove::traffic
