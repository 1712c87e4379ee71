#include "mta/net/listening_socket.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "mta/net/socket_address.h"

namespace rockdove::net {

namespace {

constexpr int kBacklog = 1024;  // the kernel takes net.core.somaxconn where that is less

bool switch_on(int socket, int level, int option) {
  const int on = 1;
  return setsockopt(socket, level, option, &on, sizeof on) == 0;
}

base::Error error_at(const base::SocketAddress& address, int code) {
  return base::Error::system("listening on " + base::format_socket_address(address), code);
}

// As open_listening_socket(), without its fallback. `code` is the errno of a failure.
FileDescriptor open_tcp(const base::SocketAddress& address, ReusePort reuse, int& code) {
  const int family = address.ip.is_v4() ? AF_INET : AF_INET6;
  FileDescriptor opened(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  code = errno;
  if (!opened.is_open()) return opened;
  const int socket = opened.number();
  bool is_set = switch_on(socket, SOL_SOCKET, SO_REUSEADDR) &&
                switch_on(socket, IPPROTO_TCP, TCP_NODELAY) &&
                switch_on(socket, SOL_SOCKET, SO_KEEPALIVE);
  if (is_set && reuse == ReusePort::Yes) is_set = switch_on(socket, SOL_SOCKET, SO_REUSEPORT);
  if (is_set && address.ip.is_unspecified() && family == AF_INET6) {
    const int off = 0;
    is_set = setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0;
  }
  const KernelAddress kernel = to_kernel(address);
  if (is_set && bind(socket, kernel.get(), kernel.octets) == 0 && listen(socket, kBacklog) == 0) {
    return opened;
  }
  code = errno;
  return {};
}

// Whether somebody accepts connections at `address`. A full backlog (EAGAIN) is somebody, too.
bool is_answered(const sockaddr_un& address) {
  const FileDescriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe.is_open()) return true;
  const auto* target = reinterpret_cast<const sockaddr*>(&address);
  return connect(probe.number(), target, sizeof address) == 0 ||
         (errno != ECONNREFUSED && errno != ENOENT);
}

}  // namespace

ListeningSocket::ListeningSocket(ListeningSocket&& other) noexcept
    : socket_(std::move(other.socket_)),
      address_(other.address_),
      path_(std::exchange(other.path_, std::string())),
      inode_(other.inode_) {}

ListeningSocket& ListeningSocket::operator=(ListeningSocket&& other) noexcept {
  if (this == &other) return *this;
  close();
  socket_ = std::move(other.socket_);
  address_ = other.address_;
  path_ = std::exchange(other.path_, std::string());
  inode_ = other.inode_;
  return *this;
}

void ListeningSocket::close() {
  if (!socket_.is_open()) return;

  struct stat found {};

  if (!path_.empty() && lstat(path_.c_str(), &found) == 0 && found.st_ino == inode_) {
    unlink(path_.c_str());
  }
  socket_.close();
}

base::Result<ListeningSocket> open_listening_socket(const base::SocketAddress& address,
                                                    ReusePort reuse) {
  int code = 0;
  FileDescriptor opened = open_tcp(address, reuse, code);
  const bool takes_both = !address.ip.is_v4() && address.ip.is_unspecified();
  if (!opened.is_open() && takes_both && (code == EAFNOSUPPORT || code == EADDRNOTAVAIL)) {
    opened = open_tcp({base::IpAddress(), address.port}, reuse, code);
  }
  if (!opened.is_open()) return error_at(address, code);
  const base::SocketAddress bound = local_address_of(opened.number());
  return ListeningSocket(std::move(opened), bound);
}

base::Result<ListeningSocket> open_unix_socket(const std::string& path,
                                               const UnixSocketOptions& options) {
  const std::string what = "listening on " + path;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return base::Error("the path must have 1 to 107 octets").in(what);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto* target = reinterpret_cast<const sockaddr*>(&address);

  FileDescriptor opened(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!opened.is_open()) return base::Error::system(what, errno);
  int bound = bind(opened.number(), target, sizeof address);
  if (bound != 0 && errno == EADDRINUSE) {
    struct stat found {};

    if (lstat(path.c_str(), &found) == 0 && !S_ISSOCK(found.st_mode)) {
      return base::Error("a file that is no socket is in the way").in(what);
    }
    if (is_answered(address)) return base::Error("another process answers there").in(what);
    unlink(path.c_str());
    bound = bind(opened.number(), target, sizeof address);
  }
  if (bound != 0) return base::Error::system(what, errno);

  struct stat made {};

  if (lstat(path.c_str(), &made) != 0) return base::Error::system(what, errno);
  const int number = opened.number();
  ListeningSocket result(std::move(opened), path, made.st_ino);
  // Nobody can connect before listen(), so nobody slips in while the permissions are wider.
  const gid_t group = options.group ? *options.group : static_cast<gid_t>(-1);
  if (chmod(path.c_str(), static_cast<mode_t>(options.mode)) != 0 ||
      chown(path.c_str(), static_cast<uid_t>(-1), group) != 0 || listen(number, kBacklog) != 0) {
    return base::Error::system(what, errno);
  }
  return result;
}

}  // namespace rockdove::net
