#include "queue/keys.h"

#include <random>
#include <tuple>

#include <catch2/catch.hpp>

using namespace rockdove;
using namespace rockdove::queue;

namespace {

// Few and close values, so that many pairs share what stands in front.
Delivery random_delivery(std::mt19937_64& random) {
  static const std::string kNames[] = {"", "a", "a.b", "aa", "b", "\x7F", "\xFF"};
  Delivery delivery;
  delivery.state = static_cast<DeliveryState>(1 + random() % 3);
  delivery.destination = kNames[random() % std::size(kNames)];
  delivery.tenant = kNames[random() % std::size(kNames)];
  delivery.priority = static_cast<std::uint8_t>(random() % 3 * 127);
  delivery.due = base::from_unix_milliseconds(random() % 3 * 200);
  delivery.number = static_cast<std::uint32_t>(1 + random() % 300);
  return delivery;
}

// Strings compare as octets, which is what the rows' order is.
auto meaning(MessageId id, const Delivery& delivery) {
  return std::make_tuple(static_cast<int>(delivery.state), delivery.destination, delivery.tenant,
                         delivery.priority, delivery.due, id, delivery.number);
}

}  // namespace

TEST_CASE("keys: the order of waiting rows is the order of what they mean, and they read back") {
  std::mt19937_64 random(7);
  for (int round = 0; round < 20'000; ++round) {
    const Delivery a = random_delivery(random);
    const Delivery b = random_delivery(random);
    const MessageId id_a{random() % 3 * 255};
    const MessageId id_b{random() % 3 * 255};
    const Key key_a = waiting_key(id_a, a);
    const Key key_b = waiting_key(id_b, b);
    REQUIRE((key_a < key_b) == (meaning(id_a, a) < meaning(id_b, b)));
    const std::optional<WaitingKey> read = parse_waiting_key(key_a);
    REQUIRE(read);
    REQUIRE(read->state == a.state);
    REQUIRE(read->queue == queue_of(a));
    REQUIRE(read->due == a.due);
    REQUIRE(read->delivery == DeliveryId{id_a, a.number});
    const bool is_in_queue = a.state == DeliveryState::Waiting && queue_of(a) == queue_of(b);
    REQUIRE(key_a.starts_with(waiting_prefix(queue_of(b))) == is_in_queue);
  }
}

TEST_CASE("keys: the key behind a queue is behind all of its rows and of no other") {
  Delivery last;
  last.number = ~std::uint32_t{0};
  last.destination = "a";
  last.tenant = "t";
  last.due = base::kNeverWall;
  Delivery next = last;
  next.priority = 1;
  next.due = WallTime{};
  next.number = 1;
  const Key behind = key_behind(waiting_prefix(queue_of(last)));
  CHECK(waiting_key(MessageId{~std::uint64_t{0}}, last) < behind);
  CHECK(behind <= waiting_key(MessageId{0}, next));
  CHECK(key_behind("a\xFF") == "b");
  CHECK(key_behind("\xFF\xFF").empty());
}

TEST_CASE("keys: a zero octet in a name cannot move a row out of its place") {
  Delivery delivery;
  delivery.number = 1;
  delivery.destination = std::string("a\0\xFF\xFF", 4);
  const std::optional<WaitingKey> read = parse_waiting_key(waiting_key(MessageId{1}, delivery));
  REQUIRE(read);
  CHECK(read->queue.destination == "a");
}

TEST_CASE("keys: what is no key is refused") {
  CHECK_FALSE(parse_message_key("1234567"));
  CHECK_FALSE(parse_delivery_key("12345678901"));
  CHECK_FALSE(parse_waiting_key(""));
  CHECK_FALSE(parse_waiting_key("\x01"));
  CHECK_FALSE(parse_waiting_key(std::string("\x09"
                                            "a\0\0",
                                            4) +
                                std::string(21, 'x')));
  CHECK_FALSE(parse_history_key("short"));
}

TEST_CASE("keys: history is by delivery, then time, then attempts before the end") {
  const WallTime early = base::from_unix_milliseconds(255);
  const WallTime late = base::from_unix_milliseconds(256);
  const DeliveryId one{MessageId{9}, 1};
  const DeliveryId two{MessageId{9}, 2};
  CHECK(history_key(one, early, HistoryKind::Attempt) <
        history_key(one, early, HistoryKind::Closing));
  CHECK(history_key(one, early, HistoryKind::Closing) <
        history_key(one, late, HistoryKind::Attempt));
  CHECK(history_key(one, late, HistoryKind::Closing) <
        history_key(two, early, HistoryKind::Attempt));
  CHECK(history_key(one, early, HistoryKind::Act, 23) <
        history_key(one, early, HistoryKind::Attempt));
  CHECK(history_key(one, early, HistoryKind::Act, 23) <
        history_key(one, early, HistoryKind::Act, 24));
  const auto act = parse_history_key(history_key(two, early, HistoryKind::Act, 23));
  REQUIRE(act);
  CHECK(act->kind == HistoryKind::Act);
  CHECK(act->deed == 23);
  CHECK_FALSE(parse_history_key(history_key(two, early, HistoryKind::Attempt) + "x"));
  const auto read = parse_history_key(history_key(two, late, HistoryKind::Closing));
  REQUIRE(read);
  CHECK(read->delivery == two);
  CHECK(read->at == late);
  CHECK(read->kind == HistoryKind::Closing);
}
