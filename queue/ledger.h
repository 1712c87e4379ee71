// What the queue's rows mean to the one who writes them, without threads: applies groups of
// changes, decides which delivery was a message's last, keeps track of bodies that are still coming
// in, and prepares the rows at a start. queue::ThreadedStore drives one on its committer thread,
// tests/sim one on a virtual clock. For readers there is queue/reading.h.
//
// Belongs to one thread. After an error from any call the rows take no more writes (queue/rows.h):
// make a new Ledger over the rows that replace them, and give it what is_applied() denies.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "mta/base/result.h"
#include "queue/change.h"
#include "queue/index_fence.h"
#include "queue/rows.h"
#include "queue/types.h"

namespace rockdove::queue {

// The format that this version writes, under `meta` "format".
inline constexpr std::uint32_t kFormatVersion = 1;

class Ledger {
 public:
  // The only one at these rows, and nobody indexes them meanwhile.
  explicit Ledger(Rows& rows) : rows_(rows), fence_(own_fence_) {}
  // `fence` says how far the index goes, and outlives the ledger.
  Ledger(Rows& rows, IndexFence& fence) : rows_(rows), fence_(fence) {}

  // Before anything else: checks the format version (a newer one is an error that names both),
  // writes it to an empty queue, and removes what is left of bodies that never were accepted.
  [[nodiscard]] Result<void> open();

  // The highest id that the queue or its history has known, for base::IdGenerator. After open().
  [[nodiscard]] MessageId highest_id() const { return highest_id_; }

  // An acceptance whose body was written in chunks, but not all of them into this instance of the
  // rows, must not be applied: the error says so. Any other change may.
  [[nodiscard]] Result<void> check(const Change& change) const;

  // All of them as one durable step, in order. Each has passed check().
  [[nodiscard]] Result<void> apply(std::span<const Change* const> changes);

  // The messages whose last deliveries ended in the group that was applied last.
  [[nodiscard]] std::vector<MessageId> gone() const;

  // Whether a group that failed is there after all; it is whole or not at all. Only with the rows
  // as open() found them.
  [[nodiscard]] Result<bool> is_applied(std::span<const Change* const> changes) const;

  // Not synced; apply() of the acceptance syncs it. Chunks come in order, from 0.
  [[nodiscard]] Result<void> write_chunk(MessageId id, std::uint32_t index,
                                         std::shared_ptr<const std::string> octets);
  // Removes all that was written of a body that will not be accepted.
  [[nodiscard]] Result<void> drop_chunks(MessageId id);

  // Notes in `meta` the highest id, so that it outlives the history, and from which id on there is
  // history; before it is trimmed. Never back, and never beyond the highest id.
  [[nodiscard]] Result<void> note_trim(MessageId floor);

 private:
  // Messages whose count of deliveries is remembered; of more, the rows are counted once.
  static constexpr std::size_t kRemainingMax = 65'536;

  [[nodiscard]] Result<void> check_format();
  [[nodiscard]] Result<void> find_highest_id();
  [[nodiscard]] Result<void> drop_partial();
  void order_rows(std::span<const Change* const> changes);
  [[nodiscard]] Result<void> count_ends(const Change& change);
  void remove_gone();
  void note_late(std::span<const Change* const> changes);
  [[nodiscard]] Result<std::uint32_t> count_deliveries(MessageId id) const;
  void trim_remaining();

  // A message whose last delivery ends in this group.
  struct Gone {
    MessageId message;
    std::uint32_t body_chunks;
    bool may_have_report_state;
  };

  Rows& rows_;
  IndexFence own_fence_;
  IndexFence& fence_;
  MessageId highest_id_;
  MessageId history_floor_;  // as `meta` has it
  // Deliveries that have not ended, of messages with several. A message that is not here has its
  // rows counted, which is our one exception from "the committer never reads": after a restart, or
  // beyond kRemainingMax.
  std::unordered_map<MessageId, std::uint32_t> remaining_;
  std::unordered_map<MessageId, std::uint32_t> chunks_written_;
  // Of the group that is being applied; kept, so that their memory is.
  RowOperations removals_;
  std::vector<Gone> gone_;
  std::vector<const Change*> begun_;
  std::vector<const RowOperations*> batch_;
};

}  // namespace rockdove::queue
