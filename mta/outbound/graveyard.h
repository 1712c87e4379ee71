// Ends what goes for good when its time is over: what people have deleted, when it cannot be
// brought back any more, and what is in quarantine and nobody has released. A minute later at most
// it is gone, and its space with the store's next collection, without anything else having to
// happen; but nothing in the first ten minutes of a run or behind a jump of the clock. Looks after
// the queues whose home is this loop, page by page, one page at a time; one of these for each kind.
#pragma once

#include <memory>
#include <string>

#include "mta/outbound/environment.h"
#include "mta/outbound/steering.h"

namespace rockdove::outbound {

class Graveyard {
 public:
  static constexpr base::Duration kLookEvery = std::chrono::minutes(1);

  Graveyard(const Environment& environment, Steering& steering, queue::Overdue what);

  // From now on; called again it does no harm.
  void start();
  void stop();

 private:
  void look();
  void found(base::Result<queue::OverduePage> page);
  void again_in(base::Duration wait);
  // What comes from now on is not due before so long.
  [[nodiscard]] base::Duration time_of_new() const;
  [[nodiscard]] bool is_clock_doubtful() const;

  const Environment& env_;
  Steering& steering_;
  const queue::Overdue what_;
  std::unique_ptr<base::Timer> timer_;
  std::string after_;  // where the look that is under way has come to
  base::WallTime next_due_ = base::kNeverWall;
  bool is_looking_ = false;
  bool has_started_ = false;
  bool stopping_ = false;
};

}  // namespace rockdove::outbound
