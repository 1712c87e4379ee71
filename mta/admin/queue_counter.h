// How many deliveries are in which state, for whoever asks often. Counting reads a row for each
// delivery, so an answer is used again for 10 s, or for 20 times as long as counting took: it never
// takes more than a twentieth of a reader's time. Belongs to one loop.
#pragma once

#include <optional>
#include <vector>

#include "mta/admin/metrics.h"
#include "mta/base/loop.h"
#include "mta/base/unique_function.h"
#include "queue/store.h"

namespace rockdove::admin {

class QueueCounter {
 public:
  using Done = base::UniqueFunction<void(const std::optional<QueueCount>&)>;

  // Both outlive it, and it outlives the loop's last turn.
  QueueCounter(base::Loop& loop, queue::Store& store) : loop_(loop), store_(store) {}

  // `done` is told the last count, or, when that is too old, the next one, within this call or
  // later; nothing when the queue cannot be read, or many wait for the first count already. While
  // a count is under way the last one serves.
  void ask(Done done);

 private:
  void counted(base::Instant begun, base::Result<queue::QueueSummary> summary);

  base::Loop& loop_;
  queue::Store& store_;
  std::optional<QueueCount> last_;
  base::Instant again_ = base::Instant::min();
  bool is_counting_ = false;
  std::vector<Done> waiting_;
};

}  // namespace rockdove::admin
