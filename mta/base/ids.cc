#include "mta/base/ids.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace rockdove::base {
namespace {

constexpr std::string_view kAlphabet = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
constexpr unsigned kCounterBits = 14;
constexpr unsigned kLoopBits = 6;

constexpr std::array<std::int8_t, 256> make_values() {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}

constexpr std::array<std::int8_t, 256> kValues = make_values();
static_assert(kAlphabet.size() == 52, "52^12 exceeds 2^64, so 12 characters hold every id");

}  // namespace

void append_id(std::string& text, MessageId id) {
  std::array<char, kMessageIdCharacters> characters{};
  std::uint64_t rest = id.value;
  for (std::size_t i = characters.size(); i-- > 0;) {
    characters[i] = kAlphabet[rest % kAlphabet.size()];
    rest /= kAlphabet.size();
  }
  text.append(characters.data(), characters.size());
}

std::string format_id(MessageId id) {
  std::string text;
  append_id(text, id);
  return text;
}

std::string format_id(DeliveryId id) {
  std::string text = format_id(id.message);
  return text.append("-").append(std::to_string(id.number));
}

std::optional<MessageId> parse_message_id(std::string_view text) {
  if (text.size() != kMessageIdCharacters) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    const int digit = kValues[static_cast<unsigned char>(c)];
    if (digit < 0) return std::nullopt;
    if (__builtin_mul_overflow(value, kAlphabet.size(), &value)) return std::nullopt;
    if (__builtin_add_overflow(value, static_cast<std::uint64_t>(digit), &value)) return std::nullopt;
  }
  return MessageId{value};
}

std::optional<DeliveryId> parse_delivery_id(std::string_view text) {
  if (text.size() < kMessageIdCharacters + 2 || text[kMessageIdCharacters] != '-') return std::nullopt;
  const std::optional<MessageId> message = parse_message_id(text.substr(0, kMessageIdCharacters));
  const std::string_view digits = text.substr(kMessageIdCharacters + 1);
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (!message || error != std::errc() || end != digits.data() + digits.size() || number == 0) {
    return std::nullopt;
  }
  return DeliveryId{*message, number};
}

IdGenerator::IdGenerator(unsigned loop, MessageId highest_so_far) : loop_(loop) {
  MTA_ASSERT(loop < kLoopsMax);
  // The counter of the highest millisecond counts as used up, whichever loop it belonged to.
  const std::uint64_t milliseconds = highest_so_far.value >> (kLoopBits + kCounterBits);
  last_tick_ = ((milliseconds + 1) << kCounterBits) - 1;
}

MessageId IdGenerator::next(WallTime now) {
  const std::uint64_t tick = to_unix_milliseconds(now) << kCounterBits;
  last_tick_ = std::max(tick, last_tick_ + 1);
  const std::uint64_t milliseconds = last_tick_ >> kCounterBits;
  const std::uint64_t counter = last_tick_ & ((1U << kCounterBits) - 1);
  return MessageId{(milliseconds << (kLoopBits + kCounterBits)) |
                   (static_cast<std::uint64_t>(loop_) << kCounterBits) | counter};
}

}  // namespace rockdove::base
