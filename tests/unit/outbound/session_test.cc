// One outbound session over a network and a clock that the test turns by hand: what each level of
// TLS makes of each failure, passwords, time limits, LMTP and maildirs.
#include "mta/outbound/session.h"

#include <dirent.h>
#include <fstream>
#include <sstream>
#include <thread>

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include "mta/outbound/client_protocol.h"
#include "tests/support/hand_loop.h"
#include "tests/support/hand_network.h"
#include "tests/support/hand_store.h"
#include "tests/support/temporary_directory.h"

namespace rockdove::outbound {
namespace {

using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using Kind = DeliveryResult::Kind;

class NoContext final : public net::TlsClientContext {};

net::Loss tls_loss(std::string detail) {
  return {net::Loss::How::TlsFailed, 0, std::move(detail)};
}

struct World : SessionListener {
  explicit World(TlsLevel level, int hosts = 1) {
    site->account = "route:test";
    for (int i = 1; i <= hosts; ++i) {
      const std::string ip = "192.0.2." + std::to_string(i);
      site->hosts.push_back(
          {"mx" + std::to_string(i) + ".example.net", {*base::parse_ip_address(ip), 25}});
    }
    site->manner.tls = level;
    site->manner.tls_context = std::make_shared<const NoContext>();
  }

  void job_done(Session& /*session*/, JobReport report,
                queue::Scheduler::SessionAfter after) override {
    reports.push_back(std::move(report));
    is_idle = after == queue::Scheduler::SessionAfter::Idle;
  }

  void session_gone(Session& /*session*/) override { is_gone = true; }

  queue::Job job(int recipients = 1) {
    auto message = std::make_shared<queue::Message>();
    message->id = base::MessageId{42};
    message->sender = "s@here.example";
    message->header_block = "Subject: hi\r\nReturn-Path: <x@y>\r\n\r\n";
    message->body = std::make_shared<const std::string>("body\r\n.dot\r\n");
    message->body_octets = message->body->size();
    message->body_chunks = 1;
    message->recipients = static_cast<std::uint32_t>(recipients);
    queue::Job made{message, {}, {"route:test", "", 0}};
    for (int i = 1; i <= recipients; ++i) {
      queue::Delivery delivery;
      delivery.number = static_cast<std::uint32_t>(i);
      delivery.recipient = "r" + std::to_string(i) + "@example.net";
      made.deliveries.push_back(std::move(delivery));
    }
    return made;
  }

  void start(int recipients = 1) {
    session = std::make_unique<Session>(SessionKey{0, {1}}, site, context, *this);
    session->start(job(recipients), loop.now());
  }

  // Connected, greeted, and this said to EHLO.
  tests::HandConnection& greet(const std::string& extensions) {
    tests::HandConnection& server = network.last();
    server.accept();
    server.say("220 mx\r\n");
    CHECK(server.take_said() == "EHLO me.example\r\n");
    server.say(extensions.empty() ? "250 mx\r\n" : "250-mx\r\n250 " + extensions + "\r\n");
    return server;
  }

  // As far as the handshake.
  tests::HandConnection& to_handshake() {
    tests::HandConnection& server = greet("STARTTLS");
    CHECK(server.take_said() == "STARTTLS\r\n");
    server.say("220 go ahead\r\n");
    REQUIRE(server.tls_wanted());
    return server;
  }

  // A whole transaction on the connection that is ready for one.
  void take(tests::HandConnection& server) {
    CHECK(server.take_said() == "MAIL FROM:<s@here.example>\r\n");
    server.say("250 ok\r\n");
    CHECK(server.take_said() == "RCPT TO:<r1@example.net>\r\n");
    server.say("250 ok\r\n");
    server.say("354 go\r\n");
    server.say("250 taken\r\n");
  }

  const DeliveryResult& result(std::size_t number = 0) {
    REQUIRE(reports.size() == 1);
    return reports[0].results.at(number);
  }

  tests::HandLoop loop;
  tests::HandNetwork network{loop};
  tests::HandStore store;
  FileThreads files{loop};
  std::unique_ptr<base::LogSink> sink = *base::LogSink::open("/dev/null");
  base::Log log{*sink, base::Level::Debug};
  SessionContext context{
      loop,  network,
      store, log,
      files, std::make_shared<const smtp::ClientOptions>(smtp::ClientOptions{"me.example", {}})};
  std::shared_ptr<Site> site = std::make_shared<Site>();
  std::unique_ptr<Session> session;
  std::vector<JobReport> reports;
  bool is_idle = false;
  bool is_gone = false;
};

const net::TlsInfo kGood{net::TlsVersion::V1_3, "TLS_AES_128_GCM_SHA256", false, false, ""};

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

TEST_CASE("LMTP over a Unix socket has a result a recipient") {
  World world(TlsLevel::May);
  world.site->hosts = {{"", {}, false, "/run/dovecot/lmtp"}};
  world.site->manner.speaks = ToHosts::Speaks::Lmtp;
  world.start(2);
  tests::HandConnection& server = world.network.last();
  CHECK(server.request().unix_path == "/run/dovecot/lmtp");
  server.accept();
  server.say("220 lmtp\r\n");
  CHECK(server.take_said() == "LHLO me.example\r\n");
  server.say("250-lmtp\r\n250 PIPELINING\r\n");
  CHECK_THAT(server.take_said(), StartsWith("MAIL FROM:<s@here.example>\r\nRCPT TO:<r1@"));
  server.say("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
  server.say("250 saved\r\n452 4.2.2 over quota\r\n");
  CHECK(world.result(0).kind == Kind::Delivered);
  CHECK(world.result(1).kind == Kind::Defer);
  CHECK(world.result(1).reply == "452 4.2.2 over quota");
  CHECK(world.reports[0].host == "lmtp+unix:/run/dovecot/lmtp");
}

// RFC 9422: three recipients, and the peer takes two.
tests::HandConnection& offer_two_of_three(World& world, const std::string& more = "") {
  world.start(3);
  tests::HandConnection& server = world.greet("LIMITS RCPTMAX=2" + more);
  CHECK(server.take_said() == "MAIL FROM:<s@here.example>\r\n");
  server.say("250 ok\r\n");
  CHECK(server.take_said() == "RCPT TO:<r1@example.net>\r\n");
  server.say("250 ok\r\n");
  CHECK(server.take_said() == "RCPT TO:<r2@example.net>\r\n");
  server.say("250 ok\r\n");
  CHECK(server.take_said() == "DATA\r\n");
  return server;
}

TEST_CASE(
    "beyond the peer's RCPTMAX recipients wait for the next transaction, without an attempt") {
  World world(TlsLevel::Off);
  tests::HandConnection& server = offer_two_of_three(world);
  bool takes_it = false;
  SECTION("the others were served") {
    server.say("354 go\r\n");
    server.say("250 taken\r\n");
    takes_it = true;
  }
  SECTION("the others were refused with the content") {
    server.say("354 go\r\n");
    server.say("550 5.7.1 spam\r\n");
  }
  SECTION("the others were refused at DATA") {
    server.say("451 4.3.0 not now\r\n");
  }
  CHECK(world.result(0).kind == world.result(1).kind);
  CHECK((world.result(0).kind == Kind::Delivered) == takes_it);
  CHECK(world.result(2).kind == Kind::TryAgainNow);
  REQUIRE(world.is_idle);
  server.take_said();
  queue::Job rest = world.job(3);
  rest.deliveries.erase(rest.deliveries.begin(), rest.deliveries.begin() + 2);
  world.reports.clear();
  world.session->start(std::move(rest), world.loop.now());
  server.settle();
  std::string said = server.take_said();
  if (said == "RSET\r\n") {  // where the peer may hold a transaction
    server.say("250 flushed\r\n");
    said = server.take_said();
  }
  CHECK(said == "MAIL FROM:<s@here.example>\r\n");
  server.say("250 ok\r\n");
  CHECK(server.take_said() == "RCPT TO:<r3@example.net>\r\n");
}

TEST_CASE("who was postponed is not lost with the connection") {
  World world(TlsLevel::Off);
  tests::HandConnection& server = offer_two_of_three(world);
  SECTION("before the final dot") {
    server.lose({net::Loss::How::Broken, 0, ""});
    CHECK(world.result(0).kind == Kind::Defer);
  }
  SECTION("after it") {
    server.say("354 go\r\n");
    server.lose({net::Loss::How::Broken, 0, ""});
    CHECK(world.result(0).kind == Kind::DeferUncertain);
  }
  CHECK(world.reports[0].finish == queue::Scheduler::Finish::SiteFailed);
  CHECK(world.result(2).kind == Kind::TryAgainNow);
}

TEST_CASE("after the peer's MAILMAX transactions the rest needs a connection of its own") {
  World world(TlsLevel::Off);
  tests::HandConnection& server = offer_two_of_three(world, " MAILMAX=1");
  server.say("354 go\r\n");
  server.take_said();
  server.say("250 taken\r\n");
  CHECK(server.take_said() == "QUIT\r\n");
  CHECK(world.result(0).kind == Kind::Delivered);
  CHECK(world.result(2).kind == Kind::TryAgainNow);
  CHECK_FALSE(world.is_idle);
}

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> names;
  DIR* open = ::opendir(folder.c_str());
  if (open == nullptr) return {"cannot be opened"};
  while (const dirent* entry = ::readdir(open)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  ::closedir(open);
  return names;
}

std::string content_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// The files are written by another thread, which posts to the loop.
void wait_for_report(World& world) {
  while (world.reports.empty()) {
    world.loop.run();
    std::this_thread::yield();
  }
}

TEST_CASE("a maildir gets a file a recipient, with LF, Return-Path and Delivered-To") {
  const tests::TemporaryDirectory above;
  World world(TlsLevel::Off);
  world.site->hosts.clear();
  world.site->maildir = above.path() + "/box";
  world.start(2);
  wait_for_report(world);
  CHECK(world.reports[0].host == "maildir:" + world.site->maildir);
  CHECK(world.result(0).kind == Kind::Delivered);
  CHECK(world.result(1).kind == Kind::Delivered);
  CHECK(files_in(world.site->maildir + "/tmp").empty());
  const std::vector<std::string> names = files_in(world.site->maildir + "/new");
  REQUIRE(names.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string number = std::to_string(i + 1);
    const std::string& reply = world.result(i).reply;
    REQUIRE_THAT(reply, StartsWith("250 2.0.0 new/"));
    CHECK(content_of(world.site->maildir + "/" + reply.substr(10)) ==
          "Return-Path: <s@here.example>\nDelivered-To: r" + number +
              "@example.net\nSubject: hi\n\nbody\n.dot\n");
  }
}

TEST_CASE("a maildir that cannot be written to makes the mail wait, and says what to do") {
  const tests::TemporaryDirectory above;
  World world(TlsLevel::Off);
  world.site->hosts.clear();
  std::string expected;
  SECTION("the folder above it does not exist") {
    world.site->maildir = above.path() + "/missing/box";
    expected = "cannot create the maildir " + world.site->maildir +
               ": no such file or directory; create the folder above it";
  }
  SECTION("it is a file") {
    world.site->maildir = above.path() + "/file";
    std::ofstream(world.site->maildir) << "x";
    expected = "not a directory; the route's path must be a maildir";
  }
  SECTION("a part of it is a link to elsewhere") {
    world.site->maildir = above.path() + "/box";
    ::mkdir(world.site->maildir.c_str(), 0700);
    REQUIRE(::symlink("/nowhere", (world.site->maildir + "/tmp").c_str()) == 0);
    expected = "/tmp is no folder";
  }
  world.start(2);
  wait_for_report(world);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(world.result(i).kind == Kind::Defer);
    CHECK_THAT(world.result(i).reply, StartsWith("451 4.3.5 ") && Contains(expected));
  }
  CHECK(world.reports[0].finish == queue::Scheduler::Finish::SiteFailed);
}

TEST_CASE("a session that ends while its file is written leaves nothing in new/") {
  const tests::TemporaryDirectory above;
  const std::string folder = above.path() + "/box";
  {
    MaildirFile file(folder, "name");
    CHECK(file.write("half").is_none());
    CHECK(files_in(folder + "/tmp").size() == 1);
  }
  CHECK(files_in(folder + "/tmp").empty());
  CHECK(files_in(folder + "/new").empty());
}

TEST_CASE("line ends become LF however the octets are split, and a lone CR stays") {
  const tests::TemporaryDirectory above;
  const std::string text = "a\r\nb\r\r\nc\rd\r\n\r\n";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    MaildirFile file(above.path() + "/box", "n" + std::to_string(cut));
    CHECK(file.write(std::string_view(text).substr(0, cut)).is_none());
    CHECK(file.write(std::string_view(text).substr(cut)).is_none());
    CHECK(file.finish().is_none());
    CHECK(content_of(above.path() + "/box/new/n" + std::to_string(cut)) == "a\nb\r\nc\rd\n\n");
  }
}

TEST_CASE("a name in a maildir never replaces a file that is there") {
  const tests::TemporaryDirectory above;
  for (const int code : {0, EEXIST}) {
    MaildirFile file(above.path() + "/box", "same");
    CHECK(file.write("x").is_none());
    CHECK(file.finish().code == code);
  }
  CHECK(maildir_name(base::from_unix_milliseconds(1'795'295'700'123), 7, "a/b:c") ==
        "1795295700.M123000P" + std::to_string(::getpid()) + "Q7.a\\057b\\072c");
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
