// The queue's rows in ordered maps: an engine for tests and the simulation. It forgets what was not
// synced when told to crash, and can be told that its disk is full.
//
// A view holds a shared lock, so a writer waits for it: a thread must not write, nor take another
// view, while it has one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "queue/rows.h"

namespace rockdove::tests {

// What outlives an engine, as a disk does.
class MemoryDisk {
 public:
  using Family = std::map<std::string, std::string, std::less<>>;

  // Power is cut: of the writes that were not synced only the first `unsynced_kept` survive. No
  // engine may be using the disk.
  void crash(std::size_t unsynced_kept = 0);

  // What is found of a write that failed: its outcome is unknown to who wrote.
  enum class FailedWrite : std::uint8_t { Lost, IsThere };

  // From now on, after `more` further writes, each fails as on a full disk, until free_space().
  void fill_after(std::size_t more, FailedWrite outcome = FailedWrite::Lost) {
    const std::unique_lock lock(mutex_);
    writes_left_ = more;
    failed_write_ = outcome;
  }

  void free_space() { fill_after(std::numeric_limits<std::size_t>::max()); }

  [[nodiscard]] bool is_full() const {
    const std::shared_lock lock(mutex_);
    return writes_left_ == 0;
  }

  // Whether engines on it say that they are behind.
  std::atomic<bool> is_behind = false;

  [[nodiscard]] std::size_t syncs() const { return syncs_; }

  [[nodiscard]] const Family& rows(queue::Family family) const {
    return families_[static_cast<std::size_t>(family)];
  }

  [[nodiscard]] bool is_empty_but_meta() const;

 private:
  friend class MemoryRows;
  friend class MemoryView;

  // How to undo one row of one write.
  struct Undo {
    queue::Family family;
    std::string key;
    std::optional<std::string> before;
  };

  using UndoWrite = std::vector<Undo>;

  mutable std::mutex
      turnstile_;  // whoever waits for mutex_ holds it, so that readers cannot starve writers
  mutable std::shared_mutex mutex_;
  Family families_[queue::kFamilies];
  std::vector<UndoWrite> unsynced_;
  std::size_t writes_left_ = std::numeric_limits<std::size_t>::max();
  FailedWrite failed_write_ = FailedWrite::Lost;
  std::size_t syncs_ = 0;
};

class MemoryRows : public queue::Rows {
 public:
  explicit MemoryRows(MemoryDisk& disk) : disk_(disk) {}

  [[nodiscard]] queue::Result<void> write(std::span<const queue::RowOperations* const> batch,
                                          queue::Sync sync) override;
  [[nodiscard]] std::unique_ptr<queue::RowView> view() const override;
  [[nodiscard]] std::optional<queue::Error> failure() const override;

  [[nodiscard]] bool is_stalled() const override { return false; }

  [[nodiscard]] bool is_behind() const override { return disk_.is_behind; }

  [[nodiscard]] queue::Result<void> collect_garbage(Urgency) override { return {}; }

  [[nodiscard]] queue::Result<void> ingest(const queue::IndexRows& rows) override;
  [[nodiscard]] queue::Result<void> trim_history(std::string_view below_key) override;
  [[nodiscard]] queue::Result<void> collect_index(std::atomic<bool>& is_cancelled,
                                                  std::uint64_t octets_free) override;
  [[nodiscard]] queue::Result<std::string> history_cut(std::uint64_t octets_max) const override;

 private:
  void apply(std::span<const queue::RowOperations* const> batch);

  MemoryDisk& disk_;
  bool has_failed_ = false;
  std::string history_floor_;
};

}  // namespace rockdove::tests
