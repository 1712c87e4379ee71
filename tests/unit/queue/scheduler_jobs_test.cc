// Goal: jobs are started in order, can be taken back, and none is lost; what a step costs does not
// grow with the accounts.
#include <algorithm>
#include <map>
#include <set>

#include <catch2/catch.hpp>

#include "queue/scheduler.h"
#include "tests/unit/queue/scheduler_world.h"

namespace rockdove::queue {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)

std::vector<Job> take_of(Scheduler& scheduler, MessageId message, const QueueName& name) {
  return scheduler.take_waiting(
      [&name](const SitePointer&, const QueueName& queue) { return queue == name; },
      [message](const Job& job) { return job.message->id == message; });
}

// Two schedulers, as of two loops, with one budget of connections.
TEST_CASE("connections from one source are bounded over all loops and sites") {
  Bench one;
  Scheduler other{one.settings, one.budget, one.random};
  const auto site = [&one](const std::string& name, const std::string& source) {
    auto spec = std::make_shared<SiteSpec>(*one.site(name));
    spec->source_address = source;
    spec->source_connections_max = 2;
    return SitePointer(spec);
  };
  for (const char* name : {"x", "y", "z"})
    one.scheduler.offer(one.job(name), site(name, "192.0.2.1"), one.now);
  one.run();
  CHECK(one.started.size() == 2);
  const auto place = one.scheduler.find({MessageId{3}, 1}, {"z", "", 0}, one.now);
  REQUIRE(place);
  CHECK(place->gate == Scheduler::Gate::Source);
  // Another loop has none either, but for another source.
  other.offer(one.job("w"), site("w", "192.0.2.1"), one.now);
  CHECK_FALSE(other.next(Recording::Possible, one.now));
  other.offer(one.job("v"), site("v", "192.0.2.2"), one.now);
  CHECK(other.next(Recording::Possible, one.now));
  // An idle one makes room, and what is blocked elsewhere looks again.
  one.finish("x", Finish::Success);
  one.pass(50ms);
  one.run();
  REQUIRE(one.quit.size() == 1);
  one.scheduler.closed(one.quit.front(), one.now);
  one.run();
  CHECK(one.started == std::vector<std::string>{"x", "y", "z"});
  one.finish("y", Finish::Success, SessionAfter::Gone);
  one.pass(50ms);
  const std::optional<Command> open = other.next(Recording::Possible, one.now);
  REQUIRE(open);
  CHECK(std::get<Scheduler::Open>(*open).job.queue.destination == "w");
}

TEST_CASE("sites that wait for one source are not in the way of those of another") {
  Bench one;
  Scheduler other{one.settings, one.budget, one.random};
  const auto site = [&one](const std::string& name, const std::string& source) {
    auto spec = std::make_shared<SiteSpec>(*one.site(name));
    spec->source_address = source;
    spec->source_connections_max = 1;
    return SitePointer(spec);
  };
  const auto offer = [&](Scheduler& to, const std::string& name, const std::string& source) {
    to.offer(one.job(name), site(name, source), one.now);
  };
  offer(one.scheduler, "a", "192.0.2.1");
  offer(one.scheduler, "b", "192.0.2.2");
  one.run();
  REQUIRE(one.started.size() == 2);
  for (int i = 0; i < 100; ++i) offer(other, "a" + std::to_string(i), "192.0.2.1");
  offer(other, "late", "192.0.2.2");
  CHECK_FALSE(other.next(Recording::Possible, one.now));
  one.finish("b", Finish::Success, SessionAfter::Gone);
  one.pass(50ms);
  const std::optional<Command> open = other.next(Recording::Possible, one.now);
  REQUIRE(open);
  CHECK(std::get<Scheduler::Open>(*open).job.queue.destination == "late");
  CHECK_FALSE(other.next(Recording::Possible, one.now));
}

TEST_CASE("while results cannot be recorded nothing starts, and nobody spins") {
  Bench bench(1);
  bench.offer("a", "a");
  bench.offer("b", "b");
  bench.run();
  bench.offer("c", "c");
  bench.pass(1min);
  CHECK_FALSE(bench.scheduler.next(Recording::No, bench.now));
  CHECK(bench.scheduler.wake_at() > bench.now.instant);
  bench.finish(bench.working.begin()->second, Finish::Success, SessionAfter::Gone);
  CHECK_FALSE(bench.scheduler.next(Recording::No, bench.now));
  bench.run();
  CHECK(bench.working.size() == 1);
}

TEST_CASE("where a delivery waits is known: behind whom, and what keeps it") {
  Bench bench(2);
  bench.offer("a", "a", 3);
  bench.run();  // the first one has the only connection that an unproven site gets
  const QueueName queue{"a", "", 0};
  CHECK_FALSE(bench.scheduler.find({MessageId{1}, 1}, queue, bench.now));
  auto place = bench.scheduler.find({MessageId{3}, 1}, queue, bench.now);
  REQUIRE(place);
  CHECK(place->site == "a");
  CHECK(place->before == 1);
  CHECK(place->gate == Scheduler::Gate::Window);
  CHECK(place->standing.sessions == 1);
  CHECK(place->standing.connections_max == 10);
  CHECK_FALSE(bench.scheduler.find({MessageId{3}, 2}, queue, bench.now));
  CHECK_FALSE(bench.scheduler.find({MessageId{3}, 1}, {"b", "", 0}, bench.now));
  bench.offer("b", "b");
  bench.run();  // the unproven have no second connection
  place = bench.scheduler.find({MessageId{4}, 1}, {"b", "", 0}, bench.now);
  REQUIRE(place);
  CHECK(place->gate == Scheduler::Gate::Budget);
  bench.finish("a", Finish::SiteFailed, SessionAfter::Gone);
  bench.run();
  place = bench.scheduler.find({MessageId{2}, 1}, queue, bench.now);
  REQUIRE(place);
  CHECK(place->gate == Scheduler::Gate::Paused);
  CHECK(place->standing.pause_reason == "451 reason");
}

TEST_CASE("a job given back goes before the others of its queue") {
  Bench bench;
  bench.offer("a", "a", 3);
  std::vector<Command> commands = bench.run();
  Job job = std::get<Scheduler::Open>(std::move(commands.front())).job;
  const MessageId id = job.message->id;
  bench.scheduler.closed(bench.one_of("a"), bench.now);
  bench.working.clear();
  bench.scheduler.give_back(std::move(job), bench.site("a"), bench.now);
  commands = bench.run();
  REQUIRE(commands.size() == 1);
  CHECK(std::get<Scheduler::Open>(commands.front()).job.message->id == id);
}

TEST_CASE("a pause can be ended of an account from which all was just taken") {
  Bench bench;
  bench.offer("a", "a", 1);  // it is ready
  CHECK(take_of(bench.scheduler, MessageId{1}, {"a", "", 0}).size() == 1);
  bench.scheduler.end_pause(*bench.site("a"), bench.now);
  bench.run();
  bench.offer("a", "a", 1);
  bench.run();
  CHECK(bench.at_work("a") == 1);
}

TEST_CASE("what waits of one message and queue can be taken back, and the rest goes on") {
  Bench bench;
  bench.offer("a", "a", 3);
  bench.offer("a", "b", 1);
  bench.run();  // the first one starts
  const std::vector<Job> taken = take_of(bench.scheduler, MessageId{2}, {"a", "", 0});
  REQUIRE(taken.size() == 1);
  CHECK(taken.front().message->id == MessageId{2});
  CHECK(take_of(bench.scheduler, MessageId{4}, {"a", "", 0}).empty());  // another queue's
  CHECK(take_of(bench.scheduler, MessageId{4}, {"b", "", 0}).size() == 1);
  CHECK(take_of(bench.scheduler, MessageId{1}, {"a", "", 0}).empty());  // at work
  bench.finish("a", Finish::Success);
  bench.run();
  CHECK(bench.started == std::vector<std::string>{"a", "a"});
  CHECK(bench.scheduler.standing(*bench.site("a"), bench.now)->jobs == 0);
}

TEST_CASE("everything that has not started can be taken back, and what is at work goes on") {
  Bench bench;
  bench.offer("a", "a", 3);
  bench.offer("a", "b", 1);
  bench.offer("c", "c", 2);
  bench.run();  // one of each site starts
  CHECK(bench.scheduler.take_all_waiting().size() == 4);
  CHECK(bench.scheduler.take_all_waiting().empty());
  CHECK(bench.at_work("a") == 1);
  CHECK(bench.at_work("c") == 1);
  bench.finish("a", Finish::Success);
  CHECK(bench.run().empty());
  bench.offer("a", "a", 1);
  bench.run();
  CHECK(bench.at_work("a") == 1);
}

TEST_CASE("a site that allows no connection at all is given one") {
  Bench bench;
  bench.offer("a", "a", 1, 0);
  bench.run();
  CHECK(bench.at_work("a") == 1);
}

TEST_CASE("a proven account is worth many places in memory, any other a few") {
  Bench bench;
  CHECK(bench.scheduler.room(*bench.site("a"), bench.now) == 16);
  bench.prove("a");
  CHECK(bench.scheduler.room(*bench.site("a"), bench.now) >= 1000);
}

// Random offers, ends, closings and times: each job that was offered is started and ends, whatever
// happens; the calls of next() are bounded by what happened, whatever the number of accounts.
TEST_CASE("no job is lost and the work grows with what happens, not with the accounts") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    INFO("seed " << seed);
    Bench bench(static_cast<std::uint32_t>(1 + seed % 13));
    base::Random random(seed);
    std::map<SessionId, Job> jobs;
    std::set<SessionId> idle;
    std::size_t offered = 0;
    std::size_t ended = 0;
    std::size_t happened = 0;
    std::size_t commands = 0;
    const auto run = [&] {
      while (std::optional<Command> command =
                 bench.scheduler.next(Recording::Possible, bench.now)) {
        ++commands;
        if (auto* open = std::get_if<Scheduler::Open>(&*command)) {
          REQUIRE(jobs.emplace(open->session, std::move(open->job)).second);
        } else if (auto* start = std::get_if<Scheduler::Start>(&*command)) {
          REQUIRE(idle.erase(start->session) == 1);
          REQUIRE(jobs.emplace(start->session, std::move(start->job)).second);
        } else if (const auto* quit = std::get_if<Scheduler::Quit>(&*command)) {
          REQUIRE(idle.erase(quit->session) == 1);
          bench.scheduler.closed(quit->session, bench.now);
        } else {  // its final dot has left, as far as this test goes
          bench.scheduler.took_content(std::get<Scheduler::GiveUp>(*command).session, bench.now);
        }
      }
      REQUIRE(bench.scheduler.sessions() == jobs.size() + idle.size());
      REQUIRE(bench.budget.open() == jobs.size() + idle.size());
    };
    const auto end_one = [&](Finish how) {
      const auto job =
          std::next(jobs.begin(), static_cast<std::ptrdiff_t>(random.below(jobs.size())));
      const SessionId id = job->first;
      const auto after =
          how == Finish::SiteFailed || how == Finish::NotTried || random.below(4) == 0
              ? SessionAfter::Gone
              : SessionAfter::Idle;
      if (after == SessionAfter::Idle) idle.insert(id);
      Job back = std::move(job->second);
      jobs.erase(job);
      bench.scheduler.finished(id, how, after, "reason", bench.now);
      if (how == Finish::NotTried) {
        const SitePointer site = bench.site(back.queue.destination.substr(0, 2));
        bench.scheduler.give_back(std::move(back), site, bench.now);
      } else {
        ++ended;
      }
    };
    for (int step = 0; step < 1000; ++step) {
      ++happened;
      switch (random.below(6)) {
        case 0:
        case 1: {
          const std::string account = "a" + std::to_string(random.below(9));
          bench.offer(account, account + "x" + std::to_string(random.below(3)));
          ++offered;
          break;
        }
        case 2:
        case 3:
          if (!jobs.empty()) end_one(static_cast<Finish>(random.below(4)));
          break;
        case 4:
          if (!idle.empty()) {
            const SessionId id = *idle.begin();
            idle.erase(idle.begin());
            bench.scheduler.closed(id, bench.now);
          }
          break;
        default:
          bench.pass(base::Duration(static_cast<std::int64_t>(random.below(200'000))));
      }
      run();
    }
    for (int i = 0; i < 5000 && ended < offered; ++i) {
      ++happened;
      if (!jobs.empty()) {
        end_one(Finish::Success);
      } else {
        const base::Instant wake = bench.scheduler.wake_at();
        REQUIRE(wake != base::kNever);
        bench.now.instant = std::max(bench.now.instant + 1ms, wake);
      }
      run();
    }
    REQUIRE(ended == offered);
    REQUIRE(commands <= 4 * happened);
  }
}

TEST_CASE("many blocked accounts cost each step little") {
  Bench bench(2);
  bench.prove("good");
  for (int i = 0; i < 20'000; ++i) bench.offer("dead" + std::to_string(i), "d");
  bench.run();
  bench.offer("good", "good", 2000, 1);
  // Each round is a handful of calls; were each to look at all accounts, this would be 4·10^7.
  for (int i = 0; i < 2000; ++i) {
    bench.run();
    REQUIRE(bench.at_work("good") == 1);
    bench.finish("good", Finish::Success);
  }
  CHECK(bench.started.size() >= 2001);
}

}  // namespace
}  // namespace rockdove::queue
