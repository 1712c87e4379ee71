// What changes leave of what happened to a delivery: no step is lost, and none tells of another
// attempt than its own.
#include <ctime>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "queue/history.h"
#include "queue/ledger.h"
#include "queue/tally.h"
#include "tests/support/memory_rows.h"
#include "tests/unit/queue/sample_mail.h"

using namespace rockdove;
using namespace std::chrono_literals;
using namespace rockdove::queue;
using namespace rockdove::tests;

namespace {

// One message with one recipient, who was deferred once.
struct Story {
  Story() {
    REQUIRE(ledger.open());
    stored = sample_delivery(message, 1);
    apply(accepted(message, {&stored, 1}));
    Delivery after = stored;
    after.attempts = 1;
    after.due += 5min;
    after.last = {kAttempt, "mx.old.example[192.0.2.1]:25", "451 4.7.1 later", "TLSv1.2 OLD", 70ms};
    move(after, Attempt{kAttempt, 70ms, after.last.host, after.last.reply, after.last.tls});
  }

  void apply(const Change& change) {
    const Change* const group[] = {&change};
    REQUIRE(ledger.apply(group));
  }

  void move(const Delivery& after, const std::optional<Attempt>& attempt) {
    apply(moved(message, stored, after, attempt));
    stored = after;
  }

  [[nodiscard]] TracedDelivery traced() const {
    Damaged damaged;
    const auto found = read_traced(*rows.view(), message.id, Depth::Steps, damaged);
    REQUIRE(found);
    CHECK(damaged.empty());
    return found->value().deliveries.at(0);
  }

  [[nodiscard]] std::vector<std::string> steps() const {
    std::vector<std::string> names;
    for (const HistoryStep& step : traced().steps) names.push_back(step.what);
    return names;
  }

  static constexpr WallTime kAttempt = kSampleTime + 1s;
  MemoryDisk disk;
  MemoryRows rows{disk};
  Ledger ledger{rows};
  const Message message = sample_message(0);
  Delivery stored;
};

using Names = std::vector<std::string>;

Attempt act(Deed deed, WallTime at) {
  Attempt step{at, {}, "", "by uid 0 (root)"};
  step.deed = deed;
  return step;
}

}  // namespace

TEST_CASE("history: what a person did and what came of it are two steps of one millisecond") {
  Story story;
  const WallTime at = kSampleTime + 10s;
  Delivery after = story.stored;
  after.final_status = "5.0.0";
  after.last = {at, "", "550 5.0.0 returned by the administrator"};
  Attempt failed{at, {}, "", after.last.reply};
  failed.deed = Deed::Failed;
  Change change = moved(story.message, story.stored, after, failed);
  change.join(recorded(story.message.id, after, act(Deed::Returned, at)));
  story.apply(change);
  story.stored = after;
  CHECK(story.steps() == Names{"deferred", "returned", "failed"});
  Attempt closing{at + 1min, {}, "", ""};
  closing.is_last = true;
  story.apply(ended(story.message, {&story.stored, 1}, Outcome::Bounced, closing));
  CHECK(story.steps() == Names{"deferred", "returned", "failed", "bounced"});
}

TEST_CASE("history: an attempt and two acts of the same millisecond are three steps") {
  Story story;
  Delivery held = story.stored;
  held.state = DeliveryState::Held;
  story.move(held, act(Deed::Held, Story::kAttempt));
  Delivery waits = held;
  waits.state = DeliveryState::Waiting;
  story.move(waits, act(Deed::Released, Story::kAttempt));
  CHECK(story.traced().steps.size() == 3);
  CHECK(story.traced().deferrals == 1);
}

TEST_CASE("history: an act that is not to be kept is not, whatever it comes with") {
  Story story;
  Attempt step = act(Deed::Held, kSampleTime + 10s);
  step.is_kept = false;
  story.apply(recorded(story.message.id, story.stored, step));
  CHECK(story.steps() == Names{"deferred"});
}

TEST_CASE(
    "history: an end without words of a next hop does not borrow those of an attempt before") {
  Story story;
  story.apply(
      ended(story.message, {&story.stored, 1}, Outcome::Discarded, {kSampleTime + 9s, {}, "", ""}));
  const HistoryStep end = story.traced().steps.back();
  CHECK(end.what == "discarded");
  CHECK(end.at == kSampleTime + 9s);
  CHECK(end.host.empty());
  CHECK(end.reply.empty());
  CHECK(end.tls.empty());
  CHECK(end.took == 0ms);
}

TEST_CASE("history: what waited for its report has ended when it did, and was not deferred") {
  Story story;
  const WallTime at = kSampleTime + 20s;
  const bool has_failed = GENERATE(false, true);
  Delivery after = story.stored;
  after.final_status = has_failed ? "5.1.1" : "2.1.5";
  after.ending = has_failed ? Ending::Failed : Ending::Delivered;
  after.last = {at, "mx.new.example[192.0.2.2]:25", has_failed ? "550 no" : "250 yes", "", 30ms};
  Attempt step{at, 30ms, after.last.host, after.last.reply};
  step.deed = has_failed ? Deed::Failed : Deed::Succeeded;
  story.move(after, step);
  Tally early(TallyBy::Sender, [](WallTime) { return std::tm{}; });
  Damaged damaged;
  early.add(read_traced(*story.rows.view(), story.message.id, Depth::Facts, damaged)->value());
  CHECK(early.total().waiting == 0);
  CHECK(early.total().deferrals == 1);
  CHECK(early.total().bounced == (has_failed ? 1 : 0));
  CHECK(early.total().delivered == (has_failed ? 0 : 1));

  Attempt closing{at + 1h, {}, "", ""};
  closing.is_last = true;
  story.apply(ended(story.message, {&story.stored, 1},
                    has_failed ? Outcome::Bounced : Outcome::Delivered, closing));
  const TracedDelivery found = story.traced();
  CHECK(found.ended == at);
  CHECK(found.deferrals == 1);
  REQUIRE(found.steps.size() == 3);
  CHECK(found.steps[1].what == (has_failed ? "failed" : "succeeded"));
  CHECK(found.steps[1].reply == after.last.reply);
  CHECK(found.steps[2].reply == after.last.reply);
  CHECK(found.steps[2].host == after.last.host);
  CHECK(found.steps[2].took == 30ms);
}
