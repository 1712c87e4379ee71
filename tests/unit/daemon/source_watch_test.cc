// Which source addresses are set aside, as they come and go.
#include "mta/daemon/source_watch.h"

#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

#include "tests/support/hand_loop.h"
#include "tests/support/temporary_directory.h"

namespace rockdove::daemon {
namespace {

using namespace std::chrono_literals;

base::IpAddress address(unsigned char last) {
  return base::IpAddress::v4({192, 0, 2, last});
}

outbound::SourcePool pool(const std::vector<unsigned char>& lasts) {
  outbound::SourcePool made{"all", {}, {}};
  for (const unsigned char last : lasts) {
    made.members.push_back({std::make_shared<const outbound::Source>(outbound::Source{
                                "s" + std::to_string(last), address(last), "relay.example.net"}),
                            1});
  }
  return made;
}

struct World {
  // Of all that was logged.
  int count(const std::string& text) {
    log.flush();
    std::ifstream file(folder.path() + "/log");
    std::stringstream all;
    all << file.rdbuf();
    int found = 0;
    for (std::size_t at = 0; (at = all.str().find(text, at)) != std::string::npos; ++at) ++found;
    return found;
  }

  tests::TemporaryDirectory folder;
  tests::HandLoop loop;
  std::unique_ptr<base::LogSink> sink = *base::LogSink::open(folder.path() + "/log");
  base::Log log{*sink, base::Level::Debug};
  std::unordered_set<base::IpAddress> here{address(1), address(2)};
  std::vector<outbound::AbsentAddresses> used;
  SourceWatch watch{{loop, log, [this](const auto& one) { return here.contains(one); },
                     [this](const auto& absent) { used.push_back(*absent); }},
                    {pool({1, 2})}};
};

TEST_CASE("an address that goes is set aside with one warning, and taken again when it is back") {
  World world;
  world.watch.start();
  CHECK(world.used.empty());
  world.here.erase(address(2));
  world.loop.pass(1min);
  REQUIRE(world.used.size() == 1);
  CHECK(world.used[0] == outbound::AbsentAddresses{address(2)});
  world.loop.pass(1min);
  world.loop.pass(1min);
  CHECK(world.used.size() == 1);
  CHECK(world.count("it is set aside") == 1);
  CHECK(world.count("192.0.2.2") == 1);
  world.here.insert(address(2));
  world.loop.pass(1min);
  REQUIRE(world.used.size() == 2);
  CHECK(world.used[1].empty());
  CHECK(world.count("on this machine again") == 1);
}

TEST_CASE("a reload is looked at once, and what it has taken out is forgotten") {
  World world;
  world.here.erase(address(2));
  world.watch.start();
  CHECK(world.used.size() == 1);
  world.watch.settings_replaced({pool({1, 3}), pool({3, 1})});
  REQUIRE(world.used.size() == 2);
  CHECK(world.used[1] == outbound::AbsentAddresses{address(3)});
  CHECK(world.count("it is set aside") == 2);
  world.watch.settings_replaced({});
  REQUIRE(world.used.size() == 3);
  CHECK(world.used[2].empty());
  CHECK(world.count("on this machine again") == 0);
}

}  // namespace
}  // namespace rockdove::daemon
