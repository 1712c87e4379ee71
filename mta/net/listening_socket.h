// Sockets that listen, before a loop accepts from them: `serve` opens them at start, so that what
// is wrong with an address is said then, and hands them to the loops.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "mta/base/ip_address.h"
#include "mta/base/result.h"
#include "mta/net/file_descriptor.h"

namespace rockdove::net {

enum class ReusePort : std::uint8_t {
  No,  // fails when anybody else listens there
  Yes  // several sockets share the address, and the kernel shares the connections out to them
};

// One that has a path removes that file when it goes, if the file is still the one it made.
class ListeningSocket {
 public:
  ListeningSocket(FileDescriptor socket, const base::SocketAddress& address)
      : socket_(std::move(socket)), address_(address) {}

  ListeningSocket(FileDescriptor socket, std::string path, std::uint64_t inode)
      : socket_(std::move(socket)), path_(std::move(path)), inode_(inode) {}

  ListeningSocket(ListeningSocket&& other) noexcept;
  ListeningSocket& operator=(ListeningSocket&& other) noexcept;
  ListeningSocket(const ListeningSocket&) = delete;
  ListeningSocket& operator=(const ListeningSocket&) = delete;

  ~ListeningSocket() { close(); }

  [[nodiscard]] int number() const { return socket_.number(); }

  // With the port that the kernel chose where 0 was asked for. 0.0.0.0:0 of a Unix socket.
  [[nodiscard]] const base::SocketAddress& address() const { return address_; }

  [[nodiscard]] bool is_unix() const { return !path_.empty(); }

  void close();

 private:
  FileDescriptor socket_;
  base::SocketAddress address_;
  std::string path_;
  std::uint64_t inode_ = 0;
};

// Non-blocking, bound and listening. The unspecified IPv6 address takes both families, and becomes
// 0.0.0.0 on a machine without IPv6. Accepted sockets inherit TCP_NODELAY and SO_KEEPALIVE from it
// (Linux), which saves two system calls a connection. The error names the address.
[[nodiscard]] base::Result<ListeningSocket> open_listening_socket(
    const base::SocketAddress& address, ReusePort reuse);

struct UnixSocketOptions {
  unsigned mode = 0600;                // permissions of the file
  std::optional<std::uint32_t> group;  // numeric; none: the process's own
};

// A stream socket at `path` (107 octets at most). A socket file that is there already is removed if
// nobody answers behind it; any other file is an error and stays.
[[nodiscard]] base::Result<ListeningSocket> open_unix_socket(const std::string& path,
                                                             const UnixSocketOptions& options);

}  // namespace rockdove::net
