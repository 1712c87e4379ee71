#include "mta/outbound/graveyard.h"

#include <algorithm>
#include <utility>

#include "mta/base/assert.h"
#include "mta/outbound/dispatcher.h"

namespace rockdove::outbound {
namespace {

constexpr base::Duration kShortestWait = std::chrono::seconds(1);

}  // namespace

Graveyard::Graveyard(const Environment& environment, Steering& steering, queue::Overdue what)
    : env_(environment),
      steering_(steering),
      what_(what),
      timer_(env_.loop.make_timer([this] { look(); })) {}

void Graveyard::start() {
  if (!std::exchange(has_started_, true)) again_in(kLookEvery);
}

void Graveyard::stop() {
  stopping_ = true;
}

void Graveyard::again_in(base::Duration wait) {
  is_looking_ = false;
  after_.clear();
  next_due_ = base::kNeverWall;
  const base::Duration soonest = std::max(time_of_new(), kShortestWait);
  if (!stopping_) timer_->set(env_.now().instant + std::min(wait, soonest));
}

base::Duration Graveyard::time_of_new() const {
  switch (what_) {
    case queue::Overdue::Deleted:
      return env_.queue.undo_time;
    case queue::Overdue::Quarantined:
      return env_.queue.quarantine;
  }
  MTA_ASSERT(false);
}

// What is ended is gone for good: a clock that was just set ahead, or is wrong until the machine
// has asked for the time, must not do that. A shorter time than the grace is a trial.
bool Graveyard::is_clock_doubtful() const {
  return time_of_new() > queue::kAgeGrace && !env_.clocks.may_expire(env_.now());
}

void Graveyard::look() {
  if (stopping_ || is_looking_) return;
  if (is_clock_doubtful()) {
    env_.peers[env_.loop.index()]->want_pass();  // which looks at the clocks
    return again_in(kLookEvery);
  }
  is_looking_ = true;
  queue::OverdueRequest request;
  request.what = what_;
  request.due_until = env_.now().wall;
  request.after = after_;
  env_.store.find_overdue(
      env_.loop, env_.loop_count(), std::move(request),
      [this](base::Result<queue::OverduePage> page) { found(std::move(page)); });
}

void Graveyard::found(base::Result<queue::OverduePage> page) {
  if (!page || stopping_) return again_in(kLookEvery);  // the store is being replaced
  next_due_ = std::min(next_due_, page->next_due);
  after_ = std::move(page->more_after);
  if (page->deliveries.empty()) {
    const base::Duration until_due =
        std::max<base::Duration>(next_due_ - env_.now().wall, kShortestWait);
    return again_in(next_due_ == base::kNeverWall ? kLookEvery : std::min(until_due, kLookEvery));
  }
  steering_.bury(what_, std::move(page->deliveries), [this](const queue::ActAnswer& answer) {
    // What cannot be ended, as a row whose delivery is damaged, is not looked at all the time.
    const bool has_ended_any = answer.count(queue::ActOutcome::Done) > 0;
    if (answer.error || after_.empty()) return again_in(has_ended_any ? kShortestWait : kLookEvery);
    is_looking_ = false;
    look();
  });
}

}  // namespace rockdove::outbound
