#include "queue/threaded_store.h"

#include <algorithm>
#include <pthread.h>
#include <unistd.h>
#include <utility>

#include <sys/resource.h>
#include <sys/syscall.h>

#include "mta/base/assert.h"
#include "queue/reading_acts.h"

namespace rockdove::queue {
namespace {

// A stretch of ids is closed when it is so old; what comes even later is noted by its writer.
constexpr std::chrono::seconds kStretchGrace{5};
constexpr base::Duration kStretchLook = std::chrono::seconds(2);

}  // namespace

ThreadedStore::ThreadedStore(StoreSettings settings)
    : settings_(std::move(settings)),
      committer_(settings_, rows_),
      is_indexing_(settings_.is_indexed) {}

Result<std::unique_ptr<ThreadedStore>> ThreadedStore::start(StoreSettings settings) {
  std::unique_ptr<ThreadedStore> store(new ThreadedStore(std::move(settings)));
  if (Result<void> opened = store->committer_.open(); !opened) return opened.error();
  for (std::thread& reader : store->readers_) {
    reader = std::thread([self = store.get()] { self->run_reader(); });
  }
  store->indexer_ = std::thread([self = store.get()] { self->run_indexer(); });
  store->committer_.start([self = store.get()](Rows::Urgency urgency) { self->collect(urgency); });
  return store;
}

ThreadedStore::~ThreadedStore() {
  committer_.stop();
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  rows_.cancel();
  has_jobs_.notify_all();
  stops_.notify_all();
  if (indexer_.joinable()) indexer_.join();
  for (std::thread& reader : readers_) {
    if (reader.joinable()) reader.join();
  }
}

ThreadedStore::Outbox& ThreadedStore::outbox_of(base::Loop& loop) {
  Outbox& outbox = outboxes_.at(loop.index());
  if (!outbox.will_hand_over) {
    outbox.will_hand_over = true;
    outbox.thread.store(std::this_thread::get_id(), std::memory_order_relaxed);
    loop.at_turn_end([this, &outbox] {
      outbox.will_hand_over = false;
      committer_.hand_over(outbox.commits, outbox.chunks);
    });
  }
  return outbox;
}

void ThreadedStore::commit(base::Loop& loop, Change change, Done<void> done) {
  outbox_of(loop).commits.push_back(
      {&loop, std::move(change), std::move(done), loop.now().instant});
}

void ThreadedStore::write_chunk(base::Loop& loop, MessageId id, std::uint32_t index,
                                std::shared_ptr<const std::string> octets, Done<void> done) {
  MTA_ASSERT(octets != nullptr && octets->size() <= kBodyChunkOctets);
  outbox_of(loop).chunks.push_back({&loop, id, index, std::move(octets), std::move(done)});
}

void ThreadedStore::drop_chunks(MessageId id, std::uint32_t) {
  // The id says which loop made it, and that loop may have chunks of it to hand over first. What is
  // imported has an id of any loop; its chunks were handed over turns ago.
  constexpr unsigned kCounterBits = 14;
  Outbox& outbox = outboxes_.at((id.value >> kCounterBits) & (base::kLoopsMax - 1));
  Committer::Chunk drop{nullptr, id, 0, nullptr, {}};
  const bool is_ours = outbox.thread.load(std::memory_order_relaxed) == std::this_thread::get_id();
  if (is_ours && outbox.will_hand_over) {
    outbox.chunks.push_back(std::move(drop));
    return;
  }
  std::vector<Committer::Commit> none;
  std::vector<Committer::Chunk> chunks;
  chunks.push_back(std::move(drop));
  committer_.hand_over(none, chunks);
}

void ThreadedStore::add_job(base::Task job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  has_jobs_.notify_one();
}

void ThreadedStore::run_reader() {
  ::pthread_setname_np(::pthread_self(), "reader");
  std::unique_lock lock(mutex_);
  for (;;) {
    has_jobs_.wait(lock, [this] { return is_stopping_ || !jobs_.empty(); });
    if (is_stopping_) return;
    {
      base::Task job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
    }
    lock.lock();
  }
}

bool ThreadedStore::wait_for_stretch(std::uint64_t changes_before) {
  std::unique_lock lock(mutex_);
  const auto end = std::chrono::steady_clock::now() + settings_.index_each;
  while (!is_stopping_ && std::chrono::steady_clock::now() < end) {
    stops_.wait_for(lock, std::min(kStretchLook, settings_.index_each));
    // About as many acceptances as ends of deliveries.
    const std::uint64_t changes = committer_.statistics().changes - changes_before;
    if (changes / 2 >= IndexerLimits{}.messages_max) break;
  }
  return !is_stopping_;
}

void ThreadedStore::run_indexer() {
  ::pthread_setname_np(::pthread_self(), "indexer");
  // Linux has priorities of threads. Without them it only competes.
  static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), 10));
  Indexer indexer(committer_.index_fence());
  HistoryKeeper keeper;
  for (std::uint64_t changes = 0; wait_for_stretch(changes);) {
    changes = committer_.statistics().changes;
    keep_house(keeper);
    if (is_indexing_) index(indexer);
  }
}

void ThreadedStore::keep_history(const HistoryLimits& limits) {
  const std::lock_guard lock(mutex_);
  history_limits_ = limits;
}

void ThreadedStore::keep_house(HistoryKeeper& keeper) {
  std::optional<HistoryLimits> limits;
  {
    const std::lock_guard lock(mutex_);
    limits = history_limits_;
  }
  if (!limits) return;
  if (const std::uint64_t disk = committer_.statistics().disk_size; disk > 0) {
    limits = limits->on_disk(disk, committer_.spare_disk());
  }
  using Floor = std::optional<MessageId>;
  const Result<Floor> floor = rows_.with([&](Rows* rows) -> Result<Floor> {
    if (rows == nullptr || rows->failure()) return Floor();
    return keeper.look(*rows, *limits, rows_.is_cancelled());
  });
  warn_once(floor ? std::string() : floor.error().in("keeping the history").text(),
            history_failed_);
  if (floor && floor->has_value()) committer_.note_history_floor(**floor);
}

void ThreadedStore::index(Indexer& indexer) {
  const MessageId until = settings_.closed_below
                              ? settings_.closed_below()
                              : first_id_at(base::read_clocks().wall - kStretchGrace);
  for (bool more = true; more;) {
    if (committer_.readiness() == Readiness::DiskFull) return;  // what is left is for mail
    Damaged damaged;
    const Result<Indexer::Step> step = rows_.with([&](Rows* rows) -> Result<Indexer::Step> {
      if (rows == nullptr || rows->failure()) return Indexer::Step{};  // goes on in a minute
      return indexer.step(*rows, until, damaged);
    });
    tell(damaged);
    warn_once(step ? std::string() : step.error().text(), indexing_failed_);
    more = step && step->more && !rows_.is_cancelled();
  }
}

// "": there is nothing to say.
void ThreadedStore::warn_once(std::string text, std::string& last) const {
  if (text != last && !text.empty() && settings_.warn) settings_.warn(text);
  last = std::move(text);
}

// Reads on a reader's thread and hands the answer to the loop.
template <typename T, typename Read>
void ThreadedStore::read(base::Loop& loop, Done<T> done, Read read) {
  add_job([this, &loop, done = std::move(done), read = std::move(read)]() mutable {
    Damaged damaged;
    Result<T> result = rows_.with([&](const Rows* rows) -> Result<T> {
      if (rows == nullptr) return Error("the queue is being reopened");
      return read(*rows, damaged);
    });
    tell(damaged);
    loop.post([done = std::move(done), result = std::move(result)]() mutable {
      done(std::move(result));
    });
  });
}

void ThreadedStore::tell(const Damaged& damaged) const {
  if (!settings_.warn) return;
  for (const Error& error : damaged) settings_.warn(error.text());
}

void ThreadedStore::collect(Rows::Urgency urgency) {
  if (is_collecting_.exchange(true)) return;
  add_job([this, urgency] {
    const Result<void> collected = rows_.with([&](Rows* rows) {
      return rows == nullptr ? Result<void>() : rows->collect_garbage(urgency);
    });
    if (!collected && settings_.warn) settings_.warn(collected.error().text());
    is_collecting_ = false;
  });
}

void ThreadedStore::read_chunk(base::Loop& loop, MessageId id, std::uint32_t index,
                               Done<std::shared_ptr<const std::string>> done) {
  read<std::shared_ptr<const std::string>>(loop, std::move(done), [=](const Rows& rows, Damaged&) {
    return queue::read_chunk(rows, id, index);
  });
}

void ThreadedStore::load(base::Loop& loop, LoadRequest request, Done<LoadedQueue> done) {
  read<LoadedQueue>(loop, std::move(done),
                    [request = std::move(request)](const Rows& rows, Damaged& damaged) {
                      return queue::load(rows, request, damaged);
                    });
}

void ThreadedStore::find_queues(base::Loop& loop, unsigned loops,
                                Done<std::vector<FoundQueue>> done) {
  read<std::vector<FoundQueue>>(loop, std::move(done),
                                [index = loop.index(), loops](const Rows& rows, Damaged&) {
                                  return queue::find_queues(rows, index, loops);
                                });
}

void ThreadedStore::list(base::Loop& loop, ListRequest request, Done<ListedPage> done) {
  read<ListedPage>(loop, std::move(done),
                   [request = std::move(request)](const Rows& rows, Damaged& damaged) {
                     return queue::list(rows, request, damaged);
                   });
}

void ThreadedStore::select(base::Loop& loop, SelectRequest request, Done<SelectedPage> done) {
  read<SelectedPage>(loop, std::move(done),
                     [request = std::move(request)](const Rows& rows, Damaged& damaged) {
                       return select_deliveries(rows, request, damaged);
                     });
}

void ThreadedStore::summarise(base::Loop& loop, SummaryRequest request, Done<QueueSummary> done) {
  read<QueueSummary>(loop, std::move(done), [request](const Rows& rows, Damaged&) {
    return queue::summarise(rows, request);
  });
}

void ThreadedStore::read_deliveries(base::Loop& loop, ReadRequest request,
                                    Done<ReadDeliveries> done) {
  read<ReadDeliveries>(loop, std::move(done),
                       [request = std::move(request)](const Rows& rows, Damaged& damaged) {
                         return queue::read_deliveries(rows, request, damaged);
                       });
}

void ThreadedStore::find_overdue(base::Loop& loop, unsigned loops, OverdueRequest request,
                                 Done<OverduePage> done) {
  read<OverduePage>(
      loop, std::move(done),
      [request = std::move(request), index = loop.index(), loops](const Rows& rows, Damaged&) {
        return queue::find_overdue(rows, index, loops, request);
      });
}

void ThreadedStore::view(base::Loop& loop, MessageId id, Done<MessageView> done) {
  read<MessageView>(loop, std::move(done), [id](const Rows& rows, Damaged& damaged) {
    return view_message(rows, id, damaged);
  });
}

void ThreadedStore::read_report_state(base::Loop& loop, MessageId id, Done<ReportState> done) {
  read<ReportState>(loop, std::move(done), [id](const Rows& rows, Damaged&) {
    return queue::read_report_state(rows, id);
  });
}

void ThreadedStore::trace(base::Loop& loop, TraceRequest request, Done<TracedPage> done) {
  read<TracedPage>(loop, std::move(done),
                   [request = std::move(request)](const Rows& rows, Damaged& damaged) {
                     return queue::trace(rows, request, damaged);
                   });
}

void ThreadedStore::walk_history(base::Loop& loop, WalkRequest request,
                                 std::function<void(const TracedMessage&)> visit,
                                 Done<std::optional<MessageId>> done) {
  read<std::optional<MessageId>>(
      loop, std::move(done),
      [request, visit = std::move(visit)](const Rows& rows, Damaged& damaged) {
        return queue::walk_history(rows, request, visit, damaged);
      });
}

void ThreadedStore::read_notes(base::Loop& loop, std::string kind,
                               Done<std::vector<NotedRow>> done) {
  read<std::vector<NotedRow>>(loop, std::move(done),
                              [kind = std::move(kind)](const Rows& rows, Damaged&) {
                                return queue::read_notes(rows, kind);
                              });
}

}  // namespace rockdove::queue
