#include "queue/retry.h"

#include <set>

#include <catch2/catch.hpp>

#include "queue/history_keeper.h"

namespace rockdove::queue {
namespace {

using base::Duration;

base::Now at(Duration run, Duration wall) {
  return {base::Instant{} + 1000h + run, base::from_unix_milliseconds(1'800'000'000'000) + wall};
}

TEST_CASE("the waits follow the schedule, the last one repeats, an eighth at most comes on top") {
  const QueueSettings settings;
  base::Random random(1);
  const std::vector<Duration> expected = {5min, 15min, 30min, 1h, 2h, 4h, 4h, 4h};
  std::set<Duration> first_waits;
  for (int round = 0; round < 1000; ++round) {
    for (std::uint32_t attempts = 1; attempts <= expected.size(); ++attempts) {
      const Duration wait = retry_wait(settings, attempts, random);
      const Duration entry = expected[attempts - 1];
      REQUIRE(wait >= entry);
      REQUIRE(wait <= entry + entry / 8);
      if (attempts == 1) first_waits.insert(wait);
    }
  }
  CHECK(first_waits.size() > 900);
  CHECK(retry_wait(settings, 4'000'000'000U, random) >= 4h);
  CHECK(retry_wait(settings, 0, random) < 6min);
}

TEST_CASE("a schedule of one wait, however short, is one") {
  QueueSettings settings;
  settings.retry = {1ms};
  base::Random random(1);
  CHECK(retry_wait(settings, 1, random) == 1ms);
  CHECK(retry_wait(settings, 9, random) == 1ms);
}

TEST_CASE("a message is over age at its lifetime and not before") {
  const QueueSettings settings;
  const WallTime accepted = at({}, {}).wall;
  CHECK_FALSE(is_over_age(settings, accepted, accepted + 120h - 1ms));
  CHECK(is_over_age(settings, accepted, accepted + 120h));
  CHECK_FALSE(is_over_age(settings, accepted, accepted - 1000h));
}

TEST_CASE("nobody is bounced for age in the first ten minutes of a run") {
  const ClockWatch watch(at({}, {}));
  CHECK_FALSE(watch.may_expire(at({}, {})));
  CHECK_FALSE(watch.may_expire(at(10min - 1ms, 10min)));
  CHECK(watch.may_expire(at(10min, 10min)));
}

TEST_CASE("clocks that walk together are no jump, nor are small steps") {
  ClockWatch watch(at({}, {}));
  for (int hour = 1; hour < 100; ++hour) {
    REQUIRE(watch.observe(at(hour * 1h, hour * 1h + 9min)) == Duration::zero());
    REQUIRE(watch.may_expire(at(hour * 1h, hour * 1h)));
  }
}

TEST_CASE("a clock set forward or back is noticed once, and ages wait ten minutes more") {
  for (const Duration jump : {Duration(24h), Duration(-24h), Duration(10min), Duration(-10min)}) {
    ClockWatch watch(at({}, {}));
    REQUIRE(watch.observe(at(1h, 1h)) == Duration::zero());
    CHECK(watch.observe(at(2h, 2h + jump)) == jump);
    CHECK_FALSE(watch.may_expire(at(2h + 9min, 2h + 9min + jump)));
    CHECK(watch.may_expire(at(2h + 10min, 2h + 10min + jump)));
    CHECK(watch.observe(at(3h, 3h + jump)) == Duration::zero());
  }
}

TEST_CASE("behind a jump that nobody has noticed yet no age is believed") {
  const ClockWatch watch(at({}, {}));
  CHECK(watch.may_expire(at(1h, 1h)));
  CHECK_FALSE(watch.may_expire(at(1h, 25h)));
  CHECK_FALSE(watch.may_expire(at(1h, -24h)));
}

TEST_CASE("several small steps that add up to a jump are one") {
  ClockWatch watch(at({}, {}));
  CHECK(watch.observe(at(1h, 1h + 6min)) == Duration::zero());
  CHECK(watch.observe(at(2h, 2h + 12min)) == 12min);
}

TEST_CASE("no history is too old in the first ten minutes of a run, nor behind a clock's jump") {
  ClockWatch watch(at({}, {}));
  HistorySettings settings;
  settings.keep = 48h;
  settings.size_max = 7;
  CHECK(limits_of(settings, watch, at(1min, 1min)).oldest == WallTime{});
  CHECK(limits_of(settings, watch, at(1min, 1min)).octets_max == 7);
  CHECK(limits_of(settings, watch, at(1h, 1h)).oldest == at({}, 1h - 48h).wall);
  CHECK(limits_of(settings, watch, at(2h, 90'000h)).oldest == WallTime{});
  CHECK(limits_of(settings, watch, at(3h, 3h)).oldest == WallTime{});
  CHECK(limits_of(settings, watch, at(4h, 4h)).oldest == at({}, 4h - 48h).wall);
}

}  // namespace
}  // namespace rockdove::queue
