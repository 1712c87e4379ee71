#include "mta/cli/planned_sites.h"

#include <catch2/catch.hpp>

#include "mta/daemon/traffic_file.h"

namespace rockdove::cli {
namespace {

constexpr std::string_view kProfiles = R"(
[provider.big]
mx = ["*.big.example"]
rate = "10/s"

[domain."gentle.example"]
rate = "60/min"
)";

outbound::Route route(const std::string& name, const std::string& host) {
  outbound::Route made;
  made.name = name;
  made.target = outbound::ToHosts{{{host}}};
  return made;
}

struct World {
  World() {
    daemon::Problems problems("traffic.toml");
    const std::vector<traffic::ProfileFile> files{
        daemon::parse_profile_file(kProfiles, "traffic.toml", problems)};
    REQUIRE_FALSE(problems.has_errors());
    profiles = std::make_shared<const traffic::Profiles>(files);
    outbound.routes = {route("upstream", "smart.example"), route("known", "mx.big.example"),
                       outbound::Route{"rubbish", "", "", "", {}, outbound::ToDiscard{}}};
    const auto source = std::make_shared<const outbound::Source>(
        outbound::Source{"six", *base::parse_ip_address("2001:db8::6"), "six.example"});
    outbound.pools = {{"all", {{source, 1}}, {}}};
  }

  std::string found(const std::string& name) {
    PlannedSites sites(outbound, profiles, queue);
    sites.add("one.example", {{"mx.one.example", 10}}, 1);
    sites.add("gentle.example", {{"mx.gentle.example", 10}}, 1);
    const base::Result<std::string> account = sites.find_account(name);
    return account ? *account : account.error().text();
  }

  std::shared_ptr<const traffic::Profiles> profiles;
  outbound::OutboundSettings outbound;
  queue::QueueSettings queue;
};

TEST_CASE("an account is found by its name, and by that of its provider or route") {
  World world;
  CHECK(world.found("big") == "provider:big");
  CHECK(world.found("provider:big") == "provider:big");
  CHECK(world.found("upstream") == "route:upstream");
  CHECK(world.found("route:upstream") == "route:upstream");
  CHECK(world.found("mx:mx.one.example") == "mx:mx.one.example");
  CHECK(world.found("domain:gentle.example") == "domain:gentle.example");
  CHECK(world.found("big from 2001:db8::6") == "provider:big from 2001:db8::6");
}

TEST_CASE("what no account is called is an error that guesses what was meant") {
  World world;
  const std::string nothing =
      "no provider of the profiles, no route with an account of its own and no account of this "
      "plan is "
      "called so";
  CHECK(world.found("bgi") == nothing + ", did you mean `big`?");
  CHECK(world.found("Upstraem") == nothing + ", did you mean `upstream`?");
  CHECK(world.found("mx:mx.two.example") == nothing);
  CHECK(world.found("rubbish") == nothing);
  // It shares the provider's account: a pace of its own would hold for nothing.
  CHECK(world.found("known") == nothing);
  CHECK(world.found("big from 192.0.2.1") ==
        "no pool of the configuration has the source 192.0.2.1");
}

}  // namespace
}  // namespace rockdove::cli
