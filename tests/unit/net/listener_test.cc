// Opening sockets, accepting on Unix sockets, and what happens without descriptors.
#include "mta/net/listener.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "net_world.h"

namespace rockdove::net {

namespace {

base::SocketAddress address_of(std::string_view text) {
  return std::move(base::parse_socket_address(text)).value();
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    char name[] = "/tmp/rockdove-net-XXXXXX";
    path_ = mkdtemp(name);
  }

  ~TemporaryFolder() { std::filesystem::remove_all(path_); }

  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] std::string file(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

FileDescriptor connect_unix(const std::string& path) {
  FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto* target = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(socket.number(), target, sizeof address) != 0) return {};
  return socket;
}

}  // namespace

TEST_CASE("an address that is in use is an error that names it, unless both share the port") {
  auto first = open_listening_socket(address_of("127.0.0.1:0"), ReusePort::No);
  REQUIRE(first);
  CHECK(first->address().port != 0);
  const auto second = open_listening_socket(first->address(), ReusePort::No);
  REQUIRE_FALSE(second);
  CHECK(second.error().text() == "listening on " + base::format_socket_address(first->address()) +
                                     ": Address already in use");
  CHECK_FALSE(open_listening_socket(first->address(), ReusePort::Yes));

  const auto shared = open_listening_socket(address_of("127.0.0.1:0"), ReusePort::Yes);
  REQUIRE(shared);
  CHECK(open_listening_socket(shared->address(), ReusePort::Yes).is_ok());
  CHECK_FALSE(open_listening_socket(shared->address(), ReusePort::No).is_ok());
}

TEST_CASE("an unspecified address takes connections and says which address was called") {
  NetWorld world;
  const auto heard = std::make_shared<Heard>();
  // On a machine without IPv6 this is 0.0.0.0, and IPv4 clients reach both.
  auto socket = open_listening_socket(address_of(":0"), ReusePort::No);
  REQUIRE(socket);
  const std::uint16_t port = socket->address().port;
  world.ask(
      [&] { world.network.listen(std::move(*socket), NetWorld::accept_with(heard, nullptr)); });
  const base::SocketAddress called{base::IpAddress::v4({127, 0, 0, 5}), port};
  Client client(called);
  REQUIRE(client.is_connected());
  CHECK(world.comes_true([&] { return heard->connected == 1; }));
  world.ask([&] {
    CHECK(heard->info.local == called);
    CHECK(heard->info.peer.ip.is_v4());
  });
}

TEST_CASE("a null protocol closes the connection at once") {
  NetWorld world;
  auto socket = open_listening_socket(address_of("127.0.0.1:0"), ReusePort::No);
  REQUIRE(socket);
  const base::SocketAddress address = socket->address();
  world.ask([&] {
    world.network.listen(std::move(*socket), [](const ConnectionInfo&) { return nullptr; });
  });
  Client client(address);
  CHECK(client.hear_all().empty());
}

TEST_CASE("a listener that stops refuses while open connections go on") {
  NetWorld world;
  const auto heard = std::make_shared<Heard>();
  const base::SocketAddress address = world.serve(heard, [](Puppet& puppet) {
    puppet.when_received = [](Puppet& self) { self.to_send = self.arrived; };
  });
  Client client(address);
  CHECK(world.comes_true([&] { return heard->connected == 1; }));
  world.ask([&] { world.network.stop_listening(); });
  CHECK_FALSE(Client(address).is_connected());
  REQUIRE(client.say("still"));
  CHECK(client.hear(5) == "still");
}

TEST_CASE("a Unix socket has the mode that was asked for and tells who called") {
  const TemporaryFolder folder;
  const std::string path = folder.file("control.sock");
  NetWorld world;
  const auto heard = std::make_shared<Heard>();
  auto socket = open_unix_socket(path, {0660, getgid()});
  REQUIRE(socket);

  struct stat found {};

  REQUIRE(stat(path.c_str(), &found) == 0);
  CHECK((found.st_mode & 0777) == 0660);
  world.ask([&] {
    world.network.listen(std::move(*socket), NetWorld::accept_with(heard, [](Puppet& puppet) {
                           puppet.when_received = [](Puppet& self) {
                             self.to_send = self.arrived;
                             self.over = true;
                           };
                         }));
  });
  const FileDescriptor client = connect_unix(path);
  REQUIRE(client.is_open());
  REQUIRE(::send(client.number(), "ping", 4, 0) == 4);
  char answer[8];
  CHECK(::recv(client.number(), answer, sizeof answer, 0) == 4);
  CHECK(::recv(client.number(), answer, sizeof answer, 0) == 0);
  world.ask([&] {
    REQUIRE(heard->info.credentials.has_value());
    CHECK(heard->info.credentials->user == getuid());
    CHECK(heard->info.credentials->group == getgid());
    CHECK(heard->info.credentials->process == getpid());
    world.network.stop_listening();
  });
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a stale socket file is replaced, a living one and other files are not") {
  const TemporaryFolder folder;
  const std::string path = folder.file("control.sock");
  {
    // A process that died leaves its file: here it is bound, and closed without being removed.
    const FileDescriptor dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    REQUIRE(bind(dead.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  const auto living = open_unix_socket(path, {});
  REQUIRE(living);
  const auto second = open_unix_socket(path, {});
  REQUIRE_FALSE(second);
  CHECK(second.error().text() == "listening on " + path + ": another process answers there");

  const std::string file = folder.file("file");
  std::ofstream(file) << "mine";
  CHECK_FALSE(open_unix_socket(file, {}));
  CHECK(std::filesystem::file_size(file) == 4);
  CHECK_FALSE(open_unix_socket(std::string(108, 'x'), {}));
}

// UBSan looks at objects through a pipe of its own, for which there is no descriptor then either.
#if !defined(__SANITIZE_ADDRESS__)
TEST_CASE("without descriptors clients are turned away, the loop rests, and all is well later") {
  // In a child, because the limit is the process's. It reports by its exit status.
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(60);
    int failed = 0;
    {
      NetWorld world;
      const auto heard = std::make_shared<Heard>();
      const base::SocketAddress address = world.serve(heard, [](Puppet& puppet) {
        puppet.when_connected = [](Puppet& self) { self.to_send = "hi"; };
      });
      std::vector<std::unique_ptr<Client>> clients;
      for (int i = 0; i < 10; ++i) clients.push_back(std::make_unique<Client>(address));
      if (!world.comes_true([&] { return heard->connected == 10; })) failed |= 1;
      // Made before the limit, connected after it.
      FileDescriptor late(::socket(AF_INET, SOCK_STREAM, 0));
      rlimit old{};
      getrlimit(RLIMIT_NOFILE, &old);
      const rlimit none{static_cast<rlim_t>(late.number()), old.rlim_max};
      setrlimit(RLIMIT_NOFILE, &none);
      const KernelAddress to = to_kernel(address);
      if (::connect(late.number(), to.get(), to.octets) != 0) failed |= 2;
      char octet = 0;
      if (::recv(late.number(), &octet, 1, 0) > 0) failed |= 4;  // closed or reset, not greeted
      if (world.ask([&] { return world.network.turned_away(); }) != 1) failed |= 8;
      rusage before{};
      rusage after{};
      getrusage(RUSAGE_SELF, &before);
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      getrusage(RUSAGE_SELF, &after);
      const long spent = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1'000'000 +
                         after.ru_utime.tv_usec - before.ru_utime.tv_usec;
      if (spent > 100'000) failed |= 16;  // it would be 200,000 if the loop spun
      setrlimit(RLIMIT_NOFILE, &old);
      Client again(address);
      if (again.hear(2) != "hi") failed |= 32;
    }
    _exit(failed);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}
#endif

}  // namespace rockdove::net
