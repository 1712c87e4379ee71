#include "queue/restore.h"

#include <algorithm>
#include <chrono>

#include "mta/base/assert.h"
#include "mta/base/ids.h"

namespace rockdove::queue {
namespace {

// Where the loop stands in an id (base/ids.h).
constexpr unsigned kLoopShift = 14;
constexpr unsigned kTimeShift = 20;
constexpr std::uint64_t kLoopBits = 0x3F;
constexpr std::uint64_t kCounterBits = 0x3FFF;

// The ids that a relay makes lie above all that its queue has, so one of a far time to come would
// take all of them along. Clocks of two machines may differ by less.
constexpr std::chrono::hours kAheadMax{1};

bool is_ahead(MessageId id, WallTime now) {
  return id.made_at() > now + kAheadMax;
}

// Of deliveries in the order of their numbers; null: there is none with this one.
const Delivery* find_number(const std::vector<Delivery>& deliveries, std::uint32_t number) {
  const auto found = std::lower_bound(
      deliveries.begin(), deliveries.end(), number,
      [](const Delivery& one, std::uint32_t wanted) { return one.number < wanted; });
  return found == deliveries.end() || found->number != number ? nullptr : &*found;
}

// Whether the history, which may be longer than what the view has of it, tells how deliveries of
// this very message ended.
bool has_ended(const MessageView& view, const StoredMessage& stored) {
  bool is_like = false;
  bool is_other = false;
  for (const HistoryStep& step : view.history) {
    if (!step.outcome) continue;
    const Delivery* named = find_number(stored.deliveries, step.delivery.number);
    const bool is_sender = step.sender == stored.message.sender;
    if (named != nullptr && is_sender && named->recipient == step.recipient) return true;
    is_other = is_other || named != nullptr;
    is_like = is_like || (is_sender && step.accepted == stored.message.accepted &&
                          step.octets == stored.header_octets + stored.message.body_octets);
  }
  return is_like && !is_other;
}

bool is_deleted(const MessageView& view, const Delivery& delivery) {
  const Delivery* here = find_number(view.deliveries, delivery.number);
  if (here != nullptr) return here->state == DeliveryState::Deleted;
  return std::any_of(
      view.history.begin(), view.history.end(), [&delivery](const HistoryStep& step) {
        return step.outcome == Outcome::Deleted && step.delivery.number == delivery.number;
      });
}

// Same, or Deleted where not one of its deliveries is here, or has ended, in any other way.
Presence same_or_deleted(const MessageView& view, const StoredMessage& stored) {
  const bool is_all_deleted =
      std::all_of(stored.deliveries.begin(), stored.deliveries.end(),
                  [&view](const Delivery& delivery) { return is_deleted(view, delivery); });
  return is_all_deleted ? Presence::Deleted : Presence::Same;
}

}  // namespace

Presence presence_of(const MessageView& view, const StoredMessage& stored) {
  if (view.message != nullptr) {
    const Message& here = *view.message;
    const bool is_same = here.sender == stored.message.sender &&
                         here.accepted == stored.message.accepted &&
                         here.client.address == stored.message.client.address &&
                         here.client.helo == stored.message.client.helo &&
                         here.recipients == stored.message.recipients &&
                         here.header_block.size() == stored.header_octets &&
                         here.body_octets == stored.message.body_octets;
    return is_same ? same_or_deleted(view, stored) : Presence::Other;
  }
  if (view.history.empty()) return Presence::Unknown;
  return has_ended(view, stored) ? same_or_deleted(view, stored) : Presence::Other;
}

std::array<MessageId, kIdsToTry> ids_for(const Message& message, WallTime now) {
  std::array<MessageId, kIdsToTry> ids{message.id};
  std::uint64_t rest = message.id.value & ~(kLoopBits << kLoopShift);
  if (is_ahead(message.id, now)) {
    rest = (base::to_unix_milliseconds(message.accepted) << kTimeShift) | (rest & kCounterBits);
  }
  for (std::size_t i = 1; i < ids.size(); ++i) {
    ids[i] = {rest | ((kLoopBits + 1 - i) << kLoopShift)};
  }
  return ids;
}

bool OwnIds::has(MessageId id) const {
  return id >= from && ((id.value >> kLoopShift) & kLoopBits) < loops;
}

IdSearch::IdSearch(const Message& message, const OwnIds& own, OfDeleted deleted, WallTime now)
    : own_(own), deleted_(deleted), now_(now), ids_(ids_for(message, now)) {}

std::optional<MessageId> IdSearch::next() const {
  if (is_over_ || looked_at_ == ids_.size()) return std::nullopt;
  return ids_[looked_at_];
}

void IdSearch::found(Presence presence) {
  MTA_ASSERT(next().has_value());
  const MessageId id = ids_[looked_at_++];
  switch (presence) {
    case Presence::Same:
      known_as_ = id;
      is_over_ = true;
      return;
    case Presence::Deleted:
      if (!deleted_as_) deleted_as_ = id;
      return;
    case Presence::Other:
      return;
    case Presence::Unknown:
      // An earlier import may have had to take the next one; no later one, while this is free.
      is_over_ = free_.has_value();
      if (!free_ && may_be_given(id)) free_ = id;
      return;
  }
}

IdSearch::Outcome IdSearch::outcome() const {
  if (known_as_) return Outcome::Known;
  if (deleted_as_ && deleted_ == OfDeleted::Leave) return Outcome::Deleted;
  return free_ ? Outcome::Free : Outcome::Taken;
}

MessageId IdSearch::id() const {
  switch (outcome()) {
    case Outcome::Free:
      return *free_;
    case Outcome::Known:
      return *known_as_;
    case Outcome::Deleted:
      return *deleted_as_;
    case Outcome::Taken:
      return ids_.front();
  }
  return ids_.front();
}

bool IdSearch::may_be_given(MessageId id) const {
  return id.value != 0 && !own_.has(id) && !is_ahead(id, now_);
}

}  // namespace rockdove::queue
