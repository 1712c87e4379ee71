// Names of messages and deliveries: the same form in the log, in replies ("250 2.0.0 queued as …"),
// in Received fields, commands and file names.
//
// A message id has 64 bits: 44 of milliseconds since 1970, 6 of the event loop that made it, 14 of a
// counter. It is written as 12 characters of the alphabet of Postfix's long queue ids (digits and
// consonants, so that no word can appear), most significant first, so that text sorts like time.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "mta/base/time.h"

namespace rockdove::base {

inline constexpr std::size_t kMessageIdCharacters = 12;
inline constexpr unsigned kLoopsMax = 64;  // the id has 6 bits for the loop

struct MessageId {
  std::uint64_t value = 0;  // 0 names no message

  auto operator<=>(const MessageId&) const = default;

  [[nodiscard]] WallTime made_at() const { return from_unix_milliseconds(value >> 20); }
};

// One recipient of one message: the message's id and the recipient's number, from 1.
struct DeliveryId {
  MessageId message;
  std::uint32_t number = 0;

  auto operator<=>(const DeliveryId&) const = default;
};

[[nodiscard]] std::string format_id(MessageId id);
void append_id(std::string& text, MessageId id);
// "3Zz…-1": the message's id, a hyphen and the number in decimal.
[[nodiscard]] std::string format_id(DeliveryId id);
// nullopt: not 12 characters of the alphabet, or over 64 bits.
[[nodiscard]] std::optional<MessageId> parse_message_id(std::string_view text);
[[nodiscard]] std::optional<DeliveryId> parse_delivery_id(std::string_view text);

// Makes the ids of one loop: each is max(wall clock, last + 1), so a clock that is set back makes no
// id twice. Seeded with the highest id that the store remembers.
class IdGenerator {
 public:
  // `loop` is below kLoopsMax.
  IdGenerator(unsigned loop, MessageId highest_so_far);
  [[nodiscard]] MessageId next(WallTime now);

 private:
  unsigned loop_;
  std::uint64_t last_tick_;  // milliseconds and counter, without the loop: 58 bits
};

}  // namespace rockdove::base

template <>
struct std::hash<rockdove::base::MessageId> {
  std::size_t operator()(rockdove::base::MessageId id) const noexcept {
    return static_cast<std::size_t>(id.value * 0x9E3779B97F4A7C15ULL);
  }
};

template <>
struct std::hash<rockdove::base::DeliveryId> {
  std::size_t operator()(const rockdove::base::DeliveryId& id) const noexcept {
    return static_cast<std::size_t>((id.message.value + id.number * 0x632BE59BD9B4E019ULL) *
                                    0x9E3779B97F4A7C15ULL);
  }
};
