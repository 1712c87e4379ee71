// An event loop as the layers above the network see it: one thread, one clock, tasks that other
// threads hand over, and timers. net::UvLoop is the real one; tests/sim has one on a virtual clock.
//
// Everything that belongs to a loop is touched by its thread only. What crosses threads is an
// immutable value inside a posted task.
#pragma once

#include <memory>

#include "mta/base/time.h"
#include "mta/base/unique_function.h"

namespace rockdove::base {

using Task = UniqueFunction<void()>;

// A wake-up that can be set again and again. Destroying it cancels it. Belongs to its loop's thread.
class Timer {
 public:
  virtual ~Timer() = default;
  // The callback runs once, in the first turn at or after `at`. Setting again replaces; kNever cancels.
  virtual void set(Instant at) = 0;
};

class Loop {
 public:
  virtual ~Loop() = default;

  // From 0; unique among the loops of the process.
  [[nodiscard]] virtual unsigned index() const = 0;

  // The time at the start of this turn. From the loop's own thread.
  [[nodiscard]] virtual Now now() const = 0;

  // Any thread. Runs `task` on the loop's thread, never within this call; tasks of one poster keep
  // their order. What one loop posts to another during a turn travels as one batch with one wake-up.
  // Tasks posted after the loop has ended are destroyed unrun.
  virtual void post(Task task) = 0;

  // From the loop's own thread: runs `task` once at the end of the current turn, after all that has
  // arrived was handled; for work that many events share (a log write, a scheduler's pass).
  virtual void at_turn_end(Task task) = 0;

  [[nodiscard]] virtual std::unique_ptr<Timer> make_timer(Task callback) = 0;
};

}  // namespace rockdove::base
