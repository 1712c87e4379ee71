// Goal: no window of a rate ever holds more messages than it may, whoever is late; what a rate
// leaves is used; accounts with many sites keep what they share; nobody starves.
#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include <catch2/catch.hpp>

#include "queue/scheduler.h"
#include "tests/unit/queue/scheduler_loops.h"

namespace rockdove::queue {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)

TEST_CASE("no window of a rate holds more than it may, however late starts are") {
  for (const char* rates : {"10/s", "50/min burst 5", "3/min", "600/min"}) {
    for (const base::Duration lateness : {0ms, 3ms, 30ms, 120ms}) {
      INFO(rates << ", late by " << lateness.count() << " ms");
      World world;
      world.late_most = lateness;
      const auto of = world.account("provider:x", rates);
      for (int i = 0; i < 5; ++i) world.offer(world.site("s" + std::to_string(i), of), 2000);
      world.run_for(10min);
      const traffic::Rate rate = of->rates.front();
      CHECK(fullest_window(times_of(world), rate.per) <= rate.most_in_window());
      const double allowed = rate.per_second() * 600;
      if (lateness <= 3ms) {  // less than any guard of these, so that nothing comes too late
        CHECK(world.late == 0);
        CHECK(static_cast<double>(world.sent.size()) >= 0.95 * allowed - 1);
      }
      CHECK(static_cast<double>(world.sent.size()) <= allowed + rate.burst);
    }
  }
}

TEST_CASE("a start that comes too late sends nothing, and its job is sent in the end") {
  World world;
  world.late_most = 60ms;  // three times the guard of 10/s
  const SitePointer site = world.site("s", world.account("s", "10/s"));
  world.offer(site, 200);
  world.run_for(5min);
  CHECK(world.late > 20);
  CHECK(world.sent.size() == 200);
  CHECK(world.bench.scheduler.standing(*site, world.bench.now)->jobs == 0);
}

TEST_CASE("limits of an account and of one of its sites hold together") {
  World world;
  world.late_most = 5ms;
  const auto of = world.account("provider:x", "20/s");
  const auto slow = world.site("domain:slow", of);
  slow->rates = *traffic::parse_rates("60/min");
  const auto fast = world.site("mx:fast", of);
  world.offer(slow, 5000);
  world.offer(fast, 5000);
  world.run_for(3min);
  CHECK(fullest_window(times_of(world), 1s) <= 20);
  CHECK(fullest_window(times_of(world, "domain:slow"), 1min) <= 60);
  CHECK(world.sent_to("domain:slow") >= 160);  // 180, but for its guard and the turns of the other
  CHECK(world.sent.size() >= 3400);            // what the slow one may not use the other does
}

TEST_CASE("two sites share the rate of their account evenly, and one alone uses all of it") {
  World world;
  const auto of = world.account("provider:x", "10/s");
  world.offer(world.site("a", of), 5000);
  world.run_for(1min);
  CHECK(world.sent.size() >= 560);
  world.offer(world.site("b", of), 5000);
  const std::size_t before = world.sent_to("a");
  world.run_for(1min);
  const auto of_a = static_cast<double>(world.sent_to("a") - before);
  CHECK(of_a == Approx(static_cast<double>(world.sent_to("b"))).margin(10));
}

TEST_CASE("a rate is kept by few connections, and connections wait for no distant grant") {
  World world;
  const SitePointer site = world.site("s", world.account("s", "3/min"));
  world.offer(site, 100);
  world.run_for(10min);
  CHECK(world.sent.size() >= 28);
  CHECK(world.opened <= static_cast<int>(world.sent.size()) + 1);
  CHECK(world.most_sessions == 1);
  World fast;
  fast.offer(fast.site("s", fast.account("s", "50/s")), 5000);
  fast.run_for(1min);
  // 5 at work are enough for transactions of 100 ms; some more are tried on the way.
  CHECK(fast.sent.size() >= 2800);
  CHECK(fast.most_sessions <= 10);
}

TEST_CASE("no tenant and no lane starves behind another, within a rate") {
  World world;
  const SitePointer site = world.site("s", world.account("s", "10/s"));
  world.offer(site, 3000, "big");
  world.offer(site, 30, "small");
  world.run_for(10s);
  const auto small = [](const World::Sent& one) { return one.queue.tenant == "small"; };
  CHECK(std::count_if(world.sent.begin(), world.sent.end(), small) >= 28);
  world.offer(site, 5, "small", 5);
  const std::size_t before = world.sent.size();
  world.run_for(1s);
  const auto urgent = [](const World::Sent& one) { return one.queue.priority != 0; };
  CHECK(std::count_if(world.sent.begin() + static_cast<std::ptrdiff_t>(before), world.sent.end(),
                      urgent) == 5);
}

TEST_CASE("an account's own limit of connections is kept by its sites together, in turn") {
  World world;
  const auto of = world.account("provider:x");
  of->connections_max = 3;
  for (int i = 0; i < 20; ++i) world.offer(world.site("s" + std::to_string(i), of), 100);
  world.run_for(2min);
  CHECK(world.most_sessions <= 3);
  CHECK(world.sent.size() == 2000);
  World fair;
  const auto one = fair.account("provider:x");
  one->connections_max = 2;
  for (int i = 0; i < 4; ++i) fair.offer(fair.site("s" + std::to_string(i), one), 100'000);
  fair.run_for(1min);
  for (int i = 0; i < 4; ++i) {
    CHECK(fair.sent_to("s" + std::to_string(i)) >= 150);
  }
  const SitePointer waits = fair.site("s0", one);
  CHECK(fair.bench.scheduler.standing(*waits, fair.bench.now)->account_sessions == 2);
}

TEST_CASE("many sites with a little mail each share an account's connections at its full rate") {
  for (const base::Duration connecting : {5ms, 300ms}) {
    World world;
    world.connecting = connecting;
    world.idle_time = 60s;
    const auto of = world.account("provider:x", "50/s");
    of->connections_max = 30;
    for (int i = 0; i < 400; ++i) world.offer(world.site("s" + std::to_string(i), of), 5);
    world.run_for(60s);  // 40 at the rate
    CHECK(world.sent.size() == 2000);
    CHECK(world.most_sessions <= 30);
  }
}

TEST_CASE("what long windows have granted holds over a crash, and a crash costs one slice") {
  const auto run = [](bool has_site_limits, bool crashes) {
    std::map<std::pair<LimitKind, std::string>, traffic::LimiterState> notes;
    std::vector<base::Instant> sent;
    base::Random random{3};
    for (base::Duration passed{0}; passed < 12h;) {
      World world;
      world.bench.now.instant += passed;
      world.bench.now.wall += passed;
      for (const auto& [of, state] : notes) world.scheduler().restore(of.first, of.second, state);
      world.notes = notes;
      const auto account = world.account("provider:x", has_site_limits ? "off" : "200/h");
      const auto site = world.site("domain:s", account);
      if (has_site_limits) site->rates = *traffic::parse_rates("200/h");
      world.offer(site, 5000);
      const base::Duration time = crashes ? 10min + base::Duration(random.below(3'600'000)) : 12h;
      world.run_for(time);
      passed += time;
      for (const base::Instant at : times_of(world)) sent.push_back(at);
      notes = world.notes;
    }
    return sent;
  };
  for (const bool has_site_limits : {false, true}) {
    const std::vector<base::Instant> smooth = run(has_site_limits, false);
    CHECK(fullest_window(smooth, 1h) <= 200);
    CHECK(smooth.size() >= 2300);  // of 2,400, with windows in 60 parts
    const std::vector<base::Instant> crashed = run(has_site_limits, true);
    CHECK(fullest_window(crashed, 1h) <= 200);
    CHECK(crashed.size() >= 2100);
  }
}

TEST_CASE("what cannot be made durable is not sent, nobody spins, and then it goes on") {
  World world;
  world.durable = Scheduler::Durable::No;
  const SitePointer site = world.site("s", world.account("s", "1000/h"));
  world.offer(site, 3000);
  world.run_for(10min);
  CHECK(world.sent.empty());
  CHECK(world.keeps <= 601);  // one a second
  world.durable = Scheduler::Durable::Yes;
  world.run_for(10min);
  CHECK(world.sent.size() == 1000);
}

TEST_CASE("connections are begun no faster than an account may") {
  for (const base::Duration lateness : {0ms, 60ms}) {
    World world;
    world.late_most = lateness;
    const auto of = world.account("provider:x");
    of->connection_rates = *traffic::parse_rates("2/s");
    for (int i = 0; i < 100; ++i) world.offer(world.site("s" + std::to_string(i), of), 3);
    world.run_for(10min);
    CHECK(fullest_window(world.begun, 1s) <= 2);
    CHECK(world.sent.size() == 300);
  }
}

TEST_CASE("a pace holds at once, goes below the rates, and ends") {
  World world;
  const SitePointer site = world.site("s", world.account("s", "20/s"));
  world.offer(site, 100'000);
  world.run_for(10s);
  world.scheduler().set_pace("s", 2.0, world.bench.now);
  std::size_t before = world.sent.size();
  world.run_for(30s);
  CHECK(world.sent.size() - before >= 57);
  CHECK(world.sent.size() - before <= 62);
  CHECK(world.scheduler().standing(*site, world.bench.now)->rates == "20/s; a pace of 2/s");
  world.scheduler().set_pace("s", std::nullopt, world.bench.now);
  before = world.sent.size();
  world.run_for(30s);
  CHECK(world.sent.size() - before >= 560);
  World plain;  // without rates: no limiter, and none afterwards
  const SitePointer other = plain.site("o", plain.account("o"));
  plain.offer(other, 100'000);
  plain.run_for(10s);
  plain.scheduler().set_pace("o", 1.0, plain.bench.now);
  plain.run_for(1s);
  before = plain.sent.size();
  plain.run_for(20s);
  CHECK(plain.sent.size() - before <= 21);
  plain.scheduler().set_pace("o", std::nullopt, plain.bench.now);
  before = plain.sent.size();
  plain.run_for(20s);
  CHECK(plain.sent.size() - before >= 1500);
}

TEST_CASE("a pause of a rule holds whatever succeeds meanwhile, until a person ends it") {
  World world;
  const auto of = world.account("provider:x");
  const SitePointer one = world.site("a", of);
  const SitePointer other = world.site("b", of);
  world.offer(one, 10'000);
  world.offer(other, 10'000);
  world.run_for(2s);
  world.scheduler().pause_site(one, world.bench.now.instant + 10min, "too many", world.bench.now);
  world.run_for(1s);
  std::size_t before = world.sent_to("a");
  world.run_for(5min);
  CHECK(world.sent_to("a") == before);
  CHECK(world.sent_to("b") > 1000);
  CHECK(world.scheduler().standing(*one, world.bench.now)->pause_reason == "too many");
  world.run_for(6min);
  CHECK(world.sent_to("a") > before);
  world.offer(one, 10'000);
  world.offer(other, 10'000);
  world.scheduler().pause_account("provider:x", world.bench.now.instant + 1h, "blocked",
                                  world.bench.now);
  world.run_for(1s);
  before = world.sent.size();
  world.run_for(10min);
  CHECK(world.sent.size() == before);
  const auto place =
      world.scheduler().find({MessageId{world.bench.messages}, 1}, {"b", "", 0}, world.bench.now);
  REQUIRE(place);
  CHECK(place->gate == Scheduler::Gate::Paused);
  CHECK(place->standing.pause_reason == "blocked");
  world.scheduler().end_pause(*one, world.bench.now);
  world.run_for(1min);
  CHECK(world.sent.size() > before + 500);
}

TEST_CASE("people hear which rate holds a delivery back, and until when") {
  World world;
  const SitePointer site = world.site("s", world.account("provider:x", "3/min"));
  world.offer(site, 5);
  world.run_for(30s);
  const auto place = world.scheduler().find({MessageId{5}, 1}, {"s", "", 0}, world.bench.now);
  REQUIRE(place);
  CHECK(place->gate == Scheduler::Gate::Rate);
  CHECK(place->site == "s");
  CHECK(place->standing.account == "provider:x");
  CHECK(place->standing.rates == "3/min");
  CHECK(place->standing.next_grant > world.bench.now.instant);
  CHECK(place->standing.next_grant <= world.bench.now.instant + 21s);
}

TEST_CASE(
    "it is known about how many go before a delivery, and when it goes, by the order of turns") {
  World world;
  const auto of = world.account("provider:x", "10/s");
  const SitePointer a = world.site("a", of);
  const SitePointer b = world.site("b", of);
  world.offer(a, 200, "x");                  // messages 1 to 200
  world.offer(b, 40, "x");                   // fewer than its turns until then
  world.offer(a, 1000, "y");                 // as many as there are turns
  world.offer(b, 20, "z", /*priority=*/-4);  // bulk: behind, but for a few
  world.run_for(3s);
  world.offer(b, 15, "z", /*priority=*/4);  // urgent: all of them first
  const base::Instant asked = world.bench.now.instant;
  const std::size_t sent = world.sent.size();
  const auto place = world.scheduler().find({MessageId{80}, 1}, {"a", "x", 0}, world.bench.now);
  REQUIRE(place);
  CHECK(place->before > 60);
  CHECK(place->ahead > place->ahead_at_site);
  CHECK(place->ahead_at_site >= place->before);
  Scheduler::Backlog backlog;
  backlog.of_account = place->ahead + 1;
  backlog.of_site = place->ahead_at_site + 1;
  const Scheduler::Outlook outlook =
      world.scheduler().outlook(*place->spec, backlog, world.bench.now);
  REQUIRE(outlook.unknown == Scheduler::Outlook::Unknown::Nothing);
  const auto waits = [&world] {
    return world.scheduler().find({MessageId{80}, 1}, {"a", "x", 0}, world.bench.now).has_value();
  };
  while (waits()) world.run_for(100ms);
  const auto seconds = [](auto span) { return std::chrono::duration<double>(span).count(); };
  CHECK(static_cast<double>(world.sent.size() - sent) ==
        Approx(static_cast<double>(place->ahead)).epsilon(0.15));
  CHECK(seconds(world.bench.now.instant - asked) ==
        Approx(seconds(outlook.at - asked)).epsilon(0.15));
}

TEST_CASE("what an account has granted is remembered when nothing of it waits") {
  World world;
  const SitePointer site = world.site("s", world.account("s", "2/h"));
  for (int i = 0; i < 10; ++i) {
    world.offer(site, 1);
    world.run_for(12min);
  }
  CHECK(world.sent.size() == 4);  // of ten in two hours
  CHECK(fullest_window(times_of(world), 1h) == 2);
}

TEST_CASE("the outlook on a backlog is when the last of it has gone") {
  World world;
  const auto rates = GENERATE(as<std::string>(), "off", "60/min", "10/s", "700/h");
  const auto of = world.account("provider:x", rates);
  of->connections_max = GENERATE(0U, 3U);
  const SitePointer one = world.site("a", of);
  const SitePointer other = world.site("b", of);
  const Scheduler::Backlog all{1000, 500, 0};
  using Unknown = Scheduler::Outlook::Unknown;
  CHECK(world.scheduler().outlook(*one, all, world.bench.now).unknown == Unknown::Untried);
  world.offer(one, 550);
  world.offer(other, 550);
  while (world.sent.size() < 100) world.run_for(100ms);
  const base::Instant begin = world.bench.now.instant;
  const std::uint64_t left = 1100 - world.sent.size();
  const Scheduler::Outlook outlook =
      world.scheduler().outlook(*one, {left, left / 2, 0}, world.bench.now);
  REQUIRE(outlook.unknown == Unknown::Nothing);
  while (world.sent.size() < 1100) world.run_for(100ms);
  const double said = std::chrono::duration<double>(outlook.at - begin).count();
  const double took = std::chrono::duration<double>(world.bench.now.instant - begin).count();
  INFO(rates << ", " << of->connections_max << " connections: said " << said << " s, took "
             << took);
  CHECK(said <= took * 1.1 + 1);
  CHECK(said >= took * 0.9 - 1);
}

TEST_CASE("the outlook knows pauses, and nothing of sites that fail") {
  Bench bench;
  bench.prove("a");
  bench.offer("a", "a", 3);
  const SitePointer site = bench.site("a");
  const Scheduler::Outlook free = bench.scheduler.outlook(*site, {3, 3, 0}, bench.now);
  CHECK(free.unknown == Scheduler::Outlook::Unknown::Nothing);
  bench.scheduler.pause_site(site, bench.now.instant + 10min, "too many", bench.now);
  const Scheduler::Outlook held = bench.scheduler.outlook(*site, {3, 3, 0}, bench.now);
  CHECK(held.at == free.at + 10min);
  CHECK(held.held_until == bench.now.instant + 10min);
  bench.offer("dead", "dead", 2);
  bench.run();
  bench.finish("dead", Finish::SiteFailed, SessionAfter::Gone);
  const Scheduler::Outlook dead =
      bench.scheduler.outlook(*bench.site("dead"), {2, 2, 0}, bench.now);
  CHECK(dead.unknown == Scheduler::Outlook::Unknown::Failing);
  CHECK(dead.held_until > bench.now.instant);
}

TEST_CASE("a pause leaves the windows of a site, which it may know less of, as they are") {
  World world;
  const auto planned = world.site("s", world.account("provider:x", "50/d"));
  planned->rates = *traffic::parse_rates("40/d");
  const SitePointer as_routed = world.site("s", world.account("provider:x"));
  const bool is_restored = GENERATE(false, true);
  world.offer(planned, 30);
  world.run_for(5min);
  REQUIRE(world.sent.size() == 30);
  World later;
  World& next = is_restored ? later : world;
  if (is_restored) {
    for (const auto& [of, state] : world.notes)
      later.scheduler().restore(of.first, of.second, state);
    later.notes = world.notes;
    later.bench.now = world.bench.now;
    later.sent = world.sent;
  }
  next.offer(planned, 1);
  next.scheduler().pause_site(as_routed, next.bench.now.instant + 10min, "too many",
                              next.bench.now);
  next.offer(planned, 100);
  next.run_for(12h);
  CHECK(next.sent.size() > 30);
  CHECK(next.sent.size() <= 40);
}

TEST_CASE("an account that waits for its rate is left alone by a site that says the same of it") {
  World world;
  const SitePointer one = world.site("one", world.account("provider:x", "1/min"));
  world.offer(one, 3);
  world.run_for(2min);
  const base::Instant wakes = world.scheduler().wake_at();
  world.offer(world.site("two", world.account("provider:x", "1/min")), 1);
  CHECK(world.scheduler().wake_at() == wakes);
  world.offer(world.site("three", world.account("provider:x", "1/s")), 1);
  CHECK(world.scheduler().wake_at() != wakes);  // it is looked at anew
}

}  // namespace
}  // namespace rockdove::queue
