#include "mta/outbound/file_threads.h"

#include <functional>
#include <utility>

namespace rockdove::outbound {

FileThreads::~FileThreads() = default;

void FileThreads::run(std::string_view folder, base::Task work, base::Task done) {
  std::unique_ptr<Worker>& worker = workers_[std::hash<std::string_view>()(folder) % kThreadsMax];
  if (worker == nullptr) worker = std::make_unique<Worker>(loop_);
  worker->add({std::move(work), std::move(done)});
}

FileThreads::Worker::Worker(base::Loop& loop) : thread_([this, &loop] { work(loop); }) {}

FileThreads::Worker::~Worker() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void FileThreads::Worker::add(Piece piece) {
  {
    const std::lock_guard lock(mutex_);
    pieces_.push_back(std::move(piece));
  }
  changed_.notify_one();
}

void FileThreads::Worker::work(base::Loop& loop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !pieces_.empty(); });
    if (stopping_) return;
    Piece piece = std::move(pieces_.front());
    pieces_.pop_front();
    lock.unlock();
    piece.work();
    loop.post(std::move(piece.done));
    lock.lock();
  }
}

}  // namespace rockdove::outbound
