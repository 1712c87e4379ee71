// Loading, finding, listing and summing up, over rows in memory.
#include "queue/reading.h"

#include <catch2/catch.hpp>

#include "queue/keys.h"
#include "queue/ledger.h"
#include "tests/support/memory_rows.h"
#include "tests/unit/queue/sample_mail.h"

using namespace rockdove;
using namespace rockdove::queue;
using namespace rockdove::tests;

namespace {

class Queue {
 public:
  Queue() { REQUIRE(ledger_.open()); }

  void apply(const Change& change) {
    const Change* const group[] = {&change};
    REQUIRE(ledger_.apply(group));
  }

  Message accept(std::uint64_t tick, const std::vector<std::string>& domains) {
    const Message message = sample_message(tick, static_cast<std::uint32_t>(domains.size()));
    std::vector<Delivery> deliveries;
    for (const std::string& domain : domains) {
      deliveries.push_back(
          sample_delivery(message, static_cast<std::uint32_t>(deliveries.size() + 1), domain));
    }
    apply(accepted(message, deliveries));
    return message;
  }

  [[nodiscard]] MemoryRows& rows() { return rows_; }

  [[nodiscard]] LoadedQueue load(const LoadRequest& request) {
    Result<LoadedQueue> loaded = queue::load(rows_, request, damaged_);
    REQUIRE(loaded);
    return std::move(*loaded);
  }

  Damaged damaged_;

 private:
  MemoryDisk disk_;
  MemoryRows rows_{disk_};
  Ledger ledger_{rows_};
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
  CHECK(queue.damaged_.empty());
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
  REQUIRE(queue.rows().write(batch, Sync::Yes));
  LoadRequest request;
  request.queue = kNet;
  request.due_until = base::kNeverWall;
  const LoadedQueue loaded = queue.load(request);
  REQUIRE(loaded.messages.size() == 1);
  CHECK(loaded.messages[0].message->id == sample_id(2));
  REQUIRE(queue.damaged_.size() == 1);
  CHECK(queue.damaged_[0].text().find(base::format_id(DeliveryId{sample_id(1), 1})) !=
        std::string::npos);
}

TEST_CASE("find_queues: every loop finds its own, each once, with its earliest time") {
  Queue queue;
  for (std::uint64_t i = 0; i < 50; ++i) {
    queue.accept(2 * i, {"d" + std::to_string(i % 10) + ".example"});
  }
  std::size_t found = 0;
  for (unsigned loop = 0; loop < 3; ++loop) {
    const Result<std::vector<FoundQueue>> queues = find_queues(queue.rows(), loop, 3);
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
    const Result<ListedPage> page = list(queue.rows(), request, damaged);
    REQUIRE(page);
    for (const MessageWithDeliveries& one : page->messages) {
      ++messages;
      REQUIRE(one.deliveries.size() == 1);
      CHECK(one.deliveries[0].destination == "even.example");
      CHECK(one.message->header_block.empty());
    }
    request.after = page->more_after;
    ++pages;
  } while (request.after);
  CHECK(messages == 5);
  CHECK(pages == 3);

  Damaged damaged;
  ListRequest by_sender;
  by_sender.filter.sender = "Alice@Here.Example";
  CHECK(list(queue.rows(), by_sender, damaged)->messages.size() == 10);
  by_sender.filter.sender = "bob@here.example";
  CHECK(list(queue.rows(), by_sender, damaged)->messages.empty());
  ListRequest by_id;
  by_id.filter.delivery = DeliveryId{sample_id(3), 2};
  const Result<ListedPage> one = list(queue.rows(), by_id, damaged);
  REQUIRE(one);
  REQUIRE(one->messages.size() == 1);
  CHECK(one->messages[0].deliveries[0].number == 2);
  ListRequest old;
  old.filter.accepted_before = kSampleTime + std::chrono::milliseconds(4);
  CHECK(list(queue.rows(), old, damaged)->messages.size() == 4);
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
  const Result<QueueSummary> summary = summarise(queue.rows());
  REQUIRE(summary);
  REQUIRE(summary->lines.size() == 3);
  CHECK(summary->lines[0].destination == "a.example");
  CHECK(summary->lines[0].state == DeliveryState::Waiting);
  CHECK(summary->lines[0].deliveries == 1);
  CHECK(summary->lines[0].oldest == kSampleTime + std::chrono::milliseconds(2));
  CHECK(summary->lines[2].state == DeliveryState::Held);
  ListRequest request;
  request.filter.reason = "OPER";
  Damaged damaged;
  CHECK(list(queue.rows(), request, damaged)->messages.size() == 1);
}

TEST_CASE("notes: what was noted of a kind is read back, an empty value removes") {
  Queue queue;
  queue.apply(noted("pause", "a", "1"));
  queue.apply(noted("pause", "b", "2"));
  queue.apply(noted("pauses", "c", "3"));
  queue.apply(noted("pause", "a", ""));
  const Result<std::vector<NotedRow>> notes = read_notes(queue.rows(), "pause");
  REQUIRE(notes);
  REQUIRE(notes->size() == 1);
  CHECK((*notes)[0].name == "b");
  CHECK((*notes)[0].value == "2");
}

TEST_CASE("report state: none before the first report, then the last one") {
  Queue queue;
  const Message message = queue.accept(1, {"a.example", "b.example"});
  CHECK(read_report_state(queue.rows(), message.id)->reports == 0);
  queue.apply(reported(message.id, {3, kSampleTime}));
  const Result<ReportState> state = read_report_state(queue.rows(), message.id);
  REQUIRE(state);
  CHECK(state->reports == 3);
  CHECK(state->last == kSampleTime);
  Damaged damaged;
  CHECK(view_message(queue.rows(), message.id, damaged)->deliveries.size() == 2);
}
