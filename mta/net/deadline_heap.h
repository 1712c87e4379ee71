// The deadlines of one loop, earliest first. A deadline that moves later costs nothing: its entry
// keeps the place it has and is put where it belongs only when its old time comes. That is what
// connections need, whose deadlines move at every turn and are almost never reached.
#pragma once

#include <cstddef>
#include <vector>

#include "mta/base/time.h"

namespace rockdove::net {

class DeadlineHeap;

// One deadline; its owner is told through the callback. Neither copied nor moved: the heap points
// here.
class Deadline {
 public:
  using Callback = void (*)(void* owner);

  Deadline(DeadlineHeap& heap, Callback callback, void* owner)
      : heap_(heap), callback_(callback), owner_(owner) {}

  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  // Replaces what was set; kNever cancels.
  void set(base::Instant at);

 private:
  friend class DeadlineHeap;
  static constexpr std::size_t kOutside = static_cast<std::size_t>(-1);

  DeadlineHeap& heap_;
  Callback callback_;
  void* owner_;
  base::Instant wanted_ = base::kNever;
  base::Instant armed_ = base::kNever;  // what the heap sorts by; never later than wanted_
  std::size_t place_ = kOutside;
};

class DeadlineHeap {
 public:
  // When to look again; kNever when nothing is set. May be earlier than any deadline that is
  // wanted.
  [[nodiscard]] base::Instant earliest() const {
    return entries_.empty() ? base::kNever : entries_.front()->armed_;
  }

  // Calls back, once each, those whose time has come; callbacks may set and destroy any deadline.
  // Those set again during the call to a time that has passed wait for the next call.
  void run_due(base::Instant now);

 private:
  friend class Deadline;

  void insert(Deadline& entry);
  void remove(Deadline& entry);
  void move_up(std::size_t place);
  void move_down(std::size_t place);
  void put(Deadline* entry, std::size_t place);

  std::vector<Deadline*> entries_;
  base::Instant running_until_ = base::Instant::min();
};

}  // namespace rockdove::net
