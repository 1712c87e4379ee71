#include "mta/daemon/listening.h"

#include <algorithm>

#include <catch2/catch.hpp>

using namespace rockdove;
using namespace rockdove::daemon;

namespace {

// A listener on each of these.
std::vector<inbound::ListenerSettings> listeners(const std::vector<std::string>& addresses) {
  std::vector<inbound::ListenerSettings> made;
  for (const std::string& address : addresses)
    made.emplace_back().addresses = {base::parse_socket_address(address).value()};
  return made;
}

std::vector<std::string> begun(const ListenerChange& change) {
  std::vector<std::string> keys;
  for (const ListenerChange::Begin& begin : change.begin) keys.push_back(begin.key);
  return keys;
}

using Keys = std::vector<std::string>;

}  // namespace

TEST_CASE("an address that stays keeps its sockets, whatever listener it belongs to now") {
  ListeningAddresses addresses(2);
  const auto first = addresses.prepare(listeners({"127.0.0.1:0", "127.0.0.2:0"}));
  REQUIRE(first.is_ok());
  CHECK(begun(**first) == Keys{"127.0.0.1:0", "127.0.0.2:0"});
  for (const ListenerChange::Begin& begin : (*first)->begin) {
    REQUIRE(begin.sockets.size() == 2);
    CHECK(begin.sockets[0].address() == begin.sockets[1].address());
  }
  addresses.changed(**first);
  const auto second = addresses.prepare(listeners({"127.0.0.3:0", "127.0.0.1:0"}));
  REQUIRE(second.is_ok());
  CHECK(begun(**second) == Keys{"127.0.0.3:0"});
  CHECK((*second)->end == Keys{"127.0.0.2:0"});
  CHECK((*second)->numbers ==
        std::map<std::string, std::size_t>{{"127.0.0.3:0", 0}, {"127.0.0.1:0", 1}});
}

TEST_CASE("what has ended listens no more") {
  net::UvLoop loop(0);
  net::UvNetwork network(loop);
  LoopListeners here(network, 0, [](std::size_t, const net::ConnectionInfo&) { return nullptr; });
  ListeningAddresses addresses(1);
  const auto change = addresses.prepare(listeners({"127.0.0.1:0"}));
  REQUIRE(change.is_ok());
  const base::SocketAddress bound = (*change)->begin[0].sockets[0].address();
  here.apply(**change);
  CHECK_FALSE(net::open_listening_socket(bound, net::ReusePort::No).is_ok());
  here.end();
  CHECK(net::open_listening_socket(bound, net::ReusePort::No).is_ok());
}

TEST_CASE("port 0 may be asked for more than once at an address") {
  ListeningAddresses addresses(1);
  const auto first = addresses.prepare(listeners({"127.0.0.1:0", "127.0.0.1:0"}));
  REQUIRE(first.is_ok());
  CHECK(begun(**first) == Keys{"127.0.0.1:0", "127.0.0.1:0 2"});
  addresses.changed(**first);
  CHECK((*addresses.prepare(listeners({"127.0.0.1:0"})))->end == Keys{"127.0.0.1:0 2"});
}

TEST_CASE("an address that cannot be had is an error, and changes nothing") {
  const auto taken = net::open_listening_socket(base::parse_socket_address("127.0.0.1:0").value(),
                                                net::ReusePort::Yes);
  REQUIRE(taken.is_ok());
  const std::string name = base::format_socket_address(taken->address());
  ListeningAddresses addresses(2);
  const auto failed = addresses.prepare(listeners({"127.0.0.1:0", name}));
  REQUIRE_FALSE(failed.is_ok());
  CHECK(failed.error().text().find(name) != std::string::npos);
  CHECK(begun(**addresses.prepare(listeners({"127.0.0.1:0"}))) == Keys{"127.0.0.1:0"});
}
