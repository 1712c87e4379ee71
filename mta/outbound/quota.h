// At most so many of something in a period, which begins with the first of them.
#pragma once

#include <cstdint>

#include "mta/base/time.h"

namespace rockdove::outbound {

class Quota {
 public:
  Quota(std::uint32_t limit, base::Duration period) : limit_(limit), period_(period) {}

  // false: it is used up until the period is over.
  [[nodiscard]] bool take(base::Instant now) {
    if (is_fresh(now)) {
      began_ = now;
      taken_ = 0;
    }
    if (taken_ >= limit_) return false;
    ++taken_;
    return true;
  }

  // Nothing was taken in the last period.
  [[nodiscard]] bool is_fresh(base::Instant now) const {
    return taken_ == 0 || now - began_ >= period_;
  }

 private:
  std::uint32_t limit_;
  base::Duration period_;
  base::Instant began_{};
  std::uint32_t taken_ = 0;
};

}  // namespace rockdove::outbound
