// A loop that is a thread with a list of tasks: for tests of what crosses threads. Timers are not
// part of it.
#pragma once

#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "mta/base/assert.h"
#include "mta/base/loop.h"

namespace rockdove::tests {

class ThreadLoop final : public base::Loop {
 public:
  explicit ThreadLoop(unsigned index) : index_(index), thread_([this] { run(); }) {}

  ~ThreadLoop() override {
    {
      const std::lock_guard lock(mutex_);
      is_over_ = true;
    }
    arrived_.notify_one();
    thread_.join();
  }

  ThreadLoop(const ThreadLoop&) = delete;
  ThreadLoop& operator=(const ThreadLoop&) = delete;

  [[nodiscard]] unsigned index() const override { return index_; }

  [[nodiscard]] base::Now now() const override { return base::read_clocks(); }

  void post(base::Task task) override {
    {
      const std::lock_guard lock(mutex_);
      if (is_over_) return;
      tasks_.push_back(std::move(task));
    }
    arrived_.notify_one();
  }

  void at_turn_end(base::Task task) override { at_end_.push_back(std::move(task)); }

  [[nodiscard]] std::unique_ptr<base::Timer> make_timer(base::Task) override {
    MTA_ASSERT(false && "this loop has no timers");
    return nullptr;
  }

  // Runs `function` on the loop's thread and waits until it has returned.
  template <typename Function>
  void call(Function function) {
    std::promise<void> done;
    post([&] {
      function();
      done.set_value();
    });
    done.get_future().wait();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      arrived_.wait(lock, [this] { return is_over_ || !tasks_.empty(); });
      if (is_over_) break;
      std::vector<base::Task> turn = std::exchange(tasks_, {});
      lock.unlock();
      for (base::Task& task : turn) task();
      for (base::Task& task : std::exchange(at_end_, {})) task();
      turn.clear();
      lock.lock();
    }
    std::vector<base::Task> unrun = std::exchange(tasks_, {});
    lock.unlock();
  }

  const unsigned index_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<base::Task> tasks_;
  std::vector<base::Task> at_end_;
  bool is_over_ = false;
  std::thread thread_;
};

}  // namespace rockdove::tests
