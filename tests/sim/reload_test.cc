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

}  // namespace rockdove::sim
