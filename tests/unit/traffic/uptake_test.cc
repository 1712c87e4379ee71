// Goal: the mean is what a provider took while mail waited, whatever lies between.
#include "mta/traffic/uptake.h"

#include <catch2/catch.hpp>
#include <limits>

namespace rockdove::traffic {
namespace {

using namespace std::chrono_literals;
using base::Instant;
using base::Now;

const Instant kStart = Instant{} + 1000h;
const base::WallTime kWall = base::from_unix_milliseconds(1'800'000'000'000);

// `count` messages at this distance, others behind each of them; the time after them.
Instant send(Uptake& uptake, int count, std::chrono::nanoseconds apart, Instant from) {
  for (int i = 0; i < count; ++i) {
    from += apart;
    uptake.answered(/*was_accepted=*/true, /*others_wait=*/true, from);
  }
  return from;
}

TEST_CASE("what was taken while mail waited is the mean, push-backs and waits included") {
  Uptake uptake;
  Instant now = send(uptake, 601, 100ms, kStart);
  REQUIRE(uptake.mean());
  CHECK(*uptake.mean() == Approx(10).epsilon(0.01));
  // A pause of a minute, in which it all waits, and a push-back at its end.
  now += 60s;
  uptake.answered(/*was_accepted=*/false, /*others_wait=*/true, now);
  CHECK(*uptake.mean() == Approx(5).epsilon(0.01));
}

TEST_CASE("time in which nothing waited behind what was being sent does not count") {
  Uptake uptake;
  Instant now = send(uptake, 601, 100ms, kStart);
  uptake.answered(true, /*others_wait=*/false, now);
  // A message now and then.
  for (int i = 0; i < 50; ++i) {
    now += 20s;
    uptake.answered(true, /*others_wait=*/false, now);
  }
  CHECK(*uptake.mean() == Approx(10).epsilon(0.02));
  // What waited was taken away, and more came later.
  now = send(uptake, 10, 100ms, now);
  now += 40min;
  uptake.began();
  send(uptake, 10, 100ms, now);
  CHECK(*uptake.mean() == Approx(10).epsilon(0.02));
}

TEST_CASE("a few messages say nothing") {
  Uptake uptake;
  send(uptake, 150, 100ms, kStart);
  CHECK_FALSE(uptake.mean());
}

TEST_CASE("what a provider took yesterday counts less than what it takes now") {
  Uptake uptake;
  Instant now = send(uptake, 5000, 100ms, kStart);
  now += 48h;
  uptake.began();
  send(uptake, 5000, 1s, now);
  CHECK(*uptake.mean() < 1.3);
  CHECK(*uptake.mean() > 1.0);
}

TEST_CASE("the mean outlives a restart, and is forgotten in the end") {
  Uptake uptake;
  const Instant now = send(uptake, 601, 100ms, kStart);
  const UptakeState state = uptake.state({now, kWall});
  CHECK(*Uptake(state, {kStart, kWall + 1h}).mean() == Approx(10).epsilon(0.01));
  CHECK_FALSE(Uptake(state, {kStart, kWall + 48h}).mean());
  // A clock that was set back, and numbers that cannot be.
  CHECK(*Uptake(state, {kStart, kWall - 100h}).mean() == Approx(10).epsilon(0.01));
  CHECK_FALSE(Uptake({std::numeric_limits<double>::quiet_NaN(), 1s, kWall}, {now, kWall}).mean());
  CHECK_FALSE(Uptake({-5, 1s, kWall}, {now, kWall}).mean());
  CHECK_FALSE(Uptake({1000, 0s, kWall}, {now, kWall}).mean());
}

}  // namespace
}  // namespace rockdove::traffic
