#include "queue/steering.h"

#include <algorithm>

#include "mta/base/assert.h"
#include "queue/quarantine.h"

namespace rockdove::queue {
namespace {

constexpr std::string_view kReturnedText = "returned by the administrator";

Deed deed_of(Act act) {
  switch (act) {
    case Act::Hold:
      return Deed::Held;
    case Act::Release:
      return Deed::Released;
    case Act::Retry:
      return Deed::Retried;
    case Act::Delete:
      return Deed::Deleted;
    case Act::Undelete:
      return Deed::Undeleted;
    case Act::Bounce:
      return Deed::Returned;
    case Act::Expire:
      return Deed::Expired;
    case Act::Reroute:
      return Deed::Rerouted;
  }
  MTA_ASSERT(false);
}

// Back among what waits, and due. What was due before keeps its place: an act on all of a queue
// goes from row to row, and must not meet again what it has made due. One that was on hold for our
// own crashes gets all its chances anew.
Delivery due_now(const Delivery& delivery, WallTime now) {
  const bool was_held = delivery.state == DeliveryState::Held;
  Delivery after = delivery;
  if (was_held) after.crashes = 0;
  // Its lifetime may have ended while it was in quarantine, in which nobody tried it.
  if (is_quarantined(delivery)) after.lives_from = now;
  after.state = DeliveryState::Waiting;
  forget_hold(after);
  after.due = was_held ? now : std::min(delivery.due, now);
  return after;
}

Delivery deleted(const Delivery& delivery, WallTime until) {
  Delivery after = delivery;
  after.state_before = delivery.state;
  after.due_before = delivery.due;
  after.state = DeliveryState::Deleted;
  after.due = until;
  return after;
}

// As it was; but who brings back what was in quarantine gets time to release it.
Delivery undeleted(const Delivery& delivery, WallTime now, base::Duration undo_time) {
  Delivery after = delivery;
  after.state = delivery.state_before;
  after.due = delivery.due_before;
  after.state_before = DeliveryState::Waiting;
  after.due_before = {};
  if (is_quarantined(after)) after.expires = std::max(after.expires, now + undo_time);
  return after;
}

Delivery failed(const Delivery& delivery, std::string_view text, WallTime now) {
  Delivery after = delivery;
  after.final_status = "5.0.0";  // RFC 3463 §3.1: nothing more is to be said of it
  after.ending = Ending::Failed;
  after.last = {now, "", "550 5.0.0 " + std::string(text.empty() ? kReturnedText : text)};
  return after;
}

Delivery rerouted(const Delivery& delivery, const std::string& target, WallTime now) {
  const bool stays = delivery.state == DeliveryState::Held || is_scheduled(delivery, now);
  Delivery after = stays ? delivery : due_now(delivery, now);
  after.route_to = target;
  return after;
}

Decision move_to(Delivery after) {
  return {Decision::Kind::Move, std::move(after)};
}

// Of one that has not come to its end.
Decision decide_alive(const Order& order, const Delivery& delivery, WallTime now) {
  const bool is_held = delivery.state == DeliveryState::Held;
  switch (order.act) {
    case Act::Hold: {
      if (is_held) return {};
      Delivery after = delivery;
      after.state = DeliveryState::Held;
      forget_hold(after);
      after.hold_reason = order.text.empty() ? std::string(kOperatorHold) : order.text;
      after.due = now;
      return move_to(std::move(after));
    }
    case Act::Release: {
      if (!is_held) return {};
      Delivery after = due_now(delivery, now);
      // Whoever releases what its sender has scheduled has not meant it to go before its time.
      if (delivery.attempts == 0) after.due = std::max(now, delivery.lives_from);
      return move_to(std::move(after));
    }
    case Act::Retry:
      return move_to(due_now(delivery, now));
    case Act::Bounce:
      return {Decision::Kind::Fail, failed(delivery, order.text, now)};
    case Act::Expire: {
      Delivery after = due_now(delivery, now);
      after.is_expired = true;
      return move_to(std::move(after));
    }
    case Act::Reroute:
      if (delivery.route_to == order.target) return {};
      return move_to(rerouted(delivery, order.target, now));
    case Act::Delete:
    case Act::Undelete:
      break;
  }
  MTA_ASSERT(false);
}

// What is in quarantine leaves it only by an order that says just this: who has all that waits for
// example.com tried again has not meant it. Nor is it ever returned, since its sender is most
// likely forged.
Decision decide_quarantined(const Order& order, const Delivery& delivery, WallTime now,
                            base::Duration undo_time) {
  switch (order.act) {
    case Act::Release:
      return move_to(due_now(delivery, now));
    case Act::Delete:
      return move_to(deleted(delivery, now + undo_time));
    case Act::Reroute:
      if (delivery.route_to == order.target) return {};
      return move_to(rerouted(delivery, order.target, now));
    case Act::Hold:
    case Act::Retry:
    case Act::Bounce:
    case Act::Expire:
    case Act::Undelete:
      return {};
  }
  MTA_ASSERT(false);
}

}  // namespace

void ActAnswer::add(ActAnswer other) {
  for (std::size_t outcome = 0; outcome < kActOutcomes; ++outcome) {
    counts[outcome] += other.counts[outcome];
  }
  others.insert(others.end(), other.others.begin(), other.others.end());
  failed.insert(failed.end(), other.failed.begin(), other.failed.end());
  if (other.error) error = std::move(other.error);
}

std::string_view act_name(Act act) {
  switch (act) {
    case Act::Hold:
      return "hold";
    case Act::Release:
      return "release";
    case Act::Retry:
      return "retry";
    case Act::Delete:
      return "delete";
    case Act::Undelete:
      return "undelete";
    case Act::Bounce:
      return "bounce";
    case Act::Expire:
      return "expire";
    case Act::Reroute:
      return "reroute";
  }
  MTA_ASSERT(false);
}

std::optional<Act> parse_act(std::string_view name) {
  for (std::size_t act = 0; act < kActs; ++act) {
    if (act_name(static_cast<Act>(act)) == name) return static_cast<Act>(act);
  }
  return std::nullopt;
}

std::string_view outcome_name(ActOutcome outcome) {
  switch (outcome) {
    case ActOutcome::Done:
      return "done";
    case ActOutcome::Unchanged:
      return "unchanged";
    case ActOutcome::BeingSent:
      return "being-sent";
    case ActOutcome::NotFound:
      return "not-found";
  }
  MTA_ASSERT(false);
}

std::vector<DeliveryState> states_of(Act act) {
  switch (act) {
    case Act::Hold:
      return {DeliveryState::Waiting};
    case Act::Release:
      return {DeliveryState::Held};
    case Act::Undelete:
      return {DeliveryState::Deleted};
    case Act::Retry:
    case Act::Delete:
    case Act::Bounce:
    case Act::Expire:
    case Act::Reroute:
      return {DeliveryState::Waiting, DeliveryState::Held};
  }
  MTA_ASSERT(false);
}

Decision decide(const Order& order, const Delivery& delivery, WallTime now,
                base::Duration undo_time) {
  if (delivery.state == DeliveryState::Deleted) {
    return order.act == Act::Undelete ? move_to(undeleted(delivery, now, undo_time)) : Decision{};
  }
  if (is_quarantined(delivery)) return decide_quarantined(order, delivery, now, undo_time);
  if (order.act == Act::Undelete) return {};
  // What was taken by a next hop and waits for the report of it cannot be undone.
  const bool has_ended = !delivery.final_status.empty();
  if (has_ended && delivery.ending != Ending::Failed) return {};
  if (order.act == Act::Delete) return move_to(deleted(delivery, now + undo_time));
  if (has_ended) return {};  // the report of its failure is on its way
  return decide_alive(order, delivery, now);
}

void end_hold_of_past_pause(Delivery& delivery, const Pauses* pauses, WallTime now) {
  if (delivery.state != DeliveryState::Held || !is_pause_hold(delivery.hold_reason)) return;
  const bool lasts =
      pauses != nullptr &&
      std::any_of(pauses->all().begin(), pauses->all().end(), [&delivery](const Pause& pause) {
        return hold_reason_of(pause) == delivery.hold_reason;
      });
  if (!lasts) delivery = due_now(delivery, now);
}

Attempt step_of(const Order& order, WallTime now) {
  Attempt step;
  step.at = now;
  step.deed = deed_of(order.act);
  step.reply = "by " + order.by;
  if (order.act == Act::Hold && !order.text.empty()) step.reply += ": " + order.text;
  if (order.act == Act::Reroute) {
    step.reply += ": to " + (order.target.empty() ? std::string("the routes") : order.target);
  }
  return step;
}

}  // namespace rockdove::queue
