// What each thread counts for whoever watches the relay (admin/metrics.h shows it). A thread that a
// CounterTable knows adds to a block of its own: a plain load and store, no lock and no shared
// cache line; the sums are made when somebody asks. A thread that no table knows, as in most tests,
// counts nothing.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "mta/base/recent_peak.h"
#include "mta/base/time.h"

namespace rockdove::base {

enum class Counter : std::uint8_t {
  ConnectionsIn,
  MessagesAccepted,
  OctetsAccepted,    // of these messages, as they will be sent
  RefusedTemporary,  // refusals 4yz; the next seven are of these subjects of RFC 3463
  RefusedTemporaryAddress,
  RefusedTemporaryMailbox,
  RefusedTemporarySystem,
  RefusedTemporaryNetwork,
  RefusedTemporaryProtocol,
  RefusedTemporaryContent,
  RefusedTemporaryPolicy,
  RefusedPermanent,  // likewise
  RefusedPermanentAddress,
  RefusedPermanentMailbox,
  RefusedPermanentSystem,
  RefusedPermanentNetwork,
  RefusedPermanentProtocol,
  RefusedPermanentContent,
  RefusedPermanentPolicy,
  ConnectionsOut,
  ConnectionsOutFailed,
  Delivered,  // deliveries, as queue::Outcome names their ends
  Deferred,   // each attempt that was
  Bounced,
  Discarded,
  Deleted,
  Unreturnable,
  Unreported,
  QuarantineExpired,
  TlsServer10,  // handshakes with clients that were done; the next three are of 1.1 to 1.3
  TlsServer11,
  TlsServer12,
  TlsServer13,
  TlsServerFailed,
  TlsClient10,  // with servers
  TlsClient11,
  TlsClient12,
  TlsClient13,
  TlsClientFailed,
  LoginsAccepted,
  LoginsKnownAgain,  // of the accepted: without a new hash
  LoginsRefused,
  LoginsThrottled,    // not looked at, for too many failures
  LoginsUnavailable,  // the accounts cannot be read, or too many wait
  DnsQuestions,       // to name servers
  DnsKept,            // answered from memory
  DnsFailures,        // questions that got no answer, or a server's failure
  ProxyErrors,        // connections without the PROXY header that they must begin with
  JudgedAccepted,     // mail of strangers; the next three as policy::Disposition has them
  JudgedQuarantined,
  JudgedDeferred,
  JudgedRefused,
  SpfNone,  // of MAIL FROM; the next six as policy::SpfResult has them
  SpfNeutral,
  SpfPass,
  SpfFail,
  SpfSoftFail,
  SpfTemporaryError,
  SpfPermanentError,
  DkimNone,  // of messages; the next four as policy::DkimResult has them
  DkimPass,
  DkimFail,
  DkimPermanentError,
  DkimTemporaryError,
  ArcNone,  // the next two as policy::ArcStatus has them
  ArcPass,
  ArcFail,
  DmarcNone,  // the next four as policy::DmarcResult has them
  DmarcPass,
  DmarcFail,
  DmarcTemporaryError,
  DmarcPermanentError,
  Signed,       // messages, with DKIM or a seal of ARC
  RuleBackoff,  // what traffic rules did, once for each reply; the next four are other actions
  RulePause,
  RuleSet,
  RuleBounce,
  RuleDefer,      // or retry_in, or next_source
  BudgetsUsedUp,  // as often as the log says so
  End,
};

enum class Timing : std::uint8_t {
  LoopTurn,           // a loop's work between two waits, nanoseconds
  LoopTurnProcessor,  // the processor time of its thread for that, nanoseconds
  StoreWrite,         // a group written and synced, nanoseconds
  Commit,             // from a change's hand-over until it was durable, nanoseconds
  GroupSize,          // changes in a group
  End,
};

inline constexpr std::size_t kCounters = static_cast<std::size_t>(Counter::End);
inline constexpr std::size_t kTimings = static_cast<std::size_t>(Timing::End);
inline constexpr std::size_t kBuckets = 16;  // the last one has no upper bound

// The upper bounds of a timing's buckets but for the last, in its unit, rising.
[[nodiscard]] const std::array<std::uint64_t, kBuckets - 1>& bucket_bounds(Timing timing);

struct CounterTotals {
  struct Histogram {
    std::array<std::uint64_t, kBuckets> buckets{};
    std::uint64_t sum = 0;
  };

  std::array<std::uint64_t, kCounters> counters{};
  std::array<Histogram, kTimings> histograms{};

  [[nodiscard]] std::uint64_t of(Counter counter) const {
    return counters[static_cast<std::size_t>(counter)];
  }

  [[nodiscard]] const Histogram& of(Timing timing) const {
    return histograms[static_cast<std::size_t>(timing)];
  }
};

// What is of interest of each loop by itself.
struct LoopCounts {
  unsigned loop = 0;
  // Its longest turn, by the processor time of its thread, in the last one to two minutes.
  std::chrono::microseconds longest_turn{};
  std::uint64_t connections_out = 0;  // Counter::ConnectionsOut
};

// One thread's counts. Only the thread itself writes, so adding needs no atomic read-modify-write.
class alignas(64) ThreadCounters {
 public:
  void add(Counter counter, std::uint64_t amount) {
    add(counters_[static_cast<std::size_t>(counter)], amount);
  }

  void add(Timing timing, std::uint64_t value);
  // A turn of the loop that is this thread's.
  void add_turn(unsigned loop, std::chrono::nanoseconds processor, Instant now);
  // None: the thread is no loop's.
  [[nodiscard]] std::optional<LoopCounts> of_loop(Instant now) const;
  void add_to(CounterTotals& totals) const;

 private:
  using Cell = std::atomic<std::uint64_t>;

  static constexpr unsigned kNoLoop = ~0U;

  struct Histogram {
    std::array<Cell, kBuckets> buckets{};
    Cell sum = 0;
  };

  static void add(Cell& cell, std::uint64_t amount) {
    cell.store(cell.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }

  std::array<Cell, kCounters> counters_{};
  std::array<Histogram, kTimings> histograms_{};
  std::atomic<unsigned> loop_ = kNoLoop;
  RecentPeak turns_;
};

// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): counting must cost nothing
inline constinit thread_local ThreadCounters* thread_counters = nullptr;

inline void count(Counter counter, std::uint64_t amount = 1) {
  if (thread_counters != nullptr) thread_counters->add(counter, amount);
}

// `offset` counters further, for those that say so.
inline void count_nth(Counter first, unsigned offset) {
  count(static_cast<Counter>(static_cast<unsigned>(first) + offset));
}

inline void record(Timing timing, std::uint64_t value) {
  if (thread_counters != nullptr) thread_counters->add(timing, value);
}

inline void record(Timing timing, std::chrono::nanoseconds time) {
  record(timing, time.count() > 0 ? static_cast<std::uint64_t>(time.count()) : 0);
}

// The counts of all threads that were ever attached, those that have ended too. Outlives them.
class CounterTable {
 public:
  // While it lives, the thread that made it counts here.
  class Attachment {
   public:
    explicit Attachment(ThreadCounters& counters) { thread_counters = &counters; }

    ~Attachment() { thread_counters = nullptr; }

    Attachment(const Attachment&) = delete;
    Attachment& operator=(const Attachment&) = delete;
  };

  // On the thread that will count; no other attachment of its lives, and this one dies there, too.
  [[nodiscard]] std::unique_ptr<Attachment> attach();

  // Any thread.
  [[nodiscard]] CounterTotals totals() const;
  [[nodiscard]] std::vector<LoopCounts> of_loops(Instant now) const;  // in their order

 private:
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<ThreadCounters>> threads_;  // under mutex_
};

}  // namespace rockdove::base
