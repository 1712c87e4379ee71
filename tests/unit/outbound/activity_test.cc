#include "mta/outbound/activity.h"

#include <catch2/catch.hpp>

namespace {

using namespace rockdove;
using namespace std::chrono_literals;
using outbound::Activity;

const base::Instant kStart{1h};

}  // namespace

TEST_CASE("activity: the last minute is summed, and what is older is forgotten") {
  Activity activity;
  activity.attempted("a.example", {1, 0, 0, 2s}, kStart);
  activity.attempted("a.example", {0, 2, 0, 1s}, kStart + 30s);
  activity.attempted("b.example", {0, 0, 1, 5s}, kStart + 50s);
  activity.deferred(queue::Reason::Greylisted, kStart + 30s);
  activity.deferred(queue::Reason::Greylisted, kStart + 31s);
  Activity::Seen seen = activity.last_minute(kStart + 59s);
  REQUIRE(seen.destinations.size() == 2);
  CHECK(seen.destinations["a.example"].delivered == 1);
  CHECK(seen.destinations["a.example"].deferred == 2);
  CHECK(seen.destinations["a.example"].slowest == 2s);
  CHECK(seen.destinations["b.example"].total() == 1);
  CHECK(seen.deferrals[static_cast<std::size_t>(queue::Reason::Greylisted)] == 2);
  seen = activity.last_minute(kStart + 75s);
  CHECK(seen.destinations["a.example"].delivered == 0);
  CHECK(seen.destinations["a.example"].deferred == 2);
  CHECK(activity.last_minute(kStart + 10min).destinations.empty());
  activity.attempted("c.example", {1, 0, 0, 0s}, kStart + 10min);
  CHECK(activity.last_minute(kStart + 10min).destinations.size() == 1);
}

TEST_CASE("activity: among any number of destinations the busy ones stay") {
  Activity activity;
  for (int i = 0; i < 100'000; ++i) {
    activity.attempted(std::to_string(i) + ".example", {0, 1, 0, 0s}, kStart);
    if (i % 20 == 0) activity.attempted("busy.example", {1, 0, 0, 0s}, kStart);
  }
  const Activity::Seen seen = activity.last_minute(kStart);
  CHECK(seen.destinations.size() == Activity::kDestinationsMax);
  REQUIRE(seen.destinations.contains("busy.example"));
  CHECK(seen.destinations.at("busy.example").delivered > 4000);
}
