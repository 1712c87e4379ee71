// Messages that come back into a queue from where they were brought out (`queue export`, `queue
// import`, `queue salvage`): everything that the queue knew of one, whether a queue knows it
// already, and by which id it comes in. How it looks in files is admin/envelope_text.h's business.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
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
  Unknown,  // nothing
  Same,     // this very message is here, or has been
  Deleted,  // it is or was here, and a person has deleted all of it that is to come in
  Other,    // another message has it, from another machine whose clock showed the same
};

// By what view() says of the id. Of a message that is gone only its history speaks.
[[nodiscard]] Presence presence_of(const MessageView& view, const StoredMessage& stored);

// The ids to try for a message, in this order: its own, and where that cannot be, those of the same
// millisecond and counter with the numbers of loops that hardly any machine has; where even the
// millisecond cannot be, that of its acceptance. Always the same ones, so that a second import
// finds what the first one took.
inline constexpr std::size_t kIdsToTry = 9;
[[nodiscard]] std::array<MessageId, kIdsToTry> ids_for(const Message& message, WallTime now);

// The ids that a running relay gives to messages of its own, now or later. None of them may come
// from elsewhere: such a message may be on its way in, and nobody knows of it yet.
struct OwnIds {
  MessageId from{std::numeric_limits<std::uint64_t>::max()};  // the lowest one
  unsigned loops = 0;                                         // that make them; none: no relay runs

  [[nodiscard]] bool has(MessageId id) const;
};

// Whether a message comes in again that a person has deleted here.
enum class OfDeleted : std::uint8_t { Leave, Take };

// Finds the id by which a message comes in, or that it does not. Ask for an id, say what the queue
// knows of it, until there is none to ask for.
class IdSearch {
 public:
  enum class Outcome : std::uint8_t {
    Free,     // it comes in, by id()
    Known,    // the queue has it, or has had it, by id()
    Deleted,  // a person has deleted it here; its id was id()
    Taken,    // all ids that it could have belong to others, or lie in a time to come
  };
  // Of Taken, for people.
  static constexpr std::string_view kTakenText =
      "its id, and all that could stand for it, belong to other messages or to a time to come";

  IdSearch(const Message& message, const OwnIds& own, OfDeleted deleted, WallTime now);

  // The next id that is to be looked at; nullopt: the search is over.
  [[nodiscard]] std::optional<MessageId> next() const;
  // What the queue knows of next().
  void found(Presence presence);

  // Once the search is over.
  [[nodiscard]] Outcome outcome() const;
  [[nodiscard]] MessageId id() const;

 private:
  [[nodiscard]] bool may_be_given(MessageId id) const;

  const OwnIds own_;
  const OfDeleted deleted_;
  const WallTime now_;
  const std::array<MessageId, kIdsToTry> ids_;
  std::size_t looked_at_ = 0;
  bool is_over_ = false;
  std::optional<MessageId> known_as_;
  std::optional<MessageId> deleted_as_;
  std::optional<MessageId> free_;
};

// The message is in the queue as it was: states, times and counts of its deliveries included. Its
// body as with accepted().
[[nodiscard]] Change restored(const StoredMessage& stored);

}  // namespace rockdove::queue
