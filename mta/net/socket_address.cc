#include "mta/net/socket_address.h"

#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "mta/net/file_descriptor.h"

namespace rockdove::net {

KernelAddress to_kernel(const base::SocketAddress& address) {
  KernelAddress kernel;
  const auto& octets = address.ip.octets();
  if (address.ip.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    std::memcpy(&v4.sin_addr, octets.data(), 4);
    std::memcpy(&kernel.storage, &v4, sizeof v4);
    kernel.octets = sizeof v4;
    return kernel;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(address.port);
  std::memcpy(&v6.sin6_addr, octets.data(), 16);
  std::memcpy(&kernel.storage, &v6, sizeof v6);
  kernel.octets = sizeof v6;
  return kernel;
}

base::SocketAddress from_kernel(const KernelAddress& address) {
  if (address.storage.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address.storage, sizeof v4);
    std::array<std::uint8_t, 4> octets{};
    std::memcpy(octets.data(), &v4.sin_addr, 4);
    return {base::IpAddress::v4(octets), ntohs(v4.sin_port)};
  }
  if (address.storage.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address.storage, sizeof v6);
    std::array<std::uint8_t, 16> octets{};
    std::memcpy(octets.data(), &v6.sin6_addr, 16);
    return {base::IpAddress::v6(octets), ntohs(v6.sin6_port)};
  }
  return {};
}

base::SocketAddress local_address_of(int socket) {
  KernelAddress local;
  if (getsockname(socket, local.get(), &local.octets) != 0) return {};
  return from_kernel(local);
}

bool is_on_this_machine(const base::IpAddress& address) {
  const FileDescriptor socket(
      ::socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return errno != EAFNOSUPPORT;
  const KernelAddress local = to_kernel({address, 0});
  return bind(socket.number(), local.get(), local.octets) == 0 || errno != EADDRNOTAVAIL;
}

std::optional<PeerCredentials> credentials_of(int socket) {
  ucred found{};
  socklen_t octets = sizeof found;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &found, &octets) != 0) return std::nullopt;
  return PeerCredentials{found.uid, found.gid, found.pid};
}

}  // namespace rockdove::net
