// Goal: a sender at its limit stands in nobody's way, what it may send it does send, and no more.
#include <catch2/catch.hpp>

#include "queue/scheduler.h"
#include "queue/sender_limits.h"
#include "tests/unit/queue/scheduler_world.h"

namespace rockdove::queue {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)

struct World {
  World(std::string_view tenant_rates, std::string_view campaign_rates) {
    bench.settings.tenants = {{"limited*", 1, *traffic::parse_rates(tenant_rates)}};
    bench.settings.campaigns = {{"spring", 1, *traffic::parse_rates(campaign_rates)}};
    limits.use(bench.settings, bench.now);
    bench.scheduler.use_senders(limits);
  }

  // A limit begins with a full interval when it is first asked about.
  void let_begin(const std::string& tenant) {
    REQUIRE_FALSE(limits.take(tenant, "", bench.now));
    bench.pass(1min);
  }

  void offer(const SitePointer& site, const std::string& tenant, int count,
             const std::string& campaign = "") {
    for (int i = 0; i < count; ++i) {
      auto message = std::make_shared<Message>();
      message->id = MessageId{++messages};
      message->campaign = campaign;
      Delivery delivery;
      delivery.number = 1;
      bench.scheduler.offer({message, {delivery}, {site->name, tenant, 0}}, site, bench.now);
    }
  }

  // Each session sends at once what it is given, if its sender may, and is idle again.
  void send(SessionId id, const SitePointer& site, Job job) {
    if (!limits.take(job.queue.tenant, job.message->campaign, bench.now)) {
      ++handed_back;
      bench.scheduler.came_ready(id, SessionAfter::Idle, Scheduler::Grant::Unused, bench.now);
      return bench.scheduler.give_back(std::move(job), site, bench.now);
    }
    ++sent[site->name + "/" + job.queue.tenant + "/" + job.message->campaign];
    bench.scheduler.finished(id, Finish::Success, SessionAfter::Idle, "", bench.now);
  }

  void run() {
    while (std::optional<Command> command = bench.scheduler.next(Recording::Possible, bench.now)) {
      if (auto* open = std::get_if<Scheduler::Open>(&*command)) {
        send(open->session, open->site, std::move(open->job));
      } else if (auto* start = std::get_if<Scheduler::Start>(&*command)) {
        send(start->session, start->site, std::move(start->job));
      }
    }
    for (Scheduler::OverLimit& one : bench.scheduler.take_over_limit())
      over.push_back(std::move(one));
    for (const SenderLimits::Keep& keep : limits.take_to_store()) {
      if (keep.state) limits.stored(keep, true);
    }
  }

  void run_for(base::Duration time) {
    const base::Instant end = bench.now.instant + time;
    for (int steps = 0; steps < 100'000; ++steps) {
      run();
      const base::Instant next =
          std::max<base::Instant>(bench.scheduler.wake_at(), bench.now.instant + base::Duration(1));
      if (next > end) break;
      bench.pass(std::chrono::ceil<base::Duration>(next - bench.now.instant));
    }
    bench.pass(std::chrono::ceil<base::Duration>(end - bench.now.instant));
  }

  Bench bench;
  SenderLimits limits;
  std::map<std::string, int> sent;  // "SITE/TENANT/CAMPAIGN"
  std::vector<Scheduler::OverLimit> over;
  int handed_back = 0;
  std::uint64_t messages = 0;
};

TEST_CASE("other tenants of the same account go on while one is at its limit") {
  World world("6/min", "off");
  const SitePointer site = world.bench.site("a");
  world.offer(site, "limited", 100);
  world.offer(site, "other", 100);
  world.run_for(1s);
  CHECK(world.sent["a/other/"] == 100);
  CHECK(world.sent["a/limited/"] == 0);  // it begins with a full interval
  world.run_for(10min);
  CHECK(world.sent["a/limited/"] >= 58);
  CHECK(world.sent["a/limited/"] <= 60);
  CHECK(world.handed_back <= 1);
}

TEST_CASE("what a tenant may send is not lost to a site that cannot send") {
  World world("60/min", "off");
  const SitePointer paused = world.bench.site("paused");
  const SitePointer open = world.bench.site("open");
  world.offer(paused, "limited", 1000);
  world.offer(open, "limited", 1000);
  world.bench.scheduler.pause_account("paused", world.bench.now.instant + 1h, "a rule",
                                      world.bench.now);
  world.run_for(10min);
  CHECK(world.sent["paused/limited/"] == 0);
  CHECK(world.sent["open/limited/"] >= 580);
  CHECK(world.sent["open/limited/"] <= 600);
}

TEST_CASE("a tenant's limit is of all its sites and accounts together, and both get some") {
  World world("60/min", "off");
  const SitePointer one = world.bench.site("one");
  const SitePointer two = world.bench.site("two");
  world.offer(one, "limited", 1000);
  world.offer(two, "limited", 1000);
  world.run_for(10min);
  const int sum = world.sent["one/limited/"] + world.sent["two/limited/"];
  CHECK(sum <= 600);
  CHECK(sum >= 580);
  CHECK(std::min(world.sent["one/limited/"], world.sent["two/limited/"]) >= 100);
}

TEST_CASE("who must wait for long does so on disk") {
  World world("20/h", "off");
  const SitePointer site = world.bench.site("a");
  world.offer(site, "limited", 50);
  world.offer(site, "other", 50);
  world.run_for(1min);
  CHECK(world.sent["a/limited/"] == 20);
  CHECK(world.sent["a/other/"] == 50);
  REQUIRE(world.over.size() == 30);
  for (const Scheduler::OverLimit& one : world.over) {
    CHECK(one.of == SenderLimits::Of::Tenant);
    CHECK(one.until >= world.bench.now.instant + 8min);
    CHECK(one.until <= world.bench.now.instant + 10min);  // a reload may allow more
  }
}

TEST_CASE("what comes while its tenant is at a limit for hours does not stay in memory") {
  World world("20/day", "off");
  const SitePointer site = world.bench.site("a");
  world.offer(site, "limited", 50);
  world.run_for(1s);
  for (int round = 0; round < 5; ++round) {
    world.over.clear();
    world.offer(site, "limited", 30);
    world.offer(site, "other", 1);
    world.run_for(10min);
    CHECK(world.over.size() == 30);
  }
  CHECK(world.sent["a/limited/"] == 20);
  CHECK(world.sent["a/other/"] == 5);
}

TEST_CASE("a campaign with a high rate leaves the rest of its tenant's mail alone, too") {
  World world("off", "20/s");
  const SitePointer site = world.bench.site("a");
  world.offer(site, "shop", 2000, "spring");
  world.offer(site, "shop", 100, "autumn");
  world.run_for(1s);
  CHECK(world.sent["a/shop/autumn"] == 100);
  CHECK(static_cast<std::size_t>(world.sent["a/shop/spring"]) + world.over.size() == 2000);
}

TEST_CASE("of all sites that wait for a tenant's grant few are connected to") {
  World world("10/s", "off");
  for (int i = 0; i < 500; ++i)
    world.offer(world.bench.site("site" + std::to_string(i)), "limited", 1);
  world.let_begin("limited");
  int opened = 0;
  const auto look = [&] {
    while (std::optional<Command> command =
               world.bench.scheduler.next(Recording::Possible, world.bench.now))
      opened += std::holds_alternative<Scheduler::Open>(*command) ? 1 : 0;
  };
  look();
  CHECK(opened == 50);
  for (int i = 0; i < 100; ++i) {
    world.bench.pass(10ms);
    look();
  }
  CHECK(opened >= 65);
  CHECK(opened <= 72);
}

// An account that may have one connection, which X has; A and then B want the next one.
struct OneConnection : World {
  OneConnection() : World("6/min", "off") {
    auto spec = std::make_shared<AccountSpec>();
    spec->name = "one";
    spec->connections_max = 1;
    for (const char* name : {"x", "a", "b"}) {
      auto site = std::make_shared<SiteSpec>();
      site->name = name;
      site->account = spec;
      site->connections_max = 10;
      sites[name] = std::move(site);
    }
    let_begin("limited");
    offer(sites["x"], "other", 1);
    const std::vector<Command> begun = bench.run();
    REQUIRE(begun.size() == 1);
    offer(sites["a"], "limited", 2);
    offer(sites["b"], "other", 1);
    REQUIRE(bench.run().empty());
  }

  // Whose connection is begun when X's has ended.
  std::string next_opened() {
    bench.finish("x", Finish::Success, SessionAfter::Gone);
    const std::vector<Command> begun = bench.run();
    return begun.empty() ? "" : std::get<Scheduler::Open>(begun.front()).site->name;
  }

  std::map<std::string, SitePointer> sites;
};

TEST_CASE("the next connection is the first one's that wants it") {
  OneConnection world;
  CHECK(world.next_opened() == "a");
}

TEST_CASE("the next connection is not kept for who is at a limit meanwhile") {
  OneConnection world;
  REQUIRE(world.limits.take("limited", "", world.bench.now));
  CHECK(world.next_opened() == "b");
}

TEST_CASE("the next connection is not kept for who has nothing left") {
  OneConnection world;
  const auto is_a = [](const SitePointer& site, const QueueName&) { return site->name == "a"; };
  REQUIRE(world.bench.scheduler.take_waiting(is_a, [](const Job&) { return true; }).size() == 2);
  CHECK(world.next_opened() == "b");
}

TEST_CASE("a campaign at its limit leaves the rest of its tenant's mail alone") {
  World world("off", "6/min");
  const SitePointer site = world.bench.site("a");
  world.offer(site, "shop", 100, "spring");
  world.offer(site, "shop", 100, "autumn");
  world.run_for(1s);
  CHECK(world.sent["a/shop/autumn"] == 100);
  CHECK(world.over.size() == 100);
  CHECK(std::all_of(world.over.begin(), world.over.end(),
                    [](const auto& one) { return one.of == SenderLimits::Of::Campaign; }));
}

TEST_CASE("whoever is passed over is looked at again when the limits have changed") {
  World world("3/min", "off");
  const SitePointer site = world.bench.site("a");
  world.offer(site, "limited", 10);
  world.run_for(2s);
  CHECK(world.sent.empty());
  world.limits.use(QueueSettings{}, world.bench.now);
  world.bench.scheduler.sender_limits_changed();
  world.run();
  CHECK(world.sent["a/limited/"] == 10);
}

}  // namespace
}  // namespace rockdove::queue
