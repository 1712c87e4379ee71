// Budgets that are used up, and what ends that: a reload, a source that comes back, and the end of
// what a rule has set for a time.
#include <algorithm>
#include <optional>
#include <string>

#include "queue/learned.h"
#include "tests/sim/provider.h"

namespace rockdove::sim {
namespace {

std::shared_ptr<const outbound::Source> source(const std::string& name,
                                               const std::string& address) {
  return std::make_shared<const outbound::Source>(
      outbound::Source{name, *base::parse_ip_address(address), name + ".example"});
}

const auto kA = source("a", "198.51.100.1");
const auto kB = source("b", "198.51.100.2");

constexpr std::string_view kPausesTheSite = R"(
[provider.strict]
mx = ["mx*.example.net"]
[[provider.strict.on]]
reply = '^451 .*busy'
pause = "3h"
pause_of = "site"
retry_in = "1m"
samples = ["451 4.7.1 busy"]
)";

TEST_CASE("a warm-up's day holds over a pause of the site, a crash and a reload") {
  SimSettings settings = settings_with(kPausesTheSite, GENERATE(1U, 3U));
  settings.relay.outbound.pools = {{"all", {{kA, 1}}, {}}};
  settings.relay.outbound.warm_ups = {{{kA}, "", {{50, 50, 50, 50, 50, 50}}}};
  Sim sim(GENERATE(1U, 2U), settings);
  RemoteServer& server = example_net(sim);
  std::size_t asked = 0;
  server.recipients_go_by([&asked](const std::string&) -> std::optional<smtp::Reply> {
    if (++asked == 50) return smtp::make_reply(451, "4.7.1", "busy");
    return std::nullopt;
  });
  submit_many(sim, 200, "example.net");
  sim.run_for(10min);
  REQUIRE(asked == 50);
  sim.crash_and_restart();
  sim.run_for(2h);
  sim.reload(settings.relay);
  sim.run_for(3h);
  CHECK(asked == 50);
}

constexpr std::string_view kSetsARate = R"(
[provider.strict]
mx = ["mx*.example.net"]
[[provider.strict.on]]
reply = '^550 .*too many'
set = { rate = "1/h" }
set_for = "20m"
samples = ["550 5.7.1 too many"]
)";

TEST_CASE("what a rule has set for a time ends then, though nothing else happens") {
  Sim sim(GENERATE(1U, 2U), settings_with(kSetsARate, GENERATE(1U, 3U)));
  home(sim);
  RemoteServer& server = example_net(sim);
  bool is_told = false;
  server.recipients_go_by([&is_told](const std::string&) -> std::optional<smtp::Reply> {
    if (!std::exchange(is_told, true)) return smtp::make_reply(550, "5.7.1", "too many");
    return std::nullopt;
  });
  submit_many(sim, 16, "example.net");
  sim.run_for(18min);
  CHECK(server.received().size() <= 1);
  sim.run_for(5min);
  CHECK(server.received().size() == 15);
}

constexpr std::string_view kTwentyADay = R"(
[provider.strict]
mx = ["mx*.example.net"]
rate = "20/d"
)";

TEST_CASE("a reload frees mail that waits for a budget, where there is another way or more of it") {
  SimSettings settings = settings_with(kTwentyADay, GENERATE(1U, 3U));
  settings.relay.outbound.pools = {{"all", {{kA, 1}}, {}}};
  Sim sim(GENERATE(1U, 2U), settings);
  RemoteServer& server = example_net(sim);
  submit_many(sim, 40, "example.net");
  sim.run_for(2h);
  REQUIRE(server.received().size() == 20);
  SECTION("a source is added") {
    settings.relay.outbound.pools = {{"all", {{kA, 1}, {kB, 1}}, {}}};
  }
  SECTION("the rate is raised") {
    settings.relay.outbound.traffic = profiles(R"(
[provider.strict]
mx = ["mx*.example.net"]
rate = "40/d"
)");
  }
  sim.reload(settings.relay);
  sim.run_for(11min);
  CHECK(server.received().size() == 40);
}

TEST_CASE("mail goes from a source that comes back while people have paused the others") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 3U);
  settings.relay.outbound.pools = {{"all", {{kA, 1}, {kB, 1}}, {}}};
  Sim sim(GENERATE(1U, 2U), settings);
  RemoteServer& server = example_net(sim);
  sim.run_for(1s);
  sim.pause({queue::PauseKind::Source, "198.51.100.1"});
  sim.relay().use_absent(
      std::make_shared<const outbound::AbsentAddresses>(outbound::AbsentAddresses{kB->address}));
  sim.run_for(1s);
  sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(1min);
  REQUIRE(server.received().empty());
  sim.relay().use_absent(std::make_shared<const outbound::AbsentAddresses>());
  sim.run_for(1min);
  CHECK(server.received().size() == 1);
}

// How many accounts the disk knows something of this kind of.
std::size_t rows_of(Sim& sim, std::string_view kind) {
  SimLoop reader(sim.agenda(), sim.random(), 1000);
  std::optional<std::size_t> rows;
  sim.store().read_notes(reader, std::string(kind), [&rows](const auto& found) {
    REQUIRE(found.is_ok());
    rows = found->size();
  });
  sim.run_for(1min);
  reader.stop();
  REQUIRE(rows);
  return *rows;
}

TEST_CASE("what was learned so long ago that nothing of it counts is not kept") {
  SimSettings settings = settings_with(R"(
[provider.strict]
mx = ["mx*.example.net"]
rate = "20/s"
[[provider.strict.on]]
reply = '^451 .*slower'
backoff = "x0.5"
retry_in = "1m"
samples = ["451 4.7.1 slower"]
)",
                                       1);
  settings.relay.outbound.pools = {{"all", {{kA, 1}}, {}}};
  settings.relay.outbound.warm_ups = {{{kA}, "", {{2000, 2000, 2000}}}};
  Sim sim(GENERATE(1U, 2U), settings);
  RemoteServer& server = example_net(sim);
  std::size_t asked = 0;
  server.recipients_go_by([&asked](const std::string&) -> std::optional<smtp::Reply> {
    if (++asked == 450) return smtp::make_reply(451, "4.7.1", "slower");
    return std::nullopt;
  });
  submit_many(sim, 500, "example.net");
  sim.run_for(1h);
  REQUIRE(server.received().size() == 500);
  const auto kinds = {queue::kBackoffNotes, queue::kUptakeNotes, queue::kWarmUpNotes};
  sim.crash_and_restart();
  for (const std::string_view kind : kinds) CHECK(rows_of(sim, kind) == 1);
  sim.run_for(32 * 24h);
  sim.crash_and_restart();
  sim.run_for(1min);
  for (const std::string_view kind : kinds) CHECK(rows_of(sim, kind) == 0);
}

}  // namespace
}  // namespace rockdove::sim
