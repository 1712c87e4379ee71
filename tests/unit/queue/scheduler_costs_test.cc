// Goal: limits of recipients and octets hold for an account and its sites whatever the jobs cost,
// are used, survive a crash, and people hear which one is used up. The sums of windows are counted
// in the plainest way.
#include <catch2/catch.hpp>

#include "mta/traffic/knobs.h"
#include "queue/scheduler.h"
#include "tests/unit/queue/scheduler_loops.h"

namespace rockdove::queue {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)

struct Mail {
  std::uint32_t recipients = 1;
  std::uint64_t octets = 2'000;
  int priority = 0;
};

void offer(World& world, const SitePointer& site, const Mail& mail, int count = 1) {
  for (int i = 0; i < count; ++i) {
    auto message = std::make_shared<Message>();
    message->id = MessageId{++world.bench.messages};
    message->body_octets = mail.octets;
    Job job{message, {}, {site->name, "", stored_priority(mail.priority)}};
    for (std::uint32_t number = 1; number <= mail.recipients; ++number) {
      Delivery delivery;
      delivery.number = number;
      job.deliveries.push_back(delivery);
    }
    world.scheduler().offer(std::move(job), site, world.bench.now);
  }
}

std::shared_ptr<AccountSpec> account(std::string_view recipients, std::string_view bytes = "") {
  auto spec = std::make_shared<AccountSpec>();
  spec->name = "route:m365";
  spec->recipient_rates = *traffic::parse_rates(recipients);
  if (!bytes.empty()) spec->octet_rates = {traffic::parse_octet_rate(bytes)->in_units()};
  return spec;
}

enum class Of : std::uint8_t { Recipients, Octets };

// The most of it in any half-open window of this time; what is over `alone` does not count if it is
// alone there.
std::uint64_t fullest(const std::vector<World::Sent>& sent, base::Duration per, Of of,
                      std::uint64_t alone = UINT64_MAX) {
  std::uint64_t most = 0;
  for (std::size_t first = 0; first < sent.size(); ++first) {
    std::uint64_t sum = 0;
    std::size_t end = first;
    for (; end < sent.size() && sent[end].at < sent[first].at + per; ++end)
      sum += of == Of::Recipients ? sent[end].recipients : sent[end].octets;
    if (end > first + 1 || sum <= alone) most = std::max(most, sum);
  }
  return most;
}

std::uint64_t all_recipients(const World& world) {
  std::uint64_t sum = 0;
  for (const World::Sent& sent : world.sent) sum += sent.recipients;
  return sum;
}

TEST_CASE("no window holds more recipients than it may, however late starts are") {
  for (const base::Duration lateness : {0ms, 3ms, 120ms}) {
    INFO("late by " << lateness.count() << " ms");
    World world;
    world.late_most = lateness;
    const auto of = account("30/min");
    for (int i = 0; i < 3; ++i) {
      const SitePointer site = world.site("s" + std::to_string(i), of);
      for (const std::uint32_t recipients : {1U, 7U, 30U, 3U, 12U})
        offer(world, site, {recipients}, 20);
    }
    world.run_for(60min);
    CHECK(fullest(world.sent, 1min, Of::Recipients) <= 30);
    if (lateness <= 3ms) {  // 60 windows; jobs that fill none to the end leave some of each
      CHECK(all_recipients(world) >= 1'200);
    }
  }
}

TEST_CASE("octets are limited, and a message above the limit goes alone") {
  World world;
  const SitePointer site = world.site("s", account("off", "1M/min"));
  offer(world, site, {1, 40'000}, 100);
  offer(world, site, {1, 5'000'000, 1});
  world.run_for(20min);
  CHECK(world.sent.size() == 101);
  CHECK(fullest(world.sent, 1min, Of::Octets, 1'000'000) <= 1'000'000);
  // 4 MB at 1 MB a minute, and the large one's own: no more than is needed waits.
  CHECK(world.sent.back().at - world.sent.front().at < 7min);
}

TEST_CASE("limits of recipients of an account and of one of its sites hold together") {
  World world;
  const auto of = account("100/min");
  const auto slow = world.site("domain:slow", of);
  slow->recipient_rates = *traffic::parse_rates("20/min");
  const SitePointer fast = world.site("mx:fast", of);
  offer(world, slow, {5}, 300);
  offer(world, fast, {5}, 3'000);
  world.run_for(20min);
  std::vector<World::Sent> of_slow;
  std::copy_if(world.sent.begin(), world.sent.end(), std::back_inserter(of_slow),
               [](const World::Sent& sent) { return sent.site == "domain:slow"; });
  CHECK(fullest(world.sent, 1min, Of::Recipients) <= 100);
  CHECK(fullest(of_slow, 1min, Of::Recipients) <= 20);
  CHECK(of_slow.size() >= 50);  // of 80, but for the turns of the other

  CHECK(all_recipients(world) >= 1'700);
}

TEST_CASE("a small urgent message need not wait until a large one fits in") {
  World world;
  const SitePointer site = world.site("s", account("100/h"));
  offer(world, site, {60});
  offer(world, site, {60});
  world.run_for(1min);
  REQUIRE(world.sent.size() == 1);  // the second has no room
  offer(world, site, {10, 2'000, 5});
  world.run_for(2s);
  CHECK(all_recipients(world) == 70);
  world.run_for(70min);
  CHECK(all_recipients(world) == 130);
}

TEST_CASE("what fits goes on when the large one before it is taken out") {
  World world;
  const SitePointer site = world.site("s", account("100/h"));
  offer(world, site, {60});
  offer(world, site, {60});
  offer(world, site, {10});
  world.run_for(1min);
  REQUIRE(all_recipients(world) == 60);
  const auto is_large = [](const Job& job) { return job.deliveries.size() == 60; };
  SECTION("from its queue") {
    REQUIRE(world.scheduler().take_waiting(*site, {site->name, "", 0}, is_large).size() == 1);
  }
  SECTION("from wherever it is") {
    const auto anywhere = [](const SitePointer&, const QueueName&) { return true; };
    REQUIRE(world.scheduler().take_waiting(anywhere, is_large).size() == 1);
  }
  world.run_for(2s);
  CHECK(all_recipients(world) == 70);
}

TEST_CASE("a budget of recipients holds over crashes, and people hear that it is used up") {
  std::map<std::pair<LimitKind, std::string>, traffic::LimiterState> notes;
  std::vector<World::Sent> sent;
  base::Duration passed{0};
  for (int run = 0; run < 8; ++run) {
    World world;
    world.bench.now.instant += passed;
    world.bench.now.wall += passed;
    for (const auto& [of, state] : notes) world.scheduler().restore(of.first, of.second, state);
    world.notes = notes;
    const SitePointer site = world.site("s", account("1000/day"));
    for (int i = 0; i < 40; ++i) offer(world, site, {1U + static_cast<std::uint32_t>(i) % 9U}, 4);
    world.run_for(30min);
    passed += 30min;
    sent.insert(sent.end(), world.sent.begin(), world.sent.end());
    notes = world.notes;
    if (run < 7) continue;
    const auto place =
        world.scheduler().find({MessageId{world.bench.messages}, 1}, {"s", "", 0}, world.bench.now);
    REQUIRE(place);
    CHECK(place->gate == Scheduler::Gate::Rate);
    CHECK(place->standing.rates == "recipients 1000/day");
    CHECK(place->standing.used_up == "1000 recipients a day");
    CHECK(place->standing.used_up_until == place->standing.next_grant);
    CHECK(place->standing.used_up_until > world.bench.now.instant + 20h);
  }
  CHECK(fullest(sent, 24h, Of::Recipients) <= 1'000);
  std::uint64_t all = 0;
  for (const World::Sent& one : sent) all += one.recipients;
  CHECK(all >= 900);  // a crash costs a slice of 1 % at most
}

TEST_CASE("the outlook counts recipients and octets") {
  World world;
  const SitePointer site = world.site("s", account("60/min", "600K/min"));
  offer(world, site, {1, 10'000}, 300);
  world.run_for(2min);
  const auto soon = world.scheduler().outlook(*site, {100, 100, 0}, world.bench.now);
  const auto late =
      world.scheduler().outlook(*site, {100, 100, 0, 6'000'000, 6'000'000}, world.bench.now);
  REQUIRE(soon.unknown == Scheduler::Outlook::Unknown::Nothing);
  CHECK(soon.at - world.bench.now.instant > 95s);
  CHECK(soon.at - world.bench.now.instant < 115s);
  CHECK(late.at - world.bench.now.instant > 9min);
  CHECK(late.at - world.bench.now.instant < 12min);
}

TEST_CASE("a budget of a day that is used up is told of, even spacing is not") {
  World world;
  const auto of = account("100/day");
  of->rates = *traffic::parse_rates("30/min");
  const SitePointer site = world.site("s", of);
  offer(world, site, {10}, 5);
  world.run_for(5s);
  CHECK(world.sent.size() >= 1);  // the others wait for the rate
  CHECK(world.scheduler().take_used_up().empty());
  offer(world, site, {10}, 10);
  world.run_for(1min);
  CHECK(all_recipients(world) == 100);
  const std::vector<Scheduler::UsedUp> used_up = world.scheduler().take_used_up();
  REQUIRE(used_up.size() == 1);
  CHECK(used_up[0].site == site);
  CHECK(used_up[0].budget == "100 recipients a day");
  CHECK(used_up[0].until > world.bench.now.instant + 23h);
  const auto outlook = world.scheduler().outlook(*site, {5, 5, 0}, world.bench.now);
  CHECK(outlook.used_up == "100 recipients a day");
  CHECK(outlook.used_up_until > world.bench.now.instant + 23h);
}

}  // namespace
}  // namespace rockdove::queue
