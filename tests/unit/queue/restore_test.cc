// Messages that come back: how they become rows, and how a queue knows that it has them already.
#include "queue/restore.h"

#include <map>
#include <optional>
#include <set>
#include <vector>

#include <catch2/catch.hpp>

#include "queue/reading.h"
#include "tests/support/memory_rows.h"
#include "tests/unit/queue/sample_mail.h"
#include "tests/unit/queue/small_queue.h"

using namespace rockdove;
using namespace rockdove::queue;
using namespace rockdove::tests;

namespace {

StoredMessage sample_stored(std::uint64_t tick = 1) {
  StoredMessage stored;
  stored.message = sample_message(tick, 3);
  stored.deliveries = sample_deliveries(stored.message);
  stored.deliveries.erase(stored.deliveries.begin());  // the first one has ended
  stored.deliveries[0].state = DeliveryState::Held;
  stored.deliveries[0].hold_reason = "operator";
  stored.deliveries[1].attempts = 7;
  stored.deliveries[1].due = stored.message.accepted + std::chrono::hours(5);
  stored.reports = {2, stored.message.accepted};
  stored.header_octets = stored.message.header_block.size();
  return stored;
}

// As it was accepted, to so many.
StoredMessage whole_stored(std::uint32_t recipients) {
  StoredMessage stored;
  stored.message = sample_message(1, recipients);
  stored.deliveries = sample_deliveries(stored.message);
  stored.header_octets = stored.message.header_block.size();
  return stored;
}

MessageView view_of(MemoryDisk& disk, MessageId id) {
  const MemoryRows rows(disk);
  Damaged damaged;
  Result<MessageView> view = view_message(rows, id, damaged);
  REQUIRE(view);
  CHECK(damaged.empty());
  return *view;
}

}  // namespace

TEST_CASE("a message that was restored is in the queue as it was, and ends like any other") {
  SmallQueue queue;
  const StoredMessage stored = sample_stored();
  queue.apply(restored(stored));
  const MessageView view = view_of(queue.disk, stored.message.id);
  REQUIRE(view.message != nullptr);
  CHECK(view.message->header_block == stored.message.header_block);
  CHECK(view.message->recipients == 3);
  REQUIRE(view.deliveries.size() == 2);
  CHECK(view.deliveries[0].number == 2);
  CHECK(view.deliveries[0].state == DeliveryState::Held);
  CHECK(view.deliveries[0].hold_reason == "operator");
  CHECK(view.deliveries[1].attempts == 7);
  CHECK(view.deliveries[1].due == stored.deliveries[1].due);
  const Result<ReportState> reports = read_report_state(queue.rows, stored.message.id);
  REQUIRE(reports);
  CHECK(reports->reports == 2);

  queue.apply(ended(stored.message, stored.deliveries, Outcome::Delivered,
                    sample_attempt(stored.message.accepted)));
  CHECK(queue.disk.rows(Family::Messages).empty());
  CHECK(queue.disk.rows(Family::Bodies).empty());
  CHECK(queue.disk.rows(Family::Deliveries).empty());
  CHECK(queue.disk.rows(Family::Waiting).empty());
}

TEST_CASE("a queue knows a message that it has, or has had, from another with the same id") {
  SmallQueue queue;
  const StoredMessage stored = sample_stored();
  CHECK(presence_of(view_of(queue.disk, stored.message.id), stored) == Presence::Unknown);
  queue.apply(restored(stored));
  CHECK(presence_of(view_of(queue.disk, stored.message.id), stored) == Presence::Same);

  StoredMessage other = stored;
  other.message.sender = "somebody@else.example";
  CHECK(presence_of(view_of(queue.disk, stored.message.id), other) == Presence::Other);
  other = stored;
  other.message.body_octets += 1;
  CHECK(presence_of(view_of(queue.disk, stored.message.id), other) == Presence::Other);

  queue.apply(ended(stored.message, stored.deliveries, Outcome::Bounced,
                    sample_attempt(stored.message.accepted)));
  CHECK(presence_of(view_of(queue.disk, stored.message.id), stored) == Presence::Same);
  other = stored;
  other.deliveries[0].recipient = "carol@example.net";
  other.deliveries[1].recipient = "dave@example.net";
  CHECK(presence_of(view_of(queue.disk, stored.message.id), other) == Presence::Other);
}

TEST_CASE("of a message with very many recipients the queue knows that it has had it") {
  SmallQueue queue;
  StoredMessage stored = whole_stored(1500);
  queue.apply(restored(stored));
  queue.apply(ended(stored.message, stored.deliveries, Outcome::Delivered,
                    sample_attempt(stored.message.accepted)));
  // Its history is longer than what a view tells of it.
  stored.deliveries.erase(stored.deliveries.begin(), stored.deliveries.end() - 1);
  CHECK(presence_of(view_of(queue.disk, stored.message.id), stored) == Presence::Same);
}

TEST_CASE("a message is deleted when a person has deleted all of it that is to come in") {
  SmallQueue queue;
  StoredMessage stored = whole_stored(2);
  queue.apply(restored(stored));
  const auto remove = [&](std::size_t index) {
    const Delivery before = stored.deliveries[index];
    Delivery after = before;
    after.state = DeliveryState::Deleted;
    queue.apply(moved(stored.message, before, after, std::nullopt));
    return after;
  };
  const auto end = [&](const Delivery& delivery, Outcome how) {
    queue.apply(
        ended(stored.message, std::vector{delivery}, how, sample_attempt(stored.message.accepted)));
  };
  const auto presence = [&] { return presence_of(view_of(queue.disk, stored.message.id), stored); };

  const Delivery first = remove(0);
  CHECK(presence() == Presence::Same);  // the other one waits
  const Delivery second = remove(1);
  CHECK(presence() == Presence::Deleted);
  end(first, Outcome::Deleted);
  CHECK(presence() == Presence::Deleted);
  SECTION("and is gone for good") {
    end(second, Outcome::Deleted);
    CHECK(presence() == Presence::Deleted);
  }
  SECTION("but not where one of them was delivered") {
    end(second, Outcome::Delivered);
    CHECK(presence() == Presence::Same);
    stored.deliveries.pop_back();
    CHECK(presence() == Presence::Deleted);
  }
}

TEST_CASE("the ids that stand for one another keep their time and are always the same") {
  Message message;
  message.id = {(std::uint64_t{1'795'295'700'123} << 20) | (3U << 14) | 77};
  const auto ids = ids_for(message, kSampleTime);
  CHECK(ids == ids_for(message, kSampleTime));
  CHECK(ids.front() == message.id);
  CHECK(std::set<MessageId>(ids.begin(), ids.end()).size() == ids.size());
  for (const MessageId one : ids) {
    CHECK(one.made_at() == message.id.made_at());
    CHECK((one.value & 0x3FFF) == 77);
  }
}

namespace {

// The first id that is not left to others, when the queue knows this of each.
std::optional<MessageId> id_for(IdSearch& search, const std::map<MessageId, Presence>& known) {
  while (const std::optional<MessageId> id = search.next()) {
    const auto found = known.find(*id);
    search.found(found == known.end() ? Presence::Unknown : found->second);
  }
  if (search.outcome() == IdSearch::Outcome::Taken) return std::nullopt;
  return search.id();
}

}  // namespace

TEST_CASE("a message comes in by its own id, or by one that nobody has") {
  const Message message = sample_message(1);
  const WallTime now = message.accepted + std::chrono::hours(1);
  const auto ids = ids_for(message, now);
  IdSearch own(message, {}, OfDeleted::Leave, now);
  CHECK(id_for(own, {}) == ids[0]);
  CHECK(own.outcome() == IdSearch::Outcome::Free);
  IdSearch other(message, {}, OfDeleted::Leave, now);
  CHECK(id_for(other, {{ids[0], Presence::Other}, {ids[1], Presence::Other}}) == ids[2]);
  CHECK(other.outcome() == IdSearch::Outcome::Free);
  std::map<MessageId, Presence> all;
  for (const MessageId id : ids) all[id] = Presence::Other;
  IdSearch none(message, {}, OfDeleted::Leave, now);
  CHECK_FALSE(id_for(none, all));
}

TEST_CASE("a message that came in by another id is known by it, though its own has become free") {
  const Message message = sample_message(1);
  const WallTime now = message.accepted;
  const auto ids = ids_for(message, now);
  IdSearch search(message, {}, OfDeleted::Leave, now);
  CHECK(id_for(search, {{ids[1], Presence::Same}}) == ids[1]);
  CHECK(search.outcome() == IdSearch::Outcome::Known);
}

TEST_CASE("no message comes in by an id that the relay gives to its own") {
  Message message = sample_message(5);
  const WallTime now = message.accepted;
  const OwnIds own{sample_id(4), 2};
  const auto ids = ids_for(message, now);
  IdSearch search(message, own, OfDeleted::Leave, now);
  CHECK(id_for(search, {}) == ids[1]);
  CHECK_FALSE(own.has(ids[1]));
  // It may be known by it, having gone out from here.
  IdSearch known(message, own, OfDeleted::Leave, now);
  CHECK(id_for(known, {{ids[0], Presence::Same}}) == ids[0]);
  CHECK(known.outcome() == IdSearch::Outcome::Known);
  // What is older than its start, and what loops make that it has not, is free.
  CHECK_FALSE(own.has(sample_id(3)));
  CHECK_FALSE(own.has({sample_id(5).value | (2U << 14)}));
  CHECK(own.has({sample_id(5).value | (1U << 14) | 7}));
}

TEST_CASE("an id of a time to come is left alone, and the time of acceptance stands for it") {
  Message message = sample_message(1);
  const WallTime now = message.accepted + std::chrono::seconds(1);
  message.id = {~std::uint64_t{0}};
  const auto ids = ids_for(message, now);
  IdSearch search(message, {}, OfDeleted::Leave, now);
  const std::optional<MessageId> id = id_for(search, {});
  REQUIRE(id);
  CHECK(id->made_at() == message.accepted);
  CHECK(*id == ids[1]);
  message.accepted = now + std::chrono::hours(100'000);
  IdSearch ahead(message, {}, OfDeleted::Leave, now);
  CHECK_FALSE(id_for(ahead, {}));
}

TEST_CASE("what a person has deleted comes in again only when it is asked for, and once") {
  const Message message = sample_message(1);
  const WallTime now = message.accepted;
  const auto ids = ids_for(message, now);
  IdSearch left(message, {}, OfDeleted::Leave, now);
  CHECK(id_for(left, {{ids[0], Presence::Deleted}}) == ids[0]);
  CHECK(left.outcome() == IdSearch::Outcome::Deleted);
  IdSearch taken(message, {}, OfDeleted::Take, now);
  CHECK(id_for(taken, {{ids[0], Presence::Deleted}}) == ids[1]);
  CHECK(taken.outcome() == IdSearch::Outcome::Free);
  for (const OfDeleted deleted : {OfDeleted::Leave, OfDeleted::Take}) {
    IdSearch again(message, {}, deleted, now);
    CHECK(id_for(again, {{ids[0], Presence::Deleted}, {ids[1], Presence::Same}}) == ids[1]);
    CHECK(again.outcome() == IdSearch::Outcome::Known);
  }
}
