// Who sends what from where: shares by weight, pools by tenant, and sources that cannot be used.
#include "mta/outbound/source_chooser.h"

#include <map>

#include <catch2/catch.hpp>

namespace rockdove::outbound {
namespace {

using namespace std::chrono_literals;

std::shared_ptr<const Source> source(const std::string& name, const std::string& address) {
  return std::make_shared<const Source>(
      Source{name, *base::parse_ip_address(address), name + ".example.org"});
}

struct World {
  World() {
    settings.pools = {{"all", {{a, 1}, {b, 3}}, {}}};
    chooser.settings_replaced();
    add_host("192.0.2.101");
  }

  void add_host(const std::string& address) {
    site->hosts.push_back({"mx.example.net", {*base::parse_ip_address(address), 25}});
  }

  SourceChooser::Choice choose(const std::string& tenant = "") {
    return chooser.choose(site, tenant, turns, &pauses, now);
  }

  // How often each account is chosen.
  std::map<std::string, int> choose_often(int times, const std::string& tenant = "") {
    std::map<std::string, int> counts;
    for (int i = 0; i < times; ++i) {
      const SourceChooser::Choice choice = choose(tenant);
      REQUIRE(choice.site != nullptr);
      ++counts[choice.site->account->name];
    }
    return counts;
  }

  std::shared_ptr<const Source> a = source("a", "192.0.2.1");
  std::shared_ptr<const Source> b = source("b", "192.0.2.2");
  std::shared_ptr<const Source> six = source("six", "2001:db8::6");
  OutboundSettings settings;
  SourceChooser chooser{settings};
  SourceChooser::Turns turns;
  queue::Pauses pauses;
  base::Instant now{1h};
  std::shared_ptr<Site> site = [] {
    auto made = std::make_shared<Site>();
    made->name = "mx:mx.example.net";
    made->account = std::make_shared<const queue::AccountSpec>(
        queue::AccountSpec{"provider:example", {}, {}, 0});
    return made;
  }();
};

const std::string kA = "provider:example from 192.0.2.1";
const std::string kB = "provider:example from 192.0.2.2";

TEST_CASE("sources have their shares by weight, in any stretch of turns") {
  World world;
  world.turns.point = GENERATE(0ULL, 0x123'4567'89AB'CDEFULL, ~0ULL);
  for (int stretch = 0; stretch < 25; ++stretch) {
    const int of_b = world.choose_often(40)[kB];
    CHECK(of_b >= 28);
    CHECK(of_b <= 32);
  }
  world.turns.sites.clear();
  const SourceChooser::Choice choice = world.choose();
  CHECK(world.turns.sites.size() == 1);  // what was not chosen takes no memory
  CHECK(choice.site->source != nullptr);
  CHECK(choice.site->hosts.size() == 1);
}

TEST_CASE("shares for estimates are by weight, among the sources that can be used") {
  World world;
  const auto shares = [&world] {
    std::map<std::string, double> parts;
    for (const SourceChooser::Share& share :
         world.chooser.shares(world.site, &world.pauses, world.now))
      parts[share.site->account->name] = share.part;
    return parts;
  };
  CHECK(shares() == std::map<std::string, double>{{kA, 0.25}, {kB, 0.75}});
  world.chooser.take_nothing(kB, world.now + 1h);
  CHECK(shares() == std::map<std::string, double>{{kA, 1.0}});
  world.chooser.use_absent(
      std::make_shared<AbsentAddresses>(AbsentAddresses{world.a->address, world.b->address}));
  CHECK(shares().empty());
  world.settings.pools.clear();
  world.chooser.settings_replaced();
  CHECK(shares() == std::map<std::string, double>{{"provider:example", 1.0}});
}

TEST_CASE("a source that is avoided is not chosen while another can be used") {
  World world;
  const auto choose = [&world](std::string_view avoided) {
    const SourceChooser::Choice choice =
        world.chooser.choose(world.site, "", world.turns, &world.pauses, world.now, avoided);
    REQUIRE(choice.site != nullptr);
    return choice.site->account->name;
  };
  for (int i = 0; i < 20; ++i) {
    CHECK(choose("192.0.2.2") == kA);
    CHECK(choose("192.0.2.1") == kB);
  }
  world.chooser.take_nothing(kA, world.now + 1h);
  CHECK(choose("192.0.2.2") == kB);
}

TEST_CASE("all ways to a site are those that reach it, used up, paused or not") {
  World world;
  world.settings.pools = {{"all", {{world.a, 1}, {world.six, 1}, {world.b, 1}}, {}}};
  world.chooser.settings_replaced();
  world.chooser.take_nothing(kA, world.now + 1h);
  const auto ways = world.chooser.ways(world.site, "");
  REQUIRE(ways.size() == 2);
  CHECK(ways[0]->account->name == kA);
  CHECK(ways[1]->account->name == kB);
  world.settings.pools.clear();
  world.chooser.settings_replaced();
  CHECK(world.chooser.ways(world.site, "") == std::vector<std::shared_ptr<const Site>>{world.site});
}

TEST_CASE("what was used up under other settings is asked for again") {
  World world;
  world.chooser.take_nothing(kA, world.now + 20h);
  world.chooser.settings_replaced();
  CHECK(world.chooser.free_at(kA, world.now) == world.now);
}

TEST_CASE("a source has companions in the pool of whose mail it is") {
  World world;
  world.settings.pools = {{"all", {{world.a, 1}, {world.b, 3}}, {}},
                          {"blue", {{world.a, 1}}, {"blue"}}};
  CHECK(has_companions(world.settings, *world.a, ""));
  CHECK(has_companions(world.settings, *world.a, "red"));
  CHECK_FALSE(has_companions(world.settings, *world.a, "blue"));
  world.settings.pools.clear();
  CHECK_FALSE(has_companions(world.settings, *world.a, ""));
}

TEST_CASE("destinations with one message each have their shares, too") {
  World world;
  std::map<std::string, int> counts;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    world.turns = {i * (~0ULL / 1000), {}};  // begun anywhere, evenly
    ++counts[world.choose().site->account->name];
  }
  CHECK(counts[kB] >= 740);
  CHECK(counts[kB] <= 760);
}

TEST_CASE("each tenant has its pool, and the others the one without tenants") {
  World world;
  world.settings.pools = {{"news", {{world.a, 1}}, {"letters", "shop*"}},
                          {"rest", {{world.b, 1}}, {}}};
  world.chooser.settings_replaced();
  CHECK(world.choose_often(5, "letters") == std::map<std::string, int>{{kA, 5}});
  CHECK(world.choose_often(5, "shop") == std::map<std::string, int>{{kA, 5}});
  CHECK(world.choose_often(5, "shop.example") == std::map<std::string, int>{{kA, 5}});
  CHECK(world.choose_often(5, "else") == std::map<std::string, int>{{kB, 5}});
  CHECK(world.choose_often(5) == std::map<std::string, int>{{kB, 5}});
}

TEST_CASE("who is in no pool goes as the system chooses") {
  World world;
  world.settings.pools = {{"news", {{world.a, 1}}, {"letters"}}};
  world.chooser.settings_replaced();
  CHECK(world.choose("else").site == world.site);
  CHECK(world.choose("letters").site->account->name == kA);
}

TEST_CASE("an account that is used up takes nothing for a while, also without sources") {
  World world;
  world.settings.pools = {{"news", {{world.a, 1}}, {"letters"}}};
  world.chooser.settings_replaced();
  const base::Instant until = world.now + 1h;
  world.chooser.take_nothing("provider:example", until);
  const SourceChooser::Choice none = world.choose("else");
  CHECK(none.site == nullptr);
  CHECK(none.none == SourceChooser::None::UsedUp);
  CHECK(none.free_at == until);
  CHECK(world.choose("letters").site->account->name == kA);  // a budget of its own
  world.chooser.take_nothing("provider:example", world.now);
  CHECK(world.choose("else").site == world.site);
}

TEST_CASE("mailboxes, and upstreams with a budget, are reached as the system chooses") {
  World world;
  SECTION("where an account has a budget, which counts what leaves from wherever") {
    world.site->has_budget = true;
  }
  SECTION("by LMTP") {
    world.site->manner.speaks = ToHosts::Speaks::Lmtp;
  }
  SECTION("in a folder") {
    world.site->maildir = "/var/mail/x";
  }
  CHECK(world.choose().site == world.site);
}

TEST_CASE("a source sees the hosts of its own family, with their order") {
  World world;
  world.settings.pools = {{"all", {{world.a, 1}, {world.six, 1}}, {}}};
  world.chooser.settings_replaced();
  world.add_host("2001:db8::1");
  world.add_host("192.0.2.103");
  world.site->equals = 2;  // one of each family
  const std::shared_ptr<const Site> four = seen_from(*world.site, world.a);
  REQUIRE(four->hosts.size() == 2);
  CHECK(four->hosts[0].address == world.site->hosts[0].address);
  CHECK(four->hosts[1].address == world.site->hosts[2].address);
  CHECK(four->equals == 1);
  const std::shared_ptr<const Site> six = seen_from(*world.site, world.six);
  REQUIRE(six->hosts.size() == 1);
  CHECK(six->hosts[0].address == world.site->hosts[1].address);
  CHECK(six->account->name == "provider:example from 2001:db8::6");
  CHECK(six->name == "mx:mx.example.net");
  CHECK(account_of_all_sources(*six) == "provider:example");
  CHECK(account_of_all_sources(*world.site) == "provider:example");

  world.site->hosts.erase(world.site->hosts.begin() + 1);
  CHECK(seen_from(*world.site, world.six) == nullptr);
  CHECK(world.choose_often(4) == std::map<std::string, int>{{kA, 4}});
}

TEST_CASE("where no source has the family of the hosts, that is what is said") {
  World world;
  world.settings.pools = {{"six", {{world.six, 1}}, {}}};
  world.chooser.settings_replaced();
  const SourceChooser::Choice choice = world.choose();
  CHECK(choice.site == nullptr);
  CHECK(choice.none == SourceChooser::None::OtherFamily);
  CHECK(choice.problem ==
        "no source address of the pool six can be used: they and the addresses of mx.example.net "
        "are not of one family, IPv4 or IPv6");
}

TEST_CASE("what is not on this machine is passed over until it is") {
  World world;
  world.chooser.use_absent(
      std::make_shared<const AbsentAddresses>(AbsentAddresses{world.b->address}));
  CHECK(world.choose_often(8) == std::map<std::string, int>{{kA, 8}});
  world.chooser.use_absent(
      std::make_shared<const AbsentAddresses>(AbsentAddresses{world.a->address, world.b->address}));
  const SourceChooser::Choice choice = world.choose();
  CHECK(choice.site == nullptr);
  CHECK(choice.none == SourceChooser::None::Absent);
  CHECK(choice.problem ==
        "no source address of the pool all can be used: they are not on this machine");
  world.chooser.use_absent(std::make_shared<const AbsentAddresses>());
  CHECK(world.choose_often(40)[kB] >= 28);
}

TEST_CASE("a paused source is passed over, and all paused is a pause") {
  World world;
  world.pauses = queue::Pauses({{queue::PauseKind::Source, "192.0.2.2"}});
  CHECK(world.choose_often(8) == std::map<std::string, int>{{kA, 8}});
  world.pauses = queue::Pauses({{queue::PauseKind::Source, "192.0.2.*"}});
  CHECK(world.choose().site == nullptr);
  CHECK(world.choose().none == SourceChooser::None::Paused);
}

TEST_CASE("what is used up is passed over for that account, and all used up wait for the first") {
  World world;
  world.chooser.take_nothing(kB, world.now + 1h);
  CHECK(world.choose_often(8) == std::map<std::string, int>{{kA, 8}});
  world.chooser.take_nothing(kA, world.now + 2h);
  const SourceChooser::Choice choice = world.choose();
  CHECK(choice.site == nullptr);
  CHECK(choice.none == SourceChooser::None::UsedUp);
  CHECK(choice.free_at == world.now + 1h);
  world.now += 1h;
  CHECK(world.choose_often(8) == std::map<std::string, int>{{kB, 8}});
  world.now += 1h;
  const std::map<std::string, int> both = world.choose_often(40);
  CHECK(both.at(kA) >= 8);
  CHECK(both.at(kB) >= 28);
}

TEST_CASE("what profiles say of a source is laid over the site, and over no other") {
  World world;
  traffic::ProfileFile file;
  file.sources.emplace_back().address = world.b->address;
  file.sources.back().knobs.connections.value = 2;
  file.sources.back().knobs.rate.value = *traffic::parse_rates("5/min");
  world.site->traffic.profiles =
      std::make_shared<const traffic::Profiles>(std::vector<traffic::ProfileFile>{file});
  const std::shared_ptr<const Site> b = seen_from(*world.site, world.b);
  CHECK(b->connections_max == 2);
  CHECK(traffic::format_rates(b->account->rates) == "5/min");
  CHECK(b->account->name == kB);
  const std::shared_ptr<const Site> a = seen_from(*world.site, world.a);
  CHECK(a->connections_max == 10);
  CHECK(a->account->rates.empty());
}

}  // namespace
}  // namespace rockdove::outbound
