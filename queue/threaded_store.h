// The real store: one committer thread writes (queue/committer.h), two reader threads read
// (queue/reading.h), one of low priority makes the history's index (queue/indexer.h). Loops hand
// over what a turn brought at the turn's end, with one lock and one wake-up, and hear back in one
// post a group.
//
// Destroyed after the loops' last turn, which still refers to it, and before the Loop objects,
// which it still posts to. commit() and write_chunk() are called on the thread of the loop that
// they name, drop_chunks() on that of the loop that had the chunks written.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "queue/committer.h"
#include "queue/history_keeper.h"
#include "queue/indexer.h"
#include "queue/reading.h"
#include "queue/settings.h"
#include "queue/store.h"
#include "queue/trace.h"

namespace rockdove::queue {

class ThreadedStore final : public Store {
 public:
  // Opens the rows, which may replay a log, and starts the threads.
  [[nodiscard]] static Result<std::unique_ptr<ThreadedStore>> start(StoreSettings settings);
  // Writes what was handed over first.
  ~ThreadedStore() override;
  ThreadedStore(const ThreadedStore&) = delete;
  ThreadedStore& operator=(const ThreadedStore&) = delete;

  // For base::IdGenerator, as of the start.
  [[nodiscard]] MessageId highest_id() const { return committer_.highest_id(); }

  // Called on the committer's thread after the rows were replaced, when they take writes again:
  // loops then look for their queues anew. Set before the first commit.
  void on_reopened(std::function<void()> reopened) { committer_.on_reopened(std::move(reopened)); }

  [[nodiscard]] StoreStatistics statistics() const { return committer_.statistics(); }

  // Below it MAIL is answered 452. From any thread; counts from the next look at the disk.
  void change_min_free_disk(std::uint64_t octets) { committer_.change_min_free_disk(octets); }

  // What is too old or too much goes within some minutes. From any thread; until the first call
  // nothing goes.
  void keep_history(const HistoryLimits& limits);

  // After a reload: whether what comes from now on is indexed. What came meanwhile is caught up
  // with later.
  void change_history(const HistorySettings& settings) { is_indexing_ = settings.is_kept; }

  [[nodiscard]] Readiness readiness() const override { return committer_.readiness(); }

  void commit(base::Loop& loop, Change change, Done<void> done) override;
  void write_chunk(base::Loop& loop, MessageId id, std::uint32_t index,
                   std::shared_ptr<const std::string> octets, Done<void> done) override;
  void drop_chunks(MessageId id, std::uint32_t chunks) override;
  void read_chunk(base::Loop& loop, MessageId id, std::uint32_t index,
                  Done<std::shared_ptr<const std::string>> done) override;
  void load(base::Loop& loop, LoadRequest request, Done<LoadedQueue> done) override;
  void find_queues(base::Loop& loop, unsigned loops, Done<std::vector<FoundQueue>> done) override;
  void list(base::Loop& loop, ListRequest request, Done<ListedPage> done) override;
  void select(base::Loop& loop, SelectRequest request, Done<SelectedPage> done) override;
  void summarise(base::Loop& loop, SummaryRequest request, Done<QueueSummary> done) override;
  void read_deliveries(base::Loop& loop, ReadRequest request, Done<ReadDeliveries> done) override;
  void find_overdue(base::Loop& loop, unsigned loops, OverdueRequest request,
                    Done<OverduePage> done) override;
  void view(base::Loop& loop, MessageId id, Done<MessageView> done) override;
  void read_report_state(base::Loop& loop, MessageId id, Done<ReportState> done) override;
  void read_notes(base::Loop& loop, std::string kind, Done<std::vector<NotedRow>> done) override;
  void trace(base::Loop& loop, TraceRequest request, Done<TracedPage> done) override;
  void walk_history(base::Loop& loop, WalkRequest request,
                    std::function<void(const TracedMessage&)> visit,
                    Done<std::optional<MessageId>> done) override;

 private:
  static constexpr std::size_t kReaders = 2;

  // What a loop's turn has brought so far; but for `thread`, its thread's own.
  struct Outbox {
    std::atomic<std::thread::id> thread{};  // none yet: nothing was ever brought
    std::vector<Committer::Commit> commits;
    std::vector<Committer::Chunk> chunks;
    bool will_hand_over = false;
  };

  explicit ThreadedStore(StoreSettings settings);

  [[nodiscard]] Outbox& outbox_of(base::Loop& loop);
  template <typename T, typename Read>
  void read(base::Loop& loop, Done<T> done, Read read);
  void add_job(base::Task job);
  void run_reader();
  void run_indexer();
  // False: the store is to stop.
  [[nodiscard]] bool wait_for_stretch(std::uint64_t changes_before);
  void keep_house(HistoryKeeper& keeper);
  void index(Indexer& indexer);
  void collect(Rows::Urgency urgency);
  void tell(const Damaged& damaged) const;
  void warn_once(std::string text, std::string& last) const;

  const StoreSettings settings_;
  RowsHolder rows_;
  Committer committer_;
  std::array<Outbox, base::kLoopsMax> outboxes_;

  std::mutex mutex_;
  std::condition_variable has_jobs_;
  std::deque<base::Task> jobs_;
  bool is_stopping_ = false;
  std::atomic<bool> is_collecting_ = false;
  std::atomic<bool> is_indexing_;
  std::condition_variable stops_;
  std::array<std::thread, kReaders> readers_;
  std::thread indexer_;
  std::optional<HistoryLimits> history_limits_;  // under mutex_
  std::string history_failed_;                   // what was said of it last
  std::string indexing_failed_;                  // likewise
};

}  // namespace rockdove::queue
