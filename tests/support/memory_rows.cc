#include "tests/support/memory_rows.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "mta/base/assert.h"
#include "queue/index.h"
#include "queue/keys.h"
#include "queue/learned.h"

namespace rockdove::tests {

using queue::Error;
using queue::Result;
using queue::RowOperations;

namespace {

std::uint64_t octets_of(const MemoryDisk::Family& rows) {
  std::uint64_t octets = 0;
  for (const auto& [key, value] : rows) octets += key.size() + value.size();
  return octets;
}

// What is known of limits stays when all mail has gone.
bool has_only_learned(const MemoryDisk::Family& rows) {
  return std::all_of(rows.begin(), rows.end(), [](const auto& row) {
    const auto kinds = queue::learned_notes();
    return std::any_of(kinds.begin(), kinds.end(), [&row](std::string_view kind) {
      return row.first.starts_with(queue::site_prefix(kind));
    });
  });
}

class MemoryCursor final : public queue::RowCursor {
 public:
  // No row at `end` or behind it; "": no such end.
  MemoryCursor(const MemoryDisk::Family& rows, std::string_view prefix, std::string_view end)
      : rows_(rows), prefix_(prefix), end_(end), at_(rows.end()) {}

  void seek(std::string_view key) override {
    at_ = rows_.lower_bound(key < prefix_ ? std::string_view(prefix_) : key);
  }

  void next() override {
    MTA_ASSERT(is_valid());
    ++at_;
  }

  [[nodiscard]] bool is_valid() const override {
    return at_ != rows_.end() && at_->first.starts_with(prefix_) &&
           (end_.empty() || at_->first < end_);
  }

  [[nodiscard]] std::string_view key() const override { return at_->first; }

  [[nodiscard]] std::string_view value() const override { return at_->second; }

  [[nodiscard]] Result<void> status() const override { return {}; }

 private:
  const MemoryDisk::Family& rows_;
  std::string prefix_;
  std::string end_;
  MemoryDisk::Family::const_iterator at_;
};

}  // namespace

class MemoryView final : public queue::RowView {
 public:
  explicit MemoryView(const MemoryDisk& disk) : disk_(disk), lock_(disk.mutex_, std::defer_lock) {
    const std::lock_guard turn(disk_.turnstile_);
    lock_.lock();
  }

  [[nodiscard]] Result<std::optional<std::string>> get(queue::Family family,
                                                       std::string_view key) const override {
    const MemoryDisk::Family& rows = disk_.rows(family);
    const auto found = rows.find(key);
    if (found == rows.end()) return std::optional<std::string>();
    return std::optional<std::string>(found->second);
  }

  [[nodiscard]] std::unique_ptr<queue::RowCursor> cursor(queue::Family family,
                                                         std::string_view prefix) const override {
    return std::make_unique<MemoryCursor>(disk_.rows(family), prefix, "");
  }

  [[nodiscard]] std::unique_ptr<queue::RowCursor> range(queue::Family family,
                                                        std::string_view end) const override {
    return std::make_unique<MemoryCursor>(disk_.rows(family), "", end);
  }

  [[nodiscard]] Result<std::optional<std::string>> last_key(queue::Family family) const override {
    const MemoryDisk::Family& rows = disk_.rows(family);
    if (rows.empty()) return std::optional<std::string>();
    return std::optional<std::string>(rows.rbegin()->first);
  }

 private:
  const MemoryDisk& disk_;
  std::shared_lock<std::shared_mutex> lock_;
};

void MemoryDisk::crash(std::size_t unsynced_kept) {
  const std::unique_lock lock(mutex_);
  while (unsynced_.size() > unsynced_kept) {
    UndoWrite& write = unsynced_.back();
    for (auto undo = write.rbegin(); undo != write.rend(); ++undo) {
      Family& rows = families_[static_cast<std::size_t>(undo->family)];
      if (undo->before) {
        rows.insert_or_assign(std::move(undo->key), std::move(*undo->before));
      } else {
        rows.erase(undo->key);
      }
    }
    unsynced_.pop_back();
  }
  unsynced_.clear();
}

bool MemoryDisk::is_empty_but_meta() const {
  for (std::size_t family = 0; family < queue::kFamilies; ++family) {
    const queue::Family which = static_cast<queue::Family>(family);
    const bool stays = which == queue::Family::Meta || which == queue::Family::History ||
                       which == queue::Family::Index;
    if (stays) continue;
    if (which == queue::Family::Sites && has_only_learned(families_[family])) continue;
    if (!families_[family].empty()) return false;
  }
  return true;
}

Result<void> MemoryRows::write(std::span<const RowOperations* const> batch, queue::Sync sync) {
  const std::lock_guard turn(disk_.turnstile_);
  const std::unique_lock lock(disk_.mutex_);
  MTA_ASSERT(!has_failed_);  // "takes no more writes" is the caller's duty
  if (disk_.writes_left_ == 0) {
    has_failed_ = true;
    if (disk_.failed_write_ == MemoryDisk::FailedWrite::IsThere) apply(batch);
    return Error("No space left on device");
  }
  if (disk_.writes_left_ != std::numeric_limits<std::size_t>::max()) --disk_.writes_left_;
  apply(batch);
  if (sync == queue::Sync::Yes) {
    disk_.unsynced_.clear();
    ++disk_.syncs_;
  }
  return {};
}

void MemoryRows::apply(std::span<const RowOperations* const> batch) {
  MemoryDisk::UndoWrite& undo = disk_.unsynced_.emplace_back();
  for (const RowOperations* operations : batch) {
    operations->for_each([&](const RowOperations::Row& row) {
      MemoryDisk::Family& rows = disk_.families_[static_cast<std::size_t>(row.family)];
      const auto found = rows.find(row.key);
      const bool is_there = found != rows.end();
      undo.push_back({row.family, std::string(row.key),
                      is_there ? std::optional<std::string>(found->second) : std::nullopt});
      if (row.operation == RowOperations::Operation::Put) {
        rows.insert_or_assign(std::string(row.key), std::string(row.value));
      } else if (is_there) {
        rows.erase(found);
      }
    });
  }
}

std::unique_ptr<queue::RowView> MemoryRows::view() const {
  return std::make_unique<MemoryView>(disk_);
}

std::optional<Error> MemoryRows::failure() const {
  const std::shared_lock lock(disk_.mutex_);
  if (!has_failed_) return std::nullopt;
  return Error("No space left on device");
}

Result<void> MemoryRows::trim_history(std::string_view below_key) {
  const std::unique_lock lock(disk_.mutex_);
  MemoryDisk::Family& history = disk_.families_[static_cast<std::size_t>(queue::Family::History)];
  history.erase(history.begin(), history.lower_bound(below_key));
  history_floor_ = std::max(history_floor_, std::string(below_key));
  return {};
}

// What is not synced is undone row by row and never touches these, so they count as synced.
Result<void> MemoryRows::ingest(const queue::IndexRows& rows) {
  const std::lock_guard turn(disk_.turnstile_);
  const std::unique_lock lock(disk_.mutex_);
  if (has_failed_ || disk_.writes_left_ == 0) return Error("No space left on device");
  if (disk_.writes_left_ != std::numeric_limits<std::size_t>::max()) --disk_.writes_left_;
  MemoryDisk::Family& index = disk_.families_[static_cast<std::size_t>(queue::Family::Index)];
  std::string last;
  for (std::optional<queue::IndexRow> row = rows(); row; row = rows()) {
    MTA_ASSERT(row->key > last);
    last = row->key;
    if (row->is_removal) {
      index.erase(last);
    } else {
      index.insert_or_assign(last, std::string(row->value));
    }
  }
  return {};
}

Result<std::string> MemoryRows::history_cut(std::uint64_t octets_max) const {
  const std::shared_lock lock(disk_.mutex_);
  const std::uint64_t history = octets_of(disk_.rows(queue::Family::History));
  const std::uint64_t all = history + octets_of(disk_.rows(queue::Family::Index));
  if (all <= octets_max) return std::string();
  const std::uint64_t allowed = history * octets_max / all * 9 / 10;
  const MemoryDisk::Family& rows = disk_.rows(queue::Family::History);
  std::uint64_t kept = 0;
  for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
    kept += row->first.size() + row->second.size();
    if (kept > allowed) return row->first + '\0';
  }
  return std::string();
}

Result<void> MemoryRows::collect_index(std::atomic<bool>& is_cancelled, std::uint64_t octets_free) {
  if (is_cancelled.load()) return {};
  const std::lock_guard turn(disk_.turnstile_);
  const std::unique_lock lock(disk_.mutex_);
  MemoryDisk::Family& index = disk_.families_[static_cast<std::size_t>(queue::Family::Index)];
  const Result<void> room = queue::check_room_to_collect(octets_of(index), octets_free);
  if (!room) return room;
  std::erase_if(index, [this](const auto& row) {
    return queue::is_index_row_below(row.first, history_floor_);
  });
  return {};
}

}  // namespace rockdove::tests
