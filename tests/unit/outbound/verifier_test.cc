// Which questions are asked of which server, what is kept of the answers, and the limits.
#include "mta/outbound/verifier.h"

#include <cerrno>

#include <catch2/catch.hpp>

#include "tests/unit/outbound/verifier_world.h"

namespace rockdove::outbound {
namespace {

using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

using World = VerifierWorld;

TEST_CASE("a recipient is asked about with MAIL and RCPT, and never with DATA") {
  World world;
  tests::HandConnection& server = world.start("user@example.net");
  CHECK(format_socket_address(server.request().to) == "192.0.2.1:25");
  server.accept();
  server.say("220 mx\r\n");
  CHECK(server.take_said() == "EHLO me.example\r\n");
  server.say("250-mx\r\n250-SIZE 1000\r\n250 PIPELINING\r\n");
  CHECK(server.take_said() == "MAIL FROM:<>\r\nRCPT TO:<user@example.net>\r\n");
  server.say("250 ok\r\n250 ok\r\n");
  CHECK(server.take_said() == "QUIT\r\n");
  CHECK(world.answers.empty());  // only in a turn of its own
  world.loop.run();
  CHECK(world.answers == std::vector<std::string>{"250 2.1.5 recipient ok"});
  CHECK_FALSE(server.is_gone());
  CHECK(world.connections.open() == 1);
  server.say("221 bye\r\n");
  CHECK(server.is_gone());
  CHECK(world.connections.open() == 0);
}

TEST_CASE("a server without pipelining is asked command by command") {
  World world;
  tests::HandConnection& server = world.start("user@example.net");
  server.accept();
  server.say("220 mx\r\n");
  server.say("250 mx\r\n");
  CHECK(server.take_said() == "EHLO me.example\r\nMAIL FROM:<>\r\n");
  server.say("250 ok\r\n");
  CHECK(server.take_said() == "RCPT TO:<user@example.net>\r\n");
  server.say("551 moved away\r\n");
  CHECK(server.take_said() == "QUIT\r\n");
  world.loop.run();
  CHECK(world.answers == std::vector<std::string>{"550 5.1.1 moved away"});
}

TEST_CASE("a yes is kept for an hour") {
  World world;
  world.converse("user@example.net", "250 ok");
  world.loop.pass(1h - 1ms);
  world.ask("user@example.net");
  CHECK(world.answers.size() == 1);  // never within the call
  world.loop.run();
  CHECK(world.answers.size() == 2);
  CHECK(world.answers.back() == "250 2.1.5 recipient ok");
  CHECK(world.network.count() == 1);
  world.loop.pass(1ms);
  world.start("user@example.net");
  CHECK(world.network.count() == 2);
}

TEST_CASE("a no has the server's own words and is kept for ten minutes") {
  World world;
  world.converse("no@example.net", "554-5.7.27 we do not\r\n554 5.7.27 know that one");
  CHECK(world.answers == std::vector<std::string>{"550 5.7.27 we do not; know that one"});
  world.loop.pass(10min - 1ms);
  world.ask("no@example.net");
  world.loop.run();
  CHECK(world.answers.size() == 2);
  CHECK(world.answers.back() == world.answers.front());
  CHECK(world.network.count() == 1);
  world.loop.pass(1ms);
  world.start("no@example.net");
  CHECK(world.network.count() == 2);
}

TEST_CASE("a server's long words are cut") {
  World world;
  world.converse("no@example.net", "550 " + std::string(1000, 'x'));
  CHECK(world.answers.at(0) == "550 5.1.1 " + std::string(256, 'x'));
}

TEST_CASE("what is no answer is 451 and is not kept") {
  const std::string rcpt = GENERATE(as<std::string>(), "250 ok\r\n450 4.2.0 greylisted",
                                    "550 5.7.1 not from you\r\n503 no", "451 later\r\n503 no");
  World world;
  tests::HandConnection& server = world.start("user@example.net");
  world.greet(server);
  server.say(rcpt + "\r\n");
  world.loop.run();
  REQUIRE(world.answers.size() == 1);
  CHECK_THAT(world.answers[0], StartsWith("451 4.4.1 could not ask"));
  CHECK_THAT(world.answers[0], Contains("mx1.example.net[192.0.2.1]:25"));
  world.start("user@example.net");
  CHECK(world.network.count() == 2);
}

TEST_CASE("what the DNS does not say is 451 4.4.3") {
  World world;
  world.ask("user@unknown.example");
  world.resolver.run();
  world.loop.run();
  REQUIRE(world.answers.size() == 1);
  CHECK_THAT(world.answers[0], StartsWith("451 4.4.3 could not ask"));
  world.resolver.fails("broken.example", dns::RecordType::MX, dns::Status::ServerFailure);
  world.ask("user@broken.example");
  world.resolver.run();
  world.loop.run();
  REQUIRE(world.answers.size() == 2);
  CHECK_THAT(world.answers[1], StartsWith("451 4.4.3 could not ask"));
  CHECK(world.network.count() == 0);
}

TEST_CASE("the next server is asked when one cannot be, three at most") {
  World world({}, 1000, 5);
  world.start("user@example.net");
  world.network[0].lose({net::Loss::How::ConnectFailed, ECONNREFUSED});
  REQUIRE(world.network.count() == 2);
  CHECK(format_socket_address(world.network[1].request().to) == "192.0.2.2:25");
  CHECK(world.connections.open() == 1);

  SECTION("the second one answers") {
    world.greet(world.network[1]);
    world.network[1].say("250 ok\r\n550 no\r\n");
    world.loop.run();
    CHECK(world.answers == std::vector<std::string>{"550 5.1.1 no"});
  }
  SECTION("the second one refuses us, the third ends the conversation") {
    world.network[1].accept();
    world.network[1].say("554 go away\r\n");
    REQUIRE(world.network.count() == 3);
    world.greet(world.network[2]);
    world.network[2].say("250 ok\r\n421 closing\r\n");
    world.loop.run();
    CHECK(world.network.count() == 3);
    REQUIRE(world.answers.size() == 1);
    CHECK_THAT(world.answers[0], StartsWith("451 4.4.1 could not ask"));
    CHECK_THAT(world.answers[0], Contains("mx3.example.net[192.0.2.3]:25: it said: 421 closing"));
  }
  SECTION("the second one is silent after EHLO") {
    world.network[1].accept();
    world.network[1].say("220 mx\r\n");
    world.loop.pass(10s);
    world.network[1].ring();
    CHECK(world.network.count() == 3);
  }
  SECTION("the second one closes the connection") {
    world.network[1].accept();
    world.network[1].close();
    CHECK(world.network.count() == 3);
    CHECK(world.network[1].is_gone());
  }
}

TEST_CASE("IPv6 is passed over for ten minutes when there is no route") {
  World world;
  for (const char* address : {"2001:db8::1", "2001:db8::2", "2001:db8::3"})
    world.resolver.address("mx1.example.net", address);
  world.start("user@example.net");
  REQUIRE_FALSE(world.network[0].request().to.ip.is_v4());
  world.network[0].lose({net::Loss::How::ConnectFailed, ENETUNREACH});
  REQUIRE(world.network.count() == 2);
  CHECK(world.network[1].request().to.ip.is_v4());
  world.network[1].lose({net::Loss::How::ConnectFailed, ECONNREFUSED});
  CHECK(world.network.count() == 2);
  CHECK(world.start("other@example.net").request().to.ip.is_v4());
  world.loop.pass(10min);
  CHECK_FALSE(world.start("third@example.net").request().to.ip.is_v4());
}

TEST_CASE("a question ends after 30 seconds, wherever it stands") {
  World world;
  SECTION("waiting for the DNS") {
    world.ask("user@example.net");
    world.loop.pass(30s - 1ms);
    CHECK(world.answers.empty());
    world.loop.pass(1ms);
    REQUIRE(world.answers.size() == 1);
    CHECK_THAT(world.answers[0], StartsWith("451 4.4.3"));
    world.resolver.run();  // too late: nobody is connected to
    CHECK(world.network.count() == 0);
  }
  SECTION("waiting for the answer to RCPT") {
    tests::HandConnection& server = world.start("user@example.net");
    world.greet(server);
    server.say("250 ok\r\n");
    world.loop.pass(30s - 1ms);
    CHECK(world.answers.empty());
    world.loop.pass(1ms);
    REQUIRE(world.answers.size() == 1);
    CHECK_THAT(world.answers[0], StartsWith("451 4.4.1"));
    server.settle();
    CHECK(server.is_gone());
    CHECK(world.connections.open() == 0);
  }
  SECTION("waiting for the handshake") {
    tests::HandConnection& server = world.start("user@example.net");
    world.loop.pass(30s);
    CHECK(world.answers.size() == 1);
    server.accept();
    CHECK(server.is_gone());
    CHECK(server.take_said() == "");
  }
}

TEST_CASE("the same question is asked once, and all who asked are told") {
  World world;
  world.ask("user@example.net");
  world.ask("user@example.net");
  tests::HandConnection& server = world.start("user@example.net");
  CHECK(world.network.count() == 1);
  world.greet(server);
  server.say("250 ok\r\n452 full\r\n");
  world.loop.run();
  REQUIRE(world.answers.size() == 3);
  CHECK(world.answers[0] == world.answers[2]);
}

TEST_CASE("local parts differ by case") {
  World world;
  world.converse("User@example.net", "250 ok");
  world.start("user@example.net");
  CHECK(world.network.count() == 2);
}

TEST_CASE("no more than so many questions are under way") {
  VerifierLimits limits;
  limits.questions_max = 2;
  World world(limits);
  world.start("a@example.net");
  world.start("b@example.net");
  world.ask("c@example.net");
  world.ask("a@example.net");  // is under way, so it is no new one
  world.loop.run();
  REQUIRE(world.answers.size() == 1);
  CHECK_THAT(world.answers[0], StartsWith("451 4.4.1 could not ask"));
  world.greet(world.network[0]);
  world.network[0].say("250 ok\r\n250 ok\r\n");
  world.start("c@example.net");
  CHECK(world.network.count() == 3);
}

TEST_CASE("no more than so many answers are kept, the ones used last") {
  VerifierLimits limits;
  limits.answers_max = 2;
  World world(limits);
  world.converse("a@example.net", "250 ok");
  world.converse("b@example.net", "250 ok");
  world.ask("a@example.net");
  world.converse("c@example.net", "250 ok");
  CHECK(world.network.count() == 3);
  world.ask("a@example.net");
  world.ask("c@example.net");
  world.loop.run();
  CHECK(world.network.count() == 3);
  CHECK(world.answers.size() == 6);
  world.start("b@example.net");
  CHECK(world.network.count() == 4);
}

TEST_CASE("without a connection to spare nobody is asked") {
  World world({}, 2);  // of which half may go where nobody has been lately
  world.start("a@example.net");
  world.ask("b@example.net");
  world.resolver.run();
  world.loop.run();
  CHECK(world.network.count() == 1);
  REQUIRE(world.answers.size() == 1);
  CHECK_THAT(world.answers[0], Contains("451 4.4.1") && Contains("too many connections"));
}

TEST_CASE("routes decide whom to ask") {
  World world;
  ToHosts hosts;
  hosts.hosts = {{"192.0.2.50", 2525}, {"192.0.2.51", 25}};
  hosts.order = ToHosts::Order::Share;
  world.settings.routes.push_back({"lake", "*@example.net", "", "", {}, hosts});
  world.settings.routes.push_back({"hole", "*@hole.example", "", "", {}, ToDiscard{}});
  world.ask("user@example.net");
  REQUIRE(world.network.count() == 1);
  CHECK(format_socket_address(world.network[0].request().to) == "192.0.2.50:2525");
  world.ask("other@example.net");
  REQUIRE(world.network.count() == 2);
  CHECK(format_socket_address(world.network[1].request().to) == "192.0.2.51:25");
  world.ask("anybody@hole.example");
  CHECK(world.answers.empty());
  world.loop.run();
  CHECK(world.answers == std::vector<std::string>{"250 2.1.5 recipient ok"});
  CHECK(world.network.count() == 2);
}

TEST_CASE("a verifier may end while it says QUIT") {
  World world;
  tests::HandConnection& server = world.start("a@example.net");
  world.greet(server);
  server.say("250 ok\r\n250 ok\r\n");
  CHECK(world.connections.open() == 1);
  world.probe.reset();
  CHECK(world.connections.open() == 0);
  server.settle();
  CHECK(server.is_gone());
}

TEST_CASE("a verifier may end while it asks") {
  World world;
  world.start("a@example.net").accept();
  world.ask("b@example.net");
  world.probe.reset();
  world.resolver.run();
  world.network.settle();
  world.loop.run();
  CHECK(world.network.count() == 1);
  CHECK(world.network[0].is_gone());
  CHECK(world.answers.empty());
  CHECK(world.connections.open() == 0);
}

}  // namespace
}  // namespace rockdove::outbound
