// Who may serve from a state directory and who may look. flock(2) belongs to an open file, so two
// locks of one process stand against each other like those of two processes.
#include "mta/daemon/lock.h"

#include <csignal>
#include <fstream>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <sys/wait.h>

#include "tests/support/temporary_directory.h"

namespace {

using namespace rockdove;
using daemon::DaemonHolds;
using daemon::find_daemon;
using daemon::NoDaemon;
using daemon::StateLock;

constexpr base::Duration kNoPatience{0};

}  // namespace

TEST_CASE("lock: a second daemon is refused and told the first one's process") {
  const tests::TemporaryDirectory directory;
  const auto first = StateLock::take_alone(directory.path());
  REQUIRE(first);
  const std::string text =
      directory.path() + " is in use by another rockdove, process " + std::to_string(::getpid());
  const auto second = StateLock::take_alone(directory.path());
  REQUIRE_FALSE(second);
  CHECK(second.error().text() == text);
  const auto looker = StateLock::take_shared(directory.path());
  REQUIRE_FALSE(looker);
  CHECK(looker.error().text() == text);
  const auto found = find_daemon(directory.path());
  REQUIRE(found);
  REQUIRE(std::holds_alternative<DaemonHolds>(*found));
  CHECK(std::get<DaemonHolds>(*found).process == ::getpid());
}

TEST_CASE("lock: several may look at once, and a daemon waits for them no longer than told") {
  const tests::TemporaryDirectory directory;
  REQUIRE(StateLock::take_alone(directory.path()));  // there was a daemon once
  auto one = StateLock::take_shared(directory.path());
  auto two = StateLock::take_shared(directory.path());
  REQUIRE(one);
  REQUIRE(two);
  const auto daemon = StateLock::take_alone(directory.path(), kNoPatience);
  REQUIRE_FALSE(daemon);
  CHECK(daemon.error().text() ==
        directory.path() + " is being looked at by another command; try again");
  CHECK(std::holds_alternative<NoDaemon>(*find_daemon(directory.path())));
  one.value().reset();
  two.value().reset();
  CHECK(StateLock::take_alone(directory.path(), kNoPatience));
}

TEST_CASE("lock: it ends with a process that is killed, and its number misleads nobody") {
  const tests::TemporaryDirectory directory;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto lock = StateLock::take_alone(directory.path());
    if (::write(ready[1], "x", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char octet = 0;
  REQUIRE(::read(ready[0], &octet, 1) == 1);
  CHECK(std::get<DaemonHolds>(*find_daemon(directory.path())).process == child);
  ::kill(child, SIGKILL);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  ::close(ready[0]);
  ::close(ready[1]);
  CHECK(std::holds_alternative<NoDaemon>(*find_daemon(directory.path())));
  const auto looker = StateLock::take_shared(directory.path());
  REQUIRE(looker);
  // The number of the dead one still stands there, but a looker is no daemon.
  CHECK(StateLock::take_alone(directory.path(), kNoPatience).error().text().find("looked at") !=
        std::string::npos);
}

TEST_CASE("lock: without a directory or a lock there is no daemon and no queue") {
  const tests::TemporaryDirectory directory;
  CHECK(std::holds_alternative<NoDaemon>(*find_daemon(directory.path())));
  CHECK_FALSE(StateLock::take_shared(directory.path()));
  CHECK_FALSE(StateLock::take_alone(directory.path() + "/missing"));
}
