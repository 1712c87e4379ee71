#include "queue/restore.h"

#include <algorithm>

#include "mta/base/assert.h"
#include "queue/codec.h"

namespace rockdove::queue {
namespace {

// Where the loop stands in an id (base/ids.h).
constexpr unsigned kLoopShift = 14;
constexpr std::uint64_t kLoopBits = 0x3F;

// The outcomes of queue::Outcome that end a delivery, as history names them.
bool is_closing(const HistoryStep& step) {
  for (int outcome = static_cast<int>(Outcome::Delivered);
       outcome <= static_cast<int>(Outcome::Expanded); ++outcome) {
    if (step.what == outcome_name(static_cast<Outcome>(outcome)) && !step.recipient.empty()) {
      return true;
    }
  }
  return false;
}

bool is_closed_by(const StoredMessage& stored, const HistoryStep& step) {
  if (!is_closing(step) || step.sender != stored.message.sender) return false;
  return std::any_of(
      stored.deliveries.begin(), stored.deliveries.end(), [&step](const Delivery& delivery) {
        return delivery.number == step.delivery.number && delivery.recipient == step.recipient;
      });
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
    return is_same ? Presence::Same : Presence::Other;
  }
  if (view.history.empty()) return Presence::Unknown;
  const bool has_ended =
      std::any_of(view.history.begin(), view.history.end(),
                  [&stored](const HistoryStep& step) { return is_closed_by(stored, step); });
  return has_ended ? Presence::Same : Presence::Other;
}

std::array<MessageId, kIdsToTry> ids_for(MessageId id) {
  std::array<MessageId, kIdsToTry> ids{id};
  const std::uint64_t rest = id.value & ~(kLoopBits << kLoopShift);
  for (std::size_t i = 1; i < ids.size(); ++i) {
    ids[i] = {rest | ((kLoopBits + 1 - i) << kLoopShift)};
  }
  return ids;
}

}  // namespace rockdove::queue
