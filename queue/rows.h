// The queue as ordered rows of octets, and the engine that keeps them. RocksDB is one engine
// (queue/rocks_rows.cc, the only file that knows it), an ordered map that forgets what was not
// synced is the other (tests/support/memory_rows.h); both pass tests/unit/queue/rows_contract.cc.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mta/base/result.h"

namespace rockdove::queue {

using base::Error;
using base::Result;

// Column families. The numbers are never stored, the names are.
enum class Family : std::uint8_t {
  Meta,
  Messages,
  Bodies,
  Deliveries,
  Waiting,
  Partial,
  Sites,
  History,
  Index
};
inline constexpr std::size_t kFamilies = 9;
[[nodiscard]] std::string_view family_name(Family family);

// Row operations in order, in one block of memory.
class RowOperations {
 public:
  enum class Operation : std::uint8_t {
    Put,
    Delete,
    SingleDelete,  // of a row that was put exactly once since it was last deleted
  };

  struct Row {
    Operation operation;
    Family family;
    std::string_view key;
    std::string_view value;  // empty unless Put
  };

  void put(Family family, std::string_view key, std::string_view value);

  // The value is what `write(std::string&)` appends to the string it is given; saves a copy.
  template <typename Write>
  void put_written(Family family, std::string_view key, Write&& write) {
    const std::size_t start = block_.size();
    add(Operation::Put, family, key, kInline);
    const std::size_t value_start = block_.size();
    std::forward<Write>(write)(block_);
    set_value_octets(start, block_.size() - value_start);
  }

  // The value is referred to and kept, not copied; for bodies.
  void put_shared(Family family, std::string_view key, std::shared_ptr<const std::string> value);
  void remove(Family family, std::string_view key);
  void remove_single(Family family, std::string_view key);
  void append(RowOperations other);
  void clear();

  // Room for this many octets of keys and values, so that building does not move the block.
  void reserve(std::size_t octets) { block_.reserve(octets); }

  [[nodiscard]] std::size_t octets() const { return block_.size() + shared_octets_; }

  [[nodiscard]] bool is_empty() const { return block_.empty(); }

  // Calls `visit(const Row&)` for each, in order. The views are valid until the next non-const
  // call.
  template <typename Visit>
  void for_each(Visit&& visit) const {
    std::size_t shared = 0;
    for (std::size_t at = 0; at < block_.size();) {
      Head head;
      std::memcpy(&head, block_.data() + at, sizeof(head));
      at += sizeof(head);
      const std::string_view key(block_.data() + at, head.key_octets);
      at += head.key_octets;
      std::string_view value;
      if (head.place == kShared) {
        value = *shared_[shared++];
      } else {
        value = std::string_view(block_.data() + at, head.value_octets);
        at += head.value_octets;
      }
      visit(Row{head.operation, head.family, key, value});
    }
  }

 private:
  static constexpr std::uint8_t kInline = 0;
  static constexpr std::uint8_t kShared = 1;

  // Stands in front of each row in the block.
  struct Head {
    Operation operation;
    Family family;
    std::uint8_t place;
    std::uint8_t unused;
    std::uint32_t key_octets;
    std::uint32_t value_octets;
  };

  void add(Operation operation, Family family, std::string_view key, std::uint8_t place);
  void set_value_octets(std::size_t head_at, std::size_t octets);

  std::string block_;
  std::vector<std::shared_ptr<const std::string>> shared_;  // one for each kShared row, in order
  std::size_t shared_octets_ = 0;
};

enum class Sync : std::uint8_t { No, Yes };

// Walks rows in the order of their keys. Must not outlive the view it came from.
class RowCursor {
 public:
  virtual ~RowCursor() = default;

  // To the first row at or behind `key` within the cursor's prefix.
  virtual void seek(std::string_view key) = 0;
  virtual void next() = 0;  // only when is_valid()
  // False behind the last row of the prefix, and after an error: ask status() which of them.
  [[nodiscard]] virtual bool is_valid() const = 0;
  // Whole, prefix included; valid until the next seek() or next().
  [[nodiscard]] virtual std::string_view key() const = 0;
  [[nodiscard]] virtual std::string_view value() const = 0;
  [[nodiscard]] virtual Result<void> status() const = 0;
};

// All families at one moment: sees nothing that is written later. Used by one thread.
class RowView {
 public:
  virtual ~RowView() = default;

  // nullopt: there is no such row.
  [[nodiscard]] virtual Result<std::optional<std::string>> get(Family family,
                                                               std::string_view key) const = 0;
  // Rows whose key starts with `prefix`; not placed on any until seek().
  [[nodiscard]] virtual std::unique_ptr<RowCursor> cursor(Family family,
                                                          std::string_view prefix) const = 0;
  // All rows of the family whose key is below `end`; likewise. For walks that read much once.
  [[nodiscard]] virtual std::unique_ptr<RowCursor> range(Family family,
                                                         std::string_view end) const = 0;
  // The highest key of the family; nullopt: it is empty.
  [[nodiscard]] virtual Result<std::optional<std::string>> last_key(Family family) const = 0;
};

// A row on its way into the index.
struct IndexRow {
  std::string_view key;  // valid until the next row is asked for
  std::string_view value;
  bool is_removal = false;
};

// The rows one by one, keys ascending and each once; nullopt: that was the last one.
using IndexRows = std::function<std::optional<IndexRow>()>;

// One writer at a time; any number of readers beside it, each with views of its own.
class Rows {
 public:
  virtual ~Rows() = default;

  // All of them in order as one step: after a crash either all or none are there. With Sync::Yes
  // this and everything written before survives a power cut once it returns. An error means that
  // the outcome is unknown and that this instance takes no more writes.
  [[nodiscard]] virtual Result<void> write(std::span<const RowOperations* const> batch,
                                           Sync sync) = 0;

  // A moment to read at. Destroy it soon: it keeps old rows from being collected.
  [[nodiscard]] virtual std::unique_ptr<RowView> view() const = 0;

  // Any thread: why the instance takes no more writes, found out in the background; nullopt: it
  // does.
  [[nodiscard]] virtual std::optional<Error> failure() const = 0;
  // Any thread: the engine holds writers back because it cannot keep up.
  [[nodiscard]] virtual bool is_stalled() const = 0;
  // Any thread: bodies come faster than the engine writes them out; much more of them, and it stalls.
  [[nodiscard]] virtual bool is_behind() const = 0;

  // Frees the space of bodies that are gone, if over half of what they take is garbage; when the
  // disk runs full also if it is a tenth, and that of the log. Takes a while; not on the writer's
  // thread.
  enum class Urgency : std::uint8_t { Idle, DiskFillsUp };
  [[nodiscard]] virtual Result<void> collect_garbage(Urgency urgency) = 0;

  // Writes to Family::Index, past the log, as one durable step: after a crash either all or none
  // are there. On any thread beside the writer's, one at a time. An error means that none is there.
  [[nodiscard]] virtual Result<void> ingest(const IndexRows& rows) = 0;

  // Frees the space of history below this key, as far as that is cheap: readers may still see some.
  // What the index has of such messages goes when it is next compacted. On the thread of ingest().
  [[nodiscard]] virtual Result<void> trim_history(std::string_view below_key) = 0;
  // Frees the space of what trim_history() left in the index, by writing all of it anew; may take
  // minutes, and ends early without an error once `is_cancelled`. Where that needs more than
  // `octets_free` of the disk it is an error, and nothing is written. On the thread of ingest().
  [[nodiscard]] virtual Result<void> collect_index(std::atomic<bool>& is_cancelled,
                                                   std::uint64_t octets_free) = 0;
  // Where history and index together take more than so many octets: below which key history must
  // go, so that what is left of both, once the index is collected, takes a tenth less; "": they
  // fit.
  [[nodiscard]] virtual Result<std::string> history_cut(std::uint64_t octets_max) const = 0;
};

// The error of Rows::collect_index() where there is not so much room.
[[nodiscard]] Result<void> check_room_to_collect(std::uint64_t octets, std::uint64_t octets_free);

}  // namespace rockdove::queue
