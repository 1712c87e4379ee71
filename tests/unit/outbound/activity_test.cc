#include "mta/outbound/activity.h"

#include <algorithm>
#include <string>

#include <catch2/catch.hpp>

namespace {

using namespace rockdove;
using namespace std::chrono_literals;
using outbound::Activity;

const base::Instant kStart{1h};

}  // namespace

TEST_CASE("activity: the last minute is summed, and what is older is forgotten") {
  Activity activity;
  activity.attempted("a.example", "mx.a[192.0.2.1]:25", {1, 0, 0, 2s}, kStart);
  activity.attempted("a.example", "mx.a[192.0.2.1]:25", {0, 2, 0, 1s}, kStart + 30s);
  activity.attempted("b.example", "", {0, 0, 1, 5s}, kStart + 50s);
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
  activity.attempted("c.example", "", {1, 0, 0, 0s}, kStart + 10min);
  CHECK(activity.last_minute(kStart + 10min).destinations.size() == 1);
}

TEST_CASE("activity: among any number of destinations the busy ones stay") {
  Activity activity;
  for (int i = 0; i < 100'000; ++i) {
    activity.attempted(std::to_string(i) + ".example", "", {0, 1, 0, 0s}, kStart);
    if (i % 20 == 0) activity.attempted("busy.example", "", {1, 0, 0, 0s}, kStart);
  }
  const Activity::Seen seen = activity.last_minute(kStart);
  CHECK(seen.destinations.size() == Activity::kDestinationsMax);
  REQUIRE(seen.destinations.contains("busy.example"));
  CHECK(seen.destinations.at("busy.example").delivered > 4000);
}

TEST_CASE("activity: who is slow is kept, however few attempts there were, and once a slice") {
  Activity activity;
  activity.attempted("slow.example", "mx.slow[192.0.2.1]:25", {1, 0, 0, 90s}, kStart);
  activity.attempted("slow.example", "mx2.slow[192.0.2.2]:25", {1, 0, 0, 80s}, kStart);
  for (int i = 0; i < 20'000; ++i) {
    activity.attempted(std::to_string(i) + ".example", "", {1, 0, 0, 1ms * (i % 1000)}, kStart);
    activity.attempted(std::to_string(i % 50) + ".busy", "", {1, 0, 0, 1ms}, kStart);
  }
  const Activity::Seen seen = activity.last_minute(kStart);
  CHECK_FALSE(seen.destinations.contains("slow.example"));
  CHECK(seen.slowest.size() == Activity::kSlowestMax);
  CHECK(std::count_if(seen.slowest.begin(), seen.slowest.end(), [](const auto& one) {
          return one.destination == "slow.example" && one.host == "mx.slow[192.0.2.1]:25" &&
                 one.took == 90s;
        }) == 1);
  CHECK(activity.last_minute(kStart + 2min).slowest.empty());
}
