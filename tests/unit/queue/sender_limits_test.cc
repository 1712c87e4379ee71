// Goal: no window of a sender's rate ever holds more messages than it may, over loops whose clocks
// differ and over crashes; each name is one of its own; memory is bounded.
#include "queue/sender_limits.h"

#include <set>

#include <catch2/catch.hpp>

#include "mta/base/random.h"
#include "queue/learned.h"

namespace rockdove::queue {
namespace {

using Texts = std::vector<std::string_view>;

QueueSettings settings(const Texts& tenant_rates, std::string_view campaign_rates = "off",
                       const std::string& pattern = "*") {
  QueueSettings made;
  made.tenants = {{"free.example", 1, {}}, {pattern, 3, *traffic::parse_rates(tenant_rates)}};
  made.campaigns = {{"spring-*", 1, *traffic::parse_rates(campaign_rates)}};
  return made;
}

struct World {
  explicit World(const QueueSettings& of) { limits->use(of, now); }

  void pass(base::Duration time) {
    now.instant += time;
    now.wall += time;
  }

  // As a dispatcher does; a row that was not written yet is lost with a crash.
  void store() {
    for (SenderLimits::Keep& keep : limits->take_to_store()) {
      if (!keep.state) {
        rows.erase(keep.name);
        continue;
      }
      rows[keep.name] = encode_limiter(*keep.state);
      limits->stored(keep, true);
    }
  }

  void crash(const QueueSettings& of) {
    limits = std::make_unique<SenderLimits>();
    limits->use(of, now);
    for (const auto& [name, row] : rows) limits->restore(name, *decode_limiter(row));
  }

  std::unique_ptr<SenderLimits> limits = std::make_unique<SenderLimits>();
  base::Now now{base::Instant{} + 1000h, base::from_unix_milliseconds(1'800'000'000'000)};
  std::map<std::string, std::string> rows;
};

std::size_t fullest_window(const std::vector<base::Instant>& times, base::Duration per) {
  std::size_t most = 0;
  for (std::size_t first = 0, end = 0; first < times.size(); ++first) {
    while (end < times.size() && times[end] < times[first] + per) ++end;
    most = std::max(most, end - first);
  }
  return most;
}

TEST_CASE("no window of a sender's rates holds too many, whichever loop asks") {
  World world(settings({"3/s", "20/min", "200/h"}));
  base::Random random{4};
  std::vector<base::Instant> sent;
  for (int i = 0; i < 200'000; ++i) {
    world.pass(base::Duration(random.below(100)));
    base::Now mine = world.now;  // another loop's clock was read a moment ago
    mine.instant -= base::Duration(random.below(5));
    const bool goes = world.limits->take("shop.example", "", mine);
    if (goes) sent.push_back(mine.instant);
    world.store();
  }
  CHECK(fullest_window(sent, 1s) <= 3);
  CHECK(fullest_window(sent, 1min) <= 20);
  CHECK(fullest_window(sent, 1h) <= 200);
  CHECK(sent.size() > 500);  // of 550 in ten thousand seconds
}

TEST_CASE("what a sender was granted in a day holds over crashes") {
  const QueueSettings of = settings({"200/day"});
  World world(of);
  base::Random random{5};
  std::vector<base::Instant> sent;
  for (int i = 0; i < 60'000; ++i) {
    world.pass(5s);
    if (world.limits->take("shop.example", "", world.now)) sent.push_back(world.now.instant);
    if (random.below(50) == 0) world.crash(of);  // before what was granted is durable
    world.store();
  }
  CHECK(fullest_window(sent, 24h) <= 200);
  CHECK(sent.size() >= 400);  // of three and a half days
}

TEST_CASE("a stop gives back what is left of a slice, and nothing goes after it") {
  const QueueSettings of = settings({"1000/day"});
  World world(of);
  for (int run = 0; run < 100; ++run) {
    REQUIRE(world.limits->wait("a", "", world.now));  // its slice is not durable
    world.store();
    REQUIRE(world.limits->take("a", "", world.now));
    for (SenderLimits::Keep& last : world.limits->stop(world.now))
      world.rows[last.name] = encode_limiter(*last.state);
    CHECK_FALSE(world.limits->take("a", "", world.now));
    world.crash(of);
  }
  int left = 0;
  for (int i = 0; i < 2000; ++i) {
    world.store();
    left += world.limits->take("a", "", world.now) ? 1 : 0;
  }
  CHECK(left == 900);
}

TEST_CASE("each name that a pattern matches is one of its own, and the first match counts") {
  World world(settings({"1/min"}, "2/min"));
  const auto sends = [&](const std::string& tenant, const std::string& campaign) {
    return world.limits->take(tenant, campaign, world.now);
  };
  static_cast<void>(sends("a", "spring-1"));
  static_cast<void>(sends("b", "spring-1"));
  static_cast<void>(sends("free.example", "spring-1"));
  world.pass(10min);
  CHECK(sends("a", ""));
  CHECK_FALSE(sends("a", ""));
  CHECK(sends("b", ""));
  CHECK(sends("", ""));
  CHECK(sends("", ""));
  for (int i = 0; i < 3; ++i) CHECK(sends("free.example", ""));
  CHECK(sends("free.example", "spring-1"));
  CHECK_FALSE(sends("free.example", "spring-1"));
  CHECK(sends("free.example", "autumn"));
  world.pass(10min);
  CHECK(sends("a", "spring-1"));  // of both at once
  world.pass(31s);
  CHECK_FALSE(sends("a", "autumn"));
  CHECK_FALSE(sends("a", "spring-1"));  // and the campaign is not charged for it
  CHECK(sends("b", "spring-1"));
}

TEST_CASE("a campaign is one in any case") {
  World world(settings({"off"}, "1/min"));
  static_cast<void>(world.limits->take("a", "Spring-1", world.now));
  world.pass(10min);
  CHECK(world.limits->take("a", "spring-1", world.now));
  CHECK_FALSE(world.limits->take("a", "SPRING-1", world.now));
  CHECK(world.limits->held("a", "Spring-1", world.now).has_value());
}

TEST_CASE("what keeps a sender back is told with its name and rates") {
  World world(settings({"1/min", "100/day"}, "5/h"));
  CHECK_FALSE(world.limits->held("free.example", "", world.now));
  const auto tenant = world.limits->held("shop.example", "", world.now);
  REQUIRE(tenant);
  CHECK(tenant->what == "tenant shop.example (1/min, 100/day)");
  CHECK(tenant->until > world.now.instant + 59s);
  world.store();
  for (int i = 0; i < 6; ++i) {
    static_cast<void>(world.limits->take("free.example", "spring-1", world.now));
    world.store();
  }
  const auto campaign = world.limits->held("free.example", "spring-1", world.now);
  REQUIRE(campaign);
  CHECK(campaign->what == "campaign spring-1 (5/h)");
}

TEST_CASE("mail of a campaign comes back one after the other at its rate") {
  World world(settings({"off"}, "60/min"));
  static_cast<void>(world.limits->take("free.example", "spring-1", world.now));
  base::Instant before = world.now.instant;
  for (int i = 0; i < 100; ++i) {
    const base::Instant at = world.limits->come_back_at("free.example", "spring-1", world.now);
    CHECK(at > before);
    CHECK(at <= before + 1100ms);
    before = at;
  }
  CHECK(before <= world.now.instant + 104s);
  CHECK(before >= world.now.instant + 100s);
  std::set<base::Instant> times;
  for (int i = 0; i < 10'000; ++i)
    times.insert(world.limits->come_back_at("free.example", "spring-1", world.now));
  CHECK(*times.rbegin() <= world.now.instant + 10min);
  CHECK(*times.rbegin() >= world.now.instant + 9min);
  CHECK(times.size() >= 1100);  // not all in the same moment
}

TEST_CASE("new limits count what was sent, and limits that are gone are forgotten") {
  World world(settings({"10/h"}));
  int sent = 0;
  for (int i = 0; i < 20; ++i) {
    sent += world.limits->take("a", "", world.now) ? 1 : 0;
    world.store();
  }
  CHECK(sent == 10);
  CHECK(world.rows.size() == 1);
  world.limits->use(settings({"15/h"}), world.now);
  for (int i = 0; i < 20; ++i) {
    sent += world.limits->take("a", "", world.now) ? 1 : 0;
    world.store();
  }
  CHECK(sent == 15);
  world.limits->use(QueueSettings{}, world.now);
  world.store();
  CHECK(world.rows.empty());
  CHECK(world.limits->take("a", "", world.now));
  CHECK_FALSE(world.limits->is_limited());
}

TEST_CASE("however many names there are, those beyond the bound share one limiter") {
  World world(settings({"5/min burst 5"}, "off"));
  const auto all_send = [&](std::size_t first, std::size_t count) {
    std::size_t sent = 0;
    for (std::size_t i = first; i < first + count; ++i)
      sent += world.limits->take("t" + std::to_string(i), "", world.now) ? 1U : 0U;
    return sent;
  };
  CHECK(all_send(0, SenderLimits::kNamesMax) == 0);  // each begins with a full interval
  world.pass(59s);
  CHECK(all_send(0, SenderLimits::kNamesMax) == SenderLimits::kNamesMax);
  CHECK(all_send(SenderLimits::kNamesMax, 1000) == 0);
  world.pass(59s);
  CHECK(all_send(SenderLimits::kNamesMax, 1000) <= 5);
  world.pass(10min);  // all windows are over, and their names are forgotten
  CHECK(all_send(SenderLimits::kNamesMax, 1000) <= 5);
  world.pass(2min);
  CHECK(all_send(SenderLimits::kNamesMax, 1000) == 1000);
}

TEST_CASE("who has shared a limiter does not begin anew with one of his own") {
  World world(settings({"5/h"}, "off"));
  const auto sends = [&](const std::string& tenant) {
    const bool goes = world.limits->take(tenant, "", world.now);
    world.store();
    return goes || world.limits->take(tenant, "", world.now);  // its slice was not durable yet
  };
  for (std::size_t i = 0; i < SenderLimits::kNamesMax; ++i) sends("t" + std::to_string(i));
  world.pass(40min);
  for (int i = 0; i < 5; ++i) REQUIRE(sends("late"));
  CHECK_FALSE(sends("late"));
  world.pass(21min);  // the others' windows are over, that of the shared one is not
  CHECK_FALSE(sends("late"));
  world.pass(45min);
  CHECK(sends("late"));
}

TEST_CASE("a tenant whose mail goes on is not forgotten for the names of its campaigns") {
  World world(settings({"1/s"}, "1/s"));
  for (std::size_t i = 0; i < 2 * SenderLimits::kNamesMax; ++i) {
    world.pass(10ms);
    static_cast<void>(world.limits->wait("shop", "spring-" + std::to_string(i), world.now));
  }
  world.pass(10s);
  CHECK(world.limits->take("shop", "", world.now));
  CHECK_FALSE(world.limits->take("shop", "", world.now));
}

}  // namespace
}  // namespace rockdove::queue
