// Traffic profiles in the simulated world: rates that hold over loops, crashes and reloads, and
// what the replies of providers teach.
#include <algorithm>
#include <deque>

#include "tests/sim/provider.h"
#include "tests/sim/stories.h"

namespace rockdove::sim {
namespace {

constexpr std::string_view kThreeAMinute = R"(
[provider.slow]
mx = ["mx*.example.net"]
connections = 5
rate = "3/min"
)";

TEST_CASE("3/min holds for ten hours over loops, crashes, reloads and new connections") {
  SimSettings settings = settings_with(kThreeAMinute, GENERATE(1U, 4U));
  settings.relay.queue.messages_per_connection = 7;
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& server = example_net(sim);
  Provider provider(sim, server);
  submit_many(sim, 2000, "example.net");
  std::vector<base::Instant> crashes;
  const base::Instant start = sim.now().instant;
  for (int hour = 0; hour < 10; ++hour) {
    sim.run_for(23min);
    sim.reload(settings.relay);
    sim.run_for(base::Duration(sim.random().below(20 * 60'000)));
    crashes.push_back(sim.now().instant);
    sim.crash_and_restart();
    sim.run_until(start + (hour + 1) * 1h);
  }
  CHECK(provider.most_in(1min) <= 3);
  // Five minutes with work waiting, in which nothing crashed.
  const std::vector<base::Instant>& taken = provider.taken();
  for (base::Instant from = start + 1min; from + 5min < start + 10h; from += 17s) {
    const bool is_disturbed = std::any_of(crashes.begin(), crashes.end(), [&](base::Instant at) {
      return at + 2min > from && at < from + 5min;
    });
    if (is_disturbed) continue;
    const auto held = std::count_if(taken.begin(), taken.end(), [&](base::Instant at) {
      return at >= from && at < from + 5min;
    });
    REQUIRE(held >= 14);
  }
  CHECK(server.sessions() > taken.size() / 7);  // it was not one connection
}

TEST_CASE("windows of an hour and a day hold over crashes, and a crash costs them a slice") {
  SimSettings settings = settings_with(R"(
[provider.slow]
mx = ["mx*.example.net"]
rate = ["60/h", "500/d"]
connection_rate = "40/h"
)",
                                       GENERATE(1U, 4U));
  settings.relay.queue.messages_per_connection = 3;
  Sim sim(GENERATE(1U, 2U), settings);
  RemoteServer& server = example_net(sim);
  Provider provider(sim, server);
  submit_many(sim, 1500, "example.net");
  const base::Instant start = sim.now().instant;
  int crashes = 0;
  for (; sim.now().instant - start < 36h; ++crashes) {
    sim.run_for(1h + base::Duration(sim.random().below(5 * 3'600'000)));
    sim.reload(settings.relay);
    sim.crash_and_restart();
  }
  CAPTURE(crashes, provider.taken().size());
  CHECK(provider.most_in(1h) <= 60);
  CHECK(provider.most_in(24h) <= 500);
  // A day's 500 and those of the half day behind it, less 1 % of each window for each crash.
  const auto lost = static_cast<std::size_t>(crashes) * (5 + 1);
  CHECK(provider.taken().size() + lost + 60 >= 2 * 500);
}

TEST_CASE("all sites of a provider share its rate, and none is left out") {
  Sim sim(GENERATE(1U, 2U), settings_with(R"(
[provider.slow]
mx = ["mx*.example.net"]
rate = "60/min"
)",
                                          GENERATE(1U, 3U)));
  std::deque<Provider> providers;
  for (int i = 0; i < 5; ++i) {
    const std::string name = "mx" + std::to_string(i) + ".example.net";
    sim.dns.mx("d" + std::to_string(i) + ".example", 10, name);
    providers.emplace_back(sim, sim.remote_server(name, {"192.0.2." + std::to_string(i + 1)}));
  }
  for (int i = 0; i < 5; ++i) submit_many(sim, 100, "d" + std::to_string(i) + ".example");
  sim.run_for(5min);
  std::size_t all = 0;
  for (const Provider& each : providers) {
    all += each.taken().size();
    CHECK(each.taken().size() >= 40);
  }
  CHECK(all <= 300);
  CHECK(all >= 285);
}

constexpr std::string_view kTeaching = R"(
[provider.strict]
mx = ["mx*.example.net"]
connections = 4
rate = "20/s"

[[provider.strict.on]]
reply = '^421 4\.7\.0 \[TSS04\]'
backoff = "x0.5"
samples = ["421 4.7.0 [TSS04] Messages temporarily deferred"]
)";

TEST_CASE("a provider that pushes back is sent as much as it takes, and hardly ever more") {
  SimSettings settings = settings_with(kTeaching, GENERATE(1U, 3U));
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& server = example_net(sim);
  Provider provider(sim, server);
  provider.limit(50, 10s, "421 4.7.0 [TSS04] Messages temporarily deferred");
  const std::size_t count = 3000;
  const base::Instant start = sim.now().instant;
  submit_many(sim, count, "example.net");
  while (provider.taken().size() < count && sim.now().instant - start < 1h) sim.run_for(10s);
  const double seconds = std::chrono::duration<double>(sim.now().instant - start).count();
  CAPTURE(seconds, provider.refused());
  CHECK(provider.taken().size() == count);
  CHECK(seconds < 1.5 * static_cast<double>(count) / 5);
  CHECK(provider.refused() < count / 20);
  rest(sim);
}

TEST_CASE("what back-off has learned survives a crash") {
  SimSettings settings = settings_with(kTeaching, 2);
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& server = example_net(sim);
  Provider provider(sim, server);
  provider.limit(20, 10s, "421 4.7.0 [TSS04] Messages temporarily deferred");
  submit_many(sim, 2000, "example.net");
  sim.run_for(5min);
  const std::size_t refused = provider.refused();
  REQUIRE(refused > 0);
  sim.crash_and_restart();
  const std::size_t taken = provider.taken().size();
  sim.run_for(30s);
  CHECK(provider.taken().size() - taken <= 75);  // at full speed it would be refused hundreds
  CHECK(provider.refused() - refused <= 8);
}

TEST_CASE("a rule pauses a provider with all its sites, and mail to others goes on") {
  Sim sim(GENERATE(1U, 2U), settings_with(R"(
[provider.strict]
mx = ["mx*.example.net"]
[[provider.strict.on]]
reply = '^421 4\.7\.1 \[TS03\]'
pause = "2h"
samples = ["421 4.7.1 [TS03] All messages deferred"]
)",
                                          2));
  sim.dns.mx("one.example", 10, "mx1.example.net");
  sim.dns.mx("two.example", 10, "mx2.example.net");
  RemoteServer& one = sim.remote_server("mx1.example.net", {"192.0.2.1"});
  RemoteServer& two = sim.remote_server("mx2.example.net", {"192.0.2.2"});
  RemoteServer& other = sim.remote_server("mx.example.org", {"192.0.2.3"});
  sim.dns.mx("example.org", 10, "mx.example.org");
  one.next_session().greets_with(421, "4.7.1", "[TS03] All messages deferred");
  sim.submit("a@home.example", {"b@one.example"}, kBody);
  sim.run_for(1min);
  submit_many(sim, 3, "two.example");
  sim.submit("a@home.example", {"b@example.org"}, kBody);
  sim.run_for(110min);
  CHECK(two.sessions() == 0);
  CHECK(one.sessions() == 1);
  CHECK(other.received().size() == 1);
  sim.run_for(30min);
  CHECK(two.received().size() == 3);
  CHECK(one.received().size() == 1);
  rest(sim);
}

TEST_CASE("what a rule has paused stays so over crashes, until its end and no longer") {
  const bool is_site = GENERATE(false, true);
  const std::string of = is_site ? "pause_of = \"site\"" : "";
  Sim sim(GENERATE(1U, 2U), settings_with(R"(
[provider.strict]
mx = ["mx*.example.net"]
[[provider.strict.on]]
reply = '^421 4\.7\.1 \[TS03\]'
pause = "2h"
samples = ["421 4.7.1 [TS03] All messages deferred"]
)" + of,
                                          GENERATE(1U, 3U)));
  sim.dns.mx("one.example", 10, "mx1.example.net");
  sim.dns.mx("two.example", 10, "mx2.example.net");
  RemoteServer& one = sim.remote_server("mx1.example.net", {"192.0.2.1"});
  RemoteServer& two = sim.remote_server("mx2.example.net", {"192.0.2.2"});
  one.next_session().greets_with(421, "4.7.1", "[TS03] All messages deferred");
  sim.submit("a@home.example", {"b@one.example"}, kBody);
  sim.run_for(1min);
  for (std::size_t i = 0; i < 2; ++i) {
    sim.crash_and_restart();
    submit_many(sim, 3, "one.example", 3 * i);
    submit_many(sim, 1, "two.example", i);
    sim.run_for(59min);
    CHECK(one.sessions() == 1);
    CHECK(two.received().size() == (is_site ? i + 1 : 0));
  }
  sim.run_for(3min);
  CHECK(one.received().size() >= 6);
  CHECK(two.received().size() == 2);
  rest(sim);
  // It is over, and another crash brings nothing of it back.
  sim.crash_and_restart();
  sim.submit("a@home.example", {"last@one.example"}, kBody);
  sim.run_for(1min);
  CHECK(one.received().size() == 8);
}

TEST_CASE("a pause that a person has ended does not come back with a crash") {
  Sim sim(1, settings_with(R"(
[provider.strict]
mx = ["mx*.example.net"]
[[provider.strict.on]]
reply = '^421 4\.7\.1 \[TS03\]'
pause = "2h"
samples = ["421 4.7.1 [TS03] All messages deferred"]
)",
                           2));
  RemoteServer& server = example_net(sim);
  server.next_session().greets_with(421, "4.7.1", "[TS03] All messages deferred");
  const Submission& first = sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(1min);
  sim.submit("a@home.example", {"c@example.net"}, kBody);
  sim.run_for(1min);
  REQUIRE(server.sessions() == 1);
  sim.act({queue::Act::Retry, "", "", "root"}, std::vector<queue::DeliveryId>{{first.id, 1}});
  sim.run_for(1min);
  REQUIRE(server.received().size() == 2);
  sim.crash_and_restart();
  sim.submit("a@home.example", {"d@example.net"}, kBody);
  sim.run_for(1min);
  CHECK(server.received().size() == 3);
}

TEST_CASE("a rule says what becomes of the mail itself") {
  Sim sim(1, settings_with(R"(
[[default.on]]
reply = '^450 .*greylisted'
retry_in = "6m"
samples = ["450 4.2.0 greylisted"]
[[default.on]]
reply = '^451 .*never'
bounce = true
samples = ["451 4.7.1 never"]
[[default.on]]
reply = '^554 .*later'
defer = true
samples = ["554 5.7.1 later"]
)",
                           1));
  RemoteServer& server = example_net(sim);
  RemoteServer& senders = home(sim);
  std::map<std::string, int> asked;
  server.recipients_go_by([&asked](const std::string& address) -> std::optional<smtp::Reply> {
    const int times = asked[address]++;
    if (address.starts_with("grey") && times == 0)
      return smtp::make_reply(450, "4.2.0", "greylisted");
    if (address.starts_with("never")) return smtp::make_reply(451, "4.7.1", "never");
    if (address.starts_with("later") && times == 0) return smtp::make_reply(554, "5.7.1", "later");
    return std::nullopt;
  });
  sim.submit("a@home.example", {"grey@example.net"}, kBody);
  sim.submit("a@home.example", {"later@example.net"}, kBody);
  Submission& never = sim.submit("a@home.example", {"never@example.net"}, kBody);
  sim.run_for(5min + 55s);
  CHECK(asked["grey@example.net"] == 1);
  sim.run_for(10s);
  CHECK(asked["grey@example.net"] == 2);
  rest(sim);
  CHECK(asked["later@example.net"] == 2);
  CHECK(asked["never@example.net"] == 1);
  CHECK(server.received().size() == 2);
  REQUIRE(senders.received().size() == 1);
  CHECK(senders.received()[0].content.find("5.7.1") != std::string::npos);
  const std::vector<queue::HistoryStep> steps = sim.steps(never.id);
  REQUIRE_FALSE(steps.empty());
  CHECK(std::any_of(steps.begin(), steps.end(),
                    [](const queue::HistoryStep& step) { return step.rule == "traffic.toml:6"; }));
}

TEST_CASE("a rule acts only once there are enough such replies") {
  Sim sim(1, settings_with(R"(
[[default.on]]
reply = '^451 .*busy'
after = "3 in 10m"
pause = "3h"
pause_of = "site"
samples = ["451 4.7.1 busy"]
)",
                           1));
  RemoteServer& server = example_net(sim);
  server.recipients_go_by([](const std::string& address) -> std::optional<smtp::Reply> {
    if (address.starts_with("b")) return smtp::make_reply(451, "4.7.1", "busy");
    return std::nullopt;
  });
  submit_many(sim, 2, "example.net");
  sim.run_for(1min);
  sim.submit("a@home.example", {"well@example.net"}, kBody);
  sim.run_for(1min);
  CHECK(server.received().size() == 1);
  submit_many(sim, 1, "example.net", 2);
  sim.run_for(1min);
  sim.submit("a@home.example", {"waits@example.net"}, kBody);
  sim.run_for(2h);
  CHECK(server.received().size() == 1);
  sim.run_for(2h);
  CHECK(server.received().size() == 2);
}

TEST_CASE("a rule sets a knob for a time") {
  Sim sim(1, settings_with(R"(
[default]
messages_per_connection = 50
[[default.on]]
reply = '^451 .*too many'
set = { messages_per_connection = 1 }
set_for = "1h"
samples = ["451 4.7.1 too many"]
)",
                           1));
  RemoteServer& server = example_net(sim);
  bool is_told = false;
  server.recipients_go_by([&is_told](const std::string& address) -> std::optional<smtp::Reply> {
    if (address.starts_with("trouble") && !std::exchange(is_told, true))
      return smtp::make_reply(451, "4.7.1", "too many");
    return std::nullopt;
  });
  sim.submit("a@home.example", {"trouble@example.net"}, kBody);
  sim.run_for(1min);
  const std::size_t before = server.sessions();
  for (int i = 0; i < 3; ++i) {
    sim.submit("a@home.example", {"c" + std::to_string(i) + "@example.net"}, kBody);
    sim.run_for(1s);
  }
  CHECK(server.sessions() == before + 3);
  sim.run_for(2h);
  const std::size_t later = server.sessions();
  for (int i = 0; i < 3; ++i) {
    sim.submit("a@home.example", {"d" + std::to_string(i) + "@example.net"}, kBody);
    sim.run_for(1s);
  }
  CHECK(server.sessions() == later + 1);
}

// The times of all that two providers took, in order.
std::vector<base::Instant> of_both(const Provider& one, const Provider& two) {
  std::vector<base::Instant> times = one.taken();
  times.insert(times.end(), two.taken().begin(), two.taken().end());
  std::sort(times.begin(), times.end());
  return times;
}

TEST_CASE("what a tenant may send to everywhere holds over loops, crashes and reloads") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 4U);
  settings.relay.inbound.listeners.at(0).tenant = "shop.example";
  settings.relay.queue.tenants = {
      {"*.example", 1, *traffic::parse_rates(std::vector<std::string_view>{"6/min", "150/h"})}};
  Sim sim(GENERATE(1U, 2U), settings);
  sim.dns.mx("one.example", 10, "mx.one.example");
  sim.dns.mx("two.example", 10, "mx.two.example");
  Provider one(sim, sim.remote_server("mx.one.example", {"192.0.2.1"}));
  Provider two(sim, sim.remote_server("mx.two.example", {"192.0.2.2"}));
  submit_many(sim, 1000, "one.example");
  submit_many(sim, 1000, "two.example");
  const base::Instant start = sim.now().instant;
  int crashes = 0;
  for (; sim.now().instant - start < 6h; ++crashes) {
    sim.run_for(20min + base::Duration(sim.random().below(40 * 60'000)));
    sim.reload(settings.relay);
    sim.run_for(base::Duration(sim.random().below(10 * 60'000)));
    sim.crash_and_restart();
  }
  const std::vector<base::Instant> taken = of_both(one, two);
  CAPTURE(crashes, taken.size(), one.taken().size());
  CHECK(fullest_window(taken, 1min) <= 6);
  CHECK(fullest_window(taken, 1h) <= 150);
  // A crash costs slices, a first interval, and for ten minutes what was read into memory at once.
  CHECK(taken.size() >= 6 * 150 - static_cast<std::size_t>(crashes) * 15);
  CHECK(one.taken().size() >= taken.size() / 10);
  CHECK(two.taken().size() >= taken.size() / 10);
}

TEST_CASE("a campaign keeps its rate, and its tenant's other mail does not wait with it") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 4U);
  settings.relay.inbound.listeners.at(0).tenant = "shop.example";
  settings.relay.queue.campaigns = {{"spring*", 1, *traffic::parse_rates("30/min")}};
  Sim sim(GENERATE(1U, 2U), settings);
  RemoteServer& server = example_net(sim);
  std::vector<base::Instant> spring;
  std::vector<base::Instant> others;
  server.recipients_go_by([&](const std::string& address) -> std::optional<smtp::Reply> {
    (address.starts_with("spring") ? spring : others).push_back(sim.now().instant);
    return std::nullopt;
  });
  std::deque<Submission*> mails;
  for (int i = 0; i < 600; ++i) {
    Submission& mail = sim.truth.submission("a@home.example",
                                            {"spring" + std::to_string(i) + "@example.net"}, kBody);
    mail.content.insert(mail.content.find("Date: "), "X-Rockdove-Campaign: spring 1\r\n");
    mails.push_back(&mail);
  }
  sim.submit(std::move(mails));
  sim.run_for(1min);
  const base::Instant handed_in = sim.now().instant;
  submit_many(sim, 50, "example.net");
  sim.run_for(1min);
  REQUIRE(others.size() == 50);
  CHECK(others.back() < handed_in + 30s);
  sim.run_for(5min);
  sim.crash_and_restart();
  while (spring.size() < 600 && sim.now().instant < handed_in + 1h) sim.run_for(10s);
  CHECK(spring.size() == 600);
  CHECK(fullest_window(spring, 1min) <= 30);
  const auto minutes = (sim.now().instant - handed_in) / 1min;
  CHECK(minutes < 24);  // 20 at best
  rest(sim);
}

}  // namespace
}  // namespace rockdove::sim
