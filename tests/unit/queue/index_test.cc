// The index of the history over both engines: what is written by changes is found by every key,
// whether it is indexed yet or not, through crashes, late messages, damage and trimming.
#include "queue/index.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "queue/indexer.h"
#include "queue/ledger.h"
#include "queue/trace.h"
#include "tests/support/memory_rows.h"
#include "tests/unit/queue/engines.h"
#include "tests/unit/queue/sample_mail.h"

using namespace rockdove;
using namespace std::chrono_literals;
using namespace rockdove::queue;
using namespace rockdove::tests;

namespace {

using Ids = std::vector<MessageId>;

// A store without threads.
struct World {
  explicit World(Engine& of) : engine(of) { reopen(); }

  void reopen() {
    ledger.reset();
    rows.reset();
    rows = engine.open();
    ledger = std::make_unique<Ledger>(*rows, fence);
    REQUIRE(ledger->open());
  }

  void apply(const Change& change) {
    const Change* const changes[] = {&change};
    REQUIRE(ledger->apply(changes));
  }

  // Accepted; its recipients are bobN@DOMAIN.
  Message accept(std::uint64_t tick, const std::string& sender, const std::string& domain,
                 std::uint32_t recipients = 1) {
    Message message = sample_message(tick, recipients);
    message.sender = sender;
    message.header_block = "Message-ID: <" + std::to_string(tick) + "@Here.example>\r\n\r\n";
    std::vector<Delivery> deliveries;
    for (std::uint32_t number = 1; number <= recipients; ++number) {
      deliveries.push_back(sample_delivery(message, number, domain));
    }
    apply(accepted(message, deliveries));
    return message;
  }

  void end(const Message& message, const std::string& domain, Outcome how = Outcome::Delivered) {
    std::vector<Delivery> deliveries;
    for (std::uint32_t number = 1; number <= message.recipients; ++number) {
      deliveries.push_back(sample_delivery(message, number, domain));
    }
    apply(ended(message, deliveries, how, sample_attempt(message.accepted + 3s)));
  }

  Message deliver(std::uint64_t tick, const std::string& sender, const std::string& domain) {
    Message message = accept(tick, sender, domain);
    end(message, domain);
    return message;
  }

  Indexer::Step index(std::uint64_t until_tick, IndexerLimits limits = {}) {
    Indexer indexer(fence, limits);
    return index(indexer, until_tick);
  }

  Indexer::Step index(Indexer& indexer, std::uint64_t until_tick) {
    Damaged found_damaged;
    const Result<Indexer::Step> step = indexer.step(*rows, sample_id(until_tick), found_damaged);
    if (!step) FAIL(step.error().text());
    CHECK(found_damaged.empty());
    return *step;
  }

  // All pages, a few at once.
  Ids find(const TraceQuery& query, std::uint32_t at_once = 3) {
    Ids found;
    TraceRequest request;
    request.query = query;
    request.now = now;
    request.messages_max = at_once;
    request.work_max = 7;
    do {
      const Result<TracedPage> page = trace(*rows, request, damaged);
      if (!page) FAIL(page.error().text());
      CHECK(page->messages.size() <= at_once);
      for (const TracedMessage& message : page->messages) found.push_back(message.id);
      request.before = page->more_before;
    } while (request.before);
    return found;
  }

  Engine& engine;
  WallTime now{};
  IndexFence fence;
  std::unique_ptr<Rows> rows;
  std::unique_ptr<Ledger> ledger;
  Damaged damaged;
};

TraceQuery by_sender(const std::string& sender) {
  TraceQuery query;
  query.sender = sender;
  return query;
}

TraceQuery by_recipient(const std::string& recipient) {
  TraceQuery query;
  query.recipient = recipient;
  return query;
}

TraceQuery by_domain(const std::string& domain) {
  TraceQuery query;
  query.domain = domain;
  return query;
}

}  // namespace

TEST_CASE("index: a message is found by each of its keys, indexed or not, waiting or gone") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  World world(*engine);
  const bool is_indexed = GENERATE(false, true);
  const Message gone = world.deliver(1, "Alice@here.example", "x.example");
  const Message waits = world.accept(2, "carol@here.example", "y.example", 2);
  world.deliver(3, "", "z.example");
  if (is_indexed) CHECK(world.index(100).messages == 3);

  TraceQuery query;
  query.message = gone.id;
  CHECK(world.find(query) == Ids{gone.id});
  query = {};
  query.message_id = "<1@here.EXAMPLE>";
  CHECK(world.find(query) == Ids{gone.id});
  query.message_id = "2@here.example";
  CHECK(world.find(query) == Ids{waits.id});
  CHECK(world.find(by_sender("alice@HERE.example")) == Ids{gone.id});
  CHECK(world.find(by_sender("carol@here.example")) == Ids{waits.id});
  CHECK(world.find(by_sender("")) == Ids{sample_id(3)});
  CHECK(world.find(by_sender("nobody@here.example")).empty());
  CHECK(world.find(by_recipient("bob2@y.example")) == Ids{waits.id});
  CHECK(world.find(by_recipient("bob2@x.example")).empty());
  CHECK(world.find(by_domain("Y.example")) == Ids{waits.id});
  query = {};
  query.client = gone.client.address;
  CHECK(world.find(query) == Ids{sample_id(3), sample_id(2), sample_id(1)});
  query.domain = "x.example";  // both must hold
  CHECK(world.find(query) == Ids{gone.id});
  query.sender = "carol@here.example";
  CHECK(world.find(query).empty());
}

TEST_CASE("index: all that happened to a message is told in order") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  World world(*engine);
  const Message message = world.accept(1, "a@b.example", "x.example");
  Delivery before = sample_delivery(message, 1, "x.example");
  Delivery after = before;
  after.due += 5min;
  after.attempts = 1;
  Attempt attempt = sample_attempt(message.accepted + 1s);
  attempt.reply = "451 later";
  world.apply(moved(message, before, after, attempt));
  attempt.at += 5min;
  attempt.reply = "250 2.0.0 Ok";
  world.apply(ended(message, {&after, 1}, Outcome::Delivered, attempt));
  world.index(100);
  TraceRequest request;
  request.query.recipient = "bob1@x.example";
  const Result<TracedPage> page = trace(*world.rows, request, world.damaged);
  REQUIRE(page);
  REQUIRE(page->messages.size() == 1);
  const TracedMessage& found = page->messages.front();
  CHECK(found.sender == "a@b.example");
  CHECK(found.client.helo == "client.example");
  CHECK(found.client.listener == "lan");
  CHECK(found.octets == message.header_block.size() + message.body_octets);
  CHECK(found.message_id_field == "<1@Here.example>");
  REQUIRE(found.deliveries.size() == 1);
  CHECK(found.deliveries[0].outcome == Outcome::Delivered);
  CHECK(found.deliveries[0].deferrals == 1);
  REQUIRE(found.deliveries[0].steps.size() == 2);
  CHECK(found.deliveries[0].steps[0].reply == "451 later");
  CHECK(found.deliveries[0].steps[1].what == "delivered");
  CHECK(found.deliveries[0].steps[1].took == 12ms);
}

TEST_CASE("index: a message is followed into its report, and that into its own") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  World world(*engine);
  const Message message = world.accept(1, "a@b.example", "x.example");
  Message report = sample_message(2);
  report.kind = MessageKind::Report;
  report.sender = "";
  report.about = message.id;
  report.client = {};
  const Delivery to_sender = sample_delivery(report, 1, "b.example");
  Attempt attempt = sample_attempt(message.accepted + 1s);
  attempt.reply = "550 no";
  attempt.report = report.id;
  const Delivery failed = sample_delivery(message, 1, "x.example");
  Change bounced = ended(message, {&failed, 1}, Outcome::Bounced, attempt);
  bounced.join(accepted(report, {&to_sender, 1}, Change::Kind::Result));
  world.apply(bounced);
  world.apply(ended(report, {&to_sender, 1}, Outcome::Delivered, sample_attempt(report.accepted)));
  world.index(100);
  TraceRequest request;
  request.query.sender = "a@b.example";
  const Result<TracedPage> page = trace(*world.rows, request, world.damaged);
  REQUIRE(page);
  REQUIRE(page->messages.size() == 1);
  const TracedMessage& found = page->messages.front();
  CHECK(found.deliveries.at(0).steps.at(0).report == report.id);
  REQUIRE(found.reports.size() == 1);
  CHECK(found.reports[0].id == report.id);
  CHECK(found.reports[0].about == message.id);
  CHECK(found.reports[0].deliveries.at(0).outcome == Outcome::Delivered);
  // The report itself is one of nobody's, and has no client.
  CHECK(world.find(by_sender("")) == Ids{report.id});
  TraceQuery query;
  query.client = base::IpAddress{};
  CHECK(world.find(query).empty());
}

TEST_CASE("index: time alone finds the newest first, over gaps, and stops at its bounds") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  World world(*engine);
  Ids all;
  for (const std::uint64_t tick :
       {1ULL, 2ULL, 50'000ULL, 50'001ULL, 50'002ULL, 50'003ULL, 50'004ULL, 50'005ULL, 50'006ULL,
        50'007ULL, 50'008ULL, 90'000'000ULL, 20'000'000'000ULL}) {
    if (tick % 2 == 0) {
      world.deliver(tick, "a@b.example", "x.example");
    } else {
      world.accept(tick, "a@b.example", "x.example");
    }
    all.insert(all.begin(), sample_id(tick));
  }
  if (GENERATE(false, true)) world.index(60'000);
  CHECK(world.find({}) == all);
  CHECK(world.find(by_sender("a@b.example")) == all);
  TraceQuery query;
  query.since = sample_id(50'001).made_at();
  query.until = sample_id(50'003).made_at();
  CHECK(world.find(query) == Ids{sample_id(50'002), sample_id(50'001)});
  query.sender = "a@b.example";
  CHECK(world.find(query) == Ids{sample_id(50'002), sample_id(50'001)});
}

TEST_CASE("index: since and until mean when it was accepted, not when it began to come") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  World world(*engine);
  const auto accept = [&](std::uint64_t tick, base::Duration took) {
    Message message = sample_message(tick);
    message.accepted += took;
    const std::vector<Delivery> deliveries = sample_deliveries(message);
    world.apply(accepted(message, deliveries));
    return message;
  };
  const Message slow = accept(1, 10min);
  const Message quick = accept(2, 0s);
  if (GENERATE(false, true)) world.index(100);
  TraceQuery query;
  if (GENERATE(false, true)) query.sender = slow.sender;
  query.since = quick.accepted + 1min;
  CHECK(world.find(query) == Ids{slow.id});
  query.until = slow.accepted;
  CHECK(world.find(query).empty());
  query.since.reset();
  CHECK(world.find(query) == Ids{quick.id});
}

TEST_CASE("index: mail to an alias is found by it, waiting or gone, and by whom it went to") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  World world(*engine);
  const Message message = sample_message(1, 2);
  std::vector<Delivery> deliveries = sample_deliveries(message);
  for (Delivery& delivery : deliveries) delivery.alias = "Team@here.example";
  world.apply(accepted(message, deliveries));
  if (GENERATE(false, true)) {
    world.apply(ended(message, deliveries, Outcome::Delivered, sample_attempt(kSampleTime)));
  }
  if (GENERATE(false, true)) world.index(100);
  CHECK(world.find(by_recipient("team@HERE.example")) == Ids{message.id});
  CHECK(world.find(by_recipient("bob2@example.net")) == Ids{message.id});
  CHECK(world.find(by_domain("here.example")) == Ids{message.id});
  CHECK(world.find(by_recipient("team@example.net")).empty());
}

TEST_CASE("index: stretches follow each other, and each message is indexed once") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  World world(*engine);
  for (std::uint64_t tick = 1; tick <= 10; ++tick) world.deliver(tick, "a@b.example", "x.example");
  Indexer indexer(world.fence, {4, 1000});
  std::uint64_t messages = 0;
  std::uint64_t entries = 0;
  int steps = 0;
  for (bool more = true; more; ++steps) {
    const Indexer::Step step = world.index(indexer, 9);
    messages += step.messages;
    entries += step.entries;
    more = step.more;
  }
  CHECK(steps == 2);
  CHECK(messages == 8);
  CHECK(entries == 8 * 5);  // Message-ID, sender, client, recipient, domain
  CHECK(world.index(indexer, 9).messages == 0);
  CHECK(world.index(indexer, 100).messages == 2);
  CHECK(world.find(by_sender("a@b.example")).size() == 10);
}

TEST_CASE(
    "index: how far it has come survives a restart, and an old queue is indexed from its "
    "beginning") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  World world(*engine);
  for (std::uint64_t tick = 1; tick <= 3; ++tick) world.deliver(tick, "a@b.example", "x.example");
  world.reopen();
  CHECK(read_index_mark(*world.rows->view()).value() == MessageId{});
  CHECK(world.index(3).messages == 2);
  world.reopen();
  CHECK(read_index_mark(*world.rows->view()).value() == sample_id(3));
  CHECK(world.fence.until() == sample_id(3));
  CHECK(world.index(100).messages == 1);
  CHECK(world.find(by_sender("a@b.example")).size() == 3);
}

TEST_CASE(
    "index: a message that comes when its stretch is closed is found, before and after a restart") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  World world(*engine);
  Indexer indexer(world.fence);
  world.deliver(1, "a@b.example", "x.example");
  world.deliver(9, "a@b.example", "x.example");
  world.index(indexer, 20);
  const Message late = world.accept(5, "late@b.example", "x.example");
  CHECK(world.find(by_sender("late@b.example")) == Ids{late.id});
  CHECK(world.find(by_domain("x.example")) == Ids{sample_id(9), late.id, sample_id(1)});
  world.end(late, "x.example");
  if (GENERATE(false, true)) world.reopen();
  CHECK(world.find(by_sender("late@b.example")) == Ids{late.id});
  world.index(indexer, 20);
  CHECK(world.rows->view()->get(Family::Index, late_key(late.id)).value() == std::nullopt);
  CHECK(world.find(by_sender("late@b.example")) == Ids{late.id});
  CHECK(world.find(by_domain("x.example")) == Ids{sample_id(9), late.id, sample_id(1)});
}

TEST_CASE("index: a late message in an empty stretch is not lost either") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  World world(*engine);
  Indexer indexer(world.fence);
  world.deliver(1, "a@b.example", "x.example");
  world.index(indexer, 10);
  CHECK(world.index(indexer, 50).messages == 0);  // writes nothing, but the fence has moved
  const Message late = world.deliver(30, "late@b.example", "x.example");
  world.index(indexer, 60);
  CHECK(world.find(by_sender("late@b.example")) == Ids{late.id});
  world.deliver(70, "a@b.example", "x.example");
  world.index(indexer, 100);
  CHECK(world.find(by_sender("late@b.example")) == Ids{late.id});
}

TEST_CASE("index: a crash in the middle of indexing leaves a stretch that is indexed again") {
  MemoryDisk disk;
  {
    MemoryRows rows(disk);
    IndexFence fence;
    Ledger ledger(rows, fence);
    REQUIRE(ledger.open());
    const Message message = sample_message(1);
    const Delivery delivery = sample_delivery(message, 1);
    const Change change = accepted(message, {&delivery, 1});
    const Change* const changes[] = {&change};
    REQUIRE(ledger.apply(changes));
    disk.fill_after(0);
    Damaged damaged;
    Indexer indexer(fence);
    CHECK_FALSE(indexer.step(rows, sample_id(10), damaged));
    CHECK(disk.rows(Family::Index).empty());
  }
  disk.crash();
  disk.free_space();
  MemoryRows rows(disk);
  IndexFence fence;
  Ledger ledger(rows, fence);
  REQUIRE(ledger.open());
  Damaged damaged;
  Indexer indexer(fence);
  CHECK(indexer.step(rows, sample_id(10), damaged)->messages == 1);
  disk.crash();  // what was ingested is durable
  TraceRequest request;
  request.query.sender = "alice@here.example";
  CHECK(trace(rows, request, damaged)->messages.size() == 1);
}

TEST_CASE("index: what is there of a group that failed is indexed by the next instance") {
  MemoryDisk disk;
  IndexFence fence;
  Indexer indexer(fence);
  Damaged damaged;
  const Message message = sample_message(5);
  const Delivery delivery = sample_delivery(message, 1);
  {
    MemoryRows rows(disk);
    Ledger ledger(rows, fence);
    REQUIRE(ledger.open());
    disk.fill_after(0, MemoryDisk::FailedWrite::IsThere);
    const Change change = accepted(message, {&delivery, 1});
    const Change* const changes[] = {&change};
    REQUIRE_FALSE(ledger.apply(changes));
    // Without a look at the failure it would pass the message by as if it were not there.
    CHECK(indexer.step(rows, sample_id(10), damaged)->messages == 0);
  }
  disk.free_space();
  MemoryRows rows(disk);
  Ledger ledger(rows, fence);
  REQUIRE(ledger.open());
  CHECK(indexer.step(rows, sample_id(20), damaged)->messages == 1);
  TraceRequest request;
  request.query.sender = message.sender;
  CHECK(trace(rows, request, damaged)->messages.size() == 1);
}

TEST_CASE("index: a damaged record is passed over and named, and the rest is found") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  World world(*engine);
  for (std::uint64_t tick = 1; tick <= 3; ++tick) world.deliver(tick, "a@b.example", "x.example");
  RowOperations damage;
  damage.put(Family::History,
             history_key({sample_id(2), 1}, sample_id(2).made_at() + 3s, HistoryKind::Closing),
             "\xFF\xFF");
  const RowOperations* const batch[] = {&damage};
  REQUIRE(world.rows->write(batch, Sync::Yes));
  Indexer indexer(world.fence);
  Damaged damaged;
  REQUIRE(indexer.step(*world.rows, sample_id(100), damaged));
  REQUIRE(damaged.size() == 1);
  CHECK(damaged.front().text().find(base::format_id(sample_id(2))) != std::string::npos);
  CHECK(world.find(by_sender("a@b.example")) == Ids{sample_id(3), sample_id(1)});
}

TEST_CASE("index: what has been trimmed is not found, and goes when the index is compacted") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  World world(*engine);
  for (std::uint64_t tick = 1; tick <= 5; ++tick) world.deliver(tick, "a@b.example", "x.example");
  world.index(100);
  REQUIRE(world.ledger->note_trim(sample_id(4)));
  REQUIRE(world.rows->trim_history(message_key(sample_id(4))));
  const Ids left{sample_id(5), sample_id(4)};
  CHECK(world.find(by_sender("a@b.example")) == left);
  CHECK(world.find({}) == left);
  std::atomic<bool> is_cancelled = false;
  REQUIRE(world.rows->collect_index(is_cancelled, 1'000'000'000));
  const Key prefix = index_prefix(IndexKind::Sender, index_hash("a@b.example"));
  const std::unique_ptr<RowView> view = world.rows->view();
  const std::unique_ptr<RowCursor> row = view->cursor(Family::Index, prefix);
  Ids entries;
  for (row->seek(prefix); row->is_valid(); row->next()) {
    entries.push_back(parse_index_key(row->key()).value());
  }
  CHECK(entries == left);
  CHECK(read_index_mark(*view).value() == sample_id(100));
}

TEST_CASE("index: of what has been trimmed only what waits is known by its id") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  World world(*engine);
  const Message gone = world.deliver(1, "a@b.example", "x.example");
  const Message waits = world.accept(2, "a@b.example", "x.example");
  world.deliver(9, "a@b.example", "x.example");
  REQUIRE(world.ledger->note_trim(sample_id(4)));
  TraceQuery query;
  query.message = gone.id;
  CHECK(world.find(query).empty());
  query.message = waits.id;
  CHECK(world.find(query) == Ids{waits.id});
}

TEST_CASE("index: messages of a clock that was far ahead are found among the others") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  World world(*engine);
  const std::uint64_t far = 1'000'000'000'000;  // 31 years
  world.deliver(1, "a@b.example", "x.example");
  world.deliver(far, "a@b.example", "x.example");
  world.deliver(far + 1, "a@b.example", "x.example");  // made now; ids never go back
  const Ids all{sample_id(far + 1), sample_id(far), sample_id(1)};
  for (const std::uint64_t indexed_to : {0ULL, 10ULL}) {
    if (indexed_to > 0) world.index(indexed_to);
    for (const WallTime now : {WallTime{}, kSampleTime + 5s}) {
      world.now = now;
      CHECK(world.find({}) == all);
      CHECK(world.find(by_sender("a@b.example")) == all);
    }
  }
}

TEST_CASE("index: how it ended is told last, whatever the clock said, and however long it took") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  World world(*engine);
  constexpr std::uint32_t kAttempts = kTracedStepsMax + 100;
  const Message message = world.accept(1'000'000, "a@b.example", "x.example");
  Delivery delivery = sample_delivery(message, 1, "x.example");
  for (std::uint32_t number = 1; number <= kAttempts; ++number) {
    Delivery after = delivery;
    after.attempts = number;
    after.due += 1min;
    Attempt attempt = sample_attempt(message.accepted + std::chrono::minutes(number));
    attempt.reply = "451 later";
    world.apply(moved(message, delivery, after, attempt));
    delivery = after;
  }
  world.apply(ended(message, {&delivery, 1}, Outcome::Delivered,
                    sample_attempt(message.accepted - 1h)));  // the clock was set back
  TraceRequest request;
  request.query.message = message.id;
  const Result<TracedPage> page = trace(*world.rows, request, world.damaged);
  REQUIRE(page);
  REQUIRE(page->messages.size() == 1);
  const TracedMessage& found = page->messages.front();
  CHECK(found.steps_left_out > 0);
  const std::vector<HistoryStep>& steps = found.deliveries.at(0).steps;
  CHECK(steps.size() + found.steps_left_out == kAttempts + 1);
  CHECK(steps.size() <= kTracedStepsMax + 1);
  CHECK(steps.back().what == "delivered");
  CHECK(steps.back().step == steps.size());
  CHECK(found.deliveries[0].deferrals == kAttempts);
}

TEST_CASE("index: a page of messages with very many recipients ends early, and the next goes on") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  World world(*engine);
  Ids all;
  for (const std::uint64_t tick : {1ULL, 2ULL, 3ULL}) {
    const Message message = world.accept(tick, "a@b.example", "x.example", 3000);
    world.end(message, "x.example");
    all.insert(all.begin(), message.id);
  }
  const bool is_indexed = GENERATE(false, true);
  // A stretch ends when it was much work, after one message at least.
  IndexerLimits limits;
  limits.work_max = 100;
  if (is_indexed) {
    CHECK(world.index(10, limits).messages == 1);
    CHECK(world.index(10, limits).messages == 1);
    CHECK_FALSE(world.index(10, limits).more);
  }
  TraceRequest request;
  request.query.sender = "a@b.example";
  const Result<TracedPage> page = trace(*world.rows, request, world.damaged);
  REQUIRE(page);
  CHECK(page->messages.size() < 3);
  CHECK(page->more_before);
  CHECK(world.find(request.query) == all);
}

TEST_CASE("index: a Message-ID of any octets and length is found by what is kept of it") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  World world(*engine);
  Message message = sample_message(1);
  const std::string text = GENERATE(std::string("\0\x1B[2J\xFF\xC3", 7), std::string(65'536, 'x'));
  message.header_block = "Message-ID: <" + text + "@x>\r\n\r\n";
  const std::vector<Delivery> deliveries = sample_deliveries(message);
  world.apply(accepted(message, deliveries));
  if (GENERATE(false, true)) {
    world.apply(ended(message, deliveries, Outcome::Delivered, sample_attempt(kSampleTime)));
  }
  if (GENERATE(false, true)) world.index(10);
  TraceRequest request;
  request.query.message = message.id;
  const Result<TracedPage> page = trace(*world.rows, request, world.damaged);
  REQUIRE(page);
  REQUIRE(page->messages.size() == 1);
  const std::string& kept = page->messages.front().message_id_field;
  CHECK(kept.size() <= 998);
  CHECK(kept.starts_with("<" + text.substr(0, 500)));
  TraceQuery query;
  query.message_id = kept;
  CHECK(world.find(query) == Ids{message.id});
}

TEST_CASE("index: the hash of a text is the same in every version") {
  // Changing these makes every index that was written before useless.
  CHECK(index_hash("") == 0xEFD01F60BA992926ULL);
  CHECK(index_hash("Bob@Example.net") == index_hash("bob@example.NET"));
  CHECK(index_hash("bob@example.net") != index_hash("bob@example.com"));
}
