// The durable queue on the virtual clock: queue::Ledger and queue/reading.h over rows in memory.
// A commit takes the time of a sync; crash() forgets what was not synced; the disk may be full for
// a while, or a write may fail and be there all the same. Behaves as queue::ThreadedStore does.
//
// One object is one run of the process; the disk outlives it.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "queue/indexer.h"
#include "queue/ledger.h"
#include "queue/store.h"
#include "queue/trace.h"
#include "tests/sim/sim_loop.h"
#include "tests/support/memory_rows.h"

namespace rockdove::sim {

struct StoreManners {
  std::chrono::microseconds sync_max{3'000};
  std::chrono::microseconds read_max{2'000};
  base::Duration reopen_max = std::chrono::seconds(20);  // once the disk takes writes again
};

class SimStore final : public queue::Store {
 public:
  // Told of each change at the moment when it is in the rows.
  using Applied = std::function<void(const queue::Change&)>;

  SimStore(Agenda& agenda, base::Random& random, tests::MemoryDisk& disk, StoreManners manners,
           Applied applied);
  ~SimStore() override;
  SimStore(const SimStore&) = delete;
  SimStore& operator=(const SimStore&) = delete;

  [[nodiscard]] queue::MessageId highest_id() const { return highest_id_; }

  // Called when the rows were replaced after a failure.
  void on_reopened(std::function<void()> reopened) { reopened_ = std::move(reopened); }

  // The process ends. What is being written may or may not be there; nobody hears of it.
  void crash();

  // The next group fails, whether or not it is there afterwards, as on a disk that is full until
  // free_space().
  void fail_next_group() { fail_next_ = true; }

  void fail_no_more() { fail_next_ = false; }

  // The next looks for queues fail, so many.
  void fail_looks(unsigned looks) { looks_to_fail_ = looks; }

  void set_stalled(bool stalled) { stalled_ = stalled; }

  [[nodiscard]] bool has_failed() const { return rows_ == nullptr; }

  // Nothing is on its way to the disk.
  [[nodiscard]] bool is_quiet() const {
    return rows_ != nullptr && commits_.empty() && group_.empty() && chunks_.empty();
  }

  [[nodiscard]] queue::Readiness readiness() const override;
  void commit(base::Loop& loop, queue::Change change, queue::Done<void> done) override;
  void write_chunk(base::Loop& loop, queue::MessageId id, std::uint32_t index,
                   std::shared_ptr<const std::string> octets, queue::Done<void> done) override;
  void drop_chunks(queue::MessageId id, std::uint32_t chunks) override;
  void read_chunk(base::Loop& loop, queue::MessageId id, std::uint32_t index,
                  queue::Done<std::shared_ptr<const std::string>> done) override;
  void load(base::Loop& loop, queue::LoadRequest request,
            queue::Done<queue::LoadedQueue> done) override;
  void find_queues(base::Loop& loop, unsigned loops,
                   queue::Done<std::vector<queue::FoundQueue>> done) override;
  void list(base::Loop& loop, queue::ListRequest request,
            queue::Done<queue::ListedPage> done) override;
  void select(base::Loop& loop, queue::SelectRequest request,
              queue::Done<queue::SelectedPage> done) override;
  void summarise(base::Loop& loop, queue::SummaryRequest request,
                 queue::Done<queue::QueueSummary> done) override;
  void read_deliveries(base::Loop& loop, queue::ReadRequest request,
                       queue::Done<queue::ReadDeliveries> done) override;
  void find_overdue(base::Loop& loop, unsigned loops, queue::OverdueRequest request,
                    queue::Done<queue::OverduePage> done) override;
  void view(base::Loop& loop, queue::MessageId id, queue::Done<queue::MessageView> done) override;
  void read_report_state(base::Loop& loop, queue::MessageId id,
                         queue::Done<queue::ReportState> done) override;
  void read_notes(base::Loop& loop, std::string kind,
                  queue::Done<std::vector<queue::NotedRow>> done) override;
  void trace(base::Loop& loop, queue::TraceRequest request,
             queue::Done<queue::TracedPage> done) override;
  void walk_history(base::Loop& loop, queue::WalkRequest request,
                    std::function<void(const queue::TracedMessage&)> visit,
                    queue::Done<std::optional<base::MessageId>> done) override;

 private:
  struct Commit {
    base::Loop* loop;
    queue::Change change;
    queue::Done<void> done;
  };

  struct Chunk {
    base::Loop* loop;  // null: drop the message's chunks
    queue::MessageId message;
    std::uint32_t index;
    std::shared_ptr<const std::string> octets;
    queue::Done<void> done;
  };

  using Answer = std::pair<queue::Done<void>, base::Result<void>>;

  void open();
  void want_write();
  void start_group();
  void end_group();
  void index();
  void write_chunks(std::optional<queue::MessageId> of);
  void fail(const base::Error& why);
  void try_reopen();
  void write_kept();
  void answer(base::Loop* loop, queue::Done<void> done, base::Result<void> result);
  void post_answers();
  [[nodiscard]] std::vector<const queue::Change*> changes_of_group() const;
  template <typename T, typename Read>
  void read(base::Loop& loop, queue::Done<T> done, Read read);

  Agenda& agenda_;
  base::Random& random_;
  tests::MemoryDisk& disk_;
  const StoreManners manners_;
  Applied applied_;
  std::function<void()> reopened_;
  std::unique_ptr<tests::MemoryRows> rows_;  // null: a write has failed
  std::unique_ptr<queue::Ledger> ledger_;
  queue::MessageId highest_id_;
  queue::IndexFence fence_;
  queue::Indexer indexer_{fence_};
  base::Instant index_at_{};
  std::deque<Commit> commits_;
  std::deque<Chunk> chunks_;
  std::vector<Commit> group_;
  std::vector<std::pair<base::Loop*, std::vector<Answer>>> answers_;
  bool write_planned_ = false;
  bool fail_next_ = false;
  bool stalled_ = false;
  unsigned looks_to_fail_ = 0;
  bool dead_ = false;
};

}  // namespace rockdove::sim
