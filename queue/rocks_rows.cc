#include "queue/rocks_rows.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <limits>
#include <mutex>
#include <set>
#include <unistd.h>
#include <utility>
#include <vector>

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/stat.h>

#include "mta/base/assert.h"
#include "queue/index.h"
#include "queue/keys.h"
#include "queue/rocks_checksum.h"
#include "queue/rocks_index.h"

namespace rockdove::queue {
namespace {

constexpr std::size_t kMebi = 1024 * 1024;
// Below this no collection is worth its work.
constexpr std::uint64_t kBlobOctetsMin = 16 * kMebi;
// Nor with fewer rows of bodies removed since the last one; of the largest they are as much.
constexpr std::uint64_t kRemovedBodiesMin = 64;
// Rows of other families are written anew without what was removed when so many messages, and a
// quarter of those that are left, have gone since the last time.
constexpr std::uint64_t kRemovedMessagesMin = 20'000;
constexpr std::uint64_t kRemovedMessagesParts = 4;
// Bodies are copied together when more than one part in so many of their files is garbage.
constexpr std::uint64_t kGarbageParts = 2;
constexpr std::uint64_t kGarbagePartsIfUrgent = 10;
constexpr std::uint64_t kLogOctetsMax = 4 * kMebi;  // on a full disk a longer log is let go

rocksdb::Slice slice(std::string_view octets) {
  return {octets.data(), octets.size()};
}

std::string_view octets_of(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

Result<void> to_result(const rocksdb::Status& status, std::string_view doing) {
  if (status.ok()) return {};
  return Error(status.ToString()).in(doing);
}

// RocksDB's own log file would abort the process on a full disk (fact 10 of architecture.md), so
// only warnings are passed on and nothing is written.
class Warnings final : public rocksdb::Logger {
 public:
  explicit Warnings(std::function<void(std::string_view)> warn)
      : Logger(rocksdb::InfoLogLevel::WARN_LEVEL), warn_(std::move(warn)) {}

  using rocksdb::Logger::Logv;

  void Logv(const char* format, va_list arguments) override {
    if (!warn_) return;
    std::array<char, 512> text{};
    if (std::vsnprintf(text.data(), text.size(), format, arguments) <= 0) return;
    std::string_view line(text.data());
    while (line.ends_with('\n') || line.ends_with(' ')) line.remove_suffix(1);
    warn_(line);
  }

 private:
  std::function<void(std::string_view)> warn_;
};

// Keeps what RocksDB's threads say about its health.
class Health final : public rocksdb::EventListener {
 public:
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* status) override {
    fail(Error(status->ToString()).in("RocksDB's background work"));
  }

  void OnStallConditionsChanged(const rocksdb::WriteStallInfo& info) override {
    const std::lock_guard lock(mutex_);
    if (info.condition.cur == rocksdb::WriteStallCondition::kStopped) {
      stopped_.insert(info.cf_name);
    } else {
      stopped_.erase(info.cf_name);
    }
    is_stalled_.store(!stopped_.empty(), std::memory_order_relaxed);
  }

  void fail(const Error& error) {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = error;
    has_failed_.store(true, std::memory_order_release);
  }

  [[nodiscard]] std::optional<Error> failure() const {
    if (!has_failed_.load(std::memory_order_acquire)) return std::nullopt;
    const std::lock_guard lock(mutex_);
    return failure_;
  }

  [[nodiscard]] bool is_stalled() const { return is_stalled_.load(std::memory_order_relaxed); }

 private:
  mutable std::mutex mutex_;
  std::optional<Error> failure_;
  std::set<std::string> stopped_;
  std::atomic<bool> has_failed_ = false;
  std::atomic<bool> is_stalled_ = false;
};

// What rows of one queue have in common, so that the place in the memory table where the queue's
// last row went is where the next one is looked for: with many queues in one table the search from
// its top was the committer's largest part.
class WaitingQueues final : public rocksdb::SliceTransform {
 public:
  [[nodiscard]] const char* Name() const override { return "rockdove.waiting_queues"; }

  [[nodiscard]] rocksdb::Slice Transform(const rocksdb::Slice& key) const override {
    return {key.data(), key.size() - kWaitingPlaceOctets};
  }

  [[nodiscard]] bool InDomain(const rocksdb::Slice& key) const override {
    return key.size() > kWaitingPlaceOctets && key[0] != kExpiryRows;  // of these each is its own
  }
};

class RocksCursor final : public RowCursor {
 public:
  enum class Blocks : std::uint8_t { Cached, ReadOnce };

  // No row at `end` or behind it; "": no such end.
  RocksCursor(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family,
              const rocksdb::Snapshot* snapshot, std::string_view prefix, std::string end,
              Blocks blocks)
      : prefix_(prefix), end_(std::move(end)), end_slice_(end_) {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot;
    options.fill_cache = blocks == Blocks::Cached;
    if (!end_.empty()) options.iterate_upper_bound = &end_slice_;
    options.background_purge_on_iterator_cleanup = true;
    iterator_.reset(db.NewIterator(options, family));
  }

  RocksCursor(const RocksCursor&) = delete;  // RocksDB points at end_slice_
  RocksCursor& operator=(const RocksCursor&) = delete;

  void seek(std::string_view key) override {
    iterator_->Seek(slice(key < std::string_view(prefix_) ? std::string_view(prefix_) : key));
  }

  void next() override { iterator_->Next(); }

  [[nodiscard]] bool is_valid() const override { return iterator_->Valid(); }

  [[nodiscard]] std::string_view key() const override { return octets_of(iterator_->key()); }

  [[nodiscard]] std::string_view value() const override { return octets_of(iterator_->value()); }

  [[nodiscard]] Result<void> status() const override {
    return to_result(iterator_->status(), "reading the queue");
  }

 private:
  std::string prefix_;
  std::string end_;
  rocksdb::Slice end_slice_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

using Handles = std::array<rocksdb::ColumnFamilyHandle*, kFamilies>;

class RocksView final : public RowView {
 public:
  RocksView(rocksdb::DB& db, const Handles& handles)
      : db_(db), handles_(handles), snapshot_(db.GetSnapshot()) {}

  ~RocksView() override { db_.ReleaseSnapshot(snapshot_); }

  RocksView(const RocksView&) = delete;
  RocksView& operator=(const RocksView&) = delete;

  [[nodiscard]] Result<std::optional<std::string>> get(Family family,
                                                       std::string_view key) const override {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot_;
    std::string value;
    const rocksdb::Status status = db_.Get(options, handle(family), slice(key), &value);
    if (status.IsNotFound()) return std::optional<std::string>();
    if (!status.ok()) return Error(status.ToString()).in("reading the queue");
    return std::optional<std::string>(std::move(value));
  }

  [[nodiscard]] std::unique_ptr<RowCursor> cursor(Family family,
                                                  std::string_view prefix) const override {
    return std::make_unique<RocksCursor>(db_, handle(family), snapshot_, prefix, key_behind(prefix),
                                         RocksCursor::Blocks::Cached);
  }

  [[nodiscard]] std::unique_ptr<RowCursor> range(Family family,
                                                 std::string_view end) const override {
    return std::make_unique<RocksCursor>(db_, handle(family), snapshot_, "", std::string(end),
                                         RocksCursor::Blocks::ReadOnce);
  }

  [[nodiscard]] Result<std::optional<std::string>> last_key(Family family) const override {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot_;
    const std::unique_ptr<rocksdb::Iterator> iterator(db_.NewIterator(options, handle(family)));
    iterator->SeekToLast();
    if (iterator->Valid()) return std::optional<std::string>(iterator->key().ToString());
    if (const rocksdb::Status status = iterator->status(); !status.ok()) {
      return Error(status.ToString()).in("reading the queue");
    }
    return std::optional<std::string>();
  }

 private:
  [[nodiscard]] rocksdb::ColumnFamilyHandle* handle(Family family) const {
    return handles_[static_cast<std::size_t>(family)];
  }

  rocksdb::DB& db_;
  const Handles& handles_;
  const rocksdb::Snapshot* snapshot_;
};

class RocksRows final : public Rows {
 public:
  RocksRows(std::unique_ptr<rocksdb::DB> db, std::vector<rocksdb::ColumnFamilyHandle*> all,
            std::shared_ptr<Health> health, std::shared_ptr<HistoryFloor> floor)
      : db_(std::move(db)),
        all_(std::move(all)),
        health_(std::move(health)),
        floor_(std::move(floor)) {
    for (std::size_t family = 0; family < kFamilies; ++family) {
      const std::string_view name = family_name(static_cast<Family>(family));
      for (rocksdb::ColumnFamilyHandle* handle : all_) {
        const std::string& found = handle->GetName();
        if (found == name) handles_[family] = handle;
        // Nothing is ever written to it: read-only, it stands for a family that an older version
        // did not make.
        if (found == rocksdb::kDefaultColumnFamilyName && handles_[family] == nullptr) {
          handles_[family] = handle;
        }
      }
      MTA_ASSERT(handles_[family] != nullptr);
    }
  }

  ~RocksRows() override {
    for (rocksdb::ColumnFamilyHandle* handle : all_) {
      // An error here changes nothing: the instance goes away.
      static_cast<void>(db_->DestroyColumnFamilyHandle(handle).ok());
    }
    static_cast<void>(db_->Close().ok());
  }

  RocksRows(const RocksRows&) = delete;
  RocksRows& operator=(const RocksRows&) = delete;

  [[nodiscard]] Result<void> write(std::span<const RowOperations* const> batch, Sync sync) override;

  [[nodiscard]] std::unique_ptr<RowView> view() const override {
    return std::make_unique<RocksView>(*db_, handles_);
  }

  [[nodiscard]] std::optional<Error> failure() const override { return health_->failure(); }

  [[nodiscard]] bool is_stalled() const override { return health_->is_stalled(); }

  [[nodiscard]] bool is_behind() const override {
    return property(Family::Bodies, rocksdb::DB::Properties::kNumImmutableMemTable) > 1;
  }

  [[nodiscard]] Result<void> collect_garbage(Urgency urgency) override;
  [[nodiscard]] Result<void> collect_rows(Urgency urgency);
  [[nodiscard]] Result<void> collect_log();
  [[nodiscard]] Result<void> ingest(const IndexRows& rows) override;
  [[nodiscard]] Result<void> trim_history(std::string_view below_key) override;
  [[nodiscard]] Result<void> collect_index(std::atomic<bool>& is_cancelled,
                                           std::uint64_t octets_free) override;
  [[nodiscard]] Result<std::string> history_cut(std::uint64_t octets_max) const override;

 private:
  [[nodiscard]] rocksdb::ColumnFamilyHandle* handle(Family family) const {
    return handles_[static_cast<std::size_t>(family)];
  }

  [[nodiscard]] std::uint64_t property(Family family, const std::string& name) const {
    std::uint64_t value = 0;
    return db_->GetIntProperty(handle(family), name, &value) ? value : 0;
  }

  // More than one part in `parts` of what bodies take is garbage, as far as compaction has seen.
  [[nodiscard]] bool is_garbage_over(std::uint64_t parts) const {
    return property(Family::Bodies, rocksdb::DB::Properties::kLiveBlobFileGarbageSize) * parts >
           property(Family::Bodies, rocksdb::DB::Properties::kLiveBlobFileSize);
  }

  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> all_;
  Handles handles_{};
  std::shared_ptr<Health> health_;
  const std::shared_ptr<HistoryFloor> floor_;
  // Since the last collection. RocksDB does not say: its property counts no single deletes. What an
  // earlier instance removed is not known, so the first collection is worth its work.
  std::atomic<std::uint64_t> removed_bodies_ = kRemovedBodiesMin;
  std::atomic<std::uint64_t> removed_messages_ = 0;
  rocksdb::WriteBatch batch_;  // kept, so that its memory is
};

Result<void> RocksRows::write(std::span<const RowOperations* const> batch, Sync sync) {
  constexpr std::size_t kKeptOctetsMax = 8 * kMebi;
  batch_.Clear();
  rocksdb::Status status;
  const auto add = [&](const RowOperations::Row& row) {
    if (!status.ok()) return;
    switch (row.operation) {
      case RowOperations::Operation::Put:
        status = batch_.Put(handle(row.family), slice(row.key), slice(row.value));
        return;
      case RowOperations::Operation::Delete:
        status = batch_.Delete(handle(row.family), slice(row.key));
        return;
      case RowOperations::Operation::SingleDelete:
        if (row.family == Family::Bodies) removed_bodies_.fetch_add(1, std::memory_order_relaxed);
        if (row.family == Family::Messages) {
          removed_messages_.fetch_add(1, std::memory_order_relaxed);
        }
        status = batch_.SingleDelete(handle(row.family), slice(row.key));
        return;
    }
  };
  for (const RowOperations* operations : batch) operations->for_each(add);
  if (status.ok()) {
    rocksdb::WriteOptions options;
    options.sync = sync == Sync::Yes;
    status = db_->Write(options, &batch_);
  }
  if (batch_.GetDataSize() > kKeptOctetsMax) batch_ = rocksdb::WriteBatch();
  if (status.ok()) return {};
  const Error error = Error(status.ToString()).in("writing the queue");
  health_->fail(error);
  return error;
}

// Without traffic nothing is merged by itself, and what was removed keeps its space.
Result<void> RocksRows::collect_rows(Urgency urgency) {
  const std::uint64_t removed = removed_messages_.load();
  const std::uint64_t left = property(Family::Messages, rocksdb::DB::Properties::kEstimateNumKeys);
  const bool is_much = removed >= kRemovedMessagesMin && removed * kRemovedMessagesParts >= left;
  if (!is_much && (urgency == Urgency::Idle || removed < kRemovedMessagesMin)) return {};
  removed_messages_ = 0;
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  for (const Family family : {Family::Messages, Family::Deliveries, Family::Waiting}) {
    rocksdb::Status status = db_->Flush(rocksdb::FlushOptions(), handle(family));
    if (status.ok()) status = db_->CompactRange(options, handle(family), nullptr, nullptr);
    if (!status.ok()) return to_result(status, "collecting the space of rows that are gone");
  }
  return {};
}

// A log file stays until each family has written out what stands in it, so a few rows of a quiet
// family can keep all of max_total_wal_size on a disk that is refused to senders for lack of space.
Result<void> RocksRows::collect_log() {
  rocksdb::VectorLogPtr logs;
  rocksdb::Status status = db_->GetSortedWalFiles(logs);
  std::uint64_t octets = 0;
  for (const std::unique_ptr<rocksdb::LogFile>& log : logs) octets += log->SizeFileBytes();
  if (status.ok() && octets > kLogOctetsMax) status = db_->Flush(rocksdb::FlushOptions(), all_);
  return to_result(status, "letting the queue's log go");
}

Result<void> RocksRows::collect_garbage(Urgency urgency) {
  if (urgency == Urgency::DiskFillsUp) {
    if (Result<void> collected = collect_log(); !collected) return collected;
  }
  if (Result<void> collected = collect_rows(urgency); !collected) return collected;
  const std::uint64_t blobs = property(Family::Bodies, rocksdb::DB::Properties::kLiveBlobFileSize);
  const bool has_removals = removed_bodies_.load() >= kRemovedBodiesMin;
  if (urgency == Urgency::Idle &&
      (blobs < kBlobOctetsMin || (!has_removals && !is_garbage_over(kGarbageParts)))) {
    return {};
  }
  removed_bodies_ = 0;
  // What is garbage is known once the deletes have met their rows; that moves keys only.
  rocksdb::Status status = db_->Flush(rocksdb::FlushOptions(), handle(Family::Bodies));
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  options.blob_garbage_collection_policy = rocksdb::BlobGarbageCollectionPolicy::kDisable;
  if (status.ok()) {
    status = db_->CompactRange(options, handle(Family::Bodies), nullptr, nullptr);
  }
  // On a disk that stays full this is asked again and again, and must not copy all mail for little.
  const std::uint64_t parts =
      urgency == Urgency::DiskFillsUp ? kGarbagePartsIfUrgent : kGarbageParts;
  if (status.ok() && is_garbage_over(parts)) {
    options.blob_garbage_collection_policy = rocksdb::BlobGarbageCollectionPolicy::kForce;
    options.blob_garbage_collection_age_cutoff = 1.0;
    options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
    status = db_->CompactRange(options, handle(Family::Bodies), nullptr, nullptr);
  }
  return to_result(status, "collecting the space of bodies that are gone");
}

Result<void> RocksRows::collect_index(std::atomic<bool>& is_cancelled, std::uint64_t octets_free) {
  rocksdb::ColumnFamilyMetaData index;
  db_->GetColumnFamilyMetaData(handle(Family::Index), &index);
  if (Result<void> room = check_room_to_collect(index.size, octets_free); !room) return room;
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  options.canceled = &is_cancelled;
  const rocksdb::Status status =
      db_->CompactRange(options, handle(Family::Index), nullptr, nullptr);
  if (status.IsIncomplete()) return {};
  return to_result(status, "collecting the space of the index");
}

// The file is written beside the others and then linked in. After a crash at the wrong moment it is
// a second name of one that is in use, so it is never written to again but removed first.
Result<void> RocksRows::ingest(const IndexRows& rows) {
  const std::string path = db_->GetName() + "/index.ingest";
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return Error::system("removing " + path, errno).in("writing the index");
  }
  const rocksdb::Options options = db_->GetOptions(handle(Family::Index));
  rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), options, handle(Family::Index));
  rocksdb::Status status = writer.Open(path);
  for (std::optional<IndexRow> row = rows(); row && status.ok(); row = rows()) {
    status = row->is_removal ? writer.Delete(slice(row->key))
                             : writer.Put(slice(row->key), slice(row->value));
  }
  if (status.ok()) status = writer.Finish();
  if (!status.ok()) {
    ::unlink(path.c_str());  // the disk may be full
    return Error(status.ToString()).in("writing the index");
  }
  rocksdb::IngestExternalFileOptions how;
  how.move_files = true;
  how.write_global_seqno = false;  // only versions long gone read it from the file
  status = db_->IngestExternalFile(handle(Family::Index), {path}, how);
  if (status.ok()) return {};
  ::unlink(path.c_str());
  const Error error = Error(status.ToString()).in("taking up the index");
  // What it writes by then is RocksDB's own list of files: another write may abort the process.
  if (status.IsIOError() || status.IsNoSpace()) health_->fail(error);
  return error;
}

Result<std::string> RocksRows::history_cut(std::uint64_t octets_max) const {
  rocksdb::ColumnFamilyMetaData history;
  rocksdb::ColumnFamilyMetaData index;
  db_->GetColumnFamilyMetaData(handle(Family::History), &history);
  db_->GetColumnFamilyMetaData(handle(Family::Index), &index);
  return find_history_cut(history, index.size, octets_max);
}

Result<void> RocksRows::trim_history(std::string_view below_key) {
  if (const auto below = parse_message_key(below_key.substr(0, 8))) floor_->store(below->value);
  const rocksdb::Slice end = slice(below_key);
  return to_result(rocksdb::DeleteFilesInRange(db_.get(), handle(Family::History), nullptr, &end,
                                               /*include_end=*/false),
                   "trimming the history");
}

rocksdb::DBOptions database_options(const RocksSettings& settings,
                                    const std::shared_ptr<Health>& health) {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.info_log = std::make_shared<Warnings>(settings.warn);
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  options.listeners.push_back(health);
  // By default a kill leaves over 500 MB of log to replay at the next start.
  options.max_total_wal_size = 128 * kMebi;
  options.db_write_buffer_size = 64 * kMebi;
  // Starts writing what chunks of large bodies leave behind, so that the accepting sync is short.
  options.wal_bytes_per_sync = kMebi;
  options.bytes_per_sync = kMebi;
  options.max_background_jobs = 2;
  options.max_open_files = 512;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  // There is one writer.
  options.allow_concurrent_memtable_write = false;
  options.enable_write_thread_adaptive_yield = false;
  // We replace the instance ourselves; its own attempts have aborted the process.
  options.max_bgerror_resume_count = 0;
  // A power cut may leave the part of the log that was never synced torn anywhere: blocks of chunks
  // are written back in any order. Replay ends at the first bad record; all that was synced stands
  // before it. kTolerateCorruptedTailRecords would refuse to start when good records follow a hole.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  return options;
}

rocksdb::ColumnFamilyOptions family_options(std::string_view name,
                                            const std::shared_ptr<rocksdb::Cache>& cache,
                                            const std::shared_ptr<HistoryFloor>& floor) {
  rocksdb::ColumnFamilyOptions options;
  options.write_buffer_size = 16 * kMebi;
  options.max_write_buffer_number = 2;
  options.compression = rocksdb::kLZ4Compression;
  options.target_file_size_base = 16 * kMebi;
  options.max_bytes_for_level_base = 64 * kMebi;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.block_size = 8 * 1024;
  table.cache_index_and_filter_blocks = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  if (name == family_name(Family::Waiting)) {
    options.memtable_insert_with_hint_prefix_extractor = std::make_shared<WaitingQueues>();
  }
  if (name == family_name(Family::Bodies)) {
    options.max_write_buffer_number = 3;  // large bodies come in bursts; a stall answers 452
    // Merging moves keys only; RocksDB's own garbage collection would copy bodies with them, in
    // each merge the older ones again. A blob file goes when all in it is gone, or by
    // collect_garbage().
    options.enable_blob_files = true;
    options.min_blob_size = 1024;
    options.blob_file_size = 32 * kMebi;
  }
  if (name == family_name(Family::Index)) set_index_options(options, floor);
  return options;
}

// Ours, as far as they are there or can be made, and those that a newer version left: opened, too,
// because the format version, which is read then, tells a person more than RocksDB would.
std::vector<rocksdb::ColumnFamilyDescriptor> families(const rocksdb::DBOptions& options,
                                                      const std::string& directory,
                                                      const std::shared_ptr<HistoryFloor>& floor) {
  std::set<std::string> names{rocksdb::kDefaultColumnFamilyName};
  for (std::size_t family = 0; options.create_missing_column_families && family < kFamilies;
       ++family) {
    names.emplace(family_name(static_cast<Family>(family)));
  }
  std::vector<std::string> present;
  if (rocksdb::DB::ListColumnFamilies(options, directory, &present).ok()) {
    names.insert(present.begin(), present.end());
  }
  const std::shared_ptr<rocksdb::Cache> cache = rocksdb::NewLRUCache(32 * kMebi);
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (const std::string& name : names) {
    descriptors.emplace_back(name, family_options(name, cache, floor));
  }
  return descriptors;
}

}  // namespace

Result<std::unique_ptr<Rows>> open_rocks_rows(const RocksSettings& settings) {
  MTA_ASSERT(rocks_checksum(0, "123456789") == 0xE3069283U);
  const auto health = std::make_shared<Health>();
  const rocksdb::DBOptions options = database_options(settings, health);
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const auto floor = std::make_shared<HistoryFloor>(0);
  // RocksDB would make it as well, but complain in the log that it was not there.
  if (mkdir(settings.directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return Error::system("making the directory " + settings.directory, errno);
  }
  const rocksdb::Status status = rocksdb::DB::Open(
      options, settings.directory, families(options, settings.directory, floor), &handles, &db);
  if (!status.ok()) return Error(status.ToString()).in("opening the queue " + settings.directory);
  return std::unique_ptr<Rows>(std::make_unique<RocksRows>(std::unique_ptr<rocksdb::DB>(db),
                                                           std::move(handles), health, floor));
}

Result<std::unique_ptr<Rows>> open_rocks_rows_read_only(const RocksSettings& settings) {
  const auto health = std::make_shared<Health>();
  rocksdb::DBOptions options = database_options(settings, health);
  options.create_if_missing = false;
  options.create_missing_column_families = false;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const auto floor = std::make_shared<HistoryFloor>(0);
  const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(
      options, settings.directory, families(options, settings.directory, floor), &handles, &db);
  if (!status.ok()) return Error(status.ToString()).in("opening the queue " + settings.directory);
  return std::unique_ptr<Rows>(std::make_unique<RocksRows>(std::unique_ptr<rocksdb::DB>(db),
                                                           std::move(handles), health, floor));
}

}  // namespace rockdove::queue
