#include "queue/keys.h"

namespace rockdove::queue {
namespace {

constexpr std::size_t kDeliveryOctets = 8 + 4;
constexpr std::size_t kHistoryKeyOctets = 12 + 8 + 1;  // an act has one more

template <typename Number>
void append_big_endian(std::string& key, Number number) {
  char octets[sizeof(Number)];
  for (std::size_t i = sizeof(Number); i-- > 0;) {
    octets[i] = static_cast<char>(number & 0xFF);
    number = static_cast<Number>(number >> 8);
  }
  key.append(octets, sizeof(Number));
}

// Only when `octets` holds that many.
template <typename Number>
Number read_big_endian(std::string_view octets) {
  Number number = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    number = static_cast<Number>((number << 8) | static_cast<unsigned char>(octets[i]));
  }
  return number;
}

void append_string(std::string& key, std::string_view text) {
  key.append(text.substr(0, text.find('\0')));
  key.push_back('\0');
}

// Takes a string and its zero octet off the front.
std::optional<std::string_view> take_string(std::string_view& rest) {
  const std::size_t end = rest.find('\0');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view text = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return text;
}

void append_time(std::string& key, WallTime time) {
  // A time before 1970 can only come from a broken clock; it counts as 1970.
  const std::int64_t milliseconds = time.time_since_epoch().count();
  append_big_endian(key, static_cast<std::uint64_t>(milliseconds < 0 ? 0 : milliseconds));
}

WallTime read_time(std::string_view octets) {
  const std::uint64_t milliseconds = read_big_endian<std::uint64_t>(octets);
  if (milliseconds > base::to_unix_milliseconds(base::kNeverWall)) return base::kNeverWall;
  return base::from_unix_milliseconds(milliseconds);
}

void append_delivery(std::string& key, DeliveryId id) {
  append_big_endian(key, id.message.value);
  append_big_endian(key, id.number);
}

DeliveryId read_delivery(std::string_view octets) {
  return {MessageId{read_big_endian<std::uint64_t>(octets)},
          read_big_endian<std::uint32_t>(octets.substr(8))};
}

void append_queue(std::string& key, DeliveryState state, std::string_view destination,
                  std::string_view tenant, std::uint8_t priority) {
  key.push_back(static_cast<char>(state));
  append_string(key, destination);
  append_string(key, tenant);
  key.push_back(static_cast<char>(priority));
}

}  // namespace

Key message_key(MessageId id) {
  Key key;
  append_big_endian(key, id.value);
  return key;
}

Key body_key(MessageId id, std::uint32_t chunk) {
  Key key;
  append_big_endian(key, id.value);
  append_big_endian(key, chunk);
  return key;
}

Key delivery_key(DeliveryId id) {
  Key key;
  append_delivery(key, id);
  return key;
}

Key waiting_key(MessageId id, const Delivery& delivery) {
  Key key;
  key.reserve(delivery.destination.size() + delivery.tenant.size() + 4 + kWaitingPlaceOctets);
  append_queue(key, delivery.state, delivery.destination, delivery.tenant, delivery.priority);
  append_time(key, delivery.due);
  append_delivery(key, {id, delivery.number});
  return key;
}

// The time stands first, so that one Seek finds what is due of all destinations.
Key expiry_key(MessageId id, const Delivery& delivery) {
  Key key(1, kExpiryRows);
  append_time(key, delivery.expires);
  append_string(key, delivery.destination);
  append_string(key, delivery.tenant);
  key.push_back(static_cast<char>(delivery.priority));
  append_delivery(key, {id, delivery.number});
  return key;
}

Key waiting_prefix(const QueueName& queue) {
  Key key;
  append_queue(key, DeliveryState::Waiting, queue.destination, queue.tenant, queue.priority);
  return key;
}

Key destination_prefix(DeliveryState state, std::string_view destination) {
  Key key(1, static_cast<char>(state));
  append_string(key, destination);
  return key;
}

Key waiting_key_at(const QueueName& queue, WallTime due, DeliveryId id) {
  Key key = waiting_prefix(queue);
  append_time(key, due);
  append_delivery(key, id);
  return key;
}

Key site_prefix(std::string_view kind) {
  Key key;
  append_string(key, kind);
  return key;
}

Key site_key(std::string_view kind, std::string_view name) {
  return site_prefix(kind).append(name);
}

Key history_key(DeliveryId id, WallTime at, HistoryKind kind, std::uint8_t deed) {
  Key key;
  key.reserve(kHistoryKeyOctets + 1);
  append_delivery(key, id);
  append_time(key, at);
  key.push_back(static_cast<char>(kind));
  if (kind == HistoryKind::Act) key.push_back(static_cast<char>(deed));
  return key;
}

std::optional<MessageId> parse_message_key(std::string_view key) {
  if (key.size() != 8) return std::nullopt;
  return MessageId{read_big_endian<std::uint64_t>(key)};
}

std::optional<DeliveryId> parse_delivery_key(std::string_view key) {
  if (key.size() != 12) return std::nullopt;
  return read_delivery(key);
}

std::optional<WaitingKeyView> view_waiting_key(std::string_view key) {
  if (key.empty()) return std::nullopt;
  WaitingKeyView parsed;
  if (key.front() < 1 || key.front() > 3) return std::nullopt;
  parsed.state = static_cast<DeliveryState>(key.front());
  key.remove_prefix(1);
  const std::optional<std::string_view> destination = take_string(key);
  if (!destination) return std::nullopt;
  const std::optional<std::string_view> tenant = take_string(key);
  if (!tenant || key.size() != 1 + kWaitingPlaceOctets) return std::nullopt;
  parsed.destination = *destination;
  parsed.tenant = *tenant;
  parsed.priority = static_cast<std::uint8_t>(key.front());
  parsed.due = read_time(key.substr(1));
  parsed.delivery = read_delivery(key.substr(9));
  return parsed;
}

std::optional<WaitingKey> parse_waiting_key(std::string_view key) {
  const std::optional<WaitingKeyView> parsed = view_waiting_key(key);
  if (!parsed) return std::nullopt;
  return WaitingKey{
      parsed->state,
      {std::string(parsed->destination), std::string(parsed->tenant), parsed->priority},
      parsed->due,
      parsed->delivery};
}

std::optional<WaitingKey> parse_expiry_key(std::string_view key) {
  if (key.size() < 9 || key.front() != kExpiryRows) return std::nullopt;
  WaitingKey parsed;
  parsed.state = DeliveryState::Held;
  parsed.due = read_time(key.substr(1));
  key.remove_prefix(9);
  const std::optional<std::string_view> destination = take_string(key);
  if (!destination) return std::nullopt;
  const std::optional<std::string_view> tenant = take_string(key);
  if (!tenant || key.size() != 1 + kDeliveryOctets) return std::nullopt;
  parsed.queue = {std::string(*destination), std::string(*tenant),
                  static_cast<std::uint8_t>(key.front())};
  parsed.delivery = read_delivery(key.substr(1));
  return parsed;
}

std::optional<WaitingPlace> parse_waiting_place(std::string_view key) {
  if (key.size() < kWaitingPlaceOctets) return std::nullopt;
  key.remove_prefix(key.size() - kWaitingPlaceOctets);
  return WaitingPlace{read_time(key), read_delivery(key.substr(8))};
}

std::optional<HistoryKey> parse_history_key(std::string_view key) {
  if (key.size() < kHistoryKeyOctets || key.size() > kHistoryKeyOctets + 1) return std::nullopt;
  const char kind = key[kHistoryKeyOctets - 1];
  const bool is_act = key.size() > kHistoryKeyOctets;
  if (is_act ? kind != 0 : kind != 1 && kind != 2) return std::nullopt;
  return HistoryKey{read_delivery(key), read_time(key.substr(12)), static_cast<HistoryKind>(kind),
                    static_cast<std::uint8_t>(is_act ? key.back() : 0)};
}

Key key_behind(std::string_view prefix) {
  Key key(prefix);
  while (!key.empty() && static_cast<unsigned char>(key.back()) == 0xFF) key.pop_back();
  if (!key.empty()) key.back() = static_cast<char>(static_cast<unsigned char>(key.back()) + 1);
  return key;
}

}  // namespace rockdove::queue
