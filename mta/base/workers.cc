#include "mta/base/workers.h"

#include <algorithm>
#include <utility>

#include "mta/base/assert.h"

namespace rockdove::base {

unsigned default_worker_threads() {
  return std::max(2U, std::thread::hardware_concurrency());
}

WorkerPool::WorkerPool(unsigned threads, std::size_t waiting_max, ThreadBegins begins)
    : thread_count_(threads), waiting_max_(waiting_max), begins_(std::move(begins)) {
  MTA_ASSERT(threads > 0);
  threads_.reserve(threads);
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this, i] { work(i); });
}

WorkerPool::~WorkerPool() {
  std::deque<Task> unrun;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    unrun.swap(waiting_);
  }
  arrived_.notify_all();
  unrun.clear();
  for (std::thread& thread : threads_) thread.join();
}

bool WorkerPool::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    if (ending_ || waiting_.size() >= waiting_max_) return false;
    waiting_.push_back(std::move(task));
  }
  arrived_.notify_one();
  return true;
}

void WorkerPool::work(unsigned thread) {
  const std::shared_ptr<void> its = begins_ ? begins_(thread) : nullptr;
  std::unique_lock lock(mutex_);
  for (;;) {
    arrived_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
    if (ending_) return;
    Task task = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    task();
    task = Task();  // what it owned is destroyed without the lock, too
    lock.lock();
  }
}

}  // namespace rockdove::base
