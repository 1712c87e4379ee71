// What the daemon says to the system and asks of it: systemd's notify socket, the user it becomes,
// the limit of open files. What changes the process happens in a child.
#include <cstdlib>
#include <fstream>
#include <pwd.h>
#include <string>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "mta/daemon/notify.h"
#include "mta/daemon/privileges.h"
#include "tests/support/temporary_directory.h"

namespace {

using namespace rockdove;

template <typename Work>
int exit_status_in_child(Work work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string status_line(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name + ":")) return line.substr(line.find_last_of('\t') + 1);
  }
  return {};
}

}  // namespace

TEST_CASE("notify: tells the service manager, one line each") {
  const tests::TemporaryDirectory directory;
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = directory.path() + "/notify";
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  REQUIRE(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  daemon::notify_ready();
  daemon::notify_status("serving 3 listeners\nREADY=0");
  daemon::notify_stopping();
  daemon::notify_reloading();
  ::unsetenv("NOTIFY_SOCKET");
  daemon::notify_ready();  // no service manager: nothing happens
  const auto next = [socket] {
    char text[200];
    const ssize_t octets = ::recv(socket, text, sizeof(text), MSG_DONTWAIT);
    return octets < 0 ? std::string("nothing")
                      : std::string(text, static_cast<std::size_t>(octets));
  };
  CHECK(next() == "READY=1");
  CHECK(next() == "STATUS=serving 3 listeners");
  CHECK(next() == "STOPPING=1");
  CHECK(next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
  CHECK(next() == "nothing");
  ::close(socket);
}

TEST_CASE("privileges: root becomes the user, for good, and may still bind low ports") {
  if (::geteuid() != 0) {
    WARN("not root: nothing to change");
    CHECK(daemon::become_user("no-such-user-at-all"));
    return;
  }
  const passwd* nobody = ::getpwnam("nobody");
  REQUIRE(nobody != nullptr);
  const uid_t user = nobody->pw_uid;
  CHECK(exit_status_in_child([user] {
          if (!daemon::become_user("nobody")) return 1;
          if (::getuid() != user || ::geteuid() != user) return 2;
          if (::setuid(0) == 0) return 3;
          if (status_line("CapEff") != "0000000000000400") return 4;
          if (status_line("CapPrm") != "0000000000000400") return 5;
          if (status_line("CapInh") != "0000000000000000") return 6;
          // What this process had not itself is not in its set either.
          if ((std::stoull(status_line("CapBnd"), nullptr, 16) & ~0x400ULL) != 0) return 7;
          if (status_line("NoNewPrivs") != "1") return 8;
          return 0;
        }) == 0);
}

TEST_CASE("privileges: an unknown user and root itself are refused with a remedy") {
  if (::geteuid() != 0) {
    WARN("not root: nothing to change");
    CHECK(daemon::give_to_user("/nonexistent", "nobody"));
    return;
  }
  const auto unknown = daemon::become_user("no-such-user-at-all");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().text().find("useradd --system") != std::string::npos);
  CHECK_FALSE(daemon::become_user("root"));
  CHECK(::geteuid() == 0);
}

TEST_CASE("privileges: the limit of open files goes up to the hard one") {
  CHECK(exit_status_in_child([] {
          rlimit limit{};
          ::getrlimit(RLIMIT_NOFILE, &limit);
          limit.rlim_cur = 100;
          if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 1;
          const auto raised = daemon::raise_descriptor_limit();
          if (!raised || *raised != limit.rlim_max) return 2;
          ::getrlimit(RLIMIT_NOFILE, &limit);
          return limit.rlim_cur == limit.rlim_max ? 0 : 3;
        }) == 0);
}
