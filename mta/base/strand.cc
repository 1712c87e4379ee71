#include "mta/base/strand.h"

#include <deque>
#include <mutex>
#include <utility>

namespace rockdove::base {

struct Strand::State : std::enable_shared_from_this<State> {
  explicit State(Workers& its_workers) : workers(its_workers) {}

  // On a worker: one task, so that others' tasks come in between, then the next one.
  void run_one();
  [[nodiscard]] bool schedule();

  Workers& workers;
  std::mutex mutex;
  std::deque<Task> waiting;   // under mutex
  bool is_scheduled = false;  // under mutex: a worker will run, or is running, run_one()
};

bool Strand::State::schedule() {
  return workers.post([self = shared_from_this()] { self->run_one(); });
}

void Strand::State::run_one() {
  for (;;) {
    Task task;
    {
      const std::lock_guard lock(mutex);
      task = std::move(waiting.front());
      waiting.pop_front();
    }
    task();
    task = Task();
    {
      const std::lock_guard lock(mutex);
      if (waiting.empty()) {
        is_scheduled = false;
        return;
      }
    }
    // Where there is no room to wait for its turn again, it goes on at once: what was taken runs.
    if (schedule()) return;
  }
}

Strand::Strand(Workers& workers) : state_(std::make_shared<State>(workers)) {}

bool Strand::post(Task task) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->waiting.push_back(std::move(task));
    if (state_->is_scheduled) return true;
    state_->is_scheduled = true;
  }
  if (state_->schedule()) return true;
  // Nobody has begun, so it is still the only one.
  const std::lock_guard lock(state_->mutex);
  state_->waiting.clear();
  state_->is_scheduled = false;
  return false;
}

}  // namespace rockdove::base
