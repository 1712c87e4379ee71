// Two hours among hostile peers, on the virtual clock: as next hops and as clients, each with one
// misbehaviour at one stage, again and again, while ordinary mail goes its way.
// contrib/doc/hostile.md lists what is tried.
#include <algorithm>
#include <deque>
#include <functional>

#include <catch2/catch.hpp>

#include "tests/sim/hostile_peer.h"
#include "tests/sim/sim.h"

namespace rockdove::sim {
namespace {

using Role = HostilePeer::Role;

constexpr std::uint64_t kMemoryMax = 32 << 20;  // octets that the relay may hold of all of them
constexpr base::Duration kHealthyDelayMax = std::chrono::seconds(30);

class HostileWorld {
 public:
  explicit HostileWorld(std::uint64_t seed)
      : sim_(seed, settings()), clients_loop_(sim_.agenda(), sim_.random(), 62) {
    sim_.dns.mx("home.example", 10, "mx.home.example");
    sim_.remote_server("mx.home.example", {"192.0.2.250"});
    sim_.dns.mx("example.net", 10, "mx.example.net");
    healthy_ = &sim_.remote_server("mx.example.net", {"192.0.2.1"});
  }

  ~HostileWorld() {
    clients_loop_.stop();
    sim_.internet.vanish(clients_loop_, Internet::Which::Taken);
    sim_.internet.vanish(clients_loop_, Internet::Which::Made);
  }

  HostileWorld(const HostileWorld&) = delete;
  HostileWorld& operator=(const HostileWorld&) = delete;

  // Each attack has a domain of its own, with one host.
  void add_servers() {
    for (const Attack& attack : server_attacks_) {
      const std::string number = std::to_string(hosts_.size());
      const base::SocketAddress address{
          base::IpAddress::v4({198, 51, static_cast<std::uint8_t>(hosts_.size() / 200),
                               static_cast<std::uint8_t>(hosts_.size() % 200 + 1)}),
          25};
      sim_.dns.mx("h" + number + ".example", 10, "mx.h" + number + ".example");
      sim_.dns.address("mx.h" + number + ".example", base::format_ip_address(address.ip));
      sim_.internet.listen(address, {{&clients_loop_, [this, &attack](const net::ConnectionInfo&) {
                                        return std::make_unique<HostilePeer>(sim_.internet, attack,
                                                                             Role::Server);
                                      }}});
      hosts_.push_back(address);
    }
  }

  void submit_to_servers() {
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      const std::string recipient = "b@h" + std::to_string(i) + ".example";
      hostile_mail_.push_back(&sim_.submit("a@home.example", {recipient}, large_));
    }
  }

  // Each attack comes from an address of its own, again each ten minutes.
  void add_clients() {
    for (std::size_t i = 0; i < client_attacks_.size(); ++i) {
      const base::IpAddress from = base::IpAddress::v4(
          {10, 9, static_cast<std::uint8_t>(i / 200), static_cast<std::uint8_t>(i % 200 + 1)});
      connect(client_attacks_[i], from);
    }
  }

  // Ordinary mail each minute; none of it waits, and the relay holds little.
  void run(base::Duration time) {
    const base::Instant end = sim_.now().instant + time;
    while (sim_.now().instant < end && sim_.failures().empty()) {
      Submission& mail = sim_.submit("a@home.example", {"b@example.net"}, "hi\r\n");
      const std::size_t before = healthy_->received().size();
      sim_.run_for(kHealthyDelayMax);
      CHECK(mail.told == Submission::Told::Accepted);
      CHECK(healthy_->received().size() == before + 1);
      CHECK(sim_.relay().memory_used() < kMemoryMax);
      sim_.run_for(1min - kHealthyDelayMax);
    }
  }

  // The peers are gone; good ones stand in the servers' places, and all mail has to arrive there.
  void check_nothing_lost() {
    is_over_ = true;
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      sim_.internet.close(hosts_[i]);
      sim_.dns.forget("mx.h" + std::to_string(i) + ".example");
      sim_.remote_server("mx.h" + std::to_string(i) + ".example",
                         {base::format_ip_address(hosts_[i].ip)});
    }
    sim_.internet.vanish(clients_loop_, Internet::Which::Taken);
    sim_.internet.vanish(clients_loop_, Internet::Which::Made);
    CHECK(sim_.run_until_quiet(24h));
    for (const queue::DeliveryId id : sim_.waiting()) UNSCOPED_INFO(sim_.describe(id));
    sim_.check_quiet();
    for (std::size_t i = 0; i < hostile_mail_.size(); ++i) {
      INFO(server_attacks_[i].name);
      REQUIRE(hostile_mail_[i]->told == Submission::Told::Accepted);
      CHECK(sim_.truth.copies(hostile_mail_[i]->id, "b@h" + std::to_string(i) + ".example") == 1);
    }
    for (const std::string& failure : sim_.failures()) UNSCOPED_INFO(failure);
    CHECK(sim_.failures().empty());
  }

 private:
  static std::string large_body() {
    std::string body;
    while (body.size() < 200'000) body += std::string(76, 'x') + "\r\n";
    return body;
  }

  static SimSettings settings() {
    SimSettings settings = default_settings();
    settings.loops = 2;
    settings.relay.queue.retry = {5min, 15min};
    settings.relay.inbound.listeners[0].max_message_size = 1'000'000;  // content without an end
    return settings;
  }

  void connect(const Attack& attack, const base::IpAddress& from) {
    if (is_over_) return;
    sim_.internet.connect(clients_loop_, from,
                          {{*base::parse_ip_address("10.0.0.1"), 25}, std::nullopt, 30s},
                          std::make_unique<HostilePeer>(sim_.internet, attack, Role::Client));
    clients_loop_.at(sim_.now().instant + 10min + base::Duration(sim_.random().below(10'000)),
                     [this, &attack, from] { connect(attack, from); });
  }

  const std::vector<Attack> server_attacks_ = all_attacks(Role::Server);
  const std::vector<Attack> client_attacks_ = all_attacks(Role::Client);
  const std::string large_ = large_body();
  Sim sim_;
  SimLoop clients_loop_;
  RemoteServer* healthy_;
  std::vector<base::SocketAddress> hosts_;
  std::vector<Submission*> hostile_mail_;
  bool is_over_ = false;
};

TEST_CASE("two hours with hostile next hops: no loss, no delay for others, little memory") {
  HostileWorld world(1);
  world.add_servers();
  world.submit_to_servers();
  world.run(2h);
  world.check_nothing_lost();
}

TEST_CASE("two hours with hostile clients: no loss, no delay for others, little memory") {
  HostileWorld world(1);
  world.add_clients();
  world.run(2h);
  world.check_nothing_lost();
}

}  // namespace
}  // namespace rockdove::sim
