// TLS over real sockets: the switch in the middle of a conversation and at its beginning, what
// stands before and behind it, and how it ends.
#include "net_world.h"
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

}  // namespace rockdove::net
