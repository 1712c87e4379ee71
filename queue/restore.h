// Messages that come back into a queue from where they were brought out (`queue export`, `queue
// import`, `queue salvage`): everything that the queue knew of one, and whether a queue knows it
// already. How it looks in files is admin/envelope_text.h's business.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "queue/change.h"
#include "queue/store.h"
#include "queue/types.h"

namespace rockdove::queue {

// A message with those of its deliveries that have not ended, as the rows have them. Its header
// block may be left out: then `header_octets` says how long it is.
struct StoredMessage {
  Message message;
  std::vector<Delivery> deliveries;  // in the order of their numbers; never none
  ReportState reports;
  std::uint64_t header_octets = 0;
};

// What a queue knows about the id of a message that is to come in.
enum class Presence : std::uint8_t {
  Unknown,  // it is free
  Same,     // this very message is here, or has been
  Other,    // another message has it, from another machine whose clock showed the same
};

// By what view() says of the id. Of a message that is gone only its history speaks.
[[nodiscard]] Presence presence_of(const MessageView& view, const StoredMessage& stored);

// The ids to try for a message, in this order: its own, and where another message has that, those
// of the same millisecond and counter with the numbers of loops that hardly any machine has. Always
// the same ones, so that a second import finds what the first one took.
inline constexpr std::size_t kIdsToTry = 9;
[[nodiscard]] std::array<MessageId, kIdsToTry> ids_for(MessageId id);

// The message is in the queue as it was: states, times and counts of its deliveries included. Its
// body as with accepted().
[[nodiscard]] Change restored(const StoredMessage& stored);

}  // namespace rockdove::queue
