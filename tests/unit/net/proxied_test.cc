#include "mta/net/proxied.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace rockdove;
using namespace rockdove::net;

namespace {

// What the protocol behind the header was told.
struct Seen {
  std::vector<std::string> calls;
  bool speaks_tls_first = false;
};

class Inner final : public Protocol {
 public:
  explicit Inner(Seen& seen) : seen_(seen) {}

  void connected(Wire& wire, const ConnectionInfo& info, base::Now) override {
    seen_.calls.push_back("connected " + base::format_socket_address(info.peer) + " " +
                          base::format_socket_address(info.local));
    if (seen_.speaks_tls_first) wire.start_tls(StartTlsAsServer{});
    wire.want_turn();
  }

  void receive(std::string_view bytes, base::Now) override {
    seen_.calls.push_back("receive " + std::string(bytes));
    said_ = "said";
  }

  void peer_closed(base::Now) override { seen_.calls.emplace_back("peer_closed"); }

  void lost(const Loss&, base::Now) override { seen_.calls.emplace_back("lost"); }

  void deadline_reached(base::Now) override { seen_.calls.emplace_back("deadline"); }

  void turn(base::Now) override { seen_.calls.emplace_back("turn"); }

  void tls_started(const TlsInfo&, base::Now) override { seen_.calls.emplace_back("tls"); }

  [[nodiscard]] std::string_view output() const override { return said_; }

  void output_sent(std::size_t, base::Now) override { said_.clear(); }

  [[nodiscard]] base::Instant deadline() const override {
    return base::Instant(std::chrono::hours(7));
  }

  [[nodiscard]] bool wants_input() const override { return said_.empty(); }

  [[nodiscard]] bool is_over() const override { return false; }

 private:
  Seen& seen_;
  std::string said_;
};

struct World : Wire {
  World() {
    ProxiedHandlers handlers;
    handlers.make = [this](const ConnectionInfo&) { return std::make_unique<Inner>(seen); };
    handlers.refused = [this](std::string_view why) { refused.emplace_back(why); };
    protocol = make_proxied(std::move(handlers));
    const ConnectionInfo info{*base::parse_socket_address("10.0.0.2:25"),
                              *base::parse_socket_address("10.0.0.1:999")};
    protocol->connected(*this, info, now);
  }

  void want_turn() override { ++turns; }

  void start_tls(StartTls how) override { handshake = std::get<StartTlsAsServer>(how).received; }

  base::Now now{base::Instant(std::chrono::hours(1)), {}};
  Seen seen;
  std::vector<std::string> refused;
  std::optional<std::string> handshake;
  int turns = 0;
  std::unique_ptr<Protocol> protocol;
};

const std::string kHeader = "PROXY TCP4 192.0.2.1 198.51.100.2 4711 25\r\n";
using Calls = std::vector<std::string>;

}  // namespace

TEST_CASE("the client's address is the one that the proxy says") {
  World world;
  CHECK(world.protocol->wants_input());
  world.protocol->receive(kHeader.substr(0, 10), world.now);
  CHECK(world.seen.calls.empty());
  CHECK(world.protocol->output().empty());
  world.protocol->receive(kHeader.substr(10) + "EHLO x\r\n", world.now);
  CHECK(world.seen.calls ==
        Calls{"connected 192.0.2.1:4711 198.51.100.2:25", "receive EHLO x\r\n"});
  CHECK(world.turns == 1);
  CHECK(world.protocol->output() == "said");
  CHECK_FALSE(world.protocol->wants_input());
  world.protocol->output_sent(4, world.now);
  world.protocol->receive("more", world.now);
  world.protocol->turn(world.now);
  world.protocol->deadline_reached(world.now);
  world.protocol->peer_closed(world.now);
  world.protocol->lost({}, world.now);
  CHECK(Calls(world.seen.calls.begin() + 2, world.seen.calls.end()) ==
        Calls{"receive more", "turn", "deadline", "peer_closed", "lost"});
  CHECK(world.protocol->deadline() == base::Instant(std::chrono::hours(7)));
  CHECK(world.refused.empty());
}

TEST_CASE("a header without addresses leaves those of the connection") {
  World world;
  world.protocol->receive("PROXY UNKNOWN\r\n", world.now);
  CHECK(world.seen.calls == Calls{"connected 10.0.0.1:999 10.0.0.2:25"});
}

TEST_CASE(
    "what stands behind the header belongs to the handshake of a client that begins with TLS") {
  World world;
  world.seen.speaks_tls_first = true;
  world.protocol->receive(kHeader + "\x16\x03\x01", world.now);
  CHECK(world.handshake == "\x16\x03\x01");
  CHECK(world.seen.calls.size() == 1);
  world.protocol->tls_started({}, world.now);
  world.protocol->receive("EHLO x\r\n", world.now);
  CHECK(Calls(world.seen.calls.begin() + 1, world.seen.calls.end()) ==
        Calls{"tls", "receive EHLO x\r\n"});
}

TEST_CASE(
    "without a good header in time the connection is closed, and nobody hears of it but the log") {
  World world;
  SECTION("something else comes") {
    world.protocol->receive("EHLO x\r\n", world.now);
    CHECK(world.refused == Calls{"there is no PROXY header"});
  }
  SECTION("nothing comes") {
    CHECK(world.protocol->deadline() == world.now.instant + kProxyHeaderTime);
    world.protocol->deadline_reached(world.now);
    CHECK(world.refused == Calls{"there was no PROXY header in time"});
  }
  SECTION("the proxy goes away") {
    world.protocol->receive("PRO", world.now);
    world.protocol->peer_closed(world.now);
    CHECK(world.refused == Calls{"it ended before the PROXY header"});
  }
  CHECK(world.protocol->is_over());
  CHECK(world.protocol->output().empty());
  world.protocol->receive(kHeader, world.now);
  world.protocol->lost({}, world.now);
  CHECK(world.seen.calls.empty());
  CHECK(world.refused.size() == 1);
}
