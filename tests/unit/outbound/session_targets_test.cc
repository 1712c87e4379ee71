// One outbound session over a network and a clock that the test turns by hand: LMTP, the limits
// that a peer has announced, and maildirs.
#include <dirent.h>
#include <fstream>
#include <sstream>
#include <thread>

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include "tests/support/temporary_directory.h"
#include "tests/unit/outbound/session_world.h"

namespace rockdove::outbound {
namespace {

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

}  // namespace
}  // namespace rockdove::outbound
