// Asking about recipients under each level of TLS: inside it where it works, in clear only where
// nobody minds, and 451 where it must be and cannot be.
#include <catch2/catch.hpp>

#include "tests/unit/outbound/verifier_world.h"

namespace rockdove::outbound {
namespace {

using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

class NoContext final : public net::TlsClientContext {};

const net::TlsInfo kGood{net::TlsVersion::V1_3, "TLS_AES_128_GCM_SHA256", false, false, ""};

net::Loss tls_loss(std::string detail) {
  return {net::Loss::How::TlsFailed, 0, std::move(detail)};
}

struct World : VerifierWorld {
  explicit World(TlsLevel level, int servers = 1) : VerifierWorld({}, 1000, servers) {
    settings.mx_tls = level;
    settings.tls = std::make_shared<const NoContext>();
  }

  // Greeted, and offered STARTTLS.
  void offer(tests::HandConnection& server) {
    server.accept();
    server.say("220 mx\r\n");
    CHECK(server.take_said() == "EHLO me.example\r\n");
    server.say("250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n");
  }

  // As far as the handshake.
  const net::StartTlsAsClient& to_handshake(tests::HandConnection& server) {
    offer(server);
    CHECK(server.take_said() == "STARTTLS\r\n");
    server.say("220 go ahead\r\n");
    REQUIRE(server.tls_wanted());
    return std::get<net::StartTlsAsClient>(*server.tls_wanted());
  }

  // The envelope about user@example.net is asked on this connection, and its RCPT gets this answer.
  void finish(tests::HandConnection& server, const std::string& rcpt) {
    CHECK(server.take_said() == "MAIL FROM:<>\r\nRCPT TO:<user@example.net>\r\n");
    server.say("250 ok\r\n" + rcpt + "\r\n");
    CHECK(server.take_said() == "QUIT\r\n");
    server.say("221 bye\r\n");
    loop.run();
  }

  // Nothing but greetings was said to this server, and nobody could be asked.
  void check_could_not_ask(tests::HandConnection& server, const std::string& why) {
    loop.run();
    CHECK_THAT(server.take_said(), !Contains("MAIL") && !Contains("RCPT"));
    REQUIRE(answers.size() == 1);
    CHECK_THAT(answers[0], StartsWith("451 4.4.1 could not ask") && Contains(why));
    server.settle();
    CHECK(connections.open() == 0);
  }
};

TEST_CASE("a recipient is asked about inside TLS where it is offered") {
  World world(GENERATE(TlsLevel::May, TlsLevel::Require));
  tests::HandConnection& server = world.start("user@example.net");
  const net::StartTlsAsClient& how = world.to_handshake(server);
  CHECK(how.host == "mx1.example.net");
  CHECK(how.verify == net::TlsVerify::Nothing);
  server.begin_tls(kGood);
  CHECK(server.take_said() == "EHLO me.example\r\n");
  server.say("250-mx\r\n250 PIPELINING\r\n");
  world.finish(server, "550 5.1.1 nobody");
  CHECK(world.answers == std::vector<std::string>{"550 5.1.1 nobody"});
  CHECK(world.connections.open() == 0);
}

TEST_CASE("with may, a server whose TLS is broken is asked in clear at once, and for an hour") {
  World world(TlsLevel::May);
  tests::HandConnection& server = world.start("user@example.net");
  world.to_handshake(server);
  SECTION("the handshake fails") {
    server.lose(tls_loss("no cipher in common"));
  }
  SECTION("the connection ends in it") {
    server.lose({net::Loss::How::Broken, 0, {}});
  }
  SECTION("inside it nothing can be read") {
    server.begin_tls(kGood);
    server.lose(tls_loss("the peer gave up (alert unknown_ca)"));
  }
  REQUIRE(world.network.count() == 2);
  CHECK(world.network[1].request().to == world.network[0].request().to);
  world.offer(world.network[1]);
  world.finish(world.network[1], "250 ok");
  CHECK(world.answers == std::vector<std::string>{"250 2.1.5 recipient ok"});
  CHECK(world.connections.open() == 0);

  world.loop.pass(10min);
  tests::HandConnection& again = world.start("other@example.net");
  world.offer(again);
  CHECK(again.take_said() == "MAIL FROM:<>\r\nRCPT TO:<other@example.net>\r\n");
  world.loop.pass(51min);
  world.to_handshake(world.start("third@example.net"));
}

TEST_CASE("with may, a reply that refuses STARTTLS leaves the question in clear") {
  World world(TlsLevel::May);
  tests::HandConnection& server = world.start("user@example.net");
  world.offer(server);
  CHECK(server.take_said() == "STARTTLS\r\n");
  server.say("454 4.7.0 not now\r\n");
  world.finish(server, "250 ok");
  CHECK(world.network.count() == 1);
  CHECK(world.answers == std::vector<std::string>{"250 2.1.5 recipient ok"});
}

TEST_CASE("where TLS must be, nothing is asked in clear: the next server, then 451") {
  World world(GENERATE(TlsLevel::Require, TlsLevel::Verify), 2);
  world.start("user@example.net").accept();
  world.network[0].say("220 mx\r\n");
  world.network[0].take_said();
  world.network[0].say("250-mx\r\n250 PIPELINING\r\n");
  CHECK_THAT(world.network[0].take_said(), !Contains("MAIL"));
  REQUIRE(world.network.count() == 2);

  SECTION("the second one cannot, either") {
    world.to_handshake(world.network[1]);
    world.network[1].lose(tls_loss("the certificate has expired"));
    world.check_could_not_ask(
        world.network[1], "mx2.example.net[192.0.2.2]:25 TLS failed: the certificate has expired");
    CHECK(world.network.count() == 2);
    world.start("user@example.net");
    CHECK(world.network.count() == 3);  // nothing was kept
  }
  SECTION("the second one refuses STARTTLS") {
    world.offer(world.network[1]);
    world.network[1].say("454 4.7.0 not now\r\n");
    world.check_could_not_ask(world.network[1], "refused STARTTLS (454 4.7.0 not now)");
  }
  SECTION("the second one can") {
    world.to_handshake(world.network[1]);
    world.network[1].begin_tls(kGood);
    world.network[1].take_said();
    world.network[1].say("250-mx\r\n250 PIPELINING\r\n");
    world.finish(world.network[1], "250 ok");
    CHECK(world.answers == std::vector<std::string>{"250 2.1.5 recipient ok"});
  }
}

TEST_CASE("with verify, the certificate must be the server's own") {
  World world(TlsLevel::Verify);
  const net::StartTlsAsClient& how = world.to_handshake(world.start("user@example.net"));
  CHECK(how.host == "mx1.example.net");
  CHECK(how.verify == net::TlsVerify::NameAndChain);
}

TEST_CASE("words that stand in clear behind the answer to STARTTLS are no answers") {
  World world(TlsLevel::Require);
  tests::HandConnection& server = world.start("user@example.net");
  world.offer(server);
  server.say("220 go ahead\r\n250 mx\r\n250 ok\r\n250 ok\r\n");
  world.check_could_not_ask(server, "said what it must not");
}

TEST_CASE("smtps:// is asked inside TLS from the first octet") {
  World world(TlsLevel::May);
  ToHosts hosts;
  hosts.hosts = {{"192.0.2.50", 465, true}};
  Route route{"lake", "*@example.net", "", "", {}, hosts};
  route.tls = TlsLevel::Require;
  world.settings.routes.push_back(route);
  world.ask("user@example.net");
  REQUIRE(world.network.count() == 1);
  tests::HandConnection& server = world.network[0];
  server.accept();
  REQUIRE(server.tls_wanted());
  CHECK(server.take_said().empty());

  SECTION("it works") {
    server.begin_tls(kGood);
    server.say("220 mx\r\n");
    CHECK(server.take_said() == "EHLO me.example\r\n");
    server.say("250-mx\r\n250 PIPELINING\r\n");
    world.finish(server, "250 ok");
    CHECK(world.answers == std::vector<std::string>{"250 2.1.5 recipient ok"});
  }
  SECTION("the handshake fails") {
    server.lose(tls_loss("the peer spoke clear text: \"220 mx\""));
    world.check_could_not_ask(server, "the peer spoke clear text");
  }
  SECTION("the handshake never comes to its end") {
    REQUIRE(server.deadline() == world.loop.now().instant + 10s);
    world.loop.pass(10s);
    server.ring();
    world.check_could_not_ask(server, "did not answer in time during the TLS handshake");
  }
}

TEST_CASE("a question may end within the handshake") {
  World world(TlsLevel::Require);
  tests::HandConnection& server = world.start("user@example.net");
  world.to_handshake(server);
  world.loop.pass(30s);
  server.settle();
  CHECK(server.is_gone());
  world.check_could_not_ask(server, "did not answer in time");
}

TEST_CASE("without any TLS of our own nobody can be asked where it must be") {
  World world(TlsLevel::Require);
  world.settings.tls = nullptr;
  world.ask("user@example.net");
  world.resolver.run();
  world.loop.run();
  REQUIRE(world.answers.size() == 1);
  CHECK_THAT(world.answers[0], StartsWith("451 4.7.5 could not ask"));
  CHECK(world.network.count() == 0);
  CHECK(world.connections.open() == 0);
}

}  // namespace
}  // namespace rockdove::outbound
