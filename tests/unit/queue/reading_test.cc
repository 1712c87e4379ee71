// Loading, finding, listing and summing up, over rows in memory.
#include "queue/reading.h"

#include <catch2/catch.hpp>

#include "queue/keys.h"
#include "queue/ledger.h"
#include "tests/support/memory_rows.h"
#include "tests/unit/queue/sample_mail.h"
#include "tests/unit/queue/small_queue.h"

using namespace rockdove;
using namespace rockdove::queue;
using namespace rockdove::tests;

namespace {

class Queue : public SmallQueue {
 public:
  Message accept(std::uint64_t tick, const std::vector<std::string>& domains) {
    const Message message = sample_message(tick, static_cast<std::uint32_t>(domains.size()));
    std::vector<Delivery> deliveries;
    for (const std::string& domain : domains) {
      deliveries.push_back(
          sample_delivery(message, static_cast<std::uint32_t>(deliveries.size() + 1), domain));
    }
    return SmallQueue::accept(tick, deliveries);
  }

  [[nodiscard]] LoadedQueue load(const LoadRequest& request) {
    Result<LoadedQueue> loaded = queue::load(rows, request, damaged);
    REQUIRE(loaded);
    return std::move(*loaded);
  }
};

const QueueName kNet{"example.net", "", 0};

}  // namespace

TEST_CASE("load: joins rows of one message and goes on behind its mark") {
  Queue queue;
  queue.accept(1, {"example.net", "example.net", "example.org"});
  queue.accept(2, {"example.net"});
  queue.accept(3, {"example.net"});
  LoadRequest request;
  request.queue = kNet;
  request.due_until = base::kNeverWall;
  request.deliveries_max = 3;
  const LoadedQueue first = queue.load(request);
  REQUIRE(first.messages.size() == 2);
  CHECK(first.messages[0].deliveries.size() == 2);
  CHECK(*first.messages[0].message->body == "hello\r\n");
  CHECK(first.messages[0].message->recipients == 3);
  CHECK(first.next_due == kSampleTime + std::chrono::milliseconds(3));
  request.from = first.reached;
  const LoadedQueue second = queue.load(request);
  REQUIRE(second.messages.size() == 1);
  CHECK(second.messages[0].message->id == sample_id(3));
  CHECK_FALSE(second.next_due);
  request.from = second.reached;
  CHECK(queue.load(request).messages.empty());
  CHECK(queue.damaged.empty());
}

TEST_CASE("load: leaves what is not due, and says when it will be") {
  Queue queue;
  queue.accept(1, {"example.net"});
  queue.accept(5, {"example.net"});
  LoadRequest request;
  request.queue = kNet;
  request.due_until = kSampleTime + std::chrono::milliseconds(4);
  const LoadedQueue loaded = queue.load(request);
  CHECK(loaded.messages.size() == 1);
  CHECK(loaded.next_due == kSampleTime + std::chrono::milliseconds(5));
  CHECK(loaded.reached.delivery == DeliveryId{sample_id(1), 1});
}

TEST_CASE("load: bodies are left out when they would be too many octets") {
  Queue queue;
  queue.accept(1, {"example.net"});
  queue.accept(2, {"example.net"});
  LoadRequest request;
  request.queue = kNet;
  request.due_until = base::kNeverWall;
  request.octets_max = 8;
  const LoadedQueue loaded = queue.load(request);
  REQUIRE(loaded.messages.size() == 2);
  CHECK(loaded.messages[0].message->body != nullptr);
  CHECK(loaded.messages[1].message->body == nullptr);
}

TEST_CASE("load: header blocks end it when they would be too many octets, one always comes") {
  Queue queue;
  queue.accept(1, {"example.net", "example.net"});
  queue.accept(2, {"example.net"});
  LoadRequest request;
  request.queue = kNet;
  request.due_until = base::kNeverWall;
  request.header_octets_max = 1;
  const LoadedQueue loaded = queue.load(request);
  REQUIRE(loaded.messages.size() == 1);
  CHECK(loaded.messages[0].deliveries.size() == 2);  // the same header
  CHECK(loaded.more);
  request.from = loaded.reached;
  CHECK(queue.load(request).messages.size() == 1);
}

TEST_CASE("load: takes only messages accepted before, and goes on behind those it skipped") {
  Queue queue;
  for (std::uint64_t tick = 1; tick <= 6; ++tick) queue.accept(tick, {"example.net"});
  LoadRequest request;
  request.queue = kNet;
  request.due_until = base::kNeverWall;
  request.accepted_before = sample_id(4).made_at();
  request.deliveries_max = 2;
  LoadedQueue loaded = queue.load(request);
  REQUIRE(loaded.messages.size() == 2);
  CHECK(loaded.messages.back().message->id == sample_id(2));
  CHECK(loaded.more);
  CHECK(loaded.next_due == sample_id(3).made_at());
  request.from = loaded.reached;
  loaded = queue.load(request);
  REQUIRE(loaded.messages.size() == 1);
  CHECK(loaded.messages.front().message->id == sample_id(3));
  CHECK(loaded.reached.delivery.message == sample_id(6));
  CHECK_FALSE(loaded.more);
  CHECK_FALSE(loaded.next_due);
}

TEST_CASE("load: what is due later does not make more") {
  Queue queue;
  for (std::uint64_t tick = 1; tick <= 3; ++tick) queue.accept(tick, {"example.net"});
  LoadRequest request;
  request.queue = kNet;
  request.due_until = sample_id(2).made_at();
  request.deliveries_max = 2;
  const LoadedQueue loaded = queue.load(request);
  CHECK(loaded.messages.size() == 2);
  CHECK_FALSE(loaded.more);
  CHECK(loaded.next_due == sample_id(3).made_at());
}

TEST_CASE("load: a damaged row costs only itself, and is told") {
  Queue queue;
  queue.accept(1, {"example.net"});
  queue.accept(2, {"example.net"});
  RowOperations damage;
  damage.put(Family::Deliveries, delivery_key({sample_id(1), 1}), "\xFF\xFF");
  const RowOperations* const batch[] = {&damage};
  REQUIRE(queue.rows.write(batch, Sync::Yes));
  LoadRequest request;
  request.queue = kNet;
  request.due_until = base::kNeverWall;
  const LoadedQueue loaded = queue.load(request);
  REQUIRE(loaded.messages.size() == 1);
  CHECK(loaded.messages[0].message->id == sample_id(2));
  REQUIRE(queue.damaged.size() == 1);
  CHECK(queue.damaged[0].text().find(base::format_id(DeliveryId{sample_id(1), 1})) !=
        std::string::npos);
}

TEST_CASE("find_queues: every loop finds its own, each once, with its earliest time") {
  Queue queue;
  for (std::uint64_t i = 0; i < 50; ++i) {
    queue.accept(2 * i, {"d" + std::to_string(i % 10) + ".example"});
  }
  std::size_t found = 0;
  for (unsigned loop = 0; loop < 3; ++loop) {
    const Result<std::vector<FoundQueue>> queues = find_queues(queue.rows, loop, 3);
    REQUIRE(queues);
    found += queues->size();
    for (const FoundQueue& one : *queues) {
      CHECK(home_loop(one.name.destination, 3) == loop);
      CHECK(one.earliest ==
            kSampleTime + std::chrono::milliseconds(2 * (one.name.destination[1] - '0')));
    }
  }
  CHECK(found == 10);
}

TEST_CASE("list: filters, and pages go on where the last one ended") {
  Queue queue;
  for (std::uint64_t i = 0; i < 10; ++i) {
    queue.accept(i, {i % 2 == 0 ? "even.example" : "odd.example", "both.example"});
  }
  ListRequest request;
  request.filter.recipient = "*@EVEN.example";
  request.messages_max = 2;
  std::size_t messages = 0;
  std::size_t pages = 0;
  do {
    Damaged damaged;
    const Result<ListedPage> page = list(queue.rows, request, damaged);
    REQUIRE(page);
    for (const MessageWithDeliveries& one : page->messages) {
      ++messages;
      REQUIRE(one.deliveries.size() == 1);
      CHECK(one.deliveries[0].destination == "even.example");
      CHECK(one.message->header_block.empty());
    }
    request.after = page->more_after;
    ++pages;
  } while (!request.after.empty());
  CHECK(messages == 5);
  CHECK(pages == 3);

  Damaged damaged;
  ListRequest by_sender;
  by_sender.filter.sender = "Alice@Here.Example";
  CHECK(list(queue.rows, by_sender, damaged)->messages.size() == 10);
  by_sender.filter.sender = "bob@here.example";
  CHECK(list(queue.rows, by_sender, damaged)->messages.empty());
  ListRequest by_id;
  by_id.filter.delivery = DeliveryId{sample_id(3), 2};
  const Result<ListedPage> one = list(queue.rows, by_id, damaged);
  REQUIRE(one);
  REQUIRE(one->messages.size() == 1);
  CHECK(one->messages[0].deliveries[0].number == 2);
  ListRequest old;
  old.filter.accepted_before = kSampleTime + std::chrono::milliseconds(4);
  CHECK(list(queue.rows, old, damaged)->messages.size() == 4);
}

TEST_CASE("summarise: counts by state and destination") {
  Queue queue;
  const Message first = queue.accept(1, {"a.example", "b.example"});
  queue.accept(2, {"a.example"});
  const Delivery waiting = sample_delivery(first, 1, "a.example");
  Delivery held = waiting;
  held.state = DeliveryState::Held;
  held.hold_reason = "operator";
  queue.apply(moved(first, waiting, held, std::nullopt));
  const Result<QueueSummary> summary =
      summarise(queue.rows, {kSampleTime + std::chrono::minutes(7)});
  REQUIRE(summary);
  REQUIRE(summary->lines.size() == 3);
  CHECK(summary->lines[0].name == "a.example");
  CHECK(summary->lines[0].state == DeliveryState::Waiting);
  CHECK(summary->lines[0].deliveries == 1);
  CHECK(summary->lines[0].oldest == kSampleTime + std::chrono::milliseconds(2));
  CHECK(summary->lines[2].state == DeliveryState::Held);
  ListRequest request;
  request.filter.reason = "OPER";
  Damaged damaged;
  CHECK(list(queue.rows, request, damaged)->messages.size() == 1);
}

TEST_CASE("summarise: by sender, user and reason, the largest first, with ages") {
  Queue queue;
  for (std::uint64_t i = 1; i <= 5; ++i) {
    Message message = sample_message(i);
    message.sender = i <= 3 ? "many@here.example" : "few" + std::to_string(i) + "@here.example";
    message.client.user = i % 2 == 0 ? "bob" : "";
    const Delivery before = sample_delivery(message, 1);
    queue.apply(accepted(message, std::vector<Delivery>{before}));
    Delivery after = before;
    after.attempts = 1;
    after.last.reply = "450 4.2.1 <u" + std::to_string(i) + "@example.net> try again, id 1234" +
                       std::to_string(i) + "\r\nmore";
    queue.apply(moved(message, before, after, std::nullopt));
  }
  const WallTime now = kSampleTime + std::chrono::minutes(25);
  const Result<QueueSummary> senders = summarise(queue.rows, {now, SummaryBy::Sender, 1});
  REQUIRE(senders);
  REQUIRE(senders->lines.size() == 1);
  CHECK(senders->lines[0].name == "many@here.example");
  CHECK(senders->lines[0].deliveries == 3);
  CHECK(senders->lines[0].octets == 3 * (sample_message(1).header_block.size() + 7));
  CHECK(senders->lines[0].by_age[3] == 3);  // up to 40 minutes
  CHECK(senders->lines_left_out == 2);
  CHECK(senders->deliveries == 5);
  const Result<QueueSummary> users = summarise(queue.rows, {now, SummaryBy::User});
  REQUIRE(users->lines.size() == 2);
  CHECK(users->lines[1].name == "bob");
  CHECK(users->lines[1].deliveries == 2);
  const Result<QueueSummary> reasons = summarise(queue.rows, {now, SummaryBy::Reason});
  REQUIRE(reasons->lines.size() == 1);
  CHECK(reasons->lines[0].name == "450 4.2.1 * try again, id *");
  CHECK(reasons->lines[0].deliveries == 5);
}

TEST_CASE("summarise and select: rows of an older version say it by their messages") {
  Queue queue;
  const Message message = queue.accept(1, {"a.example"});
  RowOperations old;
  old.put(Family::Waiting, waiting_key(message.id, sample_delivery(message, 1, "a.example")), {});
  const RowOperations* const batch[] = {&old};
  REQUIRE(queue.rows.write(batch, Sync::Yes));
  const Result<QueueSummary> summary = summarise(queue.rows, {kSampleTime, SummaryBy::Sender});
  REQUIRE(summary->lines.size() == 1);
  CHECK(summary->lines[0].name == "alice@here.example");
  SelectRequest request;
  request.filter.sender = "alice@*";
  Damaged damaged;
  CHECK(select_deliveries(queue.rows, request, damaged)->deliveries.size() == 1);
  request.filter.sender = "bob@*";
  CHECK(select_deliveries(queue.rows, request, damaged)->deliveries.empty());
}

TEST_CASE("select: each condition, alone and in pages") {
  Queue queue;
  for (std::uint64_t i = 0; i < 20; ++i) {
    queue.accept(i, {"d" + std::to_string(i % 4) + ".example", "both.example"});
  }
  Message other = sample_message(100, 1, "a longer body, so that its size tells\r\n");
  other.sender.clear();
  other.client = {base::IpAddress::v4({198, 51, 100, 9}), "other", "lan", "carol"};
  other.header_block = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= an alle\r\nMessage-ID: <x@y>\r\n\r\n";
  const Delivery before = sample_delivery(other, 1, "d0.example");
  queue.apply(accepted(other, std::vector<Delivery>{before}));
  Delivery held = before;
  held.state = DeliveryState::Held;
  held.hold_reason = "spam run";
  held.attempts = 4;
  held.last.host = "mx1.d0.example[192.0.2.3]:25";
  held.last.reply = "451 4.7.1 greylisted";
  held.last.provider = "yahoo";
  held.last.source = "192.0.2.10";
  queue.apply(moved(other, before, held, std::nullopt));

  const auto count = [&](const QueueFilter& filter) {
    SelectRequest request;
    request.filter = filter;
    request.deliveries_max = 3;
    std::size_t found = 0;
    do {
      const Result<SelectedPage> page = select_deliveries(queue.rows, request, queue.damaged);
      REQUIRE(page);
      CHECK(page->deliveries.size() <= 3);
      found += page->deliveries.size();
      request.after = page->more_after;
    } while (!request.after.empty());
    return found;
  };
  const auto with = [](auto set) {
    QueueFilter filter;
    set(filter);
    return filter;
  };
  CHECK(count({}) == 41);
  CHECK(count(with([](auto& f) { f.destination = "both.example"; })) == 20);
  CHECK(count(with([](auto& f) { f.destination = "D0.example"; })) == 6);
  CHECK(count(with([](auto& f) { f.destination = "d*.example"; })) == 21);
  CHECK(count(with([](auto& f) { f.state = DeliveryState::Held; })) == 1);
  CHECK(count(with([](auto& f) { f.sender = "<>"; })) == 1);
  CHECK(count(with([](auto& f) { f.sender = "ALICE@*"; })) == 40);
  CHECK(count(with([](auto& f) { f.recipient = "bob2@*"; })) == 20);
  CHECK(count(with([](auto& f) { f.user = "car*"; })) == 1);
  CHECK(count(with([](auto& f) { f.client = *base::parse_ip_network("198.51.100.0/24"); })) == 1);
  CHECK(count(with([](auto& f) { f.site = "*.d0.example[*"; })) == 1);
  CHECK(count(with([](auto& f) { f.source = "192.0.2.10"; })) == 1);
  CHECK(count(with([](auto& f) { f.source = "192.0.2.1"; })) == 0);
  CHECK(count(with([](auto& f) { f.provider = "yahoo"; })) == 1);
  CHECK(count(with([](auto& f) { f.provider = "google"; })) == 0);
  CHECK(count(with([](auto& f) { f.provider = "*"; })) == 1);  // of the others nobody knows it
  CHECK(count(with([](auto& f) { f.source = "*"; })) == 1);
  CHECK(count(with([](auto& f) {
          f.provider = "yahoo";
          f.at_provider = std::make_shared<std::unordered_set<std::string>>(
              std::unordered_set<std::string>{"d1.example"});
        })) == 6);
  CHECK(count(with([](auto& f) { f.reason = "GREYLIST"; })) == 1);
  CHECK(count(with([](auto& f) { f.reason = "spam"; })) == 1);
  CHECK(count(with([](auto& f) { f.reason = "spam*"; })) == 1);
  CHECK(count(with([](auto& f) { f.reason = "*spam"; })) == 0);
  CHECK(count(with([](auto& f) { f.attempts_min = 4; })) == 1);
  CHECK(count(with([](auto& f) { f.subject = "grüße"; })) == 1);
  CHECK(count(with([](auto& f) { f.subject = "hi"; })) == 40);
  CHECK(count(with([](auto& f) { f.message_id = "<x@y>"; })) == 1);
  CHECK(count(with([](auto& f) { f.message_id = "X@*"; })) == 1);
  CHECK(count(with([](auto& f) { f.larger_than = 70; })) == 1);
  CHECK(count(with([](auto& f) { f.accepted_after = sample_id(100).made_at(); })) == 1);
  CHECK(count(with([](auto& f) { f.accepted_before = sample_id(10).made_at(); })) == 20);
  CHECK(count(with([](auto& f) { f.message = sample_id(3); })) == 2);
  CHECK(count(with([](auto& f) { f.delivery = DeliveryId{sample_id(3), 2}; })) == 1);
  CHECK(count(with([](auto& f) {
          f.destination = "d0.example";
          f.sender = "<>";
          f.subject = "alle";
        })) == 1);
  CHECK(queue.damaged.empty());
}

TEST_CASE("select and list: a route is found by its name as it was written") {
  Queue queue;
  queue.accept(1, {"route:Smart"});
  SelectRequest request;
  request.filter.destination = "route:Smart";
  const auto page = select_deliveries(queue.rows, request, queue.damaged);
  REQUIRE(page);
  CHECK(page->deliveries.size() == 1);
  ListRequest listing;
  listing.filter = request.filter;
  const auto listed = list(queue.rows, listing, queue.damaged);
  REQUIRE(listed);
  CHECK(listed->messages.size() == 1);
}

TEST_CASE("list: of a destination each message comes once, though it has several rows there") {
  Queue queue;
  for (std::uint64_t i = 0; i < 5; ++i) {
    const Message message = queue.accept(i, {"a.example", "b.example", "a.example"});
    const Delivery before = sample_delivery(message, 3, "a.example");
    Delivery after = before;
    after.due = message.accepted + std::chrono::hours(1);
    queue.apply(moved(message, before, after, std::nullopt));
  }
  ListRequest request;
  request.filter.destination = "A.example";
  request.messages_max = 2;
  std::vector<MessageId> seen;
  do {
    Damaged damaged;
    const Result<ListedPage> page = list(queue.rows, request, damaged);
    REQUIRE(page);
    for (const MessageWithDeliveries& one : page->messages) {
      seen.push_back(one.message->id);
      CHECK(one.deliveries.size() == 2);
    }
    request.after = page->more_after;
  } while (!request.after.empty());
  CHECK(seen == std::vector<MessageId>{sample_id(0), sample_id(1), sample_id(2), sample_id(3),
                                       sample_id(4)});
}

TEST_CASE("notes: what was noted of a kind is read back, an empty value removes") {
  Queue queue;
  queue.apply(noted("pause", "a", "1"));
  queue.apply(noted("pause", "b", "2"));
  queue.apply(noted("pauses", "c", "3"));
  queue.apply(noted("pause", "a", ""));
  const Result<std::vector<NotedRow>> notes = read_notes(queue.rows, "pause");
  REQUIRE(notes);
  REQUIRE(notes->size() == 1);
  CHECK((*notes)[0].name == "b");
  CHECK((*notes)[0].value == "2");
}

TEST_CASE("report state: none before the first report, then the last one") {
  Queue queue;
  const Message message = queue.accept(1, {"a.example", "b.example"});
  CHECK(read_report_state(queue.rows, message.id)->reports == 0);
  queue.apply(reported(message.id, {3, kSampleTime}));
  const Result<ReportState> state = read_report_state(queue.rows, message.id);
  REQUIRE(state);
  CHECK(state->reports == 3);
  CHECK(state->last == kSampleTime);
  Damaged damaged;
  CHECK(view_message(queue.rows, message.id, damaged)->deliveries.size() == 2);
}
