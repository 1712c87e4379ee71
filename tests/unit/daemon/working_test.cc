// What a crash leaves in STATE_DIR/working. Each case is a child process that notes what it works
// on, ends in some way, and is then read like by the next run.
#include "mta/daemon/working.h"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <thread>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "mta/base/assert.h"
#include "tests/support/temporary_directory.h"

namespace {

using namespace rockdove;
using base::DeliveryId;
using base::IpAddress;
using base::WorkingOn;
using daemon::WorkedOn;
using daemon::WorkingTable;

const DeliveryId kFirst{{0x1234'5678'9abcULL}, 1};
const DeliveryId kSecond{{0xfedc'ba98'7654ULL}, 77};
const IpAddress kClient = IpAddress::v4({192, 0, 2, 1});

// Runs `work` in a child with an attached table; the answer is its wait status.
template <typename Work>
int in_child(const std::string& state_dir, Work work) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::close(STDERR_FILENO);
    auto table = WorkingTable::open(state_dir);
    if (!table || !daemon::install_crash_handlers()) ::_exit(3);
    table.value()->reset();
    {
      const auto attachment = table.value()->attach(0);
      work(*table.value());
    }
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

std::vector<WorkedOn> found_in(const std::string& state_dir) {
  auto table = WorkingTable::open(state_dir);
  REQUIRE(table);
  return table.value()->found();
}

int ended_by(int status) {
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

void touch_forbidden_memory() {
  void* page = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *static_cast<volatile char*>(page) = 1;
}

void touch_memory_behind_a_file(const std::string& directory) {
  const int file = ::open((directory + "/empty").c_str(), O_RDWR | O_CREAT, 0600);
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  *static_cast<volatile char*>(page) = 1;
}

__attribute__((no_sanitize("undefined"))) int divide_by_zero() {
  volatile int zero = 0;
  volatile int one = 1;
  volatile int result = one / zero;  // nobody reads it, and the division must stay all the same
  return result;
}

}  // namespace

TEST_CASE("working: each way to crash marks what the thread was at, and still ends the process") {
  const tests::TemporaryDirectory directory;
  int expected = 0;
  int status = 0;
  SECTION("SIGSEGV") {
    expected = SIGSEGV;
    status = in_child(directory.path(), [](WorkingTable&) {
      const WorkingOn working(kFirst);
      touch_forbidden_memory();
    });
  }
  SECTION("SIGBUS") {
    expected = SIGBUS;
    status = in_child(directory.path(), [&](WorkingTable&) {
      const WorkingOn working(kFirst);
      touch_memory_behind_a_file(directory.path());
    });
  }
  SECTION("SIGFPE") {
    expected = SIGFPE;
    status = in_child(directory.path(), [](WorkingTable&) {
      const WorkingOn working(kFirst);
      static_cast<void>(divide_by_zero());
    });
  }
  SECTION("abort") {
    expected = SIGABRT;
    status = in_child(directory.path(), [](WorkingTable&) {
      const WorkingOn working(kFirst);
      std::abort();
    });
  }
  SECTION("an assertion of ours") {
    expected = SIGABRT;
    status = in_child(directory.path(), [](WorkingTable&) {
      const WorkingOn working(kFirst);
      MTA_ASSERT(::getpid() == 0);
    });
  }
  CHECK(ended_by(status) == expected);
  CHECK(found_in(directory.path()) == std::vector<WorkedOn>{{kFirst, true}});
}

TEST_CASE("working: only the thread that failed is marked") {
  const tests::TemporaryDirectory directory;
  const int status = in_child(directory.path(), [](WorkingTable& table) {
    const WorkingOn working(kFirst);
    std::thread other([&table] {
      const auto attachment = table.attach(1);
      const WorkingOn also_working(kSecond);
      touch_forbidden_memory();
    });
    other.join();
  });
  CHECK(ended_by(status) == SIGSEGV);
  CHECK(found_in(directory.path()) == std::vector<WorkedOn>{{kFirst, false}, {kSecond, true}});
}

TEST_CASE("working: a thread without a table crashes without marking others") {
  const tests::TemporaryDirectory directory;
  const int status = in_child(directory.path(), [](WorkingTable&) {
    const WorkingOn working(kClient);
    std::thread other([] {
      const WorkingOn unnoted(kSecond);
      std::abort();
    });
    other.join();
  });
  CHECK(ended_by(status) == SIGABRT);
  CHECK(found_in(directory.path()) == std::vector<WorkedOn>{{kClient, false}});
}

TEST_CASE("working: two levels are noted, deeper ones are not, and what is done is gone") {
  const tests::TemporaryDirectory directory;
  const IpAddress client = *base::parse_ip_address("2001:db8::7");
  in_child(directory.path(), [&](WorkingTable&) {
    { const WorkingOn before(DeliveryId{{99}, 9}); }
    const WorkingOn outer(client);
    { const WorkingOn before(DeliveryId{{98}, 9}); }
    const WorkingOn inner(kSecond);
    const WorkingOn deeper(kFirst);
    { const WorkingOn deepest(kFirst); }
    std::abort();
  });
  CHECK(found_in(directory.path()) == std::vector<WorkedOn>{{client, true}, {kSecond, true}});
}

TEST_CASE("working: SIGKILL and a signal from outside mark nothing as crashed") {
  const tests::TemporaryDirectory directory;
  const int number = GENERATE(SIGKILL, SIGABRT, SIGSEGV);
  const pid_t parent = ::getpid();
  const int status = in_child(directory.path(), [&](WorkingTable&) {
    const WorkingOn working(kFirst);
    const pid_t victim = ::getpid();
    // Another process sends it, as a watchdog would.
    if (::fork() == 0) {
      ::kill(victim, number);
      ::_exit(0);
    }
    while (::getppid() == parent) ::pause();
  });
  CHECK(ended_by(status) == number);
  CHECK(found_in(directory.path()) == std::vector<WorkedOn>{{kFirst, false}});
}

TEST_CASE("working: an orderly end leaves nothing, and a reset forgets what was found") {
  const tests::TemporaryDirectory directory;
  CHECK(in_child(directory.path(), [](WorkingTable&) { const WorkingOn working(kFirst); }) == 0);
  CHECK(found_in(directory.path()).empty());
  in_child(directory.path(), [](WorkingTable&) {
    const WorkingOn working(kFirst);
    std::abort();
  });
  CHECK(found_in(directory.path()).size() == 1);
  CHECK(found_in(directory.path()).size() == 1);  // reading alone forgets nothing
  auto table = WorkingTable::open(directory.path());
  REQUIRE(table);
  table.value()->reset();
  CHECK(found_in(directory.path()).empty());
}

TEST_CASE("working: a file of another size or content is as good as none") {
  const tests::TemporaryDirectory directory;
  const std::string content =
      GENERATE(std::string(), std::string("short"), std::string(100'000, 'x'));
  std::ofstream(directory.path() + "/working") << content;
  CHECK(found_in(directory.path()).empty());
  CHECK(ended_by(in_child(directory.path(), [](WorkingTable&) {
          const WorkingOn working(kFirst);
          std::abort();
        })) == SIGABRT);
  CHECK(found_in(directory.path()).size() == 1);
}

TEST_CASE("working: a directory that is not there is an error that names the file") {
  const auto table = WorkingTable::open("/nonexistent/rockdove");
  REQUIRE_FALSE(table);
  CHECK(table.error().text() == "opening /nonexistent/rockdove/working: No such file or directory");
}

TEST_CASE("working: an overflow of the stack is caught on the handler's own stack") {
  const tests::TemporaryDirectory directory;
  const int status = in_child(directory.path(), [](WorkingTable& table) {
    std::thread other([&table] {
      const auto attachment = table.attach(1);
      const WorkingOn working(kFirst);
      struct Deep {
        static int down(volatile char* above) {  // NOLINT(misc-no-recursion): that is the point
          volatile char bulk[4096];
          bulk[0] = above[0];
          return above[0] == 0 ? down(bulk) + bulk[0] : 0;
        }
      };
      volatile char start[1] = {0};
      static_cast<void>(Deep::down(start));
    });
    other.join();
  });
  CHECK(ended_by(status) == SIGSEGV);
  CHECK(found_in(directory.path()) == std::vector<WorkedOn>{{kFirst, true}});
}
