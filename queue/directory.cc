#include "queue/directory.h"

#include <algorithm>

#include "queue/retry.h"

namespace rockdove::queue {
namespace {

constexpr std::uint32_t kLoadMax = 256;  // deliveries a load; bounds what one read may bring
// A step back of the clock that makes stored times worth a look.
constexpr base::Duration kClockStep = std::chrono::minutes(10);
// After a start the rows that are due come first.
constexpr base::Duration kStraysLater = std::chrono::minutes(1);
constexpr std::size_t kRoomsKept = 50'000;
// Nobody schedules for later than this (inbound/wishes.h): what stands further ahead was accepted
// while the clock was wrong, as any other stray.
constexpr base::Duration kScheduledAheadMax = std::chrono::hours(31 * 24);

}  // namespace

// The longest way ahead that a row is ever put: by the schedule with its jitter, by an uncertain
// end, or to wait for a report; and once more as much, since nothing is lost by waiting for it.
base::Duration Directory::longest_wait() const {
  const base::Duration longest = *std::max_element(settings_.retry.begin(), settings_.retry.end());
  return 2 * std::max(longest, kUncertainWait) + std::chrono::hours(1);
}

// The more of memory is taken, the less of it each queue may have. One place each remains, so that
// as many destinations as there are places can be at work.
std::uint32_t Directory::room_now(const Queue& queue) const {
  const std::size_t most = settings_.loaded_max;
  if (out_ < most / 2) return queue.room;
  if (queue.room > kRoomMin) return std::max(queue.room / 8, kRoomMin);
  return out_ < most / 4 * 3 ? 2 : 1;
}

Directory::Queue& Directory::queue_of_name(const QueueName& name) {
  const auto [at, is_new] = queues_.try_emplace(name);
  if (is_new) at->second.last_release = releases_;
  if (is_new && !rooms_.empty()) {
    if (const auto known = rooms_.find(name); known != rooms_.end()) {
      at->second.room = known->second;
      rooms_.erase(known);
    }
  }
  return at->second;
}

void Directory::on_disk_from(Queue& queue, WallTime due) {
  queue.earliest = std::min(queue.earliest, due);
  if (due <= queue.mark.due) queue.mark = WaitingMark{due, {}};
  if (due <= queue.stray_mark.due) queue.stray_mark = WaitingMark{due, {}};
  if (queue.load != Load::None) queue.earliest_meanwhile = std::min(queue.earliest_meanwhile, due);
}

// Refilled when half of the room is free, so that a load brings more than one delivery. Whether
// memory has a place is asked when its turn comes: a queue with nothing out hears of no release.
void Directory::plan(const QueueName& name, Queue& queue) {
  if (queue.has_wake) {
    wakes_.erase(queue.wake);
    queue.has_wake = false;
  }
  if (queue.is_paused || queue.load != Load::None || queue.out.size() > queue.room / 2) return;
  const WallTime first = std::min(queue.earliest, queue.strays_at);
  if (first == base::kNeverWall) return;
  const auto at = queues_.find(name);
  queue.wake = wakes_.emplace(std::max(first, queue.held_back_until), &at->first);
  queue.has_wake = true;
}

void Directory::take_out(Queue& queue, DeliveryId delivery) {
  queue.out.insert(delivery);
  ++out_;
}

void Directory::remember_early(DeliveryId delivery) {
  if (early_.insert(delivery).second) early_until_.emplace_back(clock_ + kNewsLate, delivery);
}

std::vector<Delivery> Directory::fresh(const QueueName& name, MessageId message,
                                       std::vector<Delivery> deliveries, Memory memory,
                                       WallTime now) {
  look_at_clock(now);
  Queue& queue = queue_of_name(name);
  std::vector<Delivery> start;
  const bool may_start =
      memory == Memory::HasRoom && queue.held_back_until <= now && !queue.is_paused;
  bool left_any = false;
  for (Delivery& delivery : deliveries) {
    MTA_ASSERT(delivery.state == DeliveryState::Waiting);
    const DeliveryId id{message, delivery.number};
    // A load was faster than the news of its acceptance; it may even have ended by now.
    if ((!early_.empty() && early_.erase(id) > 0) || queue.out.contains(id)) continue;
    const bool is_overdue = queue.earliest <= now && now - queue.earliest >= kOverdue;
    const std::uint32_t room = is_overdue ? room_now(queue) / 2 : room_now(queue);
    // Another loop's clock may have been read a moment later than ours.
    // And a clock that was set back since it was accepted makes it a stray.
    const bool is_due = delivery.due <= now + std::chrono::seconds(1) || is_stray(delivery, now);
    if (may_start && is_due && queue.out.size() < room && out_ < settings_.loaded_max) {
      take_out(queue, id);
      start.push_back(std::move(delivery));
    } else {
      on_disk_from(queue, delivery.due);
      if (is_stray(delivery, now)) look_for_strays(queue, now);
      left_any = true;
    }
  }
  if (left_any) plan(name, queue);
  if (start.empty()) forget_if_empty(queues_.find(name));
  return start;
}

void Directory::found(const QueueName& name, WallTime earliest, WallTime now) {
  look_at_clock(now);
  Queue& queue = queue_of_name(name);
  on_disk_from(queue, earliest);
  if (queue.strays_at == base::kNeverWall) queue.strays_at = now + kStraysLater;
  plan(name, queue);
}

// Rows may now stand too far ahead, and so may what we wait for.
void Directory::look_at_clock(WallTime now) {
  const bool was_set_back = now + kClockStep < clock_;
  clock_ = now;
  if (was_set_back) {
    early_.clear();
    early_until_.clear();
    for (auto& [name, queue] : queues_) {
      queue.held_back_until = std::min(queue.held_back_until, now + longest_wait());
      queue.strays_at = base::kNeverWall;
      look_for_strays(queue, now);
      plan(name, queue);
    }
  }
  while (!early_until_.empty() && early_until_.front().first <= now) {
    early_.erase(early_until_.front().second);
    early_until_.pop_front();
  }
}

bool Directory::is_stray(WallTime due, WallTime now) const {
  return due > now + longest_wait();
}

bool Directory::is_stray(const Delivery& delivery, WallTime now) const {
  return is_stray(delivery.due, now) &&
         !(is_scheduled(delivery, now) && delivery.due <= now + kScheduledAheadMax);
}

void Directory::look_for_strays(Queue& queue, WallTime now) {
  queue.strays_at = std::min(queue.strays_at, now + kStraysLater);
  queue.stray_mark = {};
  queue.earliest_scheduled = base::kNeverWall;
  queue.strays_meanwhile = true;
}

std::optional<LoadRequest> Directory::next_load(WallTime now) {
  look_at_clock(now);
  while (!wakes_.empty() && wakes_.begin()->first <= now) {
    if (out_ >= settings_.loaded_max || loads_ >= kLoadsMax) return std::nullopt;
    const QueueName& name = *wakes_.begin()->second;
    Queue& queue = queues_.at(name);
    wakes_.erase(wakes_.begin());
    queue.has_wake = false;
    if (is_paused_ && is_paused_(name)) {
      queue.is_paused = true;
      continue;
    }
    // Planned again by the release of what fills its room.
    if (queue.out.size() > room_now(queue) / 2) continue;
    const bool has_due = queue.earliest <= now;
    const bool has_strays = queue.strays_at <= now;
    // In turns when both wait, so that neither starves.
    const bool strays_next = has_strays && (!has_due || queue.last_load == Load::Due);
    return start_load(name, queue, strays_next ? Load::Strays : Load::Due, now);
  }
  return std::nullopt;
}

LoadRequest Directory::start_load(const QueueName& name, Queue& queue, Load load, WallTime now) {
  ++loads_;
  queue.load = load;
  queue.last_load = load;
  queue.earliest_meanwhile = base::kNeverWall;
  queue.strays_meanwhile = false;
  LoadRequest request;
  request.queue = name;
  if (load == Load::Due) {
    request.from = queue.mark;
    request.due_until = now;
  } else {
    queue.stray_bound = now + longest_wait();
    request.from = std::max(queue.stray_mark, WaitingMark{queue.stray_bound, {}});
    request.due_until = base::kNeverWall;
    request.octets_max = 0;  // most of what stands so far ahead is scheduled, and stays
  }
  const std::uint32_t room = room_now(queue);
  const std::size_t free = room - std::min<std::size_t>(queue.out.size(), room);
  request.deliveries_max = static_cast<std::uint32_t>(std::clamp<std::size_t>(
      std::min<std::size_t>(free, settings_.loaded_max - out_), 1, kLoadMax));
  // What leaves at once is worth reading with its body; what may wait long reads it when it leaves.
  if (queue.room <= kRoomMin) request.octets_max = 0;
  return request;
}

std::vector<MessageWithDeliveries> Directory::loaded(const QueueName& name, LoadedQueue rows) {
  const auto found = queues_.find(name);
  MTA_ASSERT(found != queues_.end() && found->second.load != Load::None);
  Queue& queue = found->second;
  const Load load = std::exchange(queue.load, Load::None);
  --loads_;
  std::vector<MessageWithDeliveries> start;
  for (MessageWithDeliveries& message : rows.messages) {
    MessageWithDeliveries fresh{message.message, {}};
    for (Delivery& delivery : message.deliveries) {
      const DeliveryId id{message.message->id, delivery.number};
      if (queue.released_meanwhile.contains(id) || queue.out.contains(id)) continue;
      if (load == Load::Strays && !is_stray(delivery, clock_)) {
        queue.earliest_scheduled = std::min(queue.earliest_scheduled, delivery.due);
        continue;
      }
      take_out(queue, id);
      claimed_as(id, delivery);
      fresh.deliveries.push_back(std::move(delivery));
    }
    if (!fresh.deliveries.empty()) start.push_back(std::move(fresh));
  }
  queue.released_meanwhile.clear();
  const WallTime next = rows.next_due.value_or(base::kNeverWall);
  if (load == Load::Due) {
    queue.mark = rows.reached;
    if (queue.earliest_meanwhile <= queue.mark.due) queue.mark = {queue.earliest_meanwhile, {}};
    queue.earliest = std::min(next, queue.earliest_meanwhile);
  } else if (queue.strays_meanwhile) {
    // It may have looked behind a bound that no longer holds, or past new ones: another one looks.
  } else if (rows.next_due) {
    queue.stray_mark = rows.reached;
    if (queue.earliest_meanwhile <= queue.stray_mark.due)
      queue.stray_mark = {queue.earliest_meanwhile, {}};
  } else {
    queue.strays_at = base::kNeverWall;
    queue.stray_mark = {};
    const WallTime scheduled = std::exchange(queue.earliest_scheduled, base::kNeverWall);
    if (queue.earliest > queue.stray_bound)
      queue.earliest = std::min(queue.earliest_meanwhile, scheduled);
  }
  plan(name, queue);
  forget_if_empty(found);
  return start;
}

void Directory::load_failed(const QueueName& name, WallTime retry_at) {
  Queue& queue = queues_.at(name);
  MTA_ASSERT(queue.load != Load::None);
  queue.load = Load::None;
  --loads_;
  queue.released_meanwhile.clear();
  queue.held_back_until = std::max(queue.held_back_until, retry_at);
  plan(name, queue);
}

bool Directory::claim(const QueueName& name, DeliveryId delivery) {
  Queue& queue = queue_of_name(name);
  if (queue.out.contains(delivery)) return false;
  take_out(queue, delivery);
  if (delivery.message.made_at() + kNewsLate >= clock_) remember_early(delivery);
  return true;
}

// By when it was due, not by its id, which a message has from its first octet on: its last one may
// have come minutes later.
void Directory::claimed_as(DeliveryId id, const Delivery& delivery) {
  if (delivery.attempts == 0 && delivery.due + kNewsLate >= clock_) remember_early(id);
}

std::uint64_t Directory::last_release(const QueueName& name) const {
  const auto found = queues_.find(name);
  // A queue that was forgotten meanwhile had releases before that.
  return found == queues_.end() ? releases_ : found->second.last_release;
}

void Directory::released(const QueueName& name, DeliveryId delivery, std::optional<WallTime> due) {
  const auto found = queues_.find(name);
  MTA_ASSERT(found != queues_.end());
  Queue& queue = found->second;
  const std::size_t erased = queue.out.erase(delivery);
  MTA_ASSERT(erased == 1);
  --out_;
  queue.last_release = ++releases_;
  if (queue.load != Load::None) queue.released_meanwhile.insert(delivery);
  if (due) on_disk_from(queue, *due);
  // Accepted before the clock was set back, and given back untried: it is as late as it was.
  if (due && is_stray(*due, clock_)) look_for_strays(queue, clock_);
  if (due || !queue.has_wake) plan(name, queue);
  forget_if_empty(found);
}

void Directory::set_room(const QueueName& name, std::uint32_t deliveries) {
  const std::uint32_t room = std::max(deliveries, kRoomMin);
  const auto found = queues_.find(name);
  if (found == queues_.end()) {
    rooms_.erase(name);
    if (room == kRoomMin) return;
    if (rooms_.size() >= kRoomsKept) rooms_.clear();
    rooms_.emplace(name, room);
    return;
  }
  found->second.room = room;
  plan(name, found->second);
}

void Directory::hold_back(const QueueName& name, WallTime until) {
  const auto found = queues_.find(name);
  if (found == queues_.end()) return;  // it has nothing that could be held back
  found->second.held_back_until = until;
  plan(name, found->second);
}

void Directory::pause(const QueueName& name) {
  const auto found = queues_.find(name);
  if (found == queues_.end()) return;
  found->second.is_paused = true;
  plan(name, found->second);
}

void Directory::pauses_changed() {
  for (auto& [name, queue] : queues_) {
    if (!std::exchange(queue.is_paused, false)) continue;
    plan(name, queue);
  }
}

WallTime Directory::wake_at() const {
  if (wakes_.empty() || out_ >= settings_.loaded_max || loads_ >= kLoadsMax)
    return base::kNeverWall;
  return wakes_.begin()->first;
}

bool Directory::is_out(const QueueName& name, DeliveryId delivery) const {
  const auto found = queues_.find(name);
  return found != queues_.end() && found->second.out.contains(delivery);
}

Directory::Standing Directory::standing(const QueueName& name) const {
  const auto found = queues_.find(name);
  if (found == queues_.end()) return {};
  const Queue& queue = found->second;
  return {queue.out.size(), room_now(queue), queue.earliest, queue.held_back_until,
          queue.load != Load::None};
}

void Directory::forget_if_empty(Queues::iterator found) {
  const Queue& queue = found->second;
  if (!queue.out.empty() || queue.load != Load::None || queue.earliest != base::kNeverWall ||
      queue.strays_at != base::kNeverWall) {
    return;
  }
  if (queue.has_wake) wakes_.erase(queue.wake);
  if (queue.room > kRoomMin) {
    if (rooms_.size() >= kRoomsKept) rooms_.clear();
    rooms_[found->first] = queue.room;
  }
  queues_.erase(found);
}

}  // namespace rockdove::queue
