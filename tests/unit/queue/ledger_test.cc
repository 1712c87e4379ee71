// Groups of changes and what is left of them, over rows in memory that forget what was not synced.
#include "queue/ledger.h"

#include <algorithm>
#include <random>

#include <catch2/catch.hpp>

#include "queue/index.h"
#include "queue/keys.h"
#include "queue/reading.h"
#include "tests/support/memory_rows.h"
#include "tests/unit/queue/sample_mail.h"

using namespace rockdove;
using namespace rockdove::queue;
using namespace rockdove::tests;

namespace {

// One run of the process: rows and a ledger over a disk that outlives them.
struct Run {
  explicit Run(MemoryDisk& disk) : rows(disk), ledger(rows) { REQUIRE(ledger.open()); }

  Result<void> apply(const Change& change) {
    const Change* const group[] = {&change};
    return ledger.apply(group);
  }

  MemoryRows rows;
  Ledger ledger;
};

Change end_of(const Message& message, std::uint32_t number) {
  const Delivery delivery = sample_delivery(message, number);
  return ended(message, {&delivery, 1}, Outcome::Delivered, sample_attempt(kSampleTime));
}

}  // namespace

TEST_CASE("ledger: what was accepted is there after power was cut") {
  MemoryDisk disk;
  const Message message = sample_message(1, 2);
  {
    Run run(disk);
    REQUIRE(run.apply(accepted(message, sample_deliveries(message))));
  }
  disk.crash();
  Run run(disk);
  Damaged damaged;
  const Result<MessageView> seen = view_message(run.rows, message.id, damaged);
  REQUIRE(seen);
  REQUIRE(seen->message != nullptr);
  CHECK(seen->message->header_block == message.header_block);
  CHECK(seen->deliveries.size() == 2);
  CHECK(seen->history.empty());
  CHECK(**read_chunk(run.rows, message.id, 0) == "hello\r\n");
  CHECK(run.ledger.highest_id() == message.id);
  CHECK(damaged.empty());
}

TEST_CASE(
    "ledger: the last delivery takes message and body along, in any order and over restarts") {
  std::mt19937 random(GENERATE(1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U));
  MemoryDisk disk;
  constexpr std::uint32_t kRecipients = 6;
  const Message message = sample_message(1, kRecipients);
  auto run = std::make_unique<Run>(disk);
  REQUIRE(run->apply(accepted(message, sample_deliveries(message))));
  std::vector<std::uint32_t> numbers{1, 2, 3, 4, 5, 6};
  std::shuffle(numbers.begin(), numbers.end(), random);
  while (!numbers.empty()) {
    CHECK(disk.rows(Family::Messages).size() == 1);
    CHECK(disk.rows(Family::Bodies).size() == 1);
    if (random() % 3 == 0) {
      run.reset();
      disk.crash();
      run = std::make_unique<Run>(disk);
    }
    // One to three deliveries, each a change of its own, in one group.
    std::vector<Change> changes;
    for (std::size_t left = 1 + random() % 3; left > 0 && !numbers.empty(); --left) {
      changes.push_back(end_of(message, numbers.back()));
      numbers.pop_back();
    }
    if (random() % 2 == 0) changes.push_back(reported(message.id, {1, kSampleTime}));
    if (numbers.empty() && changes.size() > 1) std::swap(changes.front(), changes.back());
    std::vector<const Change*> group;
    for (const Change& change : changes) group.push_back(&change);
    REQUIRE(run->ledger.apply(group));
  }
  CHECK(disk.is_empty_but_meta());
  CHECK(disk.rows(Family::History).size() == kRecipients);
}

TEST_CASE("ledger: deliveries that end in one change need no count") {
  MemoryDisk disk;
  Run run(disk);
  const Message message = sample_message(1, 3);
  const std::vector<Delivery> deliveries = sample_deliveries(message);
  REQUIRE(run.apply(accepted(message, deliveries)));
  Change change = ended(message, deliveries, Outcome::Bounced, sample_attempt(kSampleTime));
  const Message report = sample_message(2);
  change.join(accepted(report, sample_deliveries(report), Change::Kind::Result));
  CHECK(change.kind() == Change::Kind::Result);
  REQUIRE(run.apply(change));
  CHECK(disk.rows(Family::Messages).size() == 1);
  REQUIRE(run.apply(end_of(report, 1)));
  CHECK(disk.is_empty_but_meta());
}

TEST_CASE("ledger: a moved delivery stands in its new place only, with its attempt in history") {
  MemoryDisk disk;
  Run run(disk);
  const Message message = sample_message(1);
  const Delivery before = sample_delivery(message, 1);
  REQUIRE(run.apply(accepted(message, {&before, 1})));
  Delivery after = before;
  after.due += std::chrono::minutes(5);
  after.attempts = 1;
  after.last = {kSampleTime, "mx", "451 later"};
  REQUIRE(run.apply(moved(message, before, after, sample_attempt(kSampleTime))));
  REQUIRE(disk.rows(Family::Waiting).size() == 1);
  CHECK(disk.rows(Family::Waiting).begin()->first == waiting_key(message.id, after));
  Damaged damaged;
  const Result<MessageView> seen = view_message(run.rows, message.id, damaged);
  REQUIRE(seen);
  CHECK(seen->deliveries.front().attempts == 1);
  REQUIRE(seen->history.size() == 1);
  CHECK(seen->history.front().what == "deferred");
  CHECK(seen->history.front().step == 1);
}

TEST_CASE("ledger: a body at hand that is larger than a chunk is written as several") {
  MemoryDisk disk;
  Message message = sample_message(1);
  const std::string body = std::string(kBodyChunkOctets, 'a') + "rest\r\n";
  message.body = std::make_shared<const std::string>(body);
  message.body_octets = body.size();
  message.body_chunks = body_chunks_of(body.size());
  Run run(disk);
  REQUIRE(run.apply(accepted(message, sample_deliveries(message))));
  CHECK(disk.rows(Family::Bodies).size() == 2);
  CHECK(**read_chunk(run.rows, message.id, 0) == body.substr(0, kBodyChunkOctets));
  CHECK(**read_chunk(run.rows, message.id, 1) == "rest\r\n");
  REQUIRE(run.apply(end_of(message, 1)));
  CHECK(disk.is_empty_but_meta());
}

TEST_CASE("ledger: a body in chunks is there once accepted, and gone when it never was") {
  MemoryDisk disk;
  Message message = sample_message(1);
  message.body.reset();
  message.body_chunks = 2;
  message.body_octets = 12;
  const auto chunk = std::make_shared<const std::string>("chunk\n");
  {
    Run run(disk);
    REQUIRE(run.ledger.write_chunk(message.id, 0, chunk));
    REQUIRE(run.ledger.write_chunk(message.id, 1, chunk));
    REQUIRE(run.ledger.write_chunk(sample_id(2), 0, chunk));
    REQUIRE(run.ledger.write_chunk(sample_id(3), 0, chunk));
    REQUIRE(run.ledger.drop_chunks(sample_id(3)));
    CHECK(disk.rows(Family::Bodies).size() == 3);
    const Change change = accepted(message, sample_deliveries(message));
    REQUIRE(run.ledger.check(change));
    REQUIRE(run.apply(change));
  }
  disk.crash();
  CHECK(disk.rows(Family::Bodies).size() == 3);
  Run run(disk);
  CHECK(disk.rows(Family::Bodies).size() == 2);
  CHECK(disk.rows(Family::Partial).empty());
  CHECK(**read_chunk(run.rows, message.id, 1) == "chunk\n");
  CHECK_FALSE(read_chunk(run.rows, message.id, 2));
  REQUIRE(run.apply(end_of(message, 1)));
  CHECK(disk.is_empty_but_meta());
}

TEST_CASE("ledger: a body whose first chunks were lost with an earlier instance is not accepted") {
  MemoryDisk disk;
  Message message = sample_message(1);
  message.body.reset();
  message.body_chunks = 2;
  const auto chunk = std::make_shared<const std::string>("chunk\n");
  {
    Run run(disk);
    REQUIRE(run.ledger.write_chunk(message.id, 0, chunk));
  }
  disk.crash();
  Run run(disk);
  REQUIRE(run.ledger.write_chunk(message.id, 1, chunk));
  CHECK_FALSE(run.ledger.check(accepted(message, sample_deliveries(message))));
  CHECK(disk.is_empty_but_meta());
}

TEST_CASE(
    "ledger: chunks that two write for the same id are nobody's, and go with the next start") {
  MemoryDisk disk;
  Message message = sample_message(1);
  message.body.reset();
  message.body_chunks = 2;
  const auto chunk = std::make_shared<const std::string>("chunk\n");
  const auto others = std::make_shared<const std::string>("other\n");
  const Change change = accepted(message, sample_deliveries(message));
  {
    Run run(disk);
    REQUIRE(run.ledger.write_chunk(message.id, 0, chunk));
    REQUIRE(run.ledger.write_chunk(message.id, 0, others));
    REQUIRE(run.ledger.write_chunk(message.id, 1, chunk));
    REQUIRE(run.ledger.write_chunk(message.id, 1, others));
    CHECK_FALSE(run.ledger.check(change));
    REQUIRE(run.ledger.drop_chunks(message.id));
    REQUIRE(run.ledger.write_chunk(message.id, 0, chunk));
    REQUIRE(run.ledger.write_chunk(message.id, 1, chunk));
    CHECK_FALSE(run.ledger.check(change));
  }
  Run run(disk);
  CHECK(disk.is_empty_but_meta());
  REQUIRE(run.ledger.write_chunk(message.id, 0, chunk));
  REQUIRE(run.ledger.write_chunk(message.id, 1, chunk));
  CHECK(run.ledger.check(change));
}

TEST_CASE("ledger: a group that failed is known to be there or not") {
  MemoryDisk disk;
  const Message message = sample_message(1);
  const Delivery before = sample_delivery(message, 1);
  Delivery after = before;
  after.due += std::chrono::minutes(5);
  const Change acceptance = accepted(message, {&before, 1});
  const Change move = moved(message, before, after, sample_attempt(kSampleTime));
  const Change* const group[] = {&move};
  const auto run = std::make_unique<Run>(disk);
  REQUIRE(run->apply(acceptance));
  CHECK_FALSE(run->ledger.is_applied(group).value());
  disk.fill_after(0);
  CHECK_FALSE(run->ledger.apply(group));
  disk.free_space();
  Run again(disk);
  CHECK_FALSE(again.ledger.is_applied(group).value());
  REQUIRE(again.ledger.apply(group));
  CHECK(again.ledger.is_applied(group).value());
}

TEST_CASE("ledger: a queue of a newer version is refused, and both versions are named") {
  MemoryDisk disk;
  MemoryRows rows(disk);
  RowOperations newer;
  newer.put(Family::Meta, "format", "7");
  const RowOperations* const batch[] = {&newer};
  REQUIRE(rows.write(batch, Sync::Yes));
  const Result<void> opened = Ledger(rows).open();
  REQUIRE_FALSE(opened);
  CHECK(opened.error().text().find("format 7") != std::string::npos);
  CHECK(opened.error().text().find("up to 1") != std::string::npos);
}

TEST_CASE("ledger: the highest id outlives the mail and its history") {
  MemoryDisk disk;
  const Message message = sample_message(77);
  {
    Run run(disk);
    REQUIRE(run.apply(accepted(message, sample_deliveries(message))));
    REQUIRE(run.apply(end_of(message, 1)));
    REQUIRE(run.ledger.note_trim(sample_id(1)));
    REQUIRE(run.rows.trim_history("\xFF"));
  }
  CHECK(disk.rows(Family::History).empty());
  Run run(disk);
  CHECK(run.ledger.highest_id() == message.id);
}

TEST_CASE(
    "ledger: how far history goes back never passes the newest message, and never goes back") {
  MemoryDisk disk;
  Run run(disk);
  const auto floor = [&run] { return read_history_floor(*run.rows.view()).value(); };
  const Message message = sample_message(77);
  REQUIRE(run.apply(accepted(message, sample_deliveries(message))));
  REQUIRE(run.ledger.note_trim(sample_id(50)));
  CHECK(floor() == sample_id(50));
  REQUIRE(run.ledger.note_trim(sample_id(40)));
  CHECK(floor() == sample_id(50));
  REQUIRE(run.ledger.note_trim(sample_id(1'000'000'000)));
  CHECK(floor() == MessageId{message.id.value + 1});
}
