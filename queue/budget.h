// What all loops share: how many outbound connections are open, and how much mail is held in
// memory. Counters and nothing else, so that no loop ever waits for another (but for the moment in
// which ConnectionBudget::from() looks one up).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "queue/types.h"

namespace rockdove::queue {

// Connections from one of our source addresses to everywhere.
class SourceConnections {
 public:
  // `most` as it is configured at the moment. Those that are open beyond it stay open.
  [[nodiscard]] bool try_take(std::uint32_t most) {
    std::uint32_t seen = open_.load(std::memory_order_relaxed);
    while (seen < most) {
      if (open_.compare_exchange_weak(seen, seen + 1, std::memory_order_relaxed)) return true;
    }
    return false;
  }

  void give_back() { open_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint32_t> open_{0};
};

// All outbound connections of the process. Sites without a recent success ("unproven") together get
// at most half, so that a thousand dead sites leave room for those that answer. Of these, some have
// taken a whole message and owe the answer ("owing"): nothing but their answer can end that, so
// they stand outside of that half, but are at most a quarter of all.
class ConnectionBudget {
 public:
  enum class Standing : std::uint8_t { Proven, Unproven, Owing };

  // `connections_max` is at least 1.
  explicit ConnectionBudget(std::uint32_t connections_max) : max_(std::max(connections_max, 1U)) {}

  // Not as Owing.
  [[nodiscard]] bool try_take(Standing standing) {
    if (standing == Standing::Unproven && !add_below(unproven_, unproven_max())) return false;
    if (add_below(open_, max())) return true;
    if (standing == Standing::Unproven) unproven_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }

  // After a reload. Those that are open beyond a smaller number stay open.
  void change(std::uint32_t connections_max) {
    max_.store(std::max(connections_max, 1U), std::memory_order_relaxed);
  }

  // With the standing it was taken with.
  void give_back(Standing standing) {
    open_.fetch_sub(1, std::memory_order_relaxed);
    if (standing == Standing::Unproven) unproven_.fetch_sub(1, std::memory_order_relaxed);
    if (standing == Standing::Owing) owing_.fetch_sub(1, std::memory_order_relaxed);
  }

  // A connection that counted as this, Unproven or Owing, had an answer that proves it: from now on
  // it counts, and is given back, as Proven.
  void prove(Standing standing) {
    (standing == Standing::Owing ? owing_ : unproven_).fetch_sub(1, std::memory_order_relaxed);
  }

  // A connection that was taken Unproven has brought a whole message. true: from now on it counts,
  // and is given back, as Owing. false: a quarter of all do already.
  [[nodiscard]] bool try_owe() {
    if (!add_below(owing_, std::max(max_ / 4, 1U))) return false;
    unproven_.fetch_sub(1, std::memory_order_relaxed);
    return true;
  }

  // Whether the unproven have all that they may have: only an end among them helps another.
  [[nodiscard]] bool is_unproven_full() const {
    return unproven_.load(std::memory_order_relaxed) >= unproven_max();
  }

  // Whether only the last fifth of what the unproven may have is free. It is kept for sites that
  // nobody has tried yet, whose mail need not stand behind a thousand dead ones; those that wait
  // for a connection wait on, and those that have kept one for long without an answer give it up.
  [[nodiscard]] bool is_unproven_crowded() const {
    return unproven_.load(std::memory_order_relaxed) >= std::max(unproven_max() * 4 / 5, 1U);
  }

  // One more unproven site of some loop waits for a connection, or one less. Any loop may hold what
  // would help it, so all look at the sum.
  void began_to_wait() { waiting_.fetch_add(1, std::memory_order_relaxed); }

  void ended_wait() { waiting_.fetch_sub(1, std::memory_order_relaxed); }

  [[nodiscard]] std::uint32_t waiting() const { return waiting_.load(std::memory_order_relaxed); }

  [[nodiscard]] std::uint32_t open() const { return open_.load(std::memory_order_relaxed); }

  // Those from this address, whichever loop has them; "" where the system chooses it.
  [[nodiscard]] std::shared_ptr<SourceConnections> from(const std::string& address) {
    const std::lock_guard guard(sources_mutex_);
    std::shared_ptr<SourceConnections>& found = sources_[address];
    if (found == nullptr) found = std::make_shared<SourceConnections>();
    return found;
  }

 private:
  [[nodiscard]] std::uint32_t max() const { return max_.load(std::memory_order_relaxed); }

  [[nodiscard]] std::uint32_t unproven_max() const { return std::max(max() / 2, 1U); }

  static bool add_below(std::atomic<std::uint32_t>& count, std::uint32_t limit) {
    std::uint32_t seen = count.load(std::memory_order_relaxed);
    while (seen < limit) {
      if (count.compare_exchange_weak(seen, seen + 1, std::memory_order_relaxed)) return true;
    }
    return false;
  }

  std::atomic<std::uint32_t> max_;
  std::atomic<std::uint32_t> open_{0};
  std::atomic<std::uint32_t> unproven_{0};
  std::atomic<std::uint32_t> owing_{0};
  std::atomic<std::uint32_t> waiting_{0};
  std::mutex sources_mutex_;
  std::unordered_map<std::string, std::shared_ptr<SourceConnections>> sources_;  // a few
};

// Octets of messages in memory: those coming in, and those loaded or kept for their first attempt.
class MemoryBudget {
 public:
  explicit MemoryBudget(std::uint64_t octets_max) : max_(octets_max) {}

  void change(std::uint64_t octets_max) { max_.store(octets_max, std::memory_order_relaxed); }

  void take(std::uint64_t octets) { used_.fetch_add(octets, std::memory_order_relaxed); }

  void give_back(std::uint64_t octets) { used_.fetch_sub(octets, std::memory_order_relaxed); }

  [[nodiscard]] std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }

  // May one more message begin? The last eighth is left to those that have begun.
  [[nodiscard]] bool has_room_to_accept() const { return used() < max() - max() / 8; }

  // May messages be read from the queue, with their header blocks?
  [[nodiscard]] bool has_room_to_load() const { return used() < max_ / 4 * 3; }

  // May an accepted message be kept for its first attempt, or would it better be read again later?
  [[nodiscard]] bool has_room_to_keep() const { return used() < max() / 8; }

 private:
  [[nodiscard]] std::uint64_t max() const { return max_.load(std::memory_order_relaxed); }

  std::atomic<std::uint64_t> max_;
  std::atomic<std::uint64_t> used_{0};
};

// The same message, whose octets count against the budget for as long as anybody holds it.
[[nodiscard]] inline MessagePointer counted(MessagePointer message, MemoryBudget& memory) {
  const Message* plain = message.get();
  const std::uint64_t octets =
      sizeof(Message) + plain->header_block.size() + (plain->body ? plain->body->size() : 0);
  memory.take(octets);
  return {plain, [message = std::move(message), octets, &memory](const Message*) mutable {
            message.reset();
            memory.give_back(octets);
          }};
}

}  // namespace rockdove::queue
