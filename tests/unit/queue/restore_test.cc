// Messages that come back: how they become rows, and how a queue knows that it has them already.
#include "queue/restore.h"

#include <set>

#include <catch2/catch.hpp>

#include "queue/ledger.h"
#include "queue/reading.h"
#include "tests/support/memory_rows.h"
#include "tests/unit/queue/sample_mail.h"

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

MessageView view_of(MemoryDisk& disk, MessageId id) {
  const MemoryRows rows(disk);
  Damaged damaged;
  Result<MessageView> view = view_message(rows, id, damaged);
  REQUIRE(view);
  CHECK(damaged.empty());
  return *view;
}

void apply(Ledger& ledger, const Change& change) {
  const Change* const changes[] = {&change};
  REQUIRE(ledger.apply(changes));
}

}  // namespace

TEST_CASE("a message that was restored is in the queue as it was, and ends like any other") {
  MemoryDisk disk;
  MemoryRows rows(disk);
  Ledger ledger(rows);
  REQUIRE(ledger.open());
  const StoredMessage stored = sample_stored();
  apply(ledger, restored(stored));
  const MessageView view = view_of(disk, stored.message.id);
  REQUIRE(view.message != nullptr);
  CHECK(view.message->header_block == stored.message.header_block);
  CHECK(view.message->recipients == 3);
  REQUIRE(view.deliveries.size() == 2);
  CHECK(view.deliveries[0].number == 2);
  CHECK(view.deliveries[0].state == DeliveryState::Held);
  CHECK(view.deliveries[0].hold_reason == "operator");
  CHECK(view.deliveries[1].attempts == 7);
  CHECK(view.deliveries[1].due == stored.deliveries[1].due);
  const Result<ReportState> reports = read_report_state(rows, stored.message.id);
  REQUIRE(reports);
  CHECK(reports->reports == 2);

  apply(ledger, ended(stored.message, stored.deliveries, Outcome::Delivered,
                      sample_attempt(stored.message.accepted)));
  CHECK(disk.rows(Family::Messages).empty());
  CHECK(disk.rows(Family::Bodies).empty());
  CHECK(disk.rows(Family::Deliveries).empty());
  CHECK(disk.rows(Family::Waiting).empty());
}

TEST_CASE("a queue knows a message that it has, or has had, from another with the same id") {
  MemoryDisk disk;
  MemoryRows rows(disk);
  Ledger ledger(rows);
  REQUIRE(ledger.open());
  const StoredMessage stored = sample_stored();
  CHECK(presence_of(view_of(disk, stored.message.id), stored) == Presence::Unknown);
  apply(ledger, restored(stored));
  CHECK(presence_of(view_of(disk, stored.message.id), stored) == Presence::Same);

  StoredMessage other = stored;
  other.message.sender = "somebody@else.example";
  CHECK(presence_of(view_of(disk, stored.message.id), other) == Presence::Other);
  other = stored;
  other.message.body_octets += 1;
  CHECK(presence_of(view_of(disk, stored.message.id), other) == Presence::Other);

  apply(ledger, ended(stored.message, stored.deliveries, Outcome::Bounced,
                      sample_attempt(stored.message.accepted)));
  CHECK(presence_of(view_of(disk, stored.message.id), stored) == Presence::Same);
  other = stored;
  other.deliveries[0].recipient = "carol@example.net";
  other.deliveries[1].recipient = "dave@example.net";
  CHECK(presence_of(view_of(disk, stored.message.id), other) == Presence::Other);
}

TEST_CASE("the ids that stand for one another keep their time and are always the same") {
  const MessageId id{(std::uint64_t{1'795'295'700'123} << 20) | (3U << 14) | 77};
  const auto ids = ids_for(id);
  CHECK(ids == ids_for(id));
  CHECK(ids.front() == id);
  CHECK(std::set<MessageId>(ids.begin(), ids.end()).size() == ids.size());
  for (const MessageId one : ids) {
    CHECK(one.made_at() == id.made_at());
    CHECK((one.value & 0x3FFF) == 77);
  }
}
