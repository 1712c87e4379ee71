// One outbound session over a network and a clock that the test turns by hand: what each level of
// TLS makes of each failure, passwords, time limits.
#include <catch2/catch.hpp>

#include "tests/unit/outbound/session_world.h"

namespace rockdove::outbound {
namespace {

TEST_CASE("TLS is used where it is offered, and the report names it") {
  const TlsLevel level = GENERATE(TlsLevel::May, TlsLevel::Require, TlsLevel::Verify);
  World world(level);
  world.start();
  tests::HandConnection& server = world.to_handshake();
  const auto& asked = std::get<net::StartTlsAsClient>(*server.tls_wanted());
  CHECK(asked.host == "mx1.example.net");
  CHECK(asked.port == 25);
  const bool verifies = asked.verify == net::TlsVerify::NameAndChain;
  CHECK(verifies == (level == TlsLevel::Verify));
  server.begin_tls(kGood);
  CHECK(server.take_said() == "EHLO me.example\r\n");
  server.say("250-mx\r\n250 DSN\r\n");
  world.take(server);
  CHECK(world.result().kind == Kind::Delivered);
  CHECK(world.result().takes_dsn);
  CHECK(world.reports[0].tls == "TLSv1.3 TLS_AES_128_GCM_SHA256");
  CHECK(world.is_idle);
}

TEST_CASE("a session that may not send MAIL yet hands its job back when it is ready, and is idle") {
  World world(TlsLevel::Off);
  world.session = std::make_unique<Session>(SessionKey{0, {1}}, world.site, world.context, world);
  world.session->start(world.job(), world.loop.now(), base::Instant{});
  tests::HandConnection& server = world.greet("");
  CHECK(server.take_said().empty());  // no MAIL
  REQUIRE(world.handed_back.size() == 1);
  CHECK(world.handed_back[0].message->id == base::MessageId{42});
  CHECK(world.session->is_idle());
  CHECK(world.reports.empty());
  SECTION("it sends what it is given in time") {
    const base::Now now = world.loop.now();
    world.session->start(world.job(), now, now.instant + 20ms);
    server.settle();
    world.take(server);
    CHECK(world.result().kind == Kind::Delivered);
    CHECK(world.handed_back.size() == 1);
  }
  SECTION("it says nothing for what comes too late") {
    const base::Now now = world.loop.now();
    world.session->start(world.job(), now, now.instant);
    server.settle();
    CHECK(server.take_said().empty());
    CHECK(world.handed_back.size() == 2);
    CHECK(world.session->is_idle());
  }
  SECTION("it quits when nothing comes") {
    world.loop.pass(5s);
    server.ring();
    CHECK(server.take_said().empty());  // a rate is slower than other mail
    world.loop.pass(Session::kIdlePaced - 5s);
    server.ring();
    CHECK(server.take_said() == "QUIT\r\n");
    CHECK(world.is_gone);
  }
}

TEST_CASE("a session without a grant that cannot connect reports its job, as any other") {
  World world(TlsLevel::Off);
  world.session = std::make_unique<Session>(SessionKey{0, {1}}, world.site, world.context, world);
  world.session->start(world.job(), world.loop.now(), base::Instant{});
  world.greet("").close();
  CHECK(world.handed_back.size() == 1);
  World refused(TlsLevel::Off);
  refused.session =
      std::make_unique<Session>(SessionKey{0, {1}}, refused.site, refused.context, refused);
  refused.session->start(refused.job(), refused.loop.now(), base::Instant{});
  refused.network.last().accept();
  refused.network.last().say("421 busy\r\n");
  CHECK(refused.handed_back.empty());
  CHECK(refused.result().kind == Kind::Defer);
  CHECK(refused.reports[0].finish == queue::Scheduler::Finish::SiteFailed);
}

TEST_CASE("a host that is an address is asked for its certificate by that address") {
  World world(TlsLevel::Verify);
  world.site->hosts[0].host = "[192.0.2.1]";
  world.start();
  CHECK(std::get<net::StartTlsAsClient>(*world.to_handshake().tls_wanted()).host == "192.0.2.1");
}

TEST_CASE("with off, and with may where it is not offered, mail goes in clear") {
  World world(GENERATE(TlsLevel::Off, TlsLevel::May));
  world.start();
  const bool offers = world.site->manner.tls == TlsLevel::Off;
  tests::HandConnection& server = world.greet(offers ? "STARTTLS" : "");
  world.take(server);
  CHECK(world.result().kind == Kind::Delivered);
  CHECK(world.reports[0].tls.empty());
  CHECK(world.context.broken_tls.size() == 0);
}

TEST_CASE("with may, broken TLS is tried again in clear at once, and remembered for an hour") {
  World world(TlsLevel::May, 2);
  world.start();
  SECTION("the handshake fails") {
    world.to_handshake().lose(tls_loss("the peer closed the connection within the handshake"));
  }
  SECTION("nothing is heard of the handshake") {
    tests::HandConnection& server = world.to_handshake();
    world.loop.pass(2min);
    server.ring();
  }
  SECTION("421 to STARTTLS") {
    world.greet("STARTTLS").say("421 closing\r\n");
  }
  SECTION("garbage to STARTTLS") {
    world.greet("STARTTLS").say("garbage\r\n");
  }
  SECTION("the connection is closed behind STARTTLS") {
    world.greet("STARTTLS").close();
  }
  SECTION("a refusal of STARTTLS, and then the connection is closed") {
    tests::HandConnection& server = world.greet("STARTTLS");
    server.say("454 4.7.0 not now\r\n");
    server.close();
  }
  SECTION("the server says nothing good after the handshake") {
    tests::HandConnection& server = world.to_handshake();
    server.begin_tls(kGood);
    server.lose(tls_loss("the peer wants a certificate of ours"));
  }
  SECTION("a record is bad in the middle of the transaction") {
    tests::HandConnection& server = world.to_handshake();
    server.begin_tls(kGood);
    server.say("250 mx\r\n");
    server.say("250 ok\r\n");
    server.lose(tls_loss("bad record MAC"));
  }
  CHECK(world.reports.empty());
  REQUIRE(world.network.count() == 2);
  CHECK(format_socket_address(world.network.last().request().to) == "192.0.2.1:25");
  tests::HandConnection& server = world.greet("STARTTLS");
  world.take(server);
  CHECK(world.result().kind == Kind::Delivered);
  CHECK(world.reports[0].tls.empty());

  // The next connection does not try it again, one after an hour does.
  world.reports.clear();
  world.start();
  world.take(world.greet("STARTTLS"));
  CHECK(world.result().kind == Kind::Delivered);
  world.loop.pass(1h);
  world.start();
  CHECK(world.greet("STARTTLS").take_said() == "STARTTLS\r\n");
}

TEST_CASE("a grant is used by MAIL, though TLS breaks then and it is tried again in clear") {
  World world(TlsLevel::May);
  world.session = std::make_unique<Session>(SessionKey{0, {1}}, world.site, world.context, world);
  world.session->start(world.job(), world.loop.now(), base::Instant{});
  tests::HandConnection& server = world.to_handshake();
  server.begin_tls(kGood);
  server.say("250 mx\r\n");
  REQUIRE(world.handed_back.size() == 1);
  CHECK_FALSE(world.has_used_grant);
  world.session->start(world.job(), world.loop.now(), world.loop.now().instant + 20ms);
  server.settle();
  server.say("250 ok\r\n");
  server.lose(tls_loss("bad record MAC"));
  world.greet("STARTTLS");
  REQUIRE(world.handed_back.size() == 2);
  CHECK(world.has_used_grant);
}

TEST_CASE("with may, a reply that refuses STARTTLS leaves the session in clear") {
  World world(TlsLevel::May);
  world.start();
  tests::HandConnection& server = world.greet("STARTTLS");
  CHECK(server.take_said() == "STARTTLS\r\n");
  server.say(GENERATE(as<std::string>(), "454 4.7.0 not now\r\n", "502 no such command\r\n"));
  world.take(server);
  CHECK(world.result().kind == Kind::Delivered);
  CHECK(world.network.count() == 1);
}

TEST_CASE("a session may be given up in the moment in which its handshake is done") {
  World world(TlsLevel::May);
  world.start();
  tests::HandConnection& server = world.to_handshake();
  CHECK(world.session->give_up(world.loop.now()));
  server.begin_tls(kGood);
  CHECK(server.is_gone());
  CHECK(server.take_said().empty());
  CHECK(world.result().kind == Kind::Defer);
}

TEST_CASE("once the final dot has left, broken TLS is uncertain and not sent again in clear") {
  World world(TlsLevel::May);
  world.start();
  tests::HandConnection& server = world.to_handshake();
  server.begin_tls(kGood);
  server.say("250 mx\r\n");
  server.say("250 ok\r\n");
  server.say("250 ok\r\n");
  server.say("354 go\r\n");
  server.lose(tls_loss("bad record MAC"));
  CHECK(world.result().kind == Kind::DeferUncertain);
  CHECK(world.network.count() == 1);
}

TEST_CASE("where TLS must be, nothing is sent in clear: the next host, then later") {
  enum class Trouble : std::uint8_t { NotOffered, Refused, Broken, Injected };
  const Trouble first =
      GENERATE(Trouble::NotOffered, Trouble::Refused, Trouble::Broken, Trouble::Injected);
  const Trouble last = GENERATE(Trouble::NotOffered, Trouble::Refused, Trouble::Broken);
  World world(GENERATE(TlsLevel::Require, TlsLevel::Verify), 2);
  world.start();
  const auto meet = [&world](Trouble trouble) -> std::string {
    switch (trouble) {
      case Trouble::NotOffered:
        world.greet("");
        return " offers no STARTTLS";
      case Trouble::Refused:
        world.greet("STARTTLS").say("502 5.5.1 no\r\n");
        return " refused STARTTLS (502 5.5.1 no)";
      case Trouble::Broken:
        world.to_handshake().lose(tls_loss("the certificate has expired"));
        return ": TLS failed: the certificate has expired";
      case Trouble::Injected:
        world.greet("STARTTLS").say("220 go\r\n250 injected\r\n");
        return "";
    }
    return "";
  };
  meet(first);
  REQUIRE(world.network.count() == 2);
  CHECK(world.reports.empty());
  const std::string expected = meet(last);
  CHECK(world.result().kind == Kind::Defer);
  CHECK(world.result().reply == "451 4.7.5 mx2.example.net[192.0.2.2]:25" + expected +
                                    ", and this route requires TLS (tls = \"" +
                                    std::string(level_name(world.site->manner.tls)) + "\")");
  CHECK(world.result().stage == smtp::Stage::StartTls);
  CHECK(world.reports[0].finish == queue::Scheduler::Finish::SiteFailed);
  CHECK(world.network.count() == 2);
  for (std::size_t i = 0; i < 2; ++i) CHECK_THAT(world.network[i].take_said(), !Contains("MAIL"));
}

TEST_CASE("where no route says so, it is [tls] outbound that requires TLS") {
  World world(TlsLevel::Verify);
  world.site->manner.tls_from = Manner::TlsFrom::Outbound;
  world.start();
  world.greet("PIPELINING");
  CHECK(world.result().reply ==
        "451 4.7.5 mx1.example.net[192.0.2.1]:25 offers no STARTTLS, and all mail to other servers "
        "requires TLS ([tls] outbound = \"verify\")");
}

TEST_CASE("smtps:// begins with the handshake, and is never spoken to in clear") {
  World world(TlsLevel::May);
  world.site->hosts[0].implicit_tls = true;
  world.site->hosts[0].address.port = 465;
  world.start();
  tests::HandConnection& server = world.network.last();
  server.accept();
  REQUIRE(server.tls_wanted());
  SECTION("it works") {
    server.begin_tls(kGood);
    server.say("220 mx\r\n");
    CHECK(server.take_said() == "EHLO me.example\r\n");
    server.say("250-mx\r\n250 STARTTLS\r\n");  // nonsense within TLS
    world.take(server);
    CHECK(world.reports.at(0).tls == "TLSv1.3 TLS_AES_128_GCM_SHA256");
  }
  SECTION("it fails") {
    server.lose(tls_loss("the peer spoke clear text"));
    CHECK(world.result().reply ==
          "451 4.7.5 mx1.example.net[192.0.2.1]:465: TLS failed: the peer spoke clear text, and "
          "this route requires TLS (smtps://)");
  }
  SECTION("nothing comes") {
    world.loop.pass(2min);
    server.ring();
    CHECK_THAT(world.result().reply, Contains("did not answer in time during the TLS handshake"));
    server.settle();
    CHECK(server.is_gone());
  }
  CHECK(world.network.count() == 1);
}

TEST_CASE("a password is said within TLS only, and a wrong one makes the mail wait") {
  World world(TlsLevel::May, 2);
  world.site->manner.credentials = Credentials{"scanner", "secret"};
  world.start();
  SECTION("no TLS, no password, no mail") {
    world.greet("AUTH PLAIN");
    world.greet("AUTH PLAIN");
    CHECK_THAT(world.result().reply, Contains("a password, which is sent only within TLS"));
    CHECK(world.result().kind == Kind::Defer);
    for (std::size_t i = 0; i < 2; ++i) CHECK_THAT(world.network[i].take_said(), !Contains("AUTH"));
  }
  SECTION("refused: later, not elsewhere, and the site is to blame") {
    tests::HandConnection& server = world.to_handshake();
    server.begin_tls(kGood);
    server.take_said();
    server.say("250-mx\r\n250 AUTH PLAIN LOGIN\r\n");
    CHECK(server.take_said() == "AUTH PLAIN AHNjYW5uZXIAc2VjcmV0\r\n");
    server.say("535 5.7.8 authentication failed\r\n");
    CHECK(world.result().kind == Kind::Defer);
    CHECK(world.result().stage == smtp::Stage::Auth);
    CHECK(world.result().reply == "535 5.7.8 authentication failed");
    CHECK(world.reports[0].finish == queue::Scheduler::Finish::SiteFailed);
    CHECK(world.network.count() == 1);
  }
  SECTION("taken") {
    tests::HandConnection& server = world.to_handshake();
    server.begin_tls(kGood);
    server.take_said();
    server.say("250-mx\r\n250 AUTH PLAIN LOGIN\r\n");
    server.take_said();
    server.say("235 2.7.0 welcome\r\n");
    world.take(server);
    CHECK(world.result().kind == Kind::Delivered);
  }
}

TEST_CASE("with tls = off, a password goes in clear, because somebody wrote so") {
  World world(TlsLevel::Off);
  world.site->manner.credentials = Credentials{"scanner", "secret"};
  world.start();
  tests::HandConnection& server = world.greet("AUTH PLAIN");
  CHECK(server.take_said() == "AUTH PLAIN AHNjYW5uZXIAc2VjcmV0\r\n");
}

TEST_CASE("a peer that answers each command just in time cannot keep a message for ever") {
  World world(TlsLevel::Off);
  world.start(100);
  tests::HandConnection& server = world.greet("");
  server.say("250 ok\r\n");
  int answered = 0;
  while (world.reports.empty() && answered < 100) {
    world.loop.pass(4min);
    if (server.deadline() <= world.loop.now().instant) {
      server.ring();
    } else {
      server.say("250 ok\r\n");
      ++answered;
    }
  }
  CHECK(answered == 7);  // 28 minutes
  CHECK(world.result().kind == Kind::Defer);
  CHECK_THAT(world.result().reply, Contains("too slow"));
  CHECK(world.reports[0].finish == queue::Scheduler::Finish::SiteFailed);
}

TEST_CASE("hosts with broken TLS are forgotten after an hour, and the table is bounded") {
  BrokenTls broken;
  const base::Instant start = base::Instant(1h);
  const auto host = [](std::uint16_t port) {
    return base::SocketAddress{*base::parse_ip_address("192.0.2.1"), port};
  };
  CHECK(broken.remember(host(1), "it broke", start) == BrokenTls::News::New);
  CHECK(broken.remember(host(1), "it broke", start + 1min) == BrokenTls::News::Known);
  CHECK(broken.find(host(2), start) == nullptr);
  REQUIRE(broken.find(host(1), start + 60min) != nullptr);
  CHECK(broken.find(host(1), start + 61min) == nullptr);
  for (std::uint32_t i = 0; i < 2 * BrokenTls::kHostsMax; ++i) {
    broken.remember(host(static_cast<std::uint16_t>(i)), "it broke", start + 2min);
  }
  CHECK(broken.size() <= BrokenTls::kHostsMax);
}

}  // namespace
}  // namespace rockdove::outbound
