// A new address may send more from day to day, if it does send and is not pushed back.
#include "mta/traffic/warm_up.h"

#include <catch2/catch.hpp>

namespace rockdove::traffic {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kDay = 24h;
// Noon, in the middle of a day.
const base::WallTime kStart = base::from_unix_milliseconds(20'000ULL * 86'400'000) + 12h;
const WarmUpPlan kPlan{{10, 20, 40}, 0.05, 0.25};

void answer(WarmUp& warm_up, int accepted, int pushed_back, base::WallTime now) {
  for (int i = 0; i < accepted; ++i) warm_up.answered(/*is_pushed_back=*/false, now);
  for (int i = 0; i < pushed_back; ++i) warm_up.answered(/*is_pushed_back=*/true, now);
}

TEST_CASE("a warm-up rises after each day on which half of its number was accepted") {
  WarmUp warm_up(kPlan, {});
  base::WallTime now = kStart;
  CHECK(warm_up.allowance(now) == 10);
  answer(warm_up, 4, 0, now);
  now += kDay;
  CHECK(warm_up.allowance(now) == 10);
  answer(warm_up, 5, 0, now);
  CHECK(warm_up.allowance(now) == 10);  // not before the day is over
  now += kDay;
  CHECK(warm_up.allowance(now) == 20);
  answer(warm_up, 20, 0, now);
  now += kDay;
  CHECK(warm_up.allowance(now) == 40);
  now += 5 * kDay;  // without mail
  CHECK(warm_up.allowance(now) == 40);
  answer(warm_up, 30, 0, now);
  now += kDay;
  CHECK(warm_up.allowance(now) == std::nullopt);
  CHECK_FALSE(warm_up.stopped_until(now));
}

TEST_CASE("the day of a warm-up ends at midnight, in UTC") {
  WarmUp warm_up(kPlan, {});
  answer(warm_up, 10, 0, kStart);
  CHECK(warm_up.allowance(kStart + 12h - 1ms) == 10);
  CHECK(warm_up.allowance(kStart + 12h) == 20);
  CHECK(warm_up.allowance(kStart) == 20);  // a clock that is put back takes nothing away
}

TEST_CASE("a warm-up does not rise while too much is pushed back, and stops for the day") {
  WarmUp warm_up(kPlan, {});
  base::WallTime now = kStart;
  answer(warm_up, 18, 1, now);
  answer(warm_up, 0, 1, now);  // 2 of 20
  CHECK_FALSE(warm_up.stopped_until(now));
  now += kDay;
  CHECK(warm_up.allowance(now) == 10);
  answer(warm_up, 9, 10, now);
  CHECK_FALSE(warm_up.stopped_until(now));  // too few to say so
  answer(warm_up, 0, 1, now);
  CHECK(warm_up.stopped_until(now) == kStart + kDay + 12h);
  CHECK(warm_up.stopped_until(kStart + kDay + 12h) == std::nullopt);
  CHECK(warm_up.allowance(kStart + kDay + 12h) == 10);
}

TEST_CASE("an address that was quiet for a month is cold again") {
  const WarmUpState warm{3, 20'000, 100, 0};
  WarmUp warm_up(kPlan, warm);
  CHECK(warm_up.allowance(kStart + 30 * kDay) == std::nullopt);
  CHECK(warm_up.allowance(kStart + 31 * kDay) == 10);
}

TEST_CASE("what a warm-up has reached is all in its state, and holds for another plan") {
  WarmUp before(kPlan, {});
  answer(before, 10, 0, kStart);
  answer(before, 6, 0, kStart + kDay);
  WarmUp after(kPlan, before.state(kStart + kDay));
  answer(after, 4, 0, kStart + kDay);
  CHECK(after.allowance(kStart + 2 * kDay) == 40);
  after.set({{5, 6, 7, 8}, 0.05, 0.25});
  CHECK(after.allowance(kStart + 2 * kDay) == 7);
}

}  // namespace
}  // namespace rockdove::traffic
