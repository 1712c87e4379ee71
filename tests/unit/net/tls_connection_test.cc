// TLS over real sockets: the switch in the middle of a conversation and at its beginning, what
// stands before and behind it, and how it ends.
#include <cerrno>
#include <unistd.h>

#include <sys/un.h>

#include "net_world.h"
#include "tests/support/temporary_directory.h"
#include "tls_pair.h"

namespace rockdove::net {

namespace {

// What the two sides of a test heard of TLS besides.
struct TlsHeard {
  int started = 0;
  TlsInfo info;
};

// Says STARTTLS, and then speaks a line.
void prepare_server(Puppet& puppet, const std::shared_ptr<TlsHeard>& tls) {
  puppet.when_received = [](Puppet& self) {
    if (self.arrived != "STARTTLS\r\n") {
      self.to_send += "250 " + self.arrived;
      return;
    }
    self.to_send += "220 go on\r\n";
    self.wire->start_tls(StartTlsAsServer{server_context()});
  };
  puppet.when_tls_started = [tls](Puppet&, const TlsInfo& info) {
    ++tls->started;
    tls->info = info;
  };
  puppet.when_peer_closed = [](Puppet& self) { self.over = true; };
}

void prepare_client(Puppet& puppet, const std::shared_ptr<TlsHeard>& tls) {
  puppet.when_connected = [](Puppet& self) { self.to_send = "STARTTLS\r\n"; };
  puppet.when_received = [](Puppet& self) {
    if (self.arrived == "220 go on\r\n") {
      self.wire->start_tls(StartTlsAsClient{client_context(), "mx.example"});
    }
    if (self.arrived == "250 hello\r\n") self.over = true;
  };
  puppet.when_tls_started = [tls](Puppet& self, const TlsInfo& info) {
    ++tls->started;
    tls->info = info;
    self.to_send = "hello\r\n";
  };
}

}  // namespace

TEST_CASE("two protocols of ours go over to TLS in the middle of their conversation") {
  const auto server_tls = std::make_shared<TlsHeard>();
  const auto client_tls = std::make_shared<TlsHeard>();
  const auto server = std::make_shared<Heard>();
  const auto client = std::make_shared<Heard>();
  NetWorld world;
  const base::SocketAddress address =
      world.serve(server, [&](Puppet& puppet) { prepare_server(puppet, server_tls); });
  world.connect({address, {}}, client, [&](Puppet& puppet) { prepare_client(puppet, client_tls); });
  CHECK(world.comes_true([&] { return client->destroyed == 1 && server->destroyed == 1; }));
  world.ask([&] {
    CHECK(server_tls->started == 1);
    CHECK(client_tls->started == 1);
    CHECK(server_tls->info.server_name == "mx.example");
    CHECK(server->text == "STARTTLS\r\nhello\r\n");
    CHECK(client->text == "220 go on\r\n250 hello\r\n");
    CHECK(server->losses.empty());
    CHECK(client->losses.empty());
    CHECK(server->peer_closed == 1);
  });
}

TEST_CASE("implicit TLS begins with the connection, and the server speaks first in it") {
  const auto server = std::make_shared<Heard>();
  const auto client = std::make_shared<Heard>();
  NetWorld world;
  const base::SocketAddress address = world.serve(server, [](Puppet& puppet) {
    puppet.when_connected = [](Puppet& self) {
      self.wire->start_tls(StartTlsAsServer{server_context()});
    };
    puppet.when_tls_started = [](Puppet& self, const TlsInfo&) { self.to_send = "220 hello\r\n"; };
    puppet.when_received = [](Puppet& self) {
      self.to_send = "221 bye\r\n";
      self.over = true;
    };
  });
  world.connect({address, {}}, client, [](Puppet& puppet) {
    puppet.when_connected = [](Puppet& self) {
      self.wire->start_tls(StartTlsAsClient{client_context(), "mx.example", 465});
    };
    puppet.when_received = [](Puppet& self) {
      if (self.arrived == "220 hello\r\n") self.to_send = "QUIT\r\n";
    };
    puppet.when_peer_closed = [](Puppet& self) { self.over = true; };
  });
  CHECK(world.comes_true([&] { return client->destroyed == 1 && server->destroyed == 1; }));
  world.ask([&] {
    CHECK(server->text == "QUIT\r\n");
    CHECK(client->text == "220 hello\r\n221 bye\r\n");
    CHECK(server->losses.empty());
    CHECK(client->losses.empty());
    CHECK(client->peer_closed == 1);
  });
}

TEST_CASE("megabytes go both ways through TLS, and a slow reader holds the other side back") {
  constexpr std::size_t kOctets = 6'000'000;
  const auto server = std::make_shared<Heard>();
  const auto client = std::make_shared<Heard>();
  NetWorld world;
  const base::SocketAddress address = world.serve(server, [](Puppet& puppet) {
    puppet.when_connected = [](Puppet& self) {
      self.wire->start_tls(StartTlsAsServer{server_context()});
    };
    puppet.when_tls_started = [](Puppet& self, const TlsInfo&) {
      self.to_send.assign(kOctets, 's');
    };
    puppet.when_peer_closed = [](Puppet& self) { self.over = true; };
  });
  world.connect({address, {}}, client, [client](Puppet& puppet) {
    puppet.when_connected = [](Puppet& self) {
      self.wire->start_tls(StartTlsAsClient{client_context(), "mx.example"});
    };
    puppet.when_tls_started = [](Puppet& self, const TlsInfo&) {
      self.input_wanted = false;
      self.until = self.now.instant + std::chrono::milliseconds(50);
    };
    puppet.when_received = [client](Puppet& self) {
      if (client->octets == kOctets) self.to_send.assign(kOctets, 'c');
    };
    puppet.when_deadline = [](Puppet& self) {
      self.input_wanted = true;
      self.until = base::kNever;
    };
  });
  CHECK(world.comes_true([&] { return client->octets == kOctets && server->octets == kOctets; }));
  world.ask([&] {
    CHECK(server->text == std::string(server->text.size(), 'c'));
    CHECK(client->text == std::string(client->text.size(), 's'));
    CHECK(server->losses.empty());
  });
}

TEST_CASE("what a client says in clear behind STARTTLS is TLS's to refuse") {
  const auto server = std::make_shared<Heard>();
  const auto tls = std::make_shared<TlsHeard>();
  NetWorld world;
  Client client(world.serve(server, [&](Puppet& puppet) { prepare_server(puppet, tls); }));
  REQUIRE(client.say("STARTTLS\r\n"));
  CHECK(client.hear(11) == "220 go on\r\n");
  REQUIRE(client.say("MAIL FROM:<evil@example>\r\n"));
  // An alert (21), and the end.
  const std::string answer = client.hear_all();
  REQUIRE_FALSE(answer.empty());
  CHECK(answer[0] == '\x15');
  CHECK(client.last_error == 0);
  CHECK(world.comes_true([&] { return server->destroyed == 1; }));
  world.ask([&] {
    CHECK(server->text == "STARTTLS\r\n");
    CHECK(tls->started == 0);
    REQUIRE(server->losses.size() == 1);
    CHECK(server->losses[0].how == Loss::How::TlsFailed);
    CHECK(describe(server->losses[0]) ==
          "TLS failed: the peer spoke clear text: \"MAIL FROM:<evil@example>\"");
  });
}

TEST_CASE("what came before a record that is not good is heard") {
  const auto server = std::make_shared<Heard>();
  NetWorld world;
  bool has_tls = false;  // of the loop's thread
  Client client(world.serve(server, [&has_tls](Puppet& puppet) {
    puppet.when_connected = [](Puppet& self) {
      self.wire->start_tls(StartTlsAsServer{server_context()});
    };
    puppet.when_tls_started = [&has_tls](Puppet&, const TlsInfo&) { has_tls = true; };
  }));
  Side side(StartTlsAsClient{client_context(), "mx.example"});
  side.engine.begin();
  while (side.engine.state() == TlsEngine::State::Handshaking) {
    REQUIRE(client.say(std::exchange(side.engine.unsent(), {})));
    side.hear(client.hear(1));
  }
  REQUIRE(side.is_open());
  REQUIRE(client.say(std::exchange(side.engine.unsent(), {})));
  REQUIRE(world.comes_true([&] { return has_tls; }));
  side.engine.send("250 taken\r\n");
  const std::string bad = std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x');
  REQUIRE(client.say(side.engine.unsent() + bad));
  CHECK(world.comes_true([&] { return server->destroyed == 1; }));
  world.ask([&] {
    CHECK(server->text == "250 taken\r\n");
    REQUIRE(server->losses.size() == 1);
    CHECK(server->losses[0].how == Loss::How::TlsFailed);
  });
}

TEST_CASE("a peer that goes away within the handshake is TLS's failure") {
  const auto server = std::make_shared<Heard>();
  const auto tls = std::make_shared<TlsHeard>();
  NetWorld world;
  const base::SocketAddress address =
      world.serve(server, [&](Puppet& puppet) { prepare_server(puppet, tls); });
  Client closes(address);
  REQUIRE(closes.say("STARTTLS\r\n"));
  CHECK(closes.hear(11) == "220 go on\r\n");
  closes.end();
  CHECK(world.comes_true([&] { return server->losses.size() == 1; }));
  Client resets(address);
  REQUIRE(resets.say("STARTTLS\r\n"));
  CHECK(resets.hear(11) == "220 go on\r\n");
  resets.reset();
  CHECK(world.comes_true([&] { return server->losses.size() == 2; }));
  world.ask([&] {
    CHECK(describe(server->losses[0]) ==
          "TLS failed: the peer closed the connection within the handshake");
    CHECK(describe(server->losses[1]) ==
          "TLS failed: the peer reset the connection within the handshake");
    CHECK(server->destroyed == 2);
  });
}

TEST_CASE("a protocol that is over within the handshake is closed") {
  const auto server = std::make_shared<Heard>();
  NetWorld world;
  Client client(world.serve(server, [](Puppet& puppet) {
    puppet.when_connected = [](Puppet& self) {
      self.wire->start_tls(StartTlsAsServer{server_context()});
      self.until = self.now.instant + std::chrono::milliseconds(5);
    };
    puppet.when_deadline = [](Puppet& self) { self.over = true; };
  }));
  CHECK(client.hear_all().empty());
  CHECK(client.last_error == 0);
  CHECK(world.comes_true([&] { return server->destroyed == 1; }));
  world.ask([&] { CHECK(server->losses.empty()); });
}

TEST_CASE("connections reach a Unix socket, and say who is there") {
  const tests::TemporaryDirectory directory;
  const std::string path = directory.path() + "/lmtp";
  const FileDescriptor listening(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, sizeof name.sun_path - 1);
  REQUIRE(bind(listening.number(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
  REQUIRE(listen(listening.number(), 5) == 0);
  const auto heard = std::make_shared<Heard>();
  NetWorld world;
  ConnectRequest request;
  request.unix_path = path;
  world.connect(request, heard, [](Puppet& puppet) {
    puppet.when_connected = [](Puppet& self) { self.to_send = "LHLO\r\n"; };
    puppet.when_received = [](Puppet& self) { self.over = true; };
  });
  const FileDescriptor accepted(accept(listening.number(), nullptr, nullptr));
  REQUIRE(accepted.is_open());
  char text[16];
  CHECK(recv(accepted.number(), text, 6, MSG_WAITALL) == 6);
  CHECK(std::string(text, 6) == "LHLO\r\n");
  REQUIRE(::send(accepted.number(), "250\r\n", 5, MSG_NOSIGNAL) == 5);
  CHECK(world.comes_true([&] { return heard->destroyed == 1; }));
  world.ask([&] {
    CHECK(heard->text == "250\r\n");
    REQUIRE(heard->info.credentials);
    CHECK(heard->info.credentials->process == ::getpid());
  });
}

TEST_CASE("a Unix socket that is not there, or whose path is too long, is a failed connect") {
  const auto heard = std::make_shared<Heard>();
  NetWorld world;
  ConnectRequest request;
  request.unix_path = "/nonexistent/lmtp";
  world.connect(request, heard, {});
  CHECK(world.comes_true([&] { return heard->destroyed == 1; }));
  request.unix_path = "/" + std::string(108, 'x');
  world.connect(request, heard, {});
  CHECK(world.comes_true([&] { return heard->destroyed == 2; }));
  world.ask([&] {
    CHECK(heard->connected == 0);
    REQUIRE(heard->losses.size() == 2);
    CHECK(heard->losses[0].how == Loss::How::ConnectFailed);
    CHECK(heard->losses[0].code == ENOENT);
    CHECK(heard->losses[1].code == ENAMETOOLONG);
  });
}

}  // namespace rockdove::net
