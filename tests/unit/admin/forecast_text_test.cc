#include "mta/admin/forecast_text.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace rockdove::admin {
namespace {

using namespace std::chrono_literals;
using queue::DeliveryState;
using Json = nlohmann::json;

const base::WallTime kNow = base::from_unix_milliseconds(1'790'000'000'000);

queue::QueueSummary::Line line(DeliveryState state, std::string name, std::uint64_t deliveries,
                               base::Duration due_in) {
  queue::QueueSummary::Line line;
  line.state = state;
  line.name = std::move(name);
  line.deliveries = deliveries;
  line.octets = deliveries * 1000;
  line.earliest_due = kNow;
  line.latest_due = kNow + due_in;
  line.oldest = kNow - due_in;
  line.by_age[0] = deliveries;
  return line;
}

queue::QueueSummary destinations() {
  queue::QueueSummary summary;
  summary.lines = {line(DeliveryState::Waiting, "a.example", 3, 1min),
                   line(DeliveryState::Waiting, "b.example", 4, 2min),
                   line(DeliveryState::Waiting, "new.example", 1, 0min),
                   line(DeliveryState::Held, "a.example", 5, 9min)};
  summary.deliveries = 13;
  return summary;
}

TEST_CASE("forecast: each destination is asked about once, with what of it waits") {
  const std::vector<Waiting> waiting = waiting_of(destinations());
  REQUIRE(waiting.size() == 3);
  CHECK(waiting[0].destination == "a.example");
  CHECK(waiting[0].deliveries == 3);
  CHECK(waiting[0].octets == 3000);
  CHECK(waiting[0].latest_due == kNow + 1min);
}

TEST_CASE("forecast: destinations of one account are one line a state, with when it has gone") {
  Forecast forecast;
  forecast.account_of = {{"a.example", "provider:x"}, {"b.example", "provider:x"}};
  forecast.accounts["provider:x"] = {kNow + 1h, 2, "somebody has paused it"};
  const std::vector<std::string> lines = format_providers(destinations(), forecast, 0);
  REQUIRE(lines.size() == 3);
  const Json waiting = Json::parse(lines[0]);
  CHECK(waiting["provider"] == "provider:x");
  CHECK(waiting["deliveries"] == 7);
  CHECK(waiting["octets"] == 7000);
  CHECK(waiting["by_age"][0] == 7);
  CHECK(waiting["done_about"] == base::format_timestamp(kNow + 1h));
  CHECK(waiting["not_known"] == 2);
  CHECK(waiting["why_not_known"] == "somebody has paused it");
  const Json held = Json::parse(lines[1]);
  CHECK(held["state"] == "held");
  CHECK(held["deliveries"] == 5);
  CHECK_FALSE(held.contains("done_about"));
  const Json unknown = Json::parse(lines[2]);
  CHECK(unknown["provider"] == "");
  CHECK_FALSE(unknown.contains("done_about"));
  CHECK(unknown["not_known"] == 1);
}

TEST_CASE("forecast: of what nobody can say anything no time is given, and a limit cuts") {
  Forecast forecast;
  forecast.account_of = {{"a.example", "provider:x"}, {"b.example", "provider:x"}};
  forecast.accounts["provider:x"] = {{}, 7, "its hosts take no mail at the moment"};
  const std::vector<std::string> lines = format_providers(destinations(), forecast, 1);
  REQUIRE(lines.size() == 2);
  CHECK_FALSE(Json::parse(lines[0]).contains("done_about"));
  CHECK(Json::parse(lines[0])["not_known"] == 7);
  CHECK(Json::parse(lines[1])["lines_left_out"] == 2);
  CHECK(Json::parse(lines[1])["deliveries_in_all"] == 13);
}

}  // namespace
}  // namespace rockdove::admin
