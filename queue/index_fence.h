// How far the index goes, between the one who writes messages (queue::Ledger, on the committer's
// thread) and the one who indexes them (queue::Indexer, on its own): a message with an id below,
// which comes after all, is noted by its writer. Outlives both, and every instance of the rows.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#include "queue/types.h"

namespace rockdove::queue {

class IndexFence {
 public:
  // While one lives, a group is being written that may have seen an older until().
  class Group {
   public:
    explicit Group(IndexFence& fence) : fence_(fence) { fence_.groups_.fetch_add(1); }
    ~Group() { fence_.groups_.fetch_add(1); }

    Group(const Group&) = delete;
    Group& operator=(const Group&) = delete;

   private:
    IndexFence& fence_;
  };

  [[nodiscard]] MessageId until() const { return {until_.load()}; }

  // Never back, whoever else raises it. Once it returns, no message below is being written that was
  // not noted: it is there for a view that is taken now, or will be noted. Not within a group.
  void raise(MessageId until) {
    std::uint64_t known = until_.load();
    while (known < until.value && !until_.compare_exchange_weak(known, until.value)) {
    }
    const std::uint64_t seen = groups_.load();
    if (seen % 2 == 0) return;
    while (groups_.load() == seen) std::this_thread::sleep_for(std::chrono::microseconds(100));
  }

 private:
  std::atomic<std::uint64_t> until_ = 0;
  std::atomic<std::uint64_t> groups_ = 0;  // begun and ended ones: odd while one is written
};

}  // namespace rockdove::queue
