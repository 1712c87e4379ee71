#include "tests/sim/sim_loop.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace rockdove::sim {

class SimLoop::SimTimer final : public base::Timer {
 public:
  SimTimer(SimLoop& loop, base::Task callback)
      : loop_(loop), callback_(std::make_shared<base::Task>(std::move(callback))) {}

  ~SimTimer() override { cancel(); }

  SimTimer(const SimTimer&) = delete;
  SimTimer& operator=(const SimTimer&) = delete;

  void set(base::Instant at) override {
    cancel();
    if (at == base::kNever) return;
    // Never early; up to a millisecond late, as real timers are.
    const auto late = std::chrono::microseconds(loop_.random_.below(1000));
    handle_ = loop_.at(std::max(at, loop_.now().instant) + late, [this] {
      handle_.reset();
      const std::shared_ptr<base::Task> kept = callback_;
      (*kept)();
    });
  }

 private:
  void cancel() {
    if (handle_) loop_.cancel(*handle_);
    handle_.reset();
  }

  SimLoop& loop_;
  std::shared_ptr<base::Task> callback_;
  std::optional<Agenda::Handle> handle_;
};

void SimLoop::post(base::Task task) {
  if (stopped_) return;
  base::Instant& last = last_post_[agenda_.current()];
  // Half of all posts arrive at once, so that turns with several of them are common.
  const auto delay = std::chrono::microseconds(random_.below(2) == 0 ? 0 : random_.below(300));
  last = std::max(last, agenda_.instant() + delay);
  at(last, std::move(task));
}

void SimLoop::at_turn_end(base::Task task) {
  if (stopped_) return;
  turn_end_.push_back(std::move(task));
  if (agenda_.current() == this || turn_end_planned_) return;
  turn_end_planned_ = true;  // from outside of any turn: the next one is now
  at(agenda_.instant(), [] {});
}

std::unique_ptr<base::Timer> SimLoop::make_timer(base::Task callback) {
  return std::make_unique<SimTimer>(*this, std::move(callback));
}

Agenda::Handle SimLoop::at(base::Instant when, base::Task task) {
  if (stopped_) return {base::kNever, 0};
  return agenda_.at(when, this, [this, task = std::move(task)]() mutable {
    // The first task of a turn runs the turn; further ones are run by it.
    if (agenda_.current() == this) return task();
    run_turn(std::move(task));
  });
}

void SimLoop::run_turn(base::Task task) {
  agenda_.set_current(this);
  task();
  for (int tasks = 1; tasks < kTasksMaxPerTurn; ++tasks) {
    std::optional<base::Task> more = agenda_.take_due(this);
    if (!more) break;
    (*more)();
  }
  turn_end_planned_ = false;
  for (int tasks = 0; !turn_end_.empty(); ++tasks) {
    std::vector<base::Task> ending = std::exchange(turn_end_, {});
    for (base::Task& end : ending) end();
    if (tasks > kTurnEndTasksMax) {
      agenda_.fail("a turn does not end: its tasks ask for the turn's end again and again");
      break;
    }
  }
  agenda_.set_current(nullptr);
}

void SimLoop::stop() {
  stopped_ = true;
  turn_end_.clear();
  agenda_.drop(this);
}

}  // namespace rockdove::sim
