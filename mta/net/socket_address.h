// base::SocketAddress to the kernel's form and back.
#pragma once

#include <optional>

#include <sys/socket.h>

#include "mta/base/ip_address.h"
#include "mta/net/protocol.h"

namespace rockdove::net {

struct KernelAddress {
  sockaddr_storage storage{};
  socklen_t octets = sizeof(sockaddr_storage);

  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

[[nodiscard]] KernelAddress to_kernel(const base::SocketAddress& address);

// 0.0.0.0:0 for families other than the two of the internet.
[[nodiscard]] base::SocketAddress from_kernel(const KernelAddress& address);

// Of an open socket; 0.0.0.0:0 when it has none.
[[nodiscard]] base::SocketAddress local_address_of(int socket);

// Whether connections can be made from this address: it is one of this machine's, and ready. What
// cannot be found out (no socket is to be had) counts as such.
[[nodiscard]] bool is_on_this_machine(const base::IpAddress& address);

// Of a Unix socket's peer.
[[nodiscard]] std::optional<PeerCredentials> credentials_of(int socket);

}  // namespace rockdove::net
