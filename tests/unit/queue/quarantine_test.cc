// Mail in quarantine: what acts come to, which rows it has, and how it is found when its time is
// over, without a look at anything else.
#include "queue/quarantine.h"

#include <catch2/catch.hpp>

#include "queue/codec.h"
#include "queue/filter.h"
#include "queue/keys.h"
#include "queue/reading.h"
#include "queue/reading_acts.h"
#include "queue/retry.h"
#include "queue/steering.h"
#include "tests/unit/queue/small_queue.h"

using namespace rockdove;
using namespace rockdove::queue;
using namespace rockdove::tests;
using namespace std::chrono_literals;

namespace {

const WallTime kNow = kSampleTime + 1h;
constexpr std::string_view kWhy = "dmarc: example.com asks for quarantine (p=quarantine)";
using Kind = Decision::Kind;

Delivery quarantined(std::uint64_t tick = 1, const std::string& domain = "example.net",
                     base::Duration time = 720h) {
  std::vector<Delivery> deliveries{sample_delivery(sample_message(tick), 1, domain)};
  quarantine(deliveries, kWhy, kNow, time);
  return deliveries.front();
}

Decision decide_on(Act act, const Delivery& delivery, WallTime now = kNow + 1h) {
  return decide({act, "", "smtp://a.example:25", "x"}, delivery, now, 24h);
}

// Counts the rows that are looked at.
class CountingCursor final : public RowCursor {
 public:
  CountingCursor(std::unique_ptr<RowCursor> inner, std::size_t& count)
      : inner_(std::move(inner)), count_(count) {}

  void seek(std::string_view key) override {
    ++count_;
    inner_->seek(key);
  }

  void next() override {
    ++count_;
    inner_->next();
  }

  [[nodiscard]] bool is_valid() const override { return inner_->is_valid(); }

  [[nodiscard]] std::string_view key() const override { return inner_->key(); }

  [[nodiscard]] std::string_view value() const override { return inner_->value(); }

  [[nodiscard]] Result<void> status() const override { return inner_->status(); }

 private:
  std::unique_ptr<RowCursor> inner_;
  std::size_t& count_;
};

class CountingView final : public RowView {
 public:
  CountingView(std::unique_ptr<RowView> inner, std::size_t& count)
      : inner_(std::move(inner)), count_(count) {}

  [[nodiscard]] Result<std::optional<std::string>> get(Family family,
                                                       std::string_view key) const override {
    ++count_;
    return inner_->get(family, key);
  }

  [[nodiscard]] std::unique_ptr<RowCursor> cursor(Family family,
                                                  std::string_view prefix) const override {
    return std::make_unique<CountingCursor>(inner_->cursor(family, prefix), count_);
  }

  [[nodiscard]] std::unique_ptr<RowCursor> range(Family family,
                                                 std::string_view end) const override {
    return std::make_unique<CountingCursor>(inner_->range(family, end), count_);
  }

  [[nodiscard]] Result<std::optional<std::string>> last_key(Family family) const override {
    ++count_;
    return inner_->last_key(family);
  }

 private:
  std::unique_ptr<RowView> inner_;
  std::size_t& count_;
};

class CountingRows final : public MemoryRows {
 public:
  using MemoryRows::MemoryRows;

  [[nodiscard]] std::unique_ptr<RowView> view() const override {
    return std::make_unique<CountingView>(MemoryRows::view(), looked_at);
  }

  mutable std::size_t looked_at = 0;
};

}  // namespace

TEST_CASE("quarantine is a hold that says why and until when") {
  const Delivery delivery = quarantined();
  CHECK(delivery.state == DeliveryState::Held);
  CHECK(delivery.hold_reason == kQuarantineHold);
  CHECK(delivery.hold_detail == kWhy);
  CHECK(delivery.due == kNow);
  CHECK(delivery.expires == kNow + 720h);
  CHECK(is_quarantined(delivery));
  CHECK(reason_class(delivery) == "quarantine");
  std::string octets;
  encode_delivery(delivery, octets);
  const Result<Delivery> read = decode_delivery({MessageId{7}, delivery.number}, octets);
  REQUIRE(read);
  CHECK(read->hold_detail == kWhy);
  CHECK(read->expires == delivery.expires);
  CHECK(read->lives_from == WallTime{});
  std::vector<Delivery> long_winded{delivery};
  quarantine(long_winded, std::string(2000, 'x'), kNow, 1h);
  CHECK(long_winded[0].hold_detail.size() == kHoldDetailOctetsMax);
}

TEST_CASE("what is released from quarantine waits as if it had just come, and lives from then on") {
  const Message message = sample_message(1);
  const WallTime later = kNow + 500h;
  const Decision decision = decide_on(Act::Release, quarantined(), later);
  REQUIRE(decision.kind == Kind::Move);
  const Delivery& after = decision.after;
  CHECK(after.state == DeliveryState::Waiting);
  CHECK(after.due == later);
  CHECK(after.hold_reason.empty());
  CHECK(after.hold_detail.empty());
  CHECK(after.expires == WallTime{});
  CHECK(after.lives_from == later);
  const QueueSettings settings;
  CHECK_FALSE(is_over_age(settings, alive_since(message, after), later + settings.lifetime - 1ms));
  CHECK(is_over_age(settings, alive_since(message, after), later + settings.lifetime));
  // Once it is on hold for another reason it is no mail in quarantine.
  const Decision again = decide_on(Act::Hold, after, later);
  REQUIRE(again.kind == Kind::Move);
  CHECK_FALSE(is_quarantined(again.after));
  CHECK(decide_on(Act::Release, again.after, later + 1h).after.lives_from == later);
}

TEST_CASE("no act but release lets mail out of quarantine, and none returns it") {
  for (const Act act : {Act::Hold, Act::Retry, Act::Bounce, Act::Expire, Act::Undelete}) {
    CAPTURE(act_name(act));
    CHECK(decide_on(act, quarantined()).kind == Kind::Nothing);
  }
  const Decision elsewhere = decide_on(Act::Reroute, quarantined());
  REQUIRE(elsewhere.kind == Kind::Move);
  CHECK(is_quarantined(elsewhere.after));
  CHECK(elsewhere.after.route_to == "smtp://a.example:25");
  // Operators' holds are not quarantine, whatever they are called.
  Delivery held = sample_delivery(sample_message(1), 1);
  held.state = DeliveryState::Held;
  held.hold_reason = kQuarantineHold;
  CHECK_FALSE(is_quarantined(held));
  CHECK(decide_on(Act::Retry, held).kind == Kind::Move);
}

TEST_CASE("an alias that only waits for its report shares its message's quarantine") {
  Delivery alias = quarantined();
  alias.final_status = "2.1.5";
  alias.ending = Ending::Expanded;
  CHECK(decide_on(Act::Release, alias).after.state == DeliveryState::Waiting);
  CHECK(decide_on(Act::Delete, alias).after.state == DeliveryState::Deleted);
}

TEST_CASE("who brings back what was in quarantine gets time to release it") {
  const Delivery before = quarantined();
  const Decision deleted = decide_on(Act::Delete, before);
  REQUIRE(deleted.kind == Kind::Move);
  CHECK_FALSE(is_quarantined(deleted.after));
  CHECK(deleted.after.due == kNow + 25h);
  const Decision early = decide_on(Act::Undelete, deleted.after);
  CHECK(early.after.expires == before.expires);
  CHECK(early.after.due == before.due);
  const WallTime late = before.expires + 1h;
  CHECK(decide_on(Act::Undelete, deleted.after, late).after.expires == late + 24h);
}

TEST_CASE(
    "keys: the second rows of quarantine stand behind all queues, the first to expire first") {
  Delivery one = quarantined(1, "zebra.example", 1h);
  one.tenant = "tenant";
  one.priority = 200;
  const Delivery two = quarantined(2, "ant.example", 2h);
  const Key key = expiry_key(MessageId{9}, one);
  CHECK(key < expiry_key(MessageId{1}, two));
  Delivery last = two;
  last.state = DeliveryState::Deleted;
  last.destination = std::string(60, '\xFF');
  CHECK(waiting_key(MessageId{~std::uint64_t{0}}, last) < key);
  const std::optional<WaitingKey> read = parse_expiry_key(key);
  REQUIRE(read);
  CHECK(read->due == one.expires);
  CHECK(read->queue == queue_of(one));
  CHECK(read->delivery == DeliveryId{MessageId{9}, 1});
  CHECK(read->state == DeliveryState::Held);
  CHECK_FALSE(view_waiting_key(key));
  for (std::size_t octets = 0; octets < key.size(); ++octets) {
    CHECK_FALSE(parse_expiry_key(std::string_view(key).substr(0, octets)));
  }
  CHECK_FALSE(parse_expiry_key(key + "x"));
  CHECK_FALSE(parse_expiry_key(waiting_key(MessageId{9}, one)));
}

TEST_CASE("the second row comes and goes with the quarantine, whatever becomes of it") {
  SmallQueue queue;
  const Delivery first = quarantined();
  const Message message = queue.accept(1, {first});
  const auto has_expiry = [&](const Delivery& delivery) {
    return queue.disk.rows(Family::Waiting).contains(expiry_key(message.id, delivery));
  };
  const auto rows = [&] { return queue.disk.rows(Family::Waiting).size(); };
  CHECK(rows() == 2);
  CHECK(has_expiry(first));
  const auto act_out = [&](Act act, const Delivery& before) {
    const Decision decision = decide_on(act, before);
    REQUIRE(decision.kind == Kind::Move);
    queue.apply(moved(message, before, decision.after, std::nullopt));
    return decision.after;
  };
  const Delivery gone = act_out(Act::Delete, first);
  CHECK(rows() == 1);
  const Delivery back = act_out(Act::Undelete, gone);
  CHECK(rows() == 2);
  CHECK(has_expiry(back));
  const Delivery elsewhere = act_out(Act::Reroute, back);
  CHECK(rows() == 2);
  CHECK(has_expiry(elsewhere));
  SECTION("released") {
    const Delivery after = act_out(Act::Release, elsewhere);
    CHECK(rows() == 1);
    queue.apply(ended(message, std::vector{after}, Outcome::Delivered, sample_attempt(kNow)));
  }
  SECTION("expired") {
    queue.apply(
        ended(message, std::vector{elsewhere}, Outcome::QuarantineExpired, {kNow, {}, "", ""}));
    const Result<MessageView> view = view_message(queue.rows, message.id, queue.damaged);
    REQUIRE(view);
    REQUIRE(view->history.size() == 1);
    CHECK(view->history[0].outcome == Outcome::QuarantineExpired);
    CHECK(view->history[0].what == "quarantine-expired");
  }
  CHECK(rows() == 0);
  CHECK(queue.disk.rows(Family::Messages).empty());
}

TEST_CASE("what has expired is found by its home, page by page, and nothing else is read") {
  SmallQueue queue;
  constexpr unsigned kLoops = 2;
  constexpr std::uint64_t kWaiting = 2000;
  std::uint64_t tick = 0;
  while (tick < kWaiting) {
    ++tick;
    const std::string domain = "d" + std::to_string(tick % 500) + ".example";
    Delivery delivery = sample_delivery(sample_message(tick), 1, domain);
    if (tick % 2 == 0) {
      delivery.state = DeliveryState::Held;
      delivery.hold_reason = "operator";
    }
    queue.accept(tick, {delivery});
  }
  std::size_t due = 0;
  for (int i = 0; i < 100; ++i) {
    const bool is_due = i % 10 == 0;
    due += is_due ? 1 : 0;
    const std::string domain = "d" + std::to_string(i) + ".example";
    ++tick;
    queue.accept(tick, {quarantined(tick, domain, is_due ? 30min : 100h + i * 1min)});
  }
  const CountingRows rows(queue.disk);
  std::size_t found = 0;
  for (unsigned loop = 0; loop < kLoops; ++loop) {
    WallTime next = base::kNeverWall;
    OverdueRequest request{Overdue::Quarantined, kNow + 1h, "", 3};
    do {
      const auto page = find_overdue(rows, loop, kLoops, request);
      REQUIRE(page);
      CHECK(page->deliveries.size() <= 3);
      for (const Selected& one : page->deliveries) {
        CHECK(one.state == DeliveryState::Held);
        CHECK(home_loop(one.queue.destination, kLoops) == loop);
        CHECK(one.due <= kNow + 1h);
      }
      found += page->deliveries.size();
      next = std::min(next, page->next_due);
      request.after = page->more_after;
    } while (!request.after.empty());
    CHECK(next == kNow + 100h + 1min);
  }
  CHECK(found == due);
  CHECK(rows.looked_at <
        50);  // what is due for each loop, one row behind it, and the pages' starts
  rows.looked_at = 0;
  REQUIRE(find_overdue(rows, 0, kLoops, {Overdue::Quarantined, kNow, "", 500}));
  CHECK(rows.looked_at == 1);
}

TEST_CASE("listings and summaries meet mail in quarantine once, under its reason") {
  SmallQueue queue;
  queue.accept(1, {quarantined(1, "a.example")});
  queue.accept(2, {sample_delivery(sample_message(2), 1, "a.example")});
  const Result<QueueSummary> reasons = summarise(queue.rows, {kNow, SummaryBy::Reason});
  REQUIRE(reasons);
  CHECK(reasons->deliveries == 2);
  REQUIRE(reasons->lines.size() == 2);
  CHECK(reasons->lines[1].state == DeliveryState::Held);
  CHECK(reasons->lines[1].name == "quarantine");
  const auto count = [&](const QueueFilter& filter) {
    SelectRequest request;
    request.filter = filter;
    const Result<SelectedPage> page = select_deliveries(queue.rows, request, queue.damaged);
    REQUIRE(page);
    REQUIRE(page->more_after.empty());
    ListRequest listing;
    listing.filter = filter;
    const Result<ListedPage> listed = list(queue.rows, listing, queue.damaged);
    REQUIRE(listed);
    CHECK(listed->messages.size() == page->deliveries.size());
    return page->deliveries.size();
  };
  QueueFilter filter;
  CHECK(count(filter) == 2);
  filter.destination = "a.example";
  CHECK(count(filter) == 2);
  filter.reason = "quarantine";
  CHECK(count(filter) == 1);
  filter.destination.clear();
  CHECK(count(filter) == 1);
  filter.reason = "dmarc: example.com *";
  CHECK(count(filter) == 1);
  filter.reason = "dmarc: example.org *";
  CHECK(count(filter) == 0);
  CHECK(queue.damaged.empty());
}
