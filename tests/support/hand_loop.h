// A loop that is turned by hand, with a clock that a test sets: run() does all that is due now,
// pass() lets time go by, waking timers in their order.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "mta/base/loop.h"

namespace rockdove::tests {

class HandLoop final : public base::Loop {
 public:
  [[nodiscard]] unsigned index() const override { return 0; }

  [[nodiscard]] base::Now now() const override {
    return {base::Instant(std::chrono::hours(1)) + passed_,
            base::from_unix_milliseconds(1'795'295'700'000) + passed_};  // 2026-11-21 21:15 UTC
  }

  // From any thread.
  void post(base::Task task) override {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }

  void at_turn_end(base::Task task) override { post(std::move(task)); }

  [[nodiscard]] std::unique_ptr<base::Timer> make_timer(base::Task callback) override {
    return std::make_unique<HandTimer>(*this, std::move(callback));
  }

  // Tasks, and timers that are due, until nothing is left to do now.
  void run() {
    for (;;) {
      while (base::Task task = take_task()) task();
      HandTimer* due = next_timer();
      if (due == nullptr || due->at > now().instant) return;
      due->at = base::kNever;
      due->callback();
    }
  }

  void pass(base::Duration time) {
    run();
    const base::Duration end = passed_ + time;
    for (HandTimer* next = next_timer(); next != nullptr; next = next_timer()) {
      const auto due = std::chrono::ceil<base::Duration>(next->at - now().instant);
      if (passed_ + due > end) break;
      passed_ += due;
      run();
    }
    passed_ = end;
    run();
  }

 private:
  struct HandTimer final : base::Timer {
    HandTimer(HandLoop& on, base::Task task) : loop(on), callback(std::move(task)) {
      loop.timers_.push_back(this);
    }

    ~HandTimer() override { std::erase(loop.timers_, this); }

    void set(base::Instant when) override { at = when; }

    HandLoop& loop;
    base::Task callback;
    base::Instant at = base::kNever;
  };

  // Empty: there is none.
  [[nodiscard]] base::Task take_task() {
    const std::lock_guard lock(mutex_);
    if (tasks_.empty()) return {};
    base::Task task = std::move(tasks_.front());
    tasks_.pop_front();
    return task;
  }

  // Null: none is set.
  [[nodiscard]] HandTimer* next_timer() const {
    HandTimer* next = nullptr;
    for (HandTimer* timer : timers_) {
      if (timer->at != base::kNever && (next == nullptr || timer->at < next->at)) next = timer;
    }
    return next;
  }

  base::Duration passed_{0};
  std::mutex mutex_;
  std::deque<base::Task> tasks_;
  std::vector<HandTimer*> timers_;
};

}  // namespace rockdove::tests
