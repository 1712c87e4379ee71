// What is going to happen in the simulated world, and its two clocks. Nothing happens but by an
// event of the agenda; events of one moment happen in the order in which they were scheduled, so a
// seed decides everything.
//
// Each event belongs to somebody, who can be taken out of the world with all that he was going to
// do (a process that is killed).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mta/base/loop.h"
#include "mta/base/time.h"

namespace rockdove::sim {

class SimLoop;

class Agenda {
 public:
  using Owner = const void*;
  using Handle = std::pair<base::Instant, std::uint64_t>;

  Agenda() = default;
  Agenda(const Agenda&) = delete;
  Agenda& operator=(const Agenda&) = delete;

  [[nodiscard]] base::Now now() const { return {now_, wall()}; }

  [[nodiscard]] base::Instant instant() const { return now_; }

  [[nodiscard]] base::WallTime wall() const {
    return std::chrono::floor<base::Duration>(now_.time_since_epoch()) + wall_at_zero_;
  }

  // The wall clock is set; the monotonic one goes on.
  void move_wall(base::Duration by) { wall_at_zero_ += by; }

  // Not before now.
  Handle at(base::Instant when, Owner owner, base::Task task) {
    const Handle handle{std::max(when, now_), ++sequence_};
    events_.emplace(handle, Event{owner, std::move(task)});
    return handle;
  }

  void cancel(const Handle& handle) { events_.erase(handle); }

  // Takes everything out that this owner was going to do. The tasks are destroyed unrun.
  void drop(Owner owner) {
    std::vector<base::Task> dropped;
    for (auto event = events_.begin(); event != events_.end();) {
      if (event->second.owner == owner) {
        dropped.push_back(std::move(event->second.task));
        event = events_.erase(event);
      } else {
        ++event;
      }
    }
  }

  // When the next event is; kNever: nothing is going to happen.
  [[nodiscard]] base::Instant next() const {
    return events_.empty() ? base::kNever : events_.begin()->first.first;
  }

  // Runs the next event; there must be one.
  void run_next() {
    auto event = events_.extract(events_.begin());
    now_ = event.key().first;
    ++events_run_;
    event.mapped().task();
  }

  // The task of the next event, if it is this owner's and due now: more for one turn.
  [[nodiscard]] std::optional<base::Task> take_due(Owner owner) {
    if (events_.empty() || events_.begin()->first.first > now_) return std::nullopt;
    if (events_.begin()->second.owner != owner) return std::nullopt;
    base::Task task = std::move(events_.begin()->second.task);
    events_.erase(events_.begin());
    ++events_run_;
    return task;
  }

  void advance_to(base::Instant when) { now_ = std::max(now_, when); }

  [[nodiscard]] std::uint64_t events_run() const { return events_run_; }

  // The loop in whose turn we are; null: in nobody's.
  [[nodiscard]] const SimLoop* current() const { return current_; }

  void set_current(const SimLoop* loop) { current_ = loop; }

  // What went wrong. The simulation ends at the first one.
  void fail(std::string what) {
    if (failures_.size() < kFailuresKept) failures_.push_back(std::move(what));
  }

  [[nodiscard]] const std::vector<std::string>& failures() const { return failures_; }

 private:
  static constexpr std::size_t kFailuresKept = 20;

  struct Event {
    Owner owner;
    base::Task task;
  };

  base::Instant now_{std::chrono::hours(1)};
  // 2026-11-21 00:00 UTC, or thereabouts.
  base::WallTime wall_at_zero_{base::Duration(1'795'219'200'000)};
  std::map<Handle, Event> events_;
  std::uint64_t sequence_ = 0;
  std::uint64_t events_run_ = 0;
  const SimLoop* current_ = nullptr;
  std::vector<std::string> failures_;
};

}  // namespace rockdove::sim
