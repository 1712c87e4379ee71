#include "queue/committer.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>
#include <utility>

#include <sys/statvfs.h>

#include "mta/base/assert.h"
#include "mta/base/counters.h"
#include "queue/keys.h"

namespace rockdove::queue {
namespace {

constexpr std::size_t kGroupChangesMax = 512;
// Nobody waits for a result to be durable, so it shares the sync of the next acceptance, if one
// comes within this time or before so many have gathered. What a crash may send twice grows by as
// much.
constexpr base::Duration kResultPatience = std::chrono::milliseconds(10);
constexpr std::size_t kResultsMax = 128;
// After a group of at least kBusyGroup changes, the next one gathers for so long, or until it has
// kGatherMax.
constexpr std::size_t kBusyGroup = 4;
constexpr std::size_t kGatherMax = 32;
constexpr std::chrono::microseconds kGather{1000};
constexpr std::size_t kGroupOctetsMax = 4 * 1024 * 1024;
constexpr std::size_t kInboxOctetsMax = 64 * 1024 * 1024;
constexpr std::chrono::milliseconds kChunkTimeMax{50};
constexpr base::Duration kBehindPatience = std::chrono::milliseconds(2);
constexpr std::chrono::seconds kBetweenCollections{10};
constexpr std::chrono::seconds kBetweenCollectionsBusy{60};
constexpr std::size_t kProbeOctets = 64 * 1024;

base::Instant clock_now() {
  return base::read_clocks().instant;
}

}  // namespace

Committer::Committer(const StoreSettings& settings, RowsHolder& rows)
    : settings_(settings), min_free_disk_(settings.min_free_disk), rows_(rows) {}

Committer::~Committer() {
  stop();
}

Result<void> Committer::open() {
  Result<std::unique_ptr<Rows>> rows = settings_.open();
  if (!rows) return rows.error();
  auto ledger = std::make_unique<Ledger>(**rows, fence_);
  if (Result<void> opened = ledger->open(); !opened) return opened;
  highest_id_ = ledger->highest_id();
  ledger_ = std::move(ledger);
  rows_.replace(std::move(*rows));
  look_at_disk();
  return {};
}

void Committer::start(std::function<void(Rows::Urgency)> idle) {
  MTA_ASSERT(ledger_ != nullptr);
  idle_ = std::move(idle);
  thread_ = std::thread([this] { run(); });
}

void Committer::stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  arrived_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Committer::hand_over(std::vector<Commit>& commits, std::vector<Chunk>& chunks) {
  std::size_t octets = 0;
  for (const Commit& commit : commits) octets += commit.change.octets();
  for (const Chunk& chunk : chunks) octets += chunk.octets == nullptr ? 0 : chunk.octets->size();
  inbox_octets_.fetch_add(octets, std::memory_order_relaxed);
  bool is_urgent = !chunks.empty();
  for (const Commit& commit : commits)
    is_urgent |= commit.change.kind() == Change::Kind::Acceptance;
  bool wake = is_urgent;
  {
    const std::lock_guard lock(mutex_);
    has_urgent_ |= is_urgent;
    wake |= inbox_.empty() || inbox_.size() + commits.size() >= kResultsMax;
    if (!commits.empty() && oldest_.load(std::memory_order_relaxed) == 0) {
      oldest_.store(commits.front().at.time_since_epoch().count(), std::memory_order_relaxed);
    }
    std::move(commits.begin(), commits.end(), std::back_inserter(inbox_));
    std::move(chunks.begin(), chunks.end(), std::back_inserter(chunk_inbox_));
  }
  if (wake) arrived_.notify_one();
  commits.clear();
  chunks.clear();
}

Readiness Committer::readiness() const {
  if (has_failed_.load(std::memory_order_acquire)) return Readiness::Failed;
  if (is_disk_full_.load(std::memory_order_relaxed)) return Readiness::DiskFull;
  if (inbox_octets_.load(std::memory_order_relaxed) > kInboxOctetsMax) return Readiness::Busy;
  const std::int64_t oldest = oldest_.load(std::memory_order_relaxed);
  if (oldest != 0 &&
      clock_now() - base::Instant(base::Instant::duration(oldest)) > settings_.busy_after) {
    return Readiness::Busy;
  }
  return rows_.is_stalled() ? Readiness::Busy : Readiness::Ready;
}

StoreStatistics Committer::statistics() const {
  return {changes_.load(),
          groups_.load(),
          chunks_count_.load(),
          reopenings_.load(),
          std::chrono::nanoseconds(write_nanoseconds_.load()),
          inbox_octets_.load(),
          disk_free_.load(),
          disk_size_.load()};
}

void Committer::run() {
  ::pthread_setname_np(::pthread_self(), "committer");
  const std::shared_ptr<void> held =
      settings_.at_thread_start ? settings_.at_thread_start() : nullptr;
  for (;;) {
    const bool is_idle = commits_.empty() && chunks_.empty();
    const bool holds_back = commits_.empty() && !chunks_.empty() && rows_.writers()->is_behind();
    const base::Duration patience = holds_back ? kBehindPatience : base::Duration(0);
    Work work = take_work(is_idle ? settings_.housekeeping : patience);
    if (holds_back && work == Work::None) work = Work::Some;
    if (work == Work::Stop) return;
    write_group();
    if (!has_given_up_) write_chunks();
    if (!has_given_up_) keep_house(work);
    if (has_given_up_) return;
  }
}

// Takes all that waits in the inbox; waits for it if there is nothing else to do.
Committer::Work Committer::take_work(base::Duration wait_at_most) {
  std::unique_lock lock(mutex_);
  const auto has_arrived = [this] {
    return !inbox_.empty() || !chunk_inbox_.empty() || is_stopping_;
  };
  if (wait_at_most > base::Duration(0) && !arrived_.wait_for(lock, wait_at_most, has_arrived)) {
    return Work::None;
  }
  if (wait_at_most > base::Duration(0)) {
    arrived_.wait_for(lock, kResultPatience, [this] {
      return has_urgent_ || is_stopping_ || inbox_.size() >= kResultsMax;
    });
  }
  // While many come, waiting a little for more saves syncs, and with them processor time.
  if (wait_at_most > base::Duration(0) && last_group_ >= kBusyGroup) {
    arrived_.wait_for(lock, kGather,
                      [this] { return is_stopping_ || inbox_.size() >= kGatherMax; });
  }
  has_urgent_ = false;
  std::move(inbox_.begin(), inbox_.end(), std::back_inserter(commits_));
  std::move(chunk_inbox_.begin(), chunk_inbox_.end(), std::back_inserter(chunks_));
  inbox_.clear();
  chunk_inbox_.clear();
  if (is_stopping_ && commits_.empty() && chunks_.empty()) return Work::Stop;
  return Work::Some;
}

// Moves the next group out of what waits; answers those that cannot be applied.
void Committer::take_group() {
  std::size_t octets = 0;
  while (!commits_.empty() && group_.size() < kGroupChangesMax && octets < kGroupOctetsMax) {
    Commit& commit = commits_.front();
    if (commit.change.begins() && commit.change.begins()->chunks_before > 0) {
      const Result<void> written = write_chunks_of(commit.change.begins()->message);
      if (!written) return replace_rows(written.error());
      if (const Result<void> checked = ledger_->check(commit.change); !checked) {
        inbox_octets_.fetch_sub(commit.change.octets(), std::memory_order_relaxed);
        answer(commit.loop, std::move(commit.done), checked.error());
        commits_.pop_front();
        continue;
      }
    }
    octets += commit.change.octets();
    group_.push_back(std::move(commit));
    commits_.pop_front();
  }
}

void Committer::write_group() {
  if (commits_.empty()) return;
  take_group();
  if (!group_.empty()) {
    std::vector<const Change*> changes;
    changes.reserve(group_.size());
    for (const Commit& commit : group_) changes.push_back(&commit.change);
    const base::Instant start = clock_now();
    const Result<void> applied = ledger_->apply(changes);
    const base::Instant end = clock_now();
    const auto took = end - start;
    write_nanoseconds_.fetch_add(took.count(), std::memory_order_relaxed);
    chunk_time_ = std::min<std::chrono::nanoseconds>(chunk_time_ + took / 3, kChunkTimeMax);
    if (!applied) return replace_rows(applied.error());
    tell_gone();
    last_group_ = group_.size();
    base::record(base::Timing::StoreWrite, took);
    base::record(base::Timing::GroupSize, std::uint64_t{group_.size()});
    groups_.fetch_add(1, std::memory_order_relaxed);
    changes_.fetch_add(group_.size(), std::memory_order_relaxed);
    std::size_t octets = 0;
    for (Commit& commit : group_) {
      octets += commit.change.octets();
      base::record(base::Timing::Commit, end - commit.at);
      answer(commit.loop, std::move(commit.done), std::nullopt);
    }
    group_.clear();
    inbox_octets_.fetch_sub(octets, std::memory_order_relaxed);
  }
  note_oldest();
  post_answers();
}

void Committer::tell_gone() const {
  const std::atomic<bool>* wanted = settings_.tells_gone;
  if (wanted == nullptr || !wanted->load(std::memory_order_relaxed)) return;
  std::vector<MessageId> gone = ledger_->gone();
  if (!gone.empty()) settings_.gone(std::move(gone));
}

void Committer::note_oldest() {
  const std::lock_guard lock(mutex_);
  std::int64_t oldest = 0;
  if (!commits_.empty()) {
    oldest = commits_.front().at.time_since_epoch().count();
  } else if (!inbox_.empty()) {
    oldest = inbox_.front().at.time_since_epoch().count();
  }
  oldest_.store(oldest, std::memory_order_relaxed);
}

// While changes wait, chunks get a third of the time that groups took: a quarter of all. While the
// engine is behind with bodies they wait, and so do their clients: a stalled engine would hold back
// everybody's changes.
void Committer::write_chunks() {
  while (!chunks_.empty() && (commits_.empty() || chunk_time_.count() > 0) &&
         !rows_.writers()->is_behind()) {
    const base::Instant start = clock_now();
    Chunk chunk = std::move(chunks_.front());
    chunks_.pop_front();
    if (const Result<void> written = write_one(chunk); !written) {
      return replace_rows(written.error());
    }
    chunk_time_ -= clock_now() - start;
    if (take_work(base::Duration(0)) == Work::Stop) break;
  }
  post_answers();
}

Result<void> Committer::write_chunks_of(MessageId message) {
  for (std::size_t i = 0; i < chunks_.size();) {
    if (chunks_[i].message != message) {
      ++i;
      continue;
    }
    Chunk chunk = std::move(chunks_[i]);
    chunks_.erase(chunks_.begin() + static_cast<std::ptrdiff_t>(i));
    if (Result<void> written = write_one(chunk); !written) return written;
  }
  return {};
}

Result<void> Committer::write_one(Chunk& chunk) {
  if (chunk.octets == nullptr) return ledger_->drop_chunks(chunk.message);
  inbox_octets_.fetch_sub(chunk.octets->size(), std::memory_order_relaxed);
  chunks_count_.fetch_add(1, std::memory_order_relaxed);
  const Result<void> written =
      ledger_->write_chunk(chunk.message, chunk.index, std::move(chunk.octets));
  answer(chunk.loop, std::move(chunk.done),
         written ? std::nullopt : std::optional<Error>(written.error()));
  return written;
}

void Committer::answer(base::Loop* loop, Done<void> done, std::optional<Error> error) {
  if (!done) return;
  auto found = std::find_if(answers_.begin(), answers_.end(),
                            [loop](const Answers& answers) { return answers.loop == loop; });
  if (found == answers_.end()) found = answers_.insert(answers_.end(), Answers{loop, {}});
  found->done.emplace_back(std::move(done), std::move(error));
}

// One post a loop, whatever there is to say.
void Committer::post_answers() {
  for (Answers& answers : answers_) {
    answers.loop->post([done = std::move(answers.done)]() mutable {
      for (auto& [answer, error] : done) {
        answer(error ? Result<void>(std::move(*error)) : Result<void>());
      }
    });
  }
  answers_.clear();
}

// Acceptances are answered with the error, results stay, in order; so do the dropped chunks' rows,
// which the next open() removes.
void Committer::refuse_waiting(const Error& why) {
  std::deque<Commit> kept;
  std::size_t octets = 0;
  for (Commit& commit : commits_) {
    if (commit.change.kind() == Change::Kind::Result) {
      kept.push_back(std::move(commit));
      continue;
    }
    octets += commit.change.octets();
    answer(commit.loop, std::move(commit.done), why);
  }
  commits_ = std::move(kept);
  for (Chunk& chunk : chunks_) {
    octets += chunk.octets == nullptr ? 0 : chunk.octets->size();
    answer(chunk.loop, std::move(chunk.done), why);
  }
  chunks_.clear();
  inbox_octets_.fetch_sub(octets, std::memory_order_relaxed);
  note_oldest();
  post_answers();
}

// From the failed write until the new instance has taken what was kept. The failed group stays in
// `group_`, without the `done` of its acceptances, to see whether it is there after all.
void Committer::replace_rows(const Error& why) {
  has_failed_.store(true, std::memory_order_release);
  warn("the queue cannot be written, no mail is accepted or sent until it can: " + why.text());
  for (Commit& commit : group_) {
    if (commit.change.kind() == Change::Kind::Acceptance) {
      answer(commit.loop, std::exchange(commit.done, {}), why);
    }
  }
  refuse_waiting(why);
  for (std::string told = why.text();;) {
    const Result<void> reopened = try_reopen();
    if (reopened) break;
    if (reopened.error().text() != told) {
      told = reopened.error().text();
      warn("the queue still cannot be written: " + told);
    }
    const base::Instant again = clock_now() + settings_.housekeeping;
    for (base::Instant now = clock_now(); now < again; now = clock_now()) {
      const auto left = std::chrono::ceil<base::Duration>(again - now);
      static_cast<void>(take_work(left));
      refuse_waiting(why);
      const std::lock_guard lock(mutex_);
      if (!is_stopping_) continue;
      // Nobody will hear of the results any more; after the next start their deliveries are tried
      // again.
      commits_.clear();
      group_.clear();
      has_given_up_ = true;
      return;
    }
  }
  note_oldest();  // what was kept is written, and must not look as if it waited
  reopenings_.fetch_add(1, std::memory_order_relaxed);
  has_failed_.store(false, std::memory_order_release);
  warn("the queue can be written again");
  post_answers();
  if (reopened_) reopened_();
}

Result<void> Committer::try_reopen() {
  if (Result<void> probed = write_probe(); !probed) return probed;
  ledger_.reset();
  rows_.replace(nullptr);
  Result<std::unique_ptr<Rows>> rows = settings_.open();
  if (!rows) return rows.error();
  ledger_ = std::make_unique<Ledger>(**rows, fence_);
  rows_.replace(std::move(*rows));
  if (Result<void> opened = ledger_->open(); !opened) return opened;
  return write_kept();
}

// The failed group, and then the results that came meanwhile, so that whoever hears that the rows
// are back finds no delivery in them whose result is known.
Result<void> Committer::write_kept() {
  for (;;) {
    if (Result<void> settled = settle_group(); !settled) return settled;
    if (commits_.empty()) return {};
    take_group();
  }
}

// Writes the results of `group_` unless the group is there already. What fails here stays in
// `group_`, and is then exactly what may or may not be there the next time: a result that was
// applied twice would count its delivery twice.
Result<void> Committer::settle_group() {
  std::vector<const Change*> changes;
  for (const Commit& commit : group_) changes.push_back(&commit.change);
  const Result<bool> is_there = ledger_->is_applied(changes);
  if (!is_there) return is_there.error();
  std::size_t octets = 0;
  if (!*is_there) {
    std::erase_if(group_, [&octets](const Commit& commit) {
      const bool was_refused = commit.change.kind() == Change::Kind::Acceptance;
      if (was_refused) octets += commit.change.octets();
      return was_refused;
    });
    inbox_octets_.fetch_sub(std::exchange(octets, 0), std::memory_order_relaxed);
    changes.clear();
    for (const Commit& commit : group_) changes.push_back(&commit.change);
    if (!changes.empty()) {
      if (Result<void> applied = ledger_->apply(changes); !applied) return applied;
      tell_gone();
    }
  }
  for (Commit& commit : group_) {
    octets += commit.change.octets();
    answer(commit.loop, std::move(commit.done), std::nullopt);
  }
  group_.clear();
  inbox_octets_.fetch_sub(octets, std::memory_order_relaxed);
  return {};
}

Result<void> Committer::write_probe() const {
  if (settings_.state_dir.empty()) return {};
  const std::string path = settings_.state_dir + "/probe";
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return Error::system("opening " + path, errno);
  const std::string octets(kProbeOctets, 'p');
  const ssize_t written = ::write(file, octets.data(), octets.size());
  const bool is_written = written == static_cast<ssize_t>(octets.size()) && ::fdatasync(file) == 0;
  const int code = written >= 0 && !is_written ? ENOSPC : errno;
  ::close(file);
  ::unlink(path.c_str());
  if (!is_written) return Error::system("writing " + path, code);
  return {};
}

void Committer::keep_house(Work work) {
  const base::Instant now = clock_now();
  if (now - housekept_ < settings_.housekeeping) return;
  housekept_ = now;
  if (const std::optional<Error> failure = rows_.writers()->failure()) {
    return replace_rows(*failure);
  }
  look_at_disk();
  if (const std::uint64_t floor = floor_wanted_.exchange(0); floor != 0) {
    if (const Result<void> noted = ledger_->note_trim(MessageId{floor}); !noted) {
      return replace_rows(noted.error());
    }
  }
  const bool is_full = is_disk_full_.load(std::memory_order_relaxed);
  const bool has_time = work == Work::None || is_full;
  const auto between = has_time ? kBetweenCollections : kBetweenCollectionsBusy;
  if (now - collected_ >= between && idle_) {
    collected_ = now;
    idle_(is_full ? Rows::Urgency::DiskFillsUp : Rows::Urgency::Idle);
  }
}

void Committer::look_at_disk() {
  if (settings_.state_dir.empty()) return;
  struct statvfs disk = {};
  if (::statvfs(settings_.state_dir.c_str(), &disk) != 0) return;
  const std::uint64_t free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  disk_free_.store(free, std::memory_order_relaxed);
  disk_size_.store(std::uint64_t{disk.f_blocks} * disk.f_frsize, std::memory_order_relaxed);
  is_disk_full_.store(free < min_free_disk_.load(std::memory_order_relaxed),
                      std::memory_order_relaxed);
}

void Committer::warn(std::string_view text) const {
  if (settings_.warn) settings_.warn(text);
}

}  // namespace rockdove::queue
