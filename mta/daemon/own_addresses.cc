#include "mta/daemon/own_addresses.h"

#include <array>
#include <cstring>
#include <ifaddrs.h>
#include <memory>
#include <optional>

#include <netinet/in.h>

namespace rockdove::daemon {
namespace {

// nullopt: it is of another family.
std::optional<base::IpAddress> ip_address_of(const sockaddr* address) {
  if (address == nullptr) return std::nullopt;
  std::array<std::uint8_t, 16> octets{};
  if (address->sa_family == AF_INET6) {
    std::memcpy(octets.data(), &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr, 16);
    return base::IpAddress::v6(octets);
  }
  if (address->sa_family != AF_INET) return std::nullopt;
  std::array<std::uint8_t, 4> four{};
  std::memcpy(four.data(), &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, 4);
  return base::IpAddress::v4(four);
}

std::vector<base::IpAddress> interface_addresses() {
  std::vector<base::IpAddress> addresses;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return addresses;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (const auto ip = ip_address_of(entry->ifa_addr)) addresses.push_back(*ip);
  }
  freeifaddrs(list);
  return addresses;
}

}  // namespace

std::vector<base::SocketAddress> own_addresses(const inbound::InboundSettings& settings) {
  const std::vector<base::IpAddress> interfaces = interface_addresses();
  std::vector<base::SocketAddress> own;
  for (const inbound::ListenerSettings& listener : settings.listeners) {
    for (const base::SocketAddress& address : listener.addresses) {
      own.push_back(address);
      if (!address.ip.is_unspecified()) continue;
      for (const base::IpAddress& ip : interfaces) own.push_back({ip, address.port});
    }
  }
  return own;
}

policy::ClientPolicyPointer complete_policy(const inbound::InboundSettings& settings,
                                            std::uint64_t generation) {
  auto policy = std::make_shared<policy::ClientPolicy>(*settings.clients);
  policy->generation = generation;
  for (const base::SocketAddress& own : own_addresses(settings)) {
    if (!own.ip.is_unspecified()) policy->own_addresses.push_back(own.ip);
  }
  return policy;
}

}  // namespace rockdove::daemon
