#include "queue/directory.h"

#include <algorithm>

namespace rockdove::queue {
namespace {

constexpr std::uint32_t kLoadMax = 256;  // deliveries a load; bounds what one read may bring

}  // namespace

// Refilled when half of the room is free, so that a load brings more than one delivery.
bool Directory::has_room(const Queue& queue) const {
  return queue.out.size() <= queue.room / 2 && out_ < settings_.loaded_max;
}

void Directory::on_disk_from(Queue& queue, WallTime due) {
  queue.earliest = std::min(queue.earliest, due);
  if (due <= queue.mark.due) queue.mark = WaitingMark{due, {}};
  if (queue.loading) queue.earliest_meanwhile = std::min(queue.earliest_meanwhile, due);
}

void Directory::plan(const QueueName& name, Queue& queue) {
  if (queue.has_wake) {
    wakes_.erase(queue.wake);
    queue.has_wake = false;
  }
  if (queue.loading || queue.earliest == base::kNeverWall || !has_room(queue)) return;
  const auto at = queues_.find(name);
  queue.wake = wakes_.emplace(std::max(queue.earliest, queue.held_back_until), &at->first);
  queue.has_wake = true;
}

std::vector<Delivery> Directory::fresh(const QueueName& name, MessageId message,
                                       std::vector<Delivery> deliveries, Memory memory,
                                       WallTime now) {
  Queue& queue = queues_[name];
  std::vector<Delivery> start;
  const bool may_start = memory == Memory::HasRoom && queue.held_back_until <= now;
  bool left_any = false;
  for (Delivery& delivery : deliveries) {
    MTA_ASSERT(delivery.state == DeliveryState::Waiting);
    const DeliveryId id{message, delivery.number};
    if (queue.out.contains(id)) continue;  // a load was faster than the news of its acceptance
    if (may_start && queue.out.size() < queue.room && out_ < settings_.loaded_max) {
      queue.out.insert(id);
      ++out_;
      start.push_back(std::move(delivery));
    } else {
      on_disk_from(queue, delivery.due);
      left_any = true;
    }
  }
  if (left_any) plan(name, queue);
  return start;
}

void Directory::found(const QueueName& name, WallTime earliest, WallTime now) {
  Queue& queue = queues_[name];
  const base::Duration longest = *std::max_element(settings_.retry.begin(), settings_.retry.end());
  if (earliest > now + 2 * longest + std::chrono::hours(1)) {
    queue.clock_ahead = earliest - now;
    earliest = now;
  }
  queue.mark = WaitingMark{};
  on_disk_from(queue, earliest);
  plan(name, queue);
}

std::optional<LoadRequest> Directory::next_load(WallTime now) {
  if (wakes_.empty() || wakes_.begin()->first > now || out_ >= settings_.loaded_max) {
    return std::nullopt;
  }
  const QueueName& name = *wakes_.begin()->second;
  Queue& queue = queues_.at(name);
  wakes_.erase(wakes_.begin());
  queue.has_wake = false;
  queue.loading = true;
  queue.earliest_meanwhile = base::kNeverWall;
  LoadRequest request;
  request.queue = name;
  request.from = queue.mark;
  request.due_until = now + queue.clock_ahead;
  const std::size_t free = queue.room - std::min<std::size_t>(queue.out.size(), queue.room);
  request.deliveries_max = static_cast<std::uint32_t>(std::clamp<std::size_t>(free, 1, kLoadMax));
  return request;
}

std::vector<MessageWithDeliveries> Directory::loaded(const QueueName& name, LoadedQueue rows) {
  Queue& queue = queues_.at(name);
  MTA_ASSERT(queue.loading);
  queue.loading = false;
  std::vector<MessageWithDeliveries> start;
  for (MessageWithDeliveries& message : rows.messages) {
    MessageWithDeliveries fresh{message.message, {}};
    for (Delivery& delivery : message.deliveries) {
      const DeliveryId id{message.message->id, delivery.number};
      if (queue.released_meanwhile.contains(id) || !queue.out.insert(id).second) continue;
      ++out_;
      fresh.deliveries.push_back(std::move(delivery));
    }
    if (!fresh.deliveries.empty()) start.push_back(std::move(fresh));
  }
  queue.released_meanwhile.clear();
  queue.mark = rows.reached;
  if (queue.earliest_meanwhile <= queue.mark.due) queue.mark = {queue.earliest_meanwhile, {}};
  if (!rows.next_due) queue.clock_ahead = base::Duration::zero();
  const WallTime next = rows.next_due ? *rows.next_due - queue.clock_ahead : base::kNeverWall;
  queue.earliest = std::min(next, queue.earliest_meanwhile);
  plan(name, queue);
  forget_if_empty(name);
  return start;
}

void Directory::load_failed(const QueueName& name, WallTime retry_at) {
  Queue& queue = queues_.at(name);
  MTA_ASSERT(queue.loading);
  queue.loading = false;
  queue.released_meanwhile.clear();
  queue.held_back_until = std::max(queue.held_back_until, retry_at);
  if (queue.earliest_meanwhile <= queue.mark.due) queue.mark = {queue.earliest_meanwhile, {}};
  plan(name, queue);
}

bool Directory::claim(const QueueName& name, DeliveryId delivery) {
  const bool is_new = queues_[name].out.insert(delivery).second;
  if (is_new) ++out_;
  return is_new;
}

void Directory::released(const QueueName& name, DeliveryId delivery, std::optional<WallTime> due) {
  const auto found = queues_.find(name);
  MTA_ASSERT(found != queues_.end());
  Queue& queue = found->second;
  const std::size_t erased = queue.out.erase(delivery);
  MTA_ASSERT(erased == 1);
  --out_;
  if (queue.loading) queue.released_meanwhile.insert(delivery);
  if (due) on_disk_from(queue, *due);
  if (queue.earliest != base::kNeverWall && !queue.has_wake) plan(name, queue);
  if (due) plan(name, queue);
  forget_if_empty(name);
}

void Directory::set_room(const QueueName& name, std::uint32_t deliveries) {
  const auto found = queues_.find(name);
  if (found == queues_.end() || found->second.room == deliveries) return;
  found->second.room = std::max(deliveries, kRoomMin);
  plan(name, found->second);
}

void Directory::hold_back(const QueueName& name, WallTime until) {
  Queue& queue = queues_[name];
  queue.held_back_until = until;
  plan(name, queue);
}

WallTime Directory::wake_at() const {
  if (wakes_.empty() || out_ >= settings_.loaded_max) return base::kNeverWall;
  return wakes_.begin()->first;
}

bool Directory::is_out(const QueueName& name, DeliveryId delivery) const {
  const auto found = queues_.find(name);
  return found != queues_.end() && found->second.out.contains(delivery);
}

void Directory::forget_if_empty(const QueueName& name) {
  const auto found = queues_.find(name);
  const Queue& queue = found->second;
  if (!queue.out.empty() || queue.loading || queue.earliest != base::kNeverWall) return;
  if (queue.has_wake) wakes_.erase(queue.wake);
  queues_.erase(found);
}

}  // namespace rockdove::queue
