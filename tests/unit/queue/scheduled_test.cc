// What a sender has scheduled for days ahead is no stray, though it stands where only strays do.
#include <catch2/catch.hpp>

#include "queue/directory.h"
#include "tests/unit/queue/directory_mail.h"

namespace rockdove::queue {
namespace {

const QueueName kQueue{"example.net", "", 0};

// As its sender has scheduled it.
Delivery scheduled_for(std::uint32_t number, WallTime due) {
  Delivery delivery = delivery_due(number, due);
  delivery.lives_from = due;
  return delivery;
}

TEST_CASE("what is scheduled for days ahead is no stray, and goes at its time") {
  const QueueSettings settings;
  Directory directory(settings);
  const WallTime time = kStart + std::chrono::hours(24 * 20);
  const MessageId id = message_id(kStart, 1);
  const bool is_fresh = GENERATE(true, false);
  if (is_fresh) {
    CHECK(directory.fresh(kQueue, id, {scheduled_for(1, time)}, Directory::Memory::HasRoom, kStart)
              .empty());
    CHECK(directory.wake_at() == time);
  } else {
    directory.found(kQueue, time, kStart);
    const std::optional<LoadRequest> look = directory.next_load(kStart + 2min);
    REQUIRE(look);
    CHECK(look->due_until == base::kNeverWall);
    LoadedQueue rows;
    rows.messages.push_back({message_with(id), {scheduled_for(1, time)}});
    rows.reached = {time, {id, 1}};
    CHECK(directory.loaded(kQueue, std::move(rows)).empty());
    CHECK_FALSE(directory.is_out(kQueue, {id, 1}));
    CHECK(directory.wake_at() == time);
  }
  CHECK_FALSE(directory.next_load(time - 1s));
  const std::optional<LoadRequest> request = directory.next_load(time);
  REQUIRE(request);
  CHECK(request->due_until == time);
  LoadedQueue rows;
  rows.messages.push_back({message_with(id), {scheduled_for(1, time)}});
  rows.reached = {time, {id, 1}};
  CHECK(directory.loaded(kQueue, std::move(rows)).size() == 1);
}

TEST_CASE("a real stray among scheduled ones is found, and they keep their time") {
  const QueueSettings settings;
  Directory directory(settings);
  const WallTime time = kStart + std::chrono::hours(24 * 20);
  directory.found(kQueue, time, kStart);
  REQUIRE(directory.next_load(kStart + 2min));
  LoadedQueue rows;
  rows.messages.push_back({message_with(message_id(kStart, 1)), {scheduled_for(1, time)}});
  rows.messages.push_back({message_with(message_id(kStart, 2)), {delivery_due(1, time + 1s)}});
  // A clock that was a year ahead when it was accepted.
  const WallTime wrong = kStart + std::chrono::hours(9000);
  rows.messages.push_back({message_with(message_id(wrong, 3)), {scheduled_for(1, wrong)}});
  rows.reached = {wrong, {message_id(wrong, 3), 1}};
  const std::vector<MessageWithDeliveries> start = directory.loaded(kQueue, std::move(rows));
  REQUIRE(start.size() == 2);
  CHECK(start[0].message->id == message_id(kStart, 2));
  CHECK(start[1].message->id == message_id(wrong, 3));
  directory.released(kQueue, {message_id(kStart, 2), 1}, std::nullopt);
  directory.released(kQueue, {message_id(wrong, 3), 1}, std::nullopt);
  CHECK(directory.wake_at() == time);
}

}  // namespace
}  // namespace rockdove::queue
