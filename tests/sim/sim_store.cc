#include "tests/sim/sim_store.h"

#include <algorithm>

#include "mta/base/assert.h"
#include "queue/reading_acts.h"

namespace rockdove::sim {
namespace {

constexpr std::size_t kGroupChangesMax = 64;
constexpr base::Duration kProbeEvery = std::chrono::seconds(1);
constexpr base::Duration kIndexEvery = std::chrono::seconds(60);
constexpr base::Duration kIndexGrace = std::chrono::seconds(5);

}  // namespace

SimStore::SimStore(Agenda& agenda, base::Random& random, tests::MemoryDisk& disk,
                   StoreManners manners, Applied applied)
    : agenda_(agenda),
      random_(random),
      disk_(disk),
      manners_(manners),
      applied_(std::move(applied)) {
  open();
  highest_id_ = ledger_->highest_id();
}

SimStore::~SimStore() {
  agenda_.drop(this);
}

void SimStore::open() {
  rows_ = std::make_unique<tests::MemoryRows>(disk_);
  ledger_ = std::make_unique<queue::Ledger>(*rows_, fence_);
  const base::Result<void> opened = ledger_->open();
  MTA_ASSERT(opened.is_ok());
}

void SimStore::crash() {
  dead_ = true;
  // The last group had reached the disk, or had not.
  if (!group_.empty() && rows_ != nullptr && !disk_.is_full() && random_.below(2) == 0) {
    const std::vector<const queue::Change*> changes = changes_of_group();
    if (ledger_->apply(changes)) {
      for (const queue::Change* change : changes) applied_(*change);
    }
  }
  agenda_.drop(this);
  group_.clear();
  commits_.clear();
  chunks_.clear();
  answers_.clear();
  ledger_.reset();
  rows_.reset();
  disk_.crash(random_.below(4));
}

queue::Readiness SimStore::readiness() const {
  if (rows_ == nullptr) return queue::Readiness::Failed;
  return stalled_ ? queue::Readiness::Busy : queue::Readiness::Ready;
}

void SimStore::commit(base::Loop& loop, queue::Change change, queue::Done<void> done) {
  if (dead_) return;
  if (rows_ == nullptr && change.kind() == queue::Change::Kind::Acceptance) {
    answer(&loop, std::move(done), base::Error("the queue cannot be written"));
    return post_answers();
  }
  commits_.push_back({&loop, std::move(change), std::move(done)});
  want_write();
}

void SimStore::write_chunk(base::Loop& loop, queue::MessageId id, std::uint32_t index,
                           std::shared_ptr<const std::string> octets, queue::Done<void> done) {
  if (dead_) return;
  if (rows_ == nullptr) {
    answer(&loop, std::move(done), base::Error("the queue cannot be written"));
    return post_answers();
  }
  chunks_.push_back({&loop, id, index, std::move(octets), std::move(done)});
  want_write();
}

void SimStore::drop_chunks(queue::MessageId id, std::uint32_t chunks) {
  if (dead_ || rows_ == nullptr || chunks == 0) return;
  chunks_.push_back({nullptr, id, 0, nullptr, {}});
  want_write();
}

void SimStore::want_write() {
  if (write_planned_ || rows_ == nullptr) return;
  write_planned_ = true;
  const auto wake_up = std::chrono::microseconds(random_.below(200));
  agenda_.at(agenda_.instant() + wake_up, this, [this] { start_group(); });
}

void SimStore::start_group() {
  while (!commits_.empty() && group_.size() < kGroupChangesMax) {
    Commit commit = std::move(commits_.front());
    commits_.pop_front();
    if (commit.change.begins() && commit.change.begins()->chunks_before > 0) {
      write_chunks(commit.change.begins()->message);
      if (rows_ == nullptr) {  // that has failed
        if (commit.change.kind() == queue::Change::Kind::Acceptance) {
          answer(commit.loop, std::move(commit.done), base::Error("the queue cannot be written"));
        } else {
          group_.push_back(std::move(commit));
        }
        return post_answers();
      }
      if (base::Result<void> checked = ledger_->check(commit.change); !checked) {
        answer(commit.loop, std::move(commit.done), std::move(checked));
        continue;
      }
    }
    group_.push_back(std::move(commit));
  }
  const auto sync = std::chrono::microseconds(
      100 + random_.below(static_cast<std::uint64_t>(manners_.sync_max.count())));
  agenda_.at(agenda_.instant() + sync, this, [this] { end_group(); });
}

std::vector<const queue::Change*> SimStore::changes_of_group() const {
  std::vector<const queue::Change*> changes;
  for (const Commit& commit : group_) changes.push_back(&commit.change);
  return changes;
}

void SimStore::end_group() {
  write_planned_ = false;
  if (rows_ == nullptr) return;
  if (!group_.empty()) {
    const std::vector<const queue::Change*> changes = changes_of_group();
    const bool is_failing = std::exchange(fail_next_, false);
    const bool is_there_anyway = is_failing && random_.below(2) == 0;
    if (is_failing && !is_there_anyway) disk_.fill_after(0);
    const base::Result<void> applied = ledger_->apply(changes);
    if (applied) {
      for (const queue::Change* change : changes) applied_(*change);
    }
    if (is_failing) disk_.fill_after(0);
    if (!applied || is_failing) return fail(base::Error("No space left on device"));
    for (Commit& commit : group_) answer(commit.loop, std::move(commit.done), {});
    group_.clear();
  }
  write_chunks(std::nullopt);
  if (rows_ != nullptr) index();
  post_answers();
  if (!commits_.empty() || !chunks_.empty()) want_write();
}

void SimStore::write_chunks(std::optional<queue::MessageId> of) {
  for (auto chunk = chunks_.begin(); chunk != chunks_.end();) {
    if (of && chunk->message != *of) {
      ++chunk;
      continue;
    }
    Chunk next = std::move(*chunk);
    chunk = chunks_.erase(chunk);
    base::Result<void> written = next.octets == nullptr
                                     ? ledger_->drop_chunks(next.message)
                                     : ledger_->write_chunk(next.message, next.index, next.octets);
    const bool has_failed = !written;
    if (next.loop != nullptr) answer(next.loop, std::move(next.done), std::move(written));
    if (has_failed) return fail(base::Error("No space left on device"));
  }
}

// Acceptances hear of it, results are kept, until the disk takes writes again.
void SimStore::fail(const base::Error& why) {
  ledger_.reset();
  rows_.reset();
  write_planned_ = false;
  for (Commit& commit : group_) {
    if (commit.change.kind() == queue::Change::Kind::Acceptance && commit.done) {
      answer(commit.loop, std::move(commit.done), why);
      commit.done = {};
    }
  }
  std::erase_if(commits_, [this, &why](Commit& commit) {
    if (commit.change.kind() == queue::Change::Kind::Result) return false;
    answer(commit.loop, std::move(commit.done), why);
    return true;
  });
  for (Chunk& chunk : chunks_) {
    if (chunk.loop != nullptr) answer(chunk.loop, std::move(chunk.done), why);
  }
  chunks_.clear();
  post_answers();
  agenda_.at(agenda_.instant() + kProbeEvery, this, [this] { try_reopen(); });
}

void SimStore::try_reopen() {
  if (disk_.is_full()) {
    agenda_.at(agenda_.instant() + kProbeEvery, this, [this] { try_reopen(); });
    return;
  }
  const base::Duration takes(
      random_.below(static_cast<std::uint64_t>(manners_.reopen_max.count()) + 1));
  agenda_.at(agenda_.instant() + takes, this, [this] {
    if (disk_.is_full()) return try_reopen();
    open();
    write_kept();
    if (reopened_) reopened_();
    if (!commits_.empty()) want_write();
  });
}

void SimStore::write_kept() {
  const std::vector<const queue::Change*> changes = changes_of_group();
  const base::Result<bool> is_there = ledger_->is_applied(changes);
  MTA_ASSERT(is_there.is_ok());
  if (!*is_there) {
    std::vector<const queue::Change*> results;
    for (const queue::Change* change : changes) {
      if (change->kind() == queue::Change::Kind::Result) results.push_back(change);
    }
    const base::Result<void> applied = ledger_->apply(results);
    MTA_ASSERT(applied.is_ok());
    for (const queue::Change* change : results) applied_(*change);
  }
  for (Commit& commit : group_) {
    if (commit.done) answer(commit.loop, std::move(commit.done), {});
  }
  group_.clear();
  post_answers();
}

void SimStore::answer(base::Loop* loop, queue::Done<void> done, base::Result<void> result) {
  const auto found = std::find_if(answers_.begin(), answers_.end(),
                                  [loop](const auto& answers) { return answers.first == loop; });
  auto& answers =
      found == answers_.end() ? answers_.emplace_back(loop, std::vector<Answer>()) : *found;
  answers.second.emplace_back(std::move(done), std::move(result));
}

void SimStore::post_answers() {
  for (auto& [loop, answers] : std::exchange(answers_, {})) {
    loop->post([answers = std::move(answers)]() mutable {
      for (auto& [done, result] : answers) done(std::move(result));
    });
  }
}

template <typename T, typename Read>
void SimStore::read(base::Loop& loop, queue::Done<T> done, Read read) {
  if (dead_) return;
  const auto takes = std::chrono::microseconds(
      random_.below(static_cast<std::uint64_t>(manners_.read_max.count()) + 1));
  agenda_.at(agenda_.instant() + takes, this,
             [this, loop = &loop, done = std::move(done), read = std::move(read)]() mutable {
               base::Result<T> result =
                   rows_ == nullptr ? base::Result<T>(base::Error("the queue is being reopened"))
                                    : read(*rows_);
               loop->post([done = std::move(done), result = std::move(result)]() mutable {
                 done(std::move(result));
               });
             });
}

void SimStore::read_chunk(base::Loop& loop, queue::MessageId id, std::uint32_t index,
                          queue::Done<std::shared_ptr<const std::string>> done) {
  read(loop, std::move(done),
       [id, index](const queue::Rows& rows) { return queue::read_chunk(rows, id, index); });
}

void SimStore::load(base::Loop& loop, queue::LoadRequest request,
                    queue::Done<queue::LoadedQueue> done) {
  read(loop, std::move(done), [this, request = std::move(request)](const queue::Rows& rows) {
    queue::Damaged damaged;
    base::Result<queue::LoadedQueue> loaded = queue::load(rows, request, damaged);
    for (const base::Error& error : damaged) agenda_.fail("damaged row: " + error.text());
    return loaded;
  });
}

void SimStore::find_queues(base::Loop& loop, unsigned loops,
                           queue::Done<std::vector<queue::FoundQueue>> done) {
  using Found = base::Result<std::vector<queue::FoundQueue>>;
  read(loop, std::move(done),
       [this, index = loop.index(), loops](const queue::Rows& rows) -> Found {
         if (looks_to_fail_ > 0) {
           --looks_to_fail_;
           return base::Error("a read error");
         }
         return queue::find_queues(rows, index, loops);
       });
}

void SimStore::list(base::Loop& loop, queue::ListRequest request,
                    queue::Done<queue::ListedPage> done) {
  read(loop, std::move(done), [request = std::move(request)](const queue::Rows& rows) {
    queue::Damaged damaged;
    return queue::list(rows, request, damaged);
  });
}

void SimStore::select(base::Loop& loop, queue::SelectRequest request,
                      queue::Done<queue::SelectedPage> done) {
  read(loop, std::move(done), [request = std::move(request)](const queue::Rows& rows) {
    queue::Damaged damaged;
    return queue::select_deliveries(rows, request, damaged);
  });
}

void SimStore::summarise(base::Loop& loop, queue::SummaryRequest request,
                         queue::Done<queue::QueueSummary> done) {
  read(loop, std::move(done),
       [request](const queue::Rows& rows) { return queue::summarise(rows, request); });
}

void SimStore::read_deliveries(base::Loop& loop, queue::ReadRequest request,
                               queue::Done<queue::ReadDeliveries> done) {
  read(loop, std::move(done), [this, request = std::move(request)](const queue::Rows& rows) {
    queue::Damaged damaged;
    base::Result<queue::ReadDeliveries> read = queue::read_deliveries(rows, request, damaged);
    for (const base::Error& error : damaged) agenda_.fail("damaged row: " + error.text());
    return read;
  });
}

void SimStore::find_overdue(base::Loop& loop, unsigned loops, queue::OverdueRequest request,
                            queue::Done<queue::OverduePage> done) {
  read(loop, std::move(done),
       [request = std::move(request), index = loop.index(), loops](const queue::Rows& rows) {
         return queue::find_overdue(rows, index, loops, request);
       });
}

void SimStore::view(base::Loop& loop, queue::MessageId id, queue::Done<queue::MessageView> done) {
  read(loop, std::move(done), [this, id](const queue::Rows& rows) {
    queue::Damaged damaged;
    base::Result<queue::MessageView> view = queue::view_message(rows, id, damaged);
    for (const base::Error& error : damaged) agenda_.fail("damaged row: " + error.text());
    return view;
  });
}

void SimStore::read_report_state(base::Loop& loop, queue::MessageId id,
                                 queue::Done<queue::ReportState> done) {
  read(loop, std::move(done),
       [id](const queue::Rows& rows) { return queue::read_report_state(rows, id); });
}

void SimStore::trace(base::Loop& loop, queue::TraceRequest request,
                     queue::Done<queue::TracedPage> done) {
  read(loop, std::move(done), [this, request = std::move(request)](const queue::Rows& rows) {
    queue::Damaged damaged;
    base::Result<queue::TracedPage> page = queue::trace(rows, request, damaged);
    for (const base::Error& error : damaged) agenda_.fail("damaged row: " + error.text());
    return page;
  });
}

void SimStore::walk_history(base::Loop& loop, queue::WalkRequest request,
                            std::function<void(const queue::TracedMessage&)> visit,
                            queue::Done<std::optional<base::MessageId>> done) {
  read(loop, std::move(done), [request, visit = std::move(visit)](const queue::Rows& rows) {
    queue::Damaged damaged;
    return queue::walk_history(rows, request, visit, damaged);
  });
}

// Between groups, where the real one does it on a thread of its own.
void SimStore::index() {
  if (agenda_.instant() < index_at_) return;
  index_at_ = agenda_.instant() + kIndexEvery;
  const base::WallTime closed = agenda_.now().wall - kIndexGrace;
  const base::MessageId until{base::to_unix_milliseconds(std::max(closed, base::WallTime{})) << 20};
  queue::Damaged damaged;
  const base::Result<queue::Indexer::Step> step = indexer_.step(*rows_, until, damaged);
  // On a full disk it tries again; a row that cannot be read is a fault of ours.
  if (!step && !disk_.is_full()) agenda_.fail("indexing: " + step.error().text());
  for (const base::Error& error : damaged) agenda_.fail("damaged row: " + error.text());
}

void SimStore::read_notes(base::Loop& loop, std::string kind,
                          queue::Done<std::vector<queue::NotedRow>> done) {
  read(loop, std::move(done),
       [kind = std::move(kind)](const queue::Rows& rows) { return queue::read_notes(rows, kind); });
}

}  // namespace rockdove::sim
