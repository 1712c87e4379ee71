// Reloads while mail is on its way, on the virtual clock: what has started ends as it began, what
// has not is routed anew, and nothing is lost or sent twice.
#include <catch2/catch.hpp>

#include "tests/sim/sim.h"

namespace rockdove::sim {
namespace {

constexpr std::string_view kBody = "hi\r\n";

RemoteServer& server(Sim& sim, const std::string& domain, const std::string& address) {
  sim.dns.mx(domain, 10, "mx." + domain);
  return sim.remote_server("mx." + domain, {address});
}

outbound::Route route_to(const std::string& name, const std::string& host) {
  outbound::Route route;
  route.name = name;
  route.target = outbound::ToHosts{{{host, 25}}};
  return route;
}

void rest(Sim& sim) {
  const bool is_quiet = sim.run_until_quiet(24h);
  for (const queue::DeliveryId id : sim.waiting()) UNSCOPED_INFO(sim.describe(id));
  CHECK(is_quiet);
  sim.check_quiet();
  for (const std::string& failure : sim.failures()) UNSCOPED_INFO(failure);
  CHECK(sim.failures().empty());
}

}  // namespace

TEST_CASE("mail that waits goes by the routes of the new configuration") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 3U);
  settings.relay.queue.retry = {5min};
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& by_mx = server(sim, "example.net", "192.0.2.1");
  RemoteServer& smarthost = server(sim, "smart.example", "192.0.2.2");
  by_mx.next_session().greets_with(421, "4.3.2", "Busy");
  Submission& mail = sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(1min);
  REQUIRE(sim.delivery(mail.id, "b@example.net"));
  settings.relay.outbound.routes = {route_to("smart", "mx.smart.example")};
  sim.reload(settings.relay);
  sim.run_for(10min);
  CHECK(by_mx.received().empty());
  CHECK(smarthost.received().size() == 1);
  settings.relay.outbound.routes.clear();
  sim.reload(settings.relay);
  sim.submit("a@home.example", {"c@example.net"}, kBody);
  sim.run_for(1min);
  CHECK(by_mx.received().size() == 1);
  rest(sim);
}

TEST_CASE("a connection of before the reload is not used for the next message") {
  SimSettings settings = default_settings();
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& remote = server(sim, "example.net", "192.0.2.1");
  sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(2s);
  REQUIRE(remote.received().size() == 1);
  settings.relay.outbound.hostname = "renamed.example";
  sim.reload(settings.relay);
  sim.submit("a@home.example", {"c@example.net"}, kBody);
  sim.run_for(2s);
  REQUIRE(remote.received().size() == 2);
  CHECK(remote.session_times().size() == 2);
  rest(sim);
}

TEST_CASE("reloads under load lose nothing and double nothing") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 2U, 4U);
  settings.relay.queue.retry = {1min};
  Sim sim(GENERATE(range(1U, 9U)), settings);
  for (unsigned i = 0; i < 6; ++i)
    server(sim, "d" + std::to_string(i) + ".example", "192.0.2." + std::to_string(10 + i));
  RemoteServer& smarthost = server(sim, "smart.example", "192.0.2.2");
  for (unsigned round = 0; round < 12; ++round) {
    for (unsigned i = 0; i < 10; ++i) {
      sim.submit(
          "a@home.example",
          {"x@d" + std::to_string(i % 6) + ".example", "y@d" + std::to_string(i % 5) + ".example"},
          kBody);
      sim.run_for(std::chrono::milliseconds(sim.random().below(30)));
    }
    settings.relay.outbound.routes.clear();
    if (round % 2 == 0) {
      outbound::Route route = route_to("smart", "mx.smart.example");
      route.recipient = "*@d" + std::to_string(round % 6) + ".example";
      settings.relay.outbound.routes = {route, route_to("all", "mx.smart.example")};
      if (round % 4 == 0) settings.relay.outbound.routes.pop_back();
    }
    sim.reload(settings.relay);
  }
  CHECK_FALSE(smarthost.received().empty());
  rest(sim);
}

// Without history nobody can tell what became of what, so the story is not held to the truth.
TEST_CASE(
    "with history off nothing is written to it, by mail nor by persons, until it is on again") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 3U);
  settings.relay.queue.retry = {1min};
  settings.relay.queue.undo_time = 1min;
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& sender = server(sim, "home.example", "192.0.2.250");
  RemoteServer& remote = server(sim, "example.net", "192.0.2.1");
  remote.recipients_go_by([](const std::string& address) -> std::optional<smtp::Reply> {
    if (address.starts_with("no")) return smtp::make_reply(550, "5.1.1", "no such user");
    if (address.starts_with("wait")) return smtp::make_reply(451, "4.3.0", "not now");
    return std::nullopt;
  });
  const auto act = [&sim](queue::Act what, queue::MessageId id) {
    sim.act({what, "", "", "the test"}, {{id, 1}});
    sim.run_for(5s);
  };
  Submission& early = sim.submit("a@home.example", {"wait1@example.net"}, "hi\r\n");
  sim.run_for(10s);
  act(queue::Act::Hold, early.id);
  const std::size_t before = sim.history_steps();
  CHECK(before == 2);
  settings.relay.queue.history.is_kept = false;
  sim.reload(settings.relay);
  sim.run_for(1s);
  sim.submit("a@home.example", {"ok@example.net"}, "hi\r\n");
  sim.submit("a@home.example", {"no@example.net"}, "hi\r\n");
  Submission& waits = sim.submit("a@home.example", {"wait2@example.net"}, "hi\r\n");
  Submission& bounced = sim.submit("a@home.example", {"wait3@example.net"}, "hi\r\n");
  sim.run_for(5min);
  act(queue::Act::Release, early.id);
  act(queue::Act::Hold, waits.id);
  act(queue::Act::Delete, waits.id);
  act(queue::Act::Bounce, bounced.id);
  sim.run_for(20min);  // until what was deleted goes for good
  CHECK(remote.received().size() == 1);
  CHECK(sender.received().size() == 2);
  CHECK_FALSE(sim.delivery(waits.id, "wait2@example.net"));
  CHECK(sim.history_steps() == before);
  settings.relay.queue.history.is_kept = true;
  sim.reload(settings.relay);
  sim.run_for(1s);
  const std::size_t attempts = sim.history_steps();
  sim.submit("a@home.example", {"ok2@example.net"}, "hi\r\n");
  act(queue::Act::Hold, early.id);
  CHECK(sim.history_steps() >= attempts + 2);
  CHECK(sim.failures().empty());
}

}  // namespace rockdove::sim
