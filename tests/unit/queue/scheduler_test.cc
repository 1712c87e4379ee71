// Goal: who goes next is fair and counted, windows and pauses follow the rules, no job is lost and
// no account waits for a wake-up that never comes.
#include "queue/scheduler.h"

#include <algorithm>
#include <map>
#include <set>

#include <catch2/catch.hpp>

namespace rockdove::queue {
namespace {

using Command = Scheduler::Command;
using Finish = Scheduler::Finish;
using Recording = Scheduler::Recording;
using SessionAfter = Scheduler::SessionAfter;

// A scheduler with a clock, and what it started.
struct Bench {
  explicit Bench(std::uint32_t connections = 1000) : budget(connections) {
    settings.retry = {5min, 15min, 30min};
  }

  SitePointer site(const std::string& account, std::uint32_t connections_max = 10) {
    auto spec = std::make_shared<SiteSpec>();
    spec->account = account;
    spec->connections_max = connections_max;
    return spec;
  }

  void offer(const std::string& account, const std::string& destination, int count = 1,
             std::uint32_t connections_max = 10) {
    const SitePointer where = site(account, connections_max);
    for (int i = 0; i < count; ++i) scheduler.offer(job(destination), where, now);
  }

  Job job(const std::string& destination) {
    auto message = std::make_shared<Message>();
    message->id = MessageId{++messages};
    Delivery delivery;
    delivery.number = 1;
    return {message, {delivery}, {destination, "", 0}};
  }

  // Runs next() to its end; sessions at work by account.
  std::vector<Command> run() {
    std::vector<Command> commands;
    while (std::optional<Command> command = scheduler.next(Recording::Possible, now)) {
      if (const auto* open = std::get_if<Scheduler::Open>(&*command)) {
        working[open->session] = open->site->account;
        ++opened[open->site->account];
        started.push_back(open->job.queue.destination);
      } else if (const auto* start = std::get_if<Scheduler::Start>(&*command)) {
        REQUIRE_FALSE(working.contains(start->session));
        working[start->session] = start->site->account;
        started.push_back(start->job.queue.destination);
      } else if (const auto* give_up = std::get_if<Scheduler::GiveUp>(&*command)) {
        given_up.push_back(give_up->session);
      } else {
        quit.push_back(std::get<Scheduler::Quit>(*command).session);
      }
      commands.push_back(std::move(*command));
      REQUIRE(commands.size() < 1'000'000);
    }
    return commands;
  }

  SessionId one_of(const std::string& account) {
    for (const auto& [id, name] : working) {
      if (name == account) return id;
    }
    FAIL("nothing of " << account << " is at work");
    return {};
  }

  void finish(const std::string& account, Finish how, SessionAfter after = SessionAfter::Idle) {
    const SessionId id = one_of(account);
    working.erase(id);
    scheduler.finished(id, how, after, "451 reason", now);
  }

  std::size_t at_work(const std::string& account) const {
    return static_cast<std::size_t>(
        std::count_if(working.begin(), working.end(),
                      [&account](const auto& entry) { return entry.second == account; }));
  }

  void pass(base::Duration time) {
    now.instant += time;
    now.wall += time;
  }

  // One success, so that the account counts as proven.
  void prove(const std::string& account) {
    offer(account, account);
    run();
    finish(account, Finish::Success);
  }

  QueueSettings settings;
  ConnectionBudget budget;
  base::Random random{1};
  Scheduler scheduler{settings, budget, random};
  base::Now now{base::Instant{} + 1000h, base::from_unix_milliseconds(1'800'000'000'000)};
  std::uint64_t messages = 0;
  std::map<SessionId, std::string> working;
  std::map<std::string, int> opened;
  std::vector<std::string> started;
  std::vector<SessionId> quit;
  std::vector<SessionId> given_up;
};

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
  CHECK_FALSE(bench.scheduler.standing("a", bench.now)->proven);
}

TEST_CASE("a success is good for ten minutes, then one connection asks anew") {
  Bench bench;
  bench.prove("a");
  bench.scheduler.closed(SessionId{1}, bench.now);
  CHECK(bench.scheduler.standing("a", bench.now)->proven);  // remembered with nothing to do
  bench.pass(9min);
  bench.offer("a", "a", 5);
  bench.run();
  CHECK(bench.at_work("a") == 2);
  bench.pass(2min);
  CHECK(bench.scheduler.standing("a", bench.now)->window == 1);
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
  CHECK(bench.scheduler.standing("a", bench.now)->window == 4);
  CHECK(bench.scheduler.standing("a", bench.now)->paused_until <= bench.now.instant);
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
    const Scheduler::Standing standing = *bench.scheduler.standing("a", bench.now);
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
  CHECK(bench.scheduler.standing("a", bench.now)->paused_until < bench.now.instant + 6min);
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
  CHECK(bench.scheduler.standing("a", bench.now)->paused_until < bench.now.instant + 6min);
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
  CHECK(bench.scheduler.standing("a", bench.now)->paused_until >= bench.now.instant + 30min);
  for (int i = 0; i < 3; ++i) {
    bench.pass(35min);
    bench.run();
  }
  CHECK_FALSE(bench.scheduler.standing("a", bench.now));  // forgotten in the end
}

TEST_CASE("a person can end a pause") {
  Bench bench;
  bench.offer("a", "a", 2);
  bench.run();
  bench.finish("a", Finish::SiteFailed, SessionAfter::Gone);
  bench.run();
  REQUIRE(bench.at_work("a") == 0);
  SECTION("by name") {
    bench.scheduler.end_pause("a");
  }
  SECTION("by a message that waits there") {
    bench.scheduler.end_pauses_of(MessageId{2});
  }
  bench.run();
  CHECK(bench.at_work("a") == 1);
  bench.finish("a", Finish::Success, SessionAfter::Gone);
  bench.offer("b", "b");
  bench.run();
  bench.finish("b", Finish::SiteFailed, SessionAfter::Gone);
  bench.scheduler.end_pause("b");  // nothing waits there
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

TEST_CASE("what waits of one message and queue can be taken back, and the rest goes on") {
  Bench bench;
  bench.offer("a", "a", 3);
  bench.offer("a", "b", 1);
  bench.run();  // the first one starts
  const std::vector<Job> taken = bench.scheduler.take_waiting(MessageId{2}, {"a", "", 0});
  REQUIRE(taken.size() == 1);
  CHECK(taken.front().message->id == MessageId{2});
  CHECK(bench.scheduler.take_waiting(MessageId{4}, {"a", "", 0}).empty());  // another queue's
  CHECK(bench.scheduler.take_waiting(MessageId{4}, {"b", "", 0}).size() == 1);
  CHECK(bench.scheduler.take_waiting(MessageId{1}, {"a", "", 0}).empty());  // at work
  bench.finish("a", Finish::Success);
  bench.run();
  CHECK(bench.started == std::vector<std::string>{"a", "a"});
  CHECK(bench.scheduler.standing("a", bench.now)->jobs == 0);
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
  CHECK(bench.scheduler.room("a", bench.now) == 16);
  bench.prove("a");
  CHECK(bench.scheduler.room("a", bench.now) >= 1000);
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
