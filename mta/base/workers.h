// Threads for what burns processor time (password hashes, signatures), so that no event loop stands
// still for it. Work that waits is bounded: whoever posts is told when there is no room, and
// answers its own client "not now". Not for waiting on disks or networks: a worker that waits is
// lost to all.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "mta/base/loop.h"

namespace rockdove::base {

class Workers {
 public:
  virtual ~Workers() = default;

  // Any thread. Runs `task` on a worker, in the order of posting as far as one worker goes; its
  // result is a post to a loop. false: too much waits already, or the pool ends; the task was
  // destroyed unrun.
  [[nodiscard]] virtual bool post(Task task) = 0;

  // How many tasks run at once.
  [[nodiscard]] virtual unsigned threads() const = 0;
};

// Processors, but at least 2, so that one long task does not hold up everything.
[[nodiscard]] unsigned default_worker_threads();

class WorkerPool final : public Workers {
 public:
  // Called on each thread as it begins, with its number from 0; what it returns is destroyed there
  // when the thread ends.
  using ThreadBegins = std::function<std::shared_ptr<void>(unsigned thread)>;

  // `waiting_max`: tasks that wait for a thread, at most. The threads have the caller's signal
  // mask.
  WorkerPool(unsigned threads, std::size_t waiting_max, ThreadBegins begins = nullptr);
  // What runs is waited for, what waits is destroyed unrun.
  ~WorkerPool() override;
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  [[nodiscard]] bool post(Task task) override;

  [[nodiscard]] unsigned threads() const override { return thread_count_; }

 private:
  void work(unsigned thread);

  const unsigned thread_count_;
  const std::size_t waiting_max_;
  const ThreadBegins begins_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Task> waiting_;  // under mutex_
  bool ending_ = false;       // under mutex_
  std::vector<std::thread> threads_;
};

}  // namespace rockdove::base
