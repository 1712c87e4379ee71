// The one thread that writes the queue. It takes all that waits as one group with one sync, answers
// each loop with one post a group, and writes pieces of large bodies in between, unsynced.
//
// A failed write ends the instance of the rows (fact 10 of architecture.md): acceptances are then
// answered with an error, results are kept; once a probe file can be written and synced the rows
// are closed and opened again and the results written, if the failed group is not there after all.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "mta/base/loop.h"
#include "queue/index_fence.h"
#include "queue/ledger.h"
#include "queue/rows_holder.h"
#include "queue/store.h"

namespace rockdove::queue {

struct StoreSettings {
  // Opens the rows, at the start and after each failure.
  std::function<Result<std::unique_ptr<Rows>>()> open;
  std::string state_dir;            // where the probe file is written and free space is looked at
  std::uint64_t min_free_disk = 0;  // octets
  base::Duration housekeeping = std::chrono::seconds(1);  // between probes, and looks at the disk
  base::Duration busy_after = std::chrono::seconds(5);  // that a change waited, nobody may add more
  bool is_indexed = true;                               // whether the history's index is made
  base::Duration index_each = std::chrono::seconds(60);  // or when very many messages have come
  // Below which id the stretches of ids are closed that the index takes up; empty: by the clock.
  std::function<MessageId()> closed_below;
  // Told what an operator should know; from any of the store's threads. May be empty.
  std::function<void(std::string_view)> warn;
  // Called on the committer's thread; what it returns lives as long as the thread. May be empty.
  std::function<std::shared_ptr<void>()> at_thread_start;
  // Told which messages have left the queue, after the group with their last deliveries; on the
  // committer's thread. May be empty.
  std::function<void(std::vector<MessageId>)> gone;
  // Outlives the store; while it is false, or null, nobody is told.
  const std::atomic<bool>* tells_gone = nullptr;
};

// Since the start.
struct StoreStatistics {
  std::uint64_t changes = 0;
  std::uint64_t groups = 0;
  std::uint64_t chunks = 0;
  std::uint64_t reopenings = 0;
  std::chrono::nanoseconds write_time{0};  // of groups, syncs included
  std::size_t inbox_octets = 0;            // now
  std::uint64_t disk_free = 0;             // octets, at the last look
  std::uint64_t disk_size = 0;             // likewise; 0: none is looked at
};

class Committer {
 public:
  // What a loop hands over.
  struct Commit {
    base::Loop* loop;
    Change change;
    Done<void> done;
    base::Instant at;
  };

  struct Chunk {
    base::Loop* loop;  // null: drop the message's chunks
    MessageId message;
    std::uint32_t index;
    std::shared_ptr<const std::string> octets;
    Done<void> done;
  };

  Committer(const StoreSettings& settings, RowsHolder& rows);
  ~Committer();
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  // Opens the rows; then start() once. `idle` is called on the committer's thread when there was
  // nothing to do for a while, or the disk runs full.
  [[nodiscard]] Result<void> open();
  void start(std::function<void(Rows::Urgency)> idle);
  // Writes what was handed over, unless the disk fails, and ends the thread.
  void stop();

  // Any thread: octets of the disk beyond those that are to stay free, at the last look.
  [[nodiscard]] std::uint64_t spare_disk() const {
    const std::uint64_t free = disk_free_.load(std::memory_order_relaxed);
    return free - std::min(free, min_free_disk_.load(std::memory_order_relaxed));
  }

  // Any thread: after a reload.
  void change_min_free_disk(std::uint64_t octets) {
    min_free_disk_.store(octets, std::memory_order_relaxed);
  }

  // Any thread; both vectors are emptied.
  void hand_over(std::vector<Commit>& commits, std::vector<Chunk>& chunks);
  [[nodiscard]] Readiness readiness() const;
  [[nodiscard]] StoreStatistics statistics() const;

  void on_reopened(std::function<void()> reopened) { reopened_ = std::move(reopened); }

  [[nodiscard]] MessageId highest_id() const { return highest_id_; }

  // Any thread: from which id on there is history is noted with the next housekeeping.
  void note_history_floor(MessageId floor) { floor_wanted_.store(floor.value); }

  // Any thread.
  [[nodiscard]] IndexFence& index_fence() { return fence_; }

 private:
  enum class Work : std::uint8_t { Some, None, Stop };

  void run();
  [[nodiscard]] Work take_work(base::Duration wait_at_most);
  void write_group();
  void take_group();
  void write_chunks();
  [[nodiscard]] Result<void> write_chunks_of(MessageId message);
  [[nodiscard]] Result<void> write_one(Chunk& chunk);
  void replace_rows(const Error& why);
  [[nodiscard]] Result<void> try_reopen();
  [[nodiscard]] Result<void> write_kept();
  [[nodiscard]] Result<void> settle_group();
  [[nodiscard]] Result<void> write_probe() const;
  void refuse_waiting(const Error& why);
  void answer(base::Loop* loop, Done<void> done, std::optional<Error> error);
  void post_answers();
  void note_oldest();
  void keep_house(Work work);
  void look_at_disk();
  void warn(std::string_view text) const;
  void tell_gone() const;

  const StoreSettings& settings_;
  std::atomic<std::uint64_t> min_free_disk_;
  RowsHolder& rows_;
  std::function<void(Rows::Urgency)> idle_;
  std::function<void()> reopened_;
  MessageId highest_id_;

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Commit> inbox_;
  std::vector<Chunk> chunk_inbox_;
  std::size_t last_group_ = 0;  // changes in the group written last; the committer's own
  bool has_urgent_ = false;     // somebody waits for what came: an acceptance, a chunk
  bool is_stopping_ = false;

  std::atomic<std::size_t> inbox_octets_ = 0;
  std::atomic<std::int64_t> oldest_ = 0;  // an Instant's count; 0: nothing waits
  std::atomic<bool> has_failed_ = false;
  std::atomic<bool> is_disk_full_ = false;
  std::atomic<std::uint64_t> disk_free_ = 0;
  std::atomic<std::uint64_t> disk_size_ = 0;
  std::atomic<std::uint64_t> floor_wanted_ = 0;  // 0: it stays as it is
  std::atomic<std::uint64_t> changes_ = 0;
  std::atomic<std::uint64_t> groups_ = 0;
  std::atomic<std::uint64_t> chunks_count_ = 0;
  std::atomic<std::uint64_t> reopenings_ = 0;
  std::atomic<std::int64_t> write_nanoseconds_ = 0;

  // The thread's own.
  struct Answers {
    base::Loop* loop;
    std::vector<std::pair<Done<void>, std::optional<Error>>> done;
  };

  IndexFence fence_;
  std::unique_ptr<Ledger> ledger_;
  std::deque<Commit> commits_;
  std::deque<Chunk> chunks_;
  std::vector<Commit> group_;
  std::vector<Answers> answers_;
  std::chrono::nanoseconds chunk_time_{0};  // may be spent on chunks while changes wait
  base::Instant housekept_{};
  base::Instant collected_{};
  bool has_given_up_ = false;  // stopped while the disk failed
  std::thread thread_;
};

}  // namespace rockdove::queue
