// Keeps the history to its age and its room on the disk ([history]): says below which message it is
// to go, and, once queue::Ledger has noted that in `meta`, frees its space. Readers skip what is
// below the noted id at once, whatever is left of it, and after a crash it goes on from there.
//
// Without threads; belongs to the thread that calls Rows::ingest(). It keeps nothing that must not
// outlive the rows, so it goes on with the next instance of them.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>

#include "queue/retry.h"
#include "queue/rows.h"
#include "queue/settings.h"
#include "queue/types.h"

namespace rockdove::queue {

struct HistoryLimits {
  // Of messages that were accepted before nothing is kept; 1970: age does not count.
  WallTime oldest{};
  std::uint64_t octets_max = std::numeric_limits<std::uint64_t>::max();  // with the index
  // Of the disk, that writing the index anew may take for a while.
  std::uint64_t octets_free = std::numeric_limits<std::uint64_t>::max();

  // On a disk of this size, of which so much may be taken: the history gets a quarter at most,
  // because a disk that it fills takes no mail any more.
  [[nodiscard]] HistoryLimits on_disk(std::uint64_t disk_octets, std::uint64_t spare) const;
};

// As they are now. Nothing is too old while the clock cannot be believed: it would be gone for
// good.
[[nodiscard]] HistoryLimits limits_of(const HistorySettings& settings, ClockWatch& clocks,
                                      base::Now now);

class HistoryKeeper {
 public:
  // What is only too old goes in steps, because each costs a write and a look at all files.
  static constexpr base::Duration kBetweenTrims = std::chrono::hours(1);

  // Frees what is noted to go. Answers with the id below which more must: it is to be noted, and
  // the next look frees it; nullopt: nothing more. May take minutes when there was too much, and
  // ends early once `is_cancelled`.
  [[nodiscard]] Result<std::optional<MessageId>> look(Rows& rows, const HistoryLimits& limits,
                                                      std::atomic<bool>& is_cancelled);

 private:
  std::optional<MessageId> collected_;  // for which floor the index was collected last
};

}  // namespace rockdove::queue
