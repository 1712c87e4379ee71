// What GET /v1/top answers.
#include "mta/admin/top.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace {

using namespace rockdove;
using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;
using admin::RecentActivity;

Json top(const admin::Standing& standing, RecentActivity activity) {
  return Json::parse(admin::format_top({}, standing, std::nullopt, {}, std::move(activity)));
}

}  // namespace

TEST_CASE("top: among any number of destinations the busiest are told") {
  RecentActivity activity;
  for (int i = 0; i < 20'000; ++i) {
    RecentActivity::Destination one;
    one.name = std::to_string(i) + ".example";
    one.deferred = static_cast<std::uint64_t>(i % 700);
    activity.destinations.push_back(std::move(one));
  }
  const Json json = top({}, std::move(activity));
  REQUIRE(json["destinations"].size() == admin::kTopDestinationsMax);
  CHECK(json["destinations"][0]["deferred"] == 699);
  CHECK(json["slowest"].empty());
}

TEST_CASE("top: the slowest attempts are told, of a destination one done and one at work") {
  RecentActivity activity;
  activity.slowest = {{"a.example", "mx.a[192.0.2.1]:25", "", 4s},
                      {"a.example", "mx.a[192.0.2.1]:25", "", 9s},
                      {"a.example", "mx.a[192.0.2.2]:25", "final dot", 70s},
                      {"quick.example", "", "connect", 900ms},
                      {"b.example", "", "connect", 20s}};
  const Json json = top({}, std::move(activity));
  REQUIRE(json["slowest"].size() == 3);
  CHECK(json["slowest"][0].dump() ==
        R"({"name":"a.example","ms":70000,"host":"mx.a[192.0.2.2]:25","stage":"final dot"})");
  CHECK(json["slowest"][1].dump() == R"({"name":"b.example","ms":20000,"stage":"connect"})");
  CHECK(json["slowest"][2]["ms"] == 9000);
  CHECK_FALSE(json["slowest"][2].contains("stage"));
  RecentActivity many;
  for (int i = 0; i < 50; ++i) many.slowest.push_back({std::to_string(i), "", "", 2s});
  CHECK(top({}, std::move(many))["slowest"].size() == admin::kTopSlowestMax);
}

TEST_CASE("top: what keeps mail out is told in sentences") {
  admin::Standing standing;
  CHECK(top(standing, {})["standing"]["trouble"].empty());
  standing.is_stopping = true;
  standing.has_memory_for_mail = false;
  standing.memory_max = 256'000'000;
  const Json trouble = top(standing, {})["standing"]["trouble"];
  REQUIRE(trouble.size() == 2);
  CHECK(trouble[0] == "the relay is stopping");
  CHECK(trouble[1].get<std::string>().find("limits.memory") != std::string::npos);
}
