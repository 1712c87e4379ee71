// What issue 2 promises, as stories on the virtual clock.
#include <catch2/catch.hpp>

#include "tests/sim/sim.h"

namespace rockdove::sim {
namespace {

TEST_CASE("a 421 banner defers, and the retry delivers exactly once") {
  Sim sim(GENERATE(1, 2, 3, 4));
  RemoteServer& remote = sim.remote_server("mx.example.net", {"192.0.2.1"});
  sim.dns.mx("example.net", 10, "mx.example.net");
  remote.next_session().greets_with(421, "4.3.2", "Busy");
  Submission& mail = sim.submit("a@home.example", {"b@example.net"}, "hi\r\n");
  sim.run_for(1min);
  REQUIRE(mail.told == Submission::Told::Accepted);
  CHECK(remote.received().empty());
  REQUIRE(sim.delivery(mail.id, "b@example.net"));
  CHECK(sim.delivery(mail.id, "b@example.net")->attempts == 1);
  sim.crash_and_restart();
  sim.run_for(1h);
  CHECK(remote.received().size() == 1);
  CHECK(sim.run_until_quiet(10min));
  sim.check_quiet();
  CHECK(sim.failures().empty());
}

}  // namespace
}  // namespace rockdove::sim
