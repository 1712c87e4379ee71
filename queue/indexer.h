// Makes the index of the history (queue/index.h), a closed stretch of message ids at a time: reads
// every message of it, sorts what they are looked up by, and hands that to Rows::ingest() together
// with how far the index goes now, so that a crash leaves both or neither. Without threads:
// queue::ThreadedStore calls it on one of its own, tests in a turn.
//
// Belongs to one thread. It keeps nothing that the rows do not know, so it goes on with the next
// instance of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "queue/history.h"
#include "queue/index.h"
#include "queue/index_fence.h"
#include "queue/rows.h"

namespace rockdove::queue {

struct IndexerLimits {
  std::uint64_t messages_max = 100'000;  // of a stretch
  std::size_t entries_max = 1'000'000;   // likewise; the last message may bring more
  std::uint64_t work_max = 500'000;      // as HistoryWalk::work(): some seconds
};

class Indexer {
 public:
  struct Step {
    std::uint64_t messages = 0;
    std::uint64_t entries = 0;
    bool more = false;  // the limits ended it: there is more below `until`
  };

  // `fence` is the writers', and outlives it.
  explicit Indexer(IndexFence& fence, IndexerLimits limits = {}) : fence_(fence), limits_(limits) {}

  // Indexes the next stretch, up to `until` at most: messages that come below it from now on are
  // late. Of rows that have failed it does nothing. After an error the next call begins anew.
  [[nodiscard]] Result<Step> step(Rows& rows, MessageId until, Damaged& damaged);

 private:
  struct Entry {
    IndexKind kind;
    std::uint64_t hash;
    MessageId id;

    auto operator<=>(const Entry&) const = default;
  };

  // What one ingest brings.
  struct Stretch {
    std::vector<Entry> entries;
    std::vector<MessageId> late;  // had come late, and are taken up now
    MessageId until;
    Step step;
  };

  [[nodiscard]] Result<Stretch> read(const RowView& view, MessageId until, Damaged& damaged);
  [[nodiscard]] Result<void> read_late(const RowView& view, MessageId from, Stretch& stretch,
                                       Damaged& damaged);
  static void add(const TracedMessage& message, std::vector<Entry>& entries);
  [[nodiscard]] static Result<void> ingest(Rows& rows, Stretch& stretch);

  IndexFence& fence_;
  const IndexerLimits limits_;
  MessageId empty_until_;  // nothing was found from the mark up to here
};

}  // namespace rockdove::queue
