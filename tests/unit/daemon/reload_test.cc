#include "mta/daemon/reload.h"

#include <catch2/catch.hpp>

using namespace rockdove;
using namespace rockdove::daemon;

TEST_CASE("what needs a restart stays as it is, and is named") {
  Configuration in_use;
  Configuration next;
  next.hostname = "other.example";
  CHECK(keep_what_needs_a_restart(in_use, next).empty());
  next.state_dir = "/srv";
  next.runtime_dir = "/tmp/run";
  next.user = "mail";
  next.threads = 3;
  next.dns_servers = {{*base::parse_ip_address("192.0.2.53"), 53}};
  CHECK(keep_what_needs_a_restart(in_use, next) ==
        std::vector<std::string>{"state_dir", "runtime_dir", "user", "threads", "dns.servers"});
  CHECK(next.state_dir == in_use.state_dir);
  CHECK(next.runtime_dir == in_use.runtime_dir);
  CHECK(next.user == in_use.user);
  CHECK(next.threads == in_use.threads);
  CHECK(next.dns_servers.empty());
  CHECK(next.hostname == "other.example");
}
