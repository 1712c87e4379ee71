// The one place that owns the rows in use, because a failed instance is closed and replaced while
// other threads read: whoever reads holds them for that long, whoever replaces them waits.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "queue/rows.h"

namespace rockdove::queue {

class RowsHolder {
 public:
  // Calls `use(Rows*)`, with null while there are none, and gives back what it returns. Not within
  // itself.
  template <typename Use>
  auto with(Use&& use) const {
    std::unique_lock turn(turnstile_);
    const std::shared_lock lock(mutex_);
    turn.unlock();
    return std::forward<Use>(use)(rows_.get());
  }

  // False while the rows are being replaced. Never waits.
  [[nodiscard]] bool is_stalled() const {
    const std::shared_lock lock(mutex_, std::try_to_lock);
    return lock.owns_lock() && rows_ != nullptr && rows_->is_stalled();
  }

  // Closes what was there once the last reader is done with it. By the writer's thread.
  void replace(std::unique_ptr<Rows> rows) {
    is_cancelled_ = true;
    const std::lock_guard turn(turnstile_);
    const std::unique_lock lock(mutex_);
    rows_ = std::move(rows);
    is_cancelled_ = false;
    if (is_over_) is_cancelled_ = true;
  }

  // True while somebody waits to replace the rows, and from cancel() on: who holds them for minutes
  // looks at it and lets go.
  [[nodiscard]] std::atomic<bool>& is_cancelled() { return is_cancelled_; }

  // Any thread: the store is to end.
  void cancel() {
    is_over_ = true;
    is_cancelled_ = true;
  }

  // For the writer's thread only, which is the one that replaces them.
  [[nodiscard]] Rows* writers() { return rows_.get(); }

 private:
  mutable std::mutex turnstile_;  // whoever waits holds it, so that readers cannot starve replace()
  mutable std::shared_mutex mutex_;
  std::unique_ptr<Rows> rows_;
  std::atomic<bool> is_over_ = false;
  std::atomic<bool> is_cancelled_ = false;
};

}  // namespace rockdove::queue
