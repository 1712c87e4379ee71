// Threads for work that waits for a disk: writing maildirs. Work for one folder is done by one
// thread, in order, so that a folder that hangs (a network file system) holds up few others; its
// result is handed back to the loop. Threads begin with the first work for them.
//
// Belongs to one loop. How much work waits is bounded by who hands it in: a session has one piece
// under way.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>

#include "mta/base/loop.h"

namespace rockdove::outbound {

class FileThreads {
 public:
  static constexpr std::size_t kThreadsMax = 8;

  // `loop` outlives it.
  explicit FileThreads(base::Loop& loop) : loop_(loop) {}

  // Waits for work that has begun; the rest is dropped, with its `done`.
  ~FileThreads();
  FileThreads(const FileThreads&) = delete;
  FileThreads& operator=(const FileThreads&) = delete;

  // `work` on the folder's thread, then `done` on the loop.
  void run(std::string_view folder, base::Task work, base::Task done);

 private:
  struct Piece {
    base::Task work;
    base::Task done;
  };

  struct Worker {
    explicit Worker(base::Loop& loop);
    ~Worker();
    void add(Piece piece);

   private:
    void work(base::Loop& loop);

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Piece> pieces_;
    bool stopping_ = false;
    std::thread thread_;  // the last member: it uses the others
  };

  base::Loop& loop_;
  std::array<std::unique_ptr<Worker>, kThreadsMax> workers_;  // null: nothing was asked of it yet
};

}  // namespace rockdove::outbound
