// The keys of the queue's rows. Numbers are big-endian, so that the order of the octets is the
// order of what they mean; strings end in a zero octet, which none of them contains.
//
//   messages, partial   message id
//   bodies              message id, chunk
//   deliveries          message id, number; number 0 holds the message's ReportState
//   waiting             state, destination, tenant, priority, due time, message id, number
//                       and behind these, a second row for what is in quarantine: 4, the time when
//                       it expires, destination, tenant, priority, message id, number
//   sites               kind, name
//   history             message id, number, time, what (attempts before the closing record)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "queue/types.h"

namespace rockdove::queue {

// Octets of a key.
using Key = std::string;

[[nodiscard]] Key message_key(MessageId id);
[[nodiscard]] Key body_key(MessageId id, std::uint32_t chunk);
[[nodiscard]] Key delivery_key(DeliveryId id);

// Due time, message id and number: the end of each key in `waiting`.
inline constexpr std::size_t kWaitingPlaceOctets = 8 + 8 + 4;
// Zero octets in a string would end it early; what stands behind one is left out of the key.
[[nodiscard]] Key waiting_key(MessageId id, const Delivery& delivery);
// What in `waiting` all keys of the second rows of what is in quarantine start with.
inline constexpr char kExpiryRows = 4;
[[nodiscard]] Key expiry_key(MessageId id, const Delivery& delivery);

// What all rows of a queue of waiting deliveries start with.
[[nodiscard]] Key waiting_prefix(const QueueName& queue);
// The place of a row within its queue.
[[nodiscard]] Key waiting_key_at(const QueueName& queue, WallTime due, DeliveryId id);

[[nodiscard]] Key site_prefix(std::string_view kind);
[[nodiscard]] Key site_key(std::string_view kind, std::string_view name);

// Within a millisecond acts stand first, each kind of them (queue::Deed) in a row of its own: what
// a person did comes before what came of it.
enum class HistoryKind : std::uint8_t { Act = 0, Attempt = 1, Closing = 2 };
[[nodiscard]] Key history_key(DeliveryId id, WallTime at, HistoryKind kind, std::uint8_t deed = 0);

// The way back; nullopt: not such a key.
[[nodiscard]] std::optional<MessageId> parse_message_key(std::string_view key);
[[nodiscard]] std::optional<DeliveryId> parse_delivery_key(std::string_view key);

struct WaitingKey {
  DeliveryState state = DeliveryState::Waiting;
  QueueName queue;
  WallTime due;
  DeliveryId delivery;
};

[[nodiscard]] std::optional<WaitingKey> parse_waiting_key(std::string_view key);

// The same, referring to the key's octets.
struct WaitingKeyView {
  DeliveryState state = DeliveryState::Waiting;
  std::string_view destination;
  std::string_view tenant;
  std::uint8_t priority = 0;
  WallTime due;
  DeliveryId delivery;
};

[[nodiscard]] std::optional<WaitingKeyView> view_waiting_key(std::string_view key);

// Of a row that expiry_key() names, in the same form: `due` is when it expires.
[[nodiscard]] std::optional<WaitingKey> parse_expiry_key(std::string_view key);

// What all rows of this state and destination start with.
[[nodiscard]] Key destination_prefix(DeliveryState state, std::string_view destination);

// Only what names a row within its queue; nullopt: not such a key.
struct WaitingPlace {
  WallTime due;
  DeliveryId delivery;
};

[[nodiscard]] std::optional<WaitingPlace> parse_waiting_place(std::string_view key);

struct HistoryKey {
  DeliveryId delivery;
  WallTime at;
  HistoryKind kind = HistoryKind::Attempt;
  std::uint8_t deed = 0;  // of an Act
};

[[nodiscard]] std::optional<HistoryKey> parse_history_key(std::string_view key);

// The first key behind all that start with `prefix`; "" when there is none (only 0xFF octets).
[[nodiscard]] Key key_behind(std::string_view prefix);

}  // namespace rockdove::queue
