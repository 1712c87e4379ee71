// When to walk through all that is kept and drop what is over: not each time that something is
// added, or a table that is full of what still counts would be walked through for each.
#pragma once

#include "mta/base/time.h"

namespace rockdove::base {

class Seldom {
 public:
  // Whether it is time, which it is once a minute at most; then the next time is a minute later.
  [[nodiscard]] bool is_due(Instant now) {
    if (now < next_) return false;
    next_ = now + std::chrono::minutes(1);
    return true;
  }

 private:
  Instant next_{};
};

}  // namespace rockdove::base
