// What next hops say of themselves, as stories on the virtual clock: TLS that works or does not,
// limits that they have. Each ends with everything at rest and the truth checked.
#include <optional>

#include <catch2/catch.hpp>

#include "tests/sim/sim.h"
#include "tests/sim/stories.h"

namespace rockdove::sim {
namespace {

TEST_CASE("a next hop's RCPTMAX is never exceeded, and costs nobody an attempt") {
  Sim sim(GENERATE(1U, 2U, 3U));
  RemoteServer& remote = example_net(sim);
  remote.set_recipients_max(10);
  // All of the first ten are refused for now: the others are not held up by that.
  remote.recipients_go_by([](const std::string& address) -> std::optional<smtp::Reply> {
    if (address.find('@') != 2) return std::nullopt;
    return smtp::make_reply(450, "4.2.1", "greylisted");
  });
  std::vector<std::string> recipients;
  for (int i = 0; i < 45; ++i) recipients.push_back("r" + std::to_string(i) + "@example.net");
  Submission& mail = sim.submit("a@home.example", recipients, kBody);
  sim.run_for(1min);
  REQUIRE(mail.told == Submission::Told::Accepted);
  for (const std::string& recipient : recipients) {
    const std::optional<queue::Delivery> delivery = sim.delivery(mail.id, recipient);
    CHECK(delivery.has_value() == (recipient.find('@') == 2));
    if (delivery) CHECK(delivery->attempts == 1);
  }
  remote.heal();
  remote.set_recipients_max(10);
  sim.run_for(1h);
  std::size_t delivered = 0;
  for (const ReceivedMail& received : remote.received()) {
    CHECK(received.recipients.size() <= 10);
    delivered += received.recipients.size();
  }
  CHECK(delivered == recipients.size());
  rest(sim);
}

class NoContext final : public net::TlsClientContext {};

SimSettings with_tls(outbound::TlsLevel level) {
  SimSettings settings = default_settings();
  settings.relay.outbound.tls = std::make_shared<const NoContext>();
  settings.relay.outbound.mx_tls = level;
  return settings;
}

TEST_CASE("tls = may: broken TLS neither loses nor delays mail") {
  const RemoteTls tls = GENERATE(RemoteTls::None, RemoteTls::Works, RemoteTls::Refuses,
                                 RemoteTls::Drops, RemoteTls::Stalls, RemoteTls::Clear);
  Sim sim(GENERATE(1U, 2U, 3U), with_tls(outbound::TlsLevel::May));
  RemoteServer& remote = example_net(sim);
  remote.set_tls(tls);
  Submission& first = sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(3min);  // RFC 3207 says nothing of waits: a handshake has a minute
  REQUIRE(remote.received().size() == 1);
  CHECK(remote.received()[0].within_tls == (tls == RemoteTls::Works));
  CHECK_FALSE(sim.delivery(first.id, "b@example.net"));
  // What was learned makes the next one fast.
  const base::Instant before = sim.now().instant;
  sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(1min);
  REQUIRE(remote.received().size() == 2);
  CHECK(remote.received()[1].at - before < 5s);
  rest(sim);
}

TEST_CASE("tls = require: nothing goes in clear, and all goes once TLS works") {
  const RemoteTls tls = GENERATE(RemoteTls::None, RemoteTls::Refuses, RemoteTls::Drops,
                                 RemoteTls::Stalls, RemoteTls::Clear);
  Sim sim(GENERATE(1U, 2U),
          with_tls(GENERATE(outbound::TlsLevel::Require, outbound::TlsLevel::Verify)));
  RemoteServer& remote = example_net(sim);
  remote.set_tls(tls);
  Submission& mail = sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(1h);
  CHECK(remote.received().empty());
  const std::optional<queue::Delivery> waiting = sim.delivery(mail.id, "b@example.net");
  REQUIRE(waiting);
  CHECK(waiting->last.reply.find("451 4.7.5 mx.example.net[192.0.2.1]:25") == 0);
  CHECK(waiting->last.reply.find("([tls] outbound = ") != std::string::npos);
  remote.set_tls(RemoteTls::Works);
  rest(sim);
  REQUIRE(remote.received().size() == 1);
  CHECK(remote.received()[0].within_tls);
}

TEST_CASE("tls = require: after the lifetime the report says that encryption failed") {
  SimSettings settings = with_tls(outbound::TlsLevel::Require);
  settings.relay.queue.lifetime = 6h;
  Sim sim(1, settings);
  RemoteServer& postbox = home(sim);
  postbox.set_tls(RemoteTls::Works);
  example_net(sim);
  sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(12h);
  REQUIRE_FALSE(postbox.received().empty());
  const std::string& report = postbox.received().back().content;
  CHECK(report.find("could not be encrypted") != std::string::npos);
  CHECK(report.find("offers no STARTTLS") != std::string::npos);
  rest(sim);
}

}  // namespace
}  // namespace rockdove::sim
