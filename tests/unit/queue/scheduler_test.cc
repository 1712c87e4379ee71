// Goal: who goes next is fair and counted, windows and pauses follow the rules, no job is lost and
// no account waits for a wake-up that never comes.
#include "queue/scheduler.h"

#include <algorithm>
#include <map>
#include <set>

#include <catch2/catch.hpp>

#include "tests/unit/queue/scheduler_world.h"

namespace rockdove::queue {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)

TEST_CASE("accounts take turns, whatever each has waiting") {
  Bench bench(1);
  bench.offer("a", "a", 100);
  bench.offer("b", "b", 3);
  bench.offer("c", "c", 3);
  for (int i = 0; i < 9; ++i) {
    bench.run();
    REQUIRE(bench.working.size() == 1);
    bench.finish(bench.working.begin()->second, Finish::Success, SessionAfter::Gone);
  }
  // The only connection goes round; those that are proven and those that are not take turns.
  for (const char* account : {"a", "b", "c"}) {
    INFO(account);
    CHECK(std::count(bench.started.begin(), bench.started.begin() + 9, account) >= 2);
    CHECK(std::count(bench.started.begin(), bench.started.begin() + 9, account) <= 4);
  }
}

TEST_CASE("within an account its queues take turns") {
  Bench bench;
  bench.offer("a", "big", 50, 1);
  bench.offer("a", "small", 5, 1);
  for (int i = 0; i < 10; ++i) {
    bench.run();
    bench.finish("a", Finish::Success);
  }
  CHECK(std::count(bench.started.begin(), bench.started.begin() + 10, "small") == 5);
}

TEST_CASE("the window grows 1, 2, 4 with each success, up to the site's limit") {
  Bench bench;
  bench.offer("a", "a", 100, 6);
  for (const std::size_t expected : {1U, 2U, 4U, 6U, 6U}) {
    bench.run();
    REQUIRE(bench.at_work("a") == expected);
    bench.finish("a", Finish::Success);
  }
}

TEST_CASE("a refusal neither opens the window nor closes it") {
  Bench bench;
  bench.offer("a", "a", 10);
  bench.run();
  bench.finish("a", Finish::Refused);
  bench.run();
  CHECK(bench.at_work("a") == 1);
  CHECK_FALSE(bench.scheduler.standing(*bench.site("a"), bench.now)->proven);
}

TEST_CASE("a success is good for ten minutes, then one connection asks anew") {
  Bench bench;
  bench.prove("a");
  bench.scheduler.closed(SessionId{1}, bench.now);
  CHECK(bench.scheduler.standing(*bench.site("a"), bench.now)
            ->proven);  // remembered with nothing to do
  bench.pass(9min);
  bench.offer("a", "a", 5);
  bench.run();
  CHECK(bench.at_work("a") == 2);
  bench.pass(2min);
  CHECK(bench.scheduler.standing(*bench.site("a"), bench.now)->window == 1);
}

TEST_CASE("trouble halves the window and holds new connections back while others work") {
  Bench bench;
  bench.offer("a", "a", 200, 8);
  for (int i = 0; i < 4; ++i) {
    bench.run();
    bench.finish("a", Finish::Success);
  }
  bench.run();
  REQUIRE(bench.at_work("a") == 8);
  bench.finish("a", Finish::SiteFailed, SessionAfter::Gone);
  CHECK(bench.scheduler.standing(*bench.site("a"), bench.now)->window == 4);
  CHECK(bench.scheduler.standing(*bench.site("a"), bench.now)->paused_until <= bench.now.instant);
  const int opened = bench.opened["a"];
  for (int i = 0; i < 3; ++i) bench.finish("a", Finish::Refused);
  bench.run();
  CHECK(bench.at_work("a") == 4);  // those beyond the window stay idle
  bench.finish("a", Finish::Refused);
  bench.run();
  CHECK(bench.at_work("a") == 4);
  CHECK(bench.opened["a"] == opened);
}

TEST_CASE("a site whose only connection fails is paused, longer each time, until a success") {
  Bench bench;
  bench.offer("a", "a", 10);
  for (const base::Duration wait : {base::Duration(5min), base::Duration(15min),
                                    base::Duration(30min), base::Duration(30min)}) {
    bench.run();
    REQUIRE(bench.at_work("a") == 1);
    bench.finish("a", Finish::SiteFailed, SessionAfter::Gone);
    bench.run();
    CHECK(bench.at_work("a") == 0);
    const Scheduler::Standing standing = *bench.scheduler.standing(*bench.site("a"), bench.now);
    CHECK(standing.pause_reason == "451 reason");
    CHECK(standing.paused_until >= bench.now.instant + wait);
    CHECK(standing.paused_until <= bench.now.instant + wait + wait / 8);
    CHECK(bench.scheduler.wake_at() == standing.paused_until);
    bench.pass(wait - 1ms);
    bench.run();
    REQUIRE(bench.at_work("a") == 0);
    bench.now.instant = standing.paused_until;
  }
  bench.run();
  bench.finish("a", Finish::Success, SessionAfter::Gone);
  bench.pass(11min);
  bench.run();
  bench.finish("a", Finish::SiteFailed, SessionAfter::Gone);
  CHECK(bench.scheduler.standing(*bench.site("a"), bench.now)->paused_until <
        bench.now.instant + 6min);
}

TEST_CASE("connections that began before a pause do not make it longer") {
  Bench bench;
  bench.offer("a", "a", 200, 4);
  for (int i = 0; i < 3; ++i) {
    bench.run();
    bench.finish("a", Finish::Success);
  }
  bench.run();
  REQUIRE(bench.at_work("a") == 4);
  bench.pass(11min);  // none of them has succeeded for so long
  for (int i = 0; i < 4; ++i) bench.finish("a", Finish::SiteFailed, SessionAfter::Gone);
  CHECK(bench.scheduler.standing(*bench.site("a"), bench.now)->paused_until <
        bench.now.instant + 6min);
}

TEST_CASE("a paused account without mail remembers its pause and how often it failed") {
  Bench bench;
  bench.offer("a", "a");
  bench.run();
  bench.finish("a", Finish::SiteFailed, SessionAfter::Gone);
  bench.offer("a", "a");
  bench.run();
  CHECK(bench.at_work("a") == 0);
  bench.pass(6min);
  bench.run();
  CHECK(bench.at_work("a") == 1);
  bench.finish("a", Finish::SiteFailed, SessionAfter::Gone);
  bench.pass(20min);
  bench.run();
  bench.offer("a", "a");
  bench.run();
  bench.finish("a", Finish::SiteFailed, SessionAfter::Gone);
  CHECK(bench.scheduler.standing(*bench.site("a"), bench.now)->paused_until >=
        bench.now.instant + 30min);
  for (int i = 0; i < 3; ++i) {
    bench.pass(35min);
    bench.run();
  }
  CHECK_FALSE(bench.scheduler.standing(*bench.site("a"), bench.now));  // forgotten in the end
}

TEST_CASE("a person can end a pause") {
  Bench bench;
  bench.offer("a", "a", 2);
  bench.run();
  bench.finish("a", Finish::SiteFailed, SessionAfter::Gone);
  bench.run();
  REQUIRE(bench.at_work("a") == 0);
  bench.scheduler.end_pause(*bench.site("a"), bench.now);
  bench.run();
  CHECK(bench.at_work("a") == 1);
  bench.finish("a", Finish::Success, SessionAfter::Gone);
  bench.offer("b", "b");
  bench.run();
  bench.finish("b", Finish::SiteFailed, SessionAfter::Gone);
  bench.scheduler.end_pause(*bench.site("b"), bench.now);  // nothing waits there
  bench.offer("b", "b");
  bench.run();
  CHECK(bench.at_work("b") == 1);
}

TEST_CASE(
    "unproven sites get half of the connections, and those that prove themselves make place") {
  Bench bench(10);
  for (int i = 0; i < 20; ++i) bench.offer("site" + std::to_string(i), "d", 1);
  bench.run();
  CHECK(bench.working.size() == 5);
  const std::string first = bench.working.begin()->second;
  bench.finish(first, Finish::Success);
  bench.pass(50ms);
  bench.run();
  CHECK(bench.working.size() == 4);  // its own is idle; the last fifth is for newcomers
  bench.offer("newcomer", "d");
  bench.run();
  CHECK(bench.working.size() == 5);
}

TEST_CASE("a thousand dead sites neither delay a proven one nor take its idle connections") {
  Bench bench(20);
  bench.prove("good");
  for (int i = 0; i < 1000; ++i) bench.offer("dead" + std::to_string(i), "d", 3);
  bench.run();
  CHECK(bench.quit.empty());
  for (int round = 0; round < 100; ++round) {
    bench.pass(50ms);
    bench.run();
  }
  CHECK(bench.quit.empty());
  bench.offer("good", "good", 100);
  bench.run();
  CHECK(bench.at_work("good") == 2);
  for (int i = 0; i < 20; ++i) {
    bench.finish("good", Finish::Success);
    bench.run();
  }
  CHECK(bench.at_work("good") == 10);
}

TEST_CASE("an account that waits for one more connection goes on with those it has") {
  Bench bench(2);
  bench.offer("a", "a", 20);
  bench.offer("b", "b", 20);
  bench.run();  // one of them is unproven and blocked
  REQUIRE(bench.working.size() == 1);
  const std::string first = bench.working.begin()->second;
  for (int i = 0; i < 5; ++i) {
    bench.finish(first, Finish::Success);
    bench.run();
    REQUIRE(bench.at_work(first) >= 1);
  }
}

TEST_CASE("an idle connection is given up for an account that has none") {
  Bench bench(2);
  bench.prove("a");
  bench.offer("a", "a", 2);
  bench.run();
  bench.finish("a", Finish::Success);
  bench.finish("a", Finish::Success);
  REQUIRE(bench.budget.open() == 2);
  bench.offer("b", "b");
  bench.run();
  REQUIRE(bench.quit.size() == 1);
  CHECK(bench.at_work("b") == 0);
  bench.scheduler.closed(bench.quit.front(), bench.now);
  bench.run();
  CHECK(bench.at_work("b") == 1);
}

TEST_CASE("connections that other loops give back are all taken at the next look") {
  Bench bench(40);
  for (int i = 0; i < 20; ++i) REQUIRE(bench.budget.try_take(ConnectionBudget::Standing::Unproven));
  for (int i = 0; i < 20; ++i) bench.offer("site" + std::to_string(i), "d");
  bench.run();
  REQUIRE(bench.working.empty());
  for (int i = 0; i < 20; ++i) bench.budget.give_back(ConnectionBudget::Standing::Unproven);
  REQUIRE(bench.scheduler.wake_at() <= bench.now.instant + 50ms);
  bench.pass(50ms);
  bench.run();
  // All but the fifth that is kept for sites that nobody has tried yet.
  CHECK(bench.working.size() == 16);
  bench.offer("newcomer", "d");
  bench.run();
  CHECK(bench.at_work("newcomer") == 1);
}

TEST_CASE("an unproven session gives way when others wait, later after each failure") {
  Bench bench(2);
  bench.offer("dead", "d", 2);
  bench.offer("other", "o");
  bench.run();
  REQUIRE(bench.at_work("dead") == 1);
  bench.pass(Scheduler::kPatience - 1s);
  bench.run();
  CHECK(bench.given_up.empty());
  bench.pass(1s);
  bench.run();
  REQUIRE(bench.given_up == std::vector{bench.one_of("dead")});
  bench.finish("dead", Finish::SiteFailed, SessionAfter::Gone);
  bench.run();
  CHECK(bench.at_work("other") == 1);
  bench.finish("other", Finish::Refused, SessionAfter::Gone);
  bench.given_up.clear();
  bench.pass(10min);
  bench.run();
  REQUIRE(bench.at_work("dead") == 1);
  bench.offer("other", "o");
  bench.pass(Scheduler::kPatience);
  bench.run();
  CHECK(bench.given_up.empty());  // one failure in a row: twice as long
  bench.pass(Scheduler::kPatience);
  bench.run();
  CHECK(bench.given_up.size() == 1);
}

TEST_CASE("unproven sessions give way to the sites of another loop, too") {
  Bench bench(8);
  for (int i = 0; i < 4; ++i) bench.offer("dead" + std::to_string(i), "d");
  bench.run();
  REQUIRE(bench.working.size() == 4);  // all that the unproven may have
  auto other_loop = std::make_unique<Scheduler>(bench.settings, bench.budget, bench.random);
  other_loop->offer(bench.job("o"), bench.site("other"), bench.now);
  REQUIRE_FALSE(other_loop->next(Recording::Possible, bench.now));
  REQUIRE(bench.budget.waiting() == 1);
  // Nothing happens here, but this loop wakes by itself.
  const base::Instant end = bench.now.instant + 1min;
  const auto until = [&](base::Instant when) {
    return std::chrono::ceil<base::Duration>(when - bench.now.instant);
  };
  while (!other_loop->next(Recording::Possible, bench.now) && bench.now.instant < end) {
    REQUIRE(bench.scheduler.wake_at() > bench.now.instant);
    bench.pass(until(std::min(bench.scheduler.wake_at(), end)));
    bench.run();
    for (const SessionId id : std::exchange(bench.given_up, {}))
      bench.finish(bench.working.at(id), Finish::SiteFailed, SessionAfter::Gone);
  }
  CHECK(bench.now.instant < end);
  CHECK(bench.working.size() >= 2);  // no more of them ended than had to
  CHECK(bench.budget.waiting() == 0);
  // A loop that ends waits no longer.
  for (int i = 0; i < 9; ++i)
    other_loop->offer(bench.job("w"), bench.site("more" + std::to_string(i)), bench.now);
  while (other_loop->next(Recording::Possible, bench.now)) {
  }
  REQUIRE(bench.budget.waiting() > 0);
  other_loop.reset();
  CHECK(bench.budget.waiting() == 0);
}

TEST_CASE("nobody gives way while nobody waits, or once a whole message was taken") {
  Bench bench(2);
  bench.offer("slow", "s");
  bench.run();
  bench.pass(5min);
  bench.run();
  CHECK(bench.given_up.empty());
  bench.offer("other", "o");
  bench.run();
  REQUIRE(bench.given_up.empty());
  bench.pass(50ms);
  bench.run();
  REQUIRE(bench.given_up.size() == 1);
  bench.scheduler.took_content(bench.given_up.front(), bench.now);
  bench.pass(50ms);
  bench.run();
  CHECK(bench.at_work("other") == 1);  // beside the slow one, which counts as proven now
  CHECK(bench.at_work("slow") == 1);
}

TEST_CASE("sites that have a message and do not answer get a quarter of the connections at most") {
  Bench bench(8);
  for (int i = 0; i < 40; ++i) bench.offer("bad" + std::to_string(i), "b" + std::to_string(i));
  // All that are asked to give way have sent their final dot.
  for (int i = 0; i < 200; ++i) {
    bench.pass(1s);
    bench.run();
    for (const SessionId id : std::exchange(bench.given_up, {})) {
      bench.scheduler.took_content(id, bench.now);
    }
  }
  CHECK(bench.budget.open() <= 4 + 2);  // the unproven half, and a quarter that owes an answer
  CHECK(bench.budget.open() > 4);
  // So there is always room for a site that works.
  CHECK(bench.budget.try_take(ConnectionBudget::Standing::Proven));
  bench.budget.give_back(ConnectionBudget::Standing::Proven);
  // An answer ends it, and another may owe.
  bench.finish(bench.working.begin()->second, Finish::SiteFailed, SessionAfter::Gone);
  bench.run();
  CHECK(bench.budget.open() <= 6);
}

}  // namespace
}  // namespace rockdove::queue
