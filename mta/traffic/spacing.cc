#include "mta/traffic/spacing.h"

#include <cmath>

namespace rockdove::traffic {

void Spacing::change(Interval interval, std::uint32_t burst, base::Instant now) {
  if (paid_ > now && interval != interval_) {
    // The nanosecond more pays for what the division rounds away.
    const double grants =
        static_cast<double>((paid_ - now).count()) / static_cast<double>(interval_.count());
    const double owed = std::ceil(grants * static_cast<double>(interval.count()));
    paid_ = now + Interval(static_cast<Interval::rep>(owed) + 1);
  }
  interval_ = interval;
  burst_ = burst;
}

}  // namespace rockdove::traffic
