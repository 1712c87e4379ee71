// The event loop of one thread, on libuv: its clock, its timers, what other threads post to it.
//
// One turn is: wait, handle what has arrived (turn_shares.h says how much of it), run what was
// asked for the turn's end, hand over in one batch each what was posted to other loops. Declare it
// before everything that lives on it; run() on its own thread; destroy it when all that lives on it
// is gone and no other loop runs that may still post to it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "mta/base/loop.h"
#include "mta/net/deadline_heap.h"
#include "mta/net/turn_shares.h"

namespace rockdove::net {

class UvLoop : public base::Loop {
 public:
  // `index` as of base::Loop. Ends the process when the machine gives no epoll or eventfd any more.
  explicit UvLoop(unsigned index);
  // After run() has returned, or when it never ran. Closes what is left.
  ~UvLoop() override;
  UvLoop(const UvLoop&) = delete;
  UvLoop& operator=(const UvLoop&) = delete;

  // Makes the calling thread the loop's thread until stop(); once in the loop's life. What has been
  // posted and not run by then is destroyed unrun. SIGPIPE is ignored in the whole process from
  // here on: a peer that went away is an error of the write.
  void run();

  // Any thread, also before run(): ends run() after the turn in which it is noticed.
  void stop();

  [[nodiscard]] unsigned index() const override { return index_; }

  [[nodiscard]] base::Now now() const override;
  void post(base::Task task) override;
  void at_turn_end(base::Task task) override;
  [[nodiscard]] std::unique_ptr<base::Timer> make_timer(base::Task callback) override;

  // For what is timed often, as a connection: a Deadline on this heap needs no allocation.
  [[nodiscard]] DeadlineHeap& deadlines() { return deadlines_; }

  // What libuv calls after waiting says so first: from here on the thread's processor time is the
  // turn's.
  void begin_turn();

  // What the connections may still move in this turn.
  [[nodiscard]] TurnShares& shares() { return shares_; }

  // What has arrived is read into here by whoever is called, and used before he returns: one buffer
  // for all connections of the loop.
  static constexpr std::size_t kReadBufferOctets = 64 * 1024;

  [[nodiscard]] char* read_buffer() { return read_buffer_.get(); }

  // Likewise, for what TLS makes of that; at least `octets`. Made when it is needed first.
  [[nodiscard]] std::span<char> plaintext_room(std::size_t octets);

 private:
  friend class UvHandleAccess;
  struct Handles;  // the libuv loop and its own handles

  // What this loop has posted to another in this turn.
  struct Outbox {
    UvLoop* target;
    std::vector<base::Task> tasks;
  };

  // Work at the turn's end may ask for more of it; after this many rounds the rest waits a turn.
  static constexpr int kRoundsMax = 8;

  void take_inbox();
  void accept_posts(std::vector<base::Task>& tasks);  // any thread; leaves `tasks` empty
  void end_turn();
  void record_turn() const;
  void record_processor_time();
  void flush_outboxes();
  void arm_timer();

  void forget_time() { time_is_read_ = false; }

  void drop_tasks();

  const unsigned index_;
  std::unique_ptr<Handles> handles_;
  std::unique_ptr<char[]> read_buffer_;
  std::vector<char> plaintext_room_;

  // The loop's thread only.
  mutable base::Now now_{};
  mutable bool time_is_read_ = false;
  std::chrono::nanoseconds processor_time_{};  // of the thread, when the turn began
  bool has_turn_begun_ = false;
  DeadlineHeap deadlines_;
  TurnShares shares_;
  base::Instant timer_at_ = base::kNever;
  std::vector<base::Task> turn_end_;
  std::vector<base::Task> running_;  // keeps its capacity from turn to turn
  std::vector<Outbox> outboxes_;

  std::atomic<bool> stopping_ = false;

  std::mutex inbox_mutex_;
  std::vector<base::Task> inbox_;  // under inbox_mutex_
  bool ended_ = false;             // under inbox_mutex_
};

}  // namespace rockdove::net
