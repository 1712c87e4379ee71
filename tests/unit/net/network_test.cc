// Connections over real loopback sockets: what protocols hear, and what the other side sees.
#include <cerrno>
#include <cstdlib>

#include <catch2/catch.hpp>

#include "mta/net/connection.h"
#include "net_world.h"

namespace rockdove::net {

namespace {

using std::chrono::milliseconds;

void echo(Puppet& puppet) {
  puppet.when_received = [](Puppet& self) { self.to_send += self.arrived; };
  puppet.when_peer_closed = [](Puppet& self) { self.over = true; };
}

// Octets whose order shows.
std::string pattern(std::size_t octets) {
  std::string text(octets, '\0');
  for (std::size_t i = 0; i < octets; ++i)
    text[i] = static_cast<char>('A' + (i * 31 + i / 257) % 61);
  return text;
}

std::size_t resident_octets() {
  FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  unsigned long all = 0;
  unsigned long resident = 0;
  const int read = std::fscanf(file, "%lu %lu", &all, &resident);
  std::fclose(file);
  return read == 2 ? resident * 4096 : 0;
}

base::SocketAddress loopback(std::uint16_t port) {
  return {base::IpAddress::v4({127, 0, 0, 1}), port};
}

}  // namespace

TEST_CASE("what a client says comes back, and both sides end in order") {
  NetWorld world;
  const auto heard = std::make_shared<Heard>();
  Client client(world.serve(heard, echo));
  for (const char* line : {"one\r\n", "two\r\n", "three\r\n"}) {
    REQUIRE(client.say(line));
    CHECK(client.hear(std::string_view(line).size()) == line);
  }
  client.end();
  CHECK(client.hear_all().empty());
  CHECK(client.last_error == 0);
  CHECK(world.comes_true([&] { return heard->destroyed == 1; }));
  world.ask([&] {
    CHECK(heard->connected == 1);
    CHECK(heard->peer_closed == 1);
    CHECK(heard->losses.empty());
    CHECK(heard->sent == 17);
    CHECK(heard->info.local.port != 0);
    CHECK(heard->info.peer.ip.is_loopback());
    CHECK_FALSE(heard->info.credentials.has_value());
    CHECK(world.network.counts().in == 0);
  });
}

TEST_CASE("two protocols of ours speak with each other") {
  NetWorld world;
  const auto server = std::make_shared<Heard>();
  const auto client = std::make_shared<Heard>();
  const base::SocketAddress address = world.serve(server, echo);
  ConnectRequest request{address, base::IpAddress::v4({127, 0, 0, 9})};
  world.connect(request, client, [](Puppet& puppet) {
    puppet.when_connected = [](Puppet& self) { self.to_send = "hello"; };
    puppet.when_received = [](Puppet& self) { self.over = self.arrived == "hello"; };
  });
  CHECK(world.comes_true([&] { return client->destroyed == 1 && server->destroyed == 1; }));
  world.ask([&] {
    CHECK(client->text == "hello");
    CHECK(client->losses.empty());
    CHECK(client->info.peer == address);
    CHECK(server->info.peer == client->info.local);
    CHECK(base::format_ip_address(server->info.peer.ip) == "127.0.0.9");
  });
  CHECK(world.comes_true([&] {
    const UvNetwork::Counts counts = world.network.counts();
    return counts.in == 0 && counts.out == 0 && counts.lingering == 0;
  }));
}

TEST_CASE("10 MB to a client that reads late arrive whole, and are not copied ahead") {
  NetWorld world;
  const auto heard = std::make_shared<Heard>();
  const std::string all = pattern(10'000'000);
  Client client(world.serve(heard,
                            [&all](Puppet& puppet) {
                              puppet.when_connected = [&all](Puppet& self) { self.to_send = all; };
                              puppet.when_sent = [](Puppet& self) { self.over = true; };
                            }),
                64 * 1024);
  // The kernel and we are full long before all of it is gone.
  CHECK(world.comes_true([&] { return heard->sent > 0; }));
  CHECK(world.ask([&] { return heard->sent; }) < all.size());
  CHECK(client.hear_all() == all);
  CHECK(client.last_error == 0);
  CHECK(world.comes_true([&] { return heard->destroyed == 1; }));
  CHECK(world.ask([&] { return heard->losses.size(); }) == 0);
}

TEST_CASE("a client that sends and does not read is not read without end") {
  NetWorld world;
  const auto heard = std::make_shared<Heard>();
  Client client(world.serve(heard, echo));
  const std::string all = pattern(32'000'000);
  std::thread sender([&] {
    client.say(all);
    client.end();
  });
  // It stands still when the buffers on both ways are full.
  std::size_t last = 0;
  const bool stands = world.comes_true([&] {
    const bool same = heard->octets == last && last > 0;
    last = heard->octets;
    return same;
  });
  CHECK(stands);
  CHECK(world.ask([&] { return heard->octets; }) < all.size());
  CHECK(client.hear_all() == all);
  sender.join();
}

TEST_CASE("a protocol that wants no input is shown none until it does") {
  NetWorld world;
  const auto heard = std::make_shared<Heard>();
  Puppet* puppet = nullptr;
  Client client(world.serve(heard, [&puppet](Puppet& made) {
    puppet = &made;
    made.to_send = "ready";
    made.input_wanted = false;
    made.when_turn = [](Puppet& self) { self.input_wanted = true; };
    made.when_received = [](Puppet& self) { self.to_send = "got it"; };
  }));
  CHECK(client.hear(5) == "ready");
  REQUIRE(client.say("early"));
  // Another connection goes all the way through the loop after those octets have arrived.
  const auto other = std::make_shared<Heard>();
  Client probe(world.serve(other, echo));
  REQUIRE(probe.say("x"));
  CHECK(probe.hear(1) == "x");
  CHECK(world.ask([&] { return heard->octets; }) == 0);
  world.ask([&] { puppet->wire->want_turn(); });
  CHECK(client.hear(6) == "got it");
  CHECK(world.ask([&] { return heard->text; }) == "early");
}

TEST_CASE("after the client's half close the server may still answer") {
  NetWorld world;
  const auto heard = std::make_shared<Heard>();
  Puppet* puppet = nullptr;
  Client client(world.serve(heard, [&puppet](Puppet& made) {
    puppet = &made;
    made.when_turn = [](Puppet& self) {
      self.to_send = "250 kept\r\n";
      self.over = true;
    };
  }));
  REQUIRE(client.say("."));
  client.end();
  CHECK(world.comes_true([&] { return heard->peer_closed == 1; }));
  CHECK(world.ask([&] { return heard->destroyed + static_cast<int>(heard->losses.size()); }) == 0);
  world.ask([&] { puppet->wire->want_turn(); });
  CHECK(client.hear_all() == "250 kept\r\n");
  CHECK(world.comes_true([&] { return heard->destroyed == 1; }));
}

TEST_CASE("a reset is a loss, told once") {
  NetWorld world;
  const auto heard = std::make_shared<Heard>();
  Client client(world.serve(heard, echo));
  REQUIRE(client.say("x"));
  CHECK(client.hear(1) == "x");
  client.reset();
  CHECK(world.comes_true([&] { return heard->destroyed == 1; }));
  world.ask([&] {
    REQUIRE(heard->losses.size() == 1);
    CHECK(heard->losses[0].how == Loss::How::Broken);
    CHECK(heard->losses[0].code == ECONNRESET);
    CHECK(describe(heard->losses[0]) == "reset by the peer");
    CHECK(heard->peer_closed == 0);
  });
}

TEST_CASE("connecting where nobody listens is refused, never within the call") {
  NetWorld world;
  ListeningSocket closed = std::move(open_listening_socket(loopback(0), ReusePort::No)).value();
  const base::SocketAddress address = closed.address();
  closed.close();
  const auto heard = std::make_shared<Heard>();
  world.connect({address, std::nullopt}, heard, nullptr);
  CHECK(world.comes_true([&] { return heard->destroyed == 1; }));
  world.ask([&] {
    REQUIRE(heard->losses.size() == 1);
    CHECK(heard->connected == 0);
    CHECK(heard->losses[0].how == Loss::How::ConnectFailed);
    CHECK(heard->losses[0].code == ECONNREFUSED);
    CHECK(describe(heard->losses[0]) == "connection refused");
  });
}

TEST_CASE("a source address that is not ours fails after the call with its code") {
  NetWorld world;
  const auto heard = std::make_shared<Heard>();
  ConnectRequest request{loopback(1), base::IpAddress::v4({192, 0, 2, 1})};
  world.ask([&] {
    world.network.connect(request, std::make_unique<Puppet>(heard));
    CHECK(heard->losses.empty());
    CHECK(world.network.counts().out == 1);
  });
  CHECK(world.comes_true([&] { return heard->destroyed == 1; }));
  world.ask([&] {
    REQUIRE(heard->losses.size() == 1);
    CHECK(heard->losses[0].how == Loss::How::ConnectFailed);
    CHECK(heard->losses[0].code == EADDRNOTAVAIL);
    CHECK(world.network.counts().out == 0);
  });
}

TEST_CASE("a SYN that nobody answers times out") {
  // A backlog of nothing that is full: Linux then drops further SYNs.
  FileDescriptor full(::socket(AF_INET, SOCK_STREAM, 0));
  const KernelAddress any = to_kernel(loopback(0));
  REQUIRE(bind(full.number(), any.get(), any.octets) == 0);
  REQUIRE(listen(full.number(), 0) == 0);
  const base::SocketAddress address = local_address_of(full.number());
  Client filler(address);
  NetWorld world;
  const auto heard = std::make_shared<Heard>();
  ConnectRequest request{address, std::nullopt, milliseconds(50)};
  for (int i = 0; i < 3; ++i) world.connect(request, heard, nullptr);
  CHECK(world.comes_true([&] { return !heard->losses.empty(); }));
  world.ask([&] {
    CHECK(heard->losses[0].how == Loss::How::ConnectTimedOut);
    CHECK(describe(heard->losses[0]) == "timed out while connecting");
  });
}

TEST_CASE("a deadline rings when nothing happens, and not while it is moved on") {
  NetWorld world;
  const auto heard = std::make_shared<Heard>();
  base::Instant set_to{};
  base::Instant rang{};
  Client client(world.serve(heard, [&](Puppet& puppet) {
    puppet.when_connected = [](Puppet& self) { self.until = self.now.instant + milliseconds(20); };
    puppet.when_received = [&](Puppet& self) {
      self.until = self.now.instant + milliseconds(60);
      set_to = self.until;
      self.to_send = "x";
    };
    puppet.when_deadline = [&](Puppet& self) {
      rang = self.now.instant;
      self.to_send = "421 bye\r\n";
      self.over = true;
    };
  }));
  REQUIRE(client.say("x"));
  CHECK(client.hear_all().find("421 bye\r\n") != std::string::npos);
  client.close();
  CHECK(world.comes_true([&] { return heard->destroyed == 1; }));
  world.ask([&] {
    CHECK(heard->deadlines == 1);
    CHECK(heard->losses.empty());
    CHECK(rang >= set_to);
  });
}

TEST_CASE("turns that are wanted several times in one turn come once") {
  NetWorld world;
  const auto heard = std::make_shared<Heard>();
  Puppet* puppet = nullptr;
  Client client(world.serve(heard, [&puppet](Puppet& made) {
    puppet = &made;
    made.to_send = "a";
    made.when_turn = [](Puppet& self) { self.to_send = "b"; };
  }));
  CHECK(client.hear(1) == "a");
  world.ask([&] {
    puppet->wire->want_turn();
    puppet->wire->want_turn();
    CHECK(heard->turns == 0);
  });
  CHECK(client.hear(1) == "b");
  CHECK(world.ask([&] { return heard->turns; }) == 1);
}

TEST_CASE("turn_all reaches those that wait for their client, so that they can end") {
  NetWorld world;
  const auto heard = std::make_shared<Heard>();
  const base::SocketAddress address = world.serve(heard, [](Puppet& puppet) {
    puppet.when_turn = [](Puppet& self) {
      self.to_send = "421 bye\r\n";
      self.over = true;
    };
  });
  Client one(address);
  Client two(address);
  REQUIRE(world.comes_true([&] { return world.network.counts().in == 2; }));
  world.ask([&] { world.network.turn_all(); });
  CHECK(one.hear_all() == "421 bye\r\n");
  CHECK(two.hear_all() == "421 bye\r\n");
  CHECK(world.ask([&] { return heard->turns; }) == 2);
}

TEST_CASE("the last reply reaches a client whose input was not read") {
  NetWorld world;
  const auto heard = std::make_shared<Heard>();
  Client client(world.serve(heard, [](Puppet& puppet) {
    puppet.when_received = [](Puppet& self) {
      self.to_send = "554 no\r\n";
      self.over = true;
    };
  }));
  // More than one read takes, so that some of it is there unread when the server ends.
  REQUIRE(client.say(std::string(200'000, 'x')));
  CHECK(client.hear_all() == "554 no\r\n");
  CHECK(client.last_error == 0);
  client.close();
  CHECK(world.comes_true([&] { return world.network.counts().lingering == 0; }));
}

TEST_CASE("a client that never stops talking is not listened to for ever after the end") {
  NetWorld world;
  const auto heard = std::make_shared<Heard>();
  Client client(world.serve(heard, [](Puppet& puppet) {
    puppet.when_connected = [](Puppet& self) {
      self.to_send = "554 no\r\n";
      self.over = true;
    };
  }));
  bool went_through = true;
  while (went_through) went_through = client.say(std::string(100'000, 'x'));
  CHECK((errno == EPIPE || errno == ECONNRESET));
  CHECK(world.ask([&] { return world.network.counts().lingering; }) == 0);
}

TEST_CASE("close_all tells those that are left, and the counts come to nothing") {
  NetWorld world;
  const auto heard = std::make_shared<Heard>();
  const base::SocketAddress address = world.serve(heard, echo);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(std::make_unique<Client>(address));
  CHECK(world.comes_true([&] { return world.network.counts().in == 10; }));
  world.ask([&] {
    world.network.stop_listening();
    world.network.close_all();
    CHECK(world.network.counts().in == 0);
    CHECK(heard->losses.size() == 10);
    CHECK(heard->destroyed == 10);
    CHECK(describe(heard->losses.at(0)) == "ended by this side");
  });
  CHECK_FALSE(Client(address).is_connected());
}

TEST_CASE("a network that goes with open connections frees them with the loop") {
  const auto heard = std::make_shared<Heard>();
  UvLoop loop(0);
  {
    UvNetwork network(loop);
    ListeningSocket socket = std::move(open_listening_socket(loopback(0), ReusePort::No)).value();
    const base::SocketAddress address = socket.address();
    network.listen(std::move(socket), NetWorld::accept_with(heard, [&](Puppet& puppet) {
                     puppet.when_connected = [&loop](Puppet&) { loop.stop(); };
                   }));
    network.connect({address, std::nullopt}, std::make_unique<Puppet>(heard));
    loop.run();
    CHECK(heard->connected > 0);
  }
  CHECK(heard->destroyed == 2);
  CHECK(heard->losses.empty());
}

TEST_CASE("connections that come and go leave no memory behind, and idle ones cost little") {
  NetWorld world;
  const auto heard = std::make_shared<Heard>();
  const base::SocketAddress address = world.serve(heard, [](Puppet& puppet) {
    echo(puppet);
    puppet.until = base::Instant::max() - std::chrono::hours(1);
  });
  const auto round = [&](int connections) {
    for (int i = 0; i < connections; ++i) {
      Client client(address);
      client.say("x");
      if (client.hear(1) != "x") return false;
      client.reset();
    }
    return world.comes_true([&] { return world.network.counts().in == 0; });
  };
  REQUIRE(round(500));
  const std::size_t before = resident_octets();
  REQUIRE(round(2'000));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(resident_octets() < before + 400'000);  // 200 octets each would show
#else
  CHECK(before > 0);
#endif
  CHECK(sizeof(Connection) <= 1024);
}

}  // namespace rockdove::net
