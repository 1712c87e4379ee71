#include "mta/base/ip_address.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>

namespace rockdove::base {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// The octet of a mask of `prefix_bits` ones at position `index`.
std::uint8_t mask_octet(unsigned prefix_bits, std::size_t index) {
  const unsigned before = static_cast<unsigned>(index) * 8;
  if (prefix_bits >= before + 8) return 0xff;
  if (prefix_bits <= before) return 0;
  return static_cast<std::uint8_t>(0xff << (8 - (prefix_bits - before)));
}

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

IpAddress IpAddress::v4(std::array<std::uint8_t, 4> octets) {
  IpAddress address;
  std::copy(octets.begin(), octets.end(), address.octets_.begin());
  return address;
}

IpAddress IpAddress::v6(const std::array<std::uint8_t, 16>& octets) {
  if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), octets.begin())) {
    return v4({octets[12], octets[13], octets[14], octets[15]});
  }
  IpAddress address;
  address.family_ = Family::V6;
  address.octets_ = octets;
  return address;
}

bool IpAddress::is_loopback() const {
  if (is_v4()) return octets_[0] == 127;
  return octets_[15] == 1 && std::all_of(octets_.begin(), octets_.end() - 1, [](auto o) { return o == 0; });
}

bool IpAddress::is_unspecified() const {
  return std::all_of(octets_.begin(), octets_.end(), [](auto o) { return o == 0; });
}

std::optional<IpAddress> parse_ip_address(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return std::nullopt;  // inet_pton would stop there
  const std::string copy(text);
  std::array<std::uint8_t, 4> four{};
  if (inet_pton(AF_INET, copy.c_str(), four.data()) == 1) return IpAddress::v4(four);
  std::array<std::uint8_t, 16> sixteen{};
  if (inet_pton(AF_INET6, copy.c_str(), sixteen.data()) == 1) return IpAddress::v6(sixteen);
  return std::nullopt;
}

std::string format_ip_address(const IpAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(address.is_v4() ? AF_INET : AF_INET6, address.octets().data(), text.data(), text.size());
  return std::string(text.data());
}

bool IpNetwork::contains(const IpAddress& address) const {
  if (address.family() != base.family()) return false;
  for (std::size_t i = 0; i * 8 < prefix_bits; ++i) {
    const std::uint8_t mask = mask_octet(prefix_bits, i);
    if ((address.octets()[i] & mask) != (base.octets()[i] & mask)) return false;
  }
  return true;
}

Result<IpNetwork> parse_ip_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::optional<IpAddress> address = parse_ip_address(text.substr(0, slash));
  if (!address) return Error("\"" + std::string(text) + "\" is not an address or network, as 10.0.0.0/8 or ::1");
  const unsigned bits_max = address->is_v4() ? 32 : 128;
  unsigned bits = bits_max;
  if (slash != std::string_view::npos) {
    const auto number = parse_number<unsigned>(text.substr(slash + 1));
    if (!number || *number > bits_max) {
      return Error("\"" + std::string(text) + "\": the prefix length is 0 to " + std::to_string(bits_max));
    }
    bits = *number;
  }
  std::array<std::uint8_t, 16> masked = address->octets();
  for (std::size_t i = 0; i < masked.size(); ++i) masked[i] &= mask_octet(bits, i);
  if (masked != address->octets()) {
    const IpAddress base = address->is_v4() ? IpAddress::v4({masked[0], masked[1], masked[2], masked[3]})
                                            : IpAddress::v6(masked);
    return Error("\"" + std::string(text) + "\" has bits behind its prefix; the network is " +
                 format_ip_network({base, bits}));
  }
  return IpNetwork{*address, bits};
}

std::string format_ip_network(const IpNetwork& network) {
  return format_ip_address(network.base) + "/" + std::to_string(network.prefix_bits);
}

std::string format_socket_address(const SocketAddress& address) {
  const std::string ip = format_ip_address(address.ip);
  const std::string port = std::to_string(address.port);
  return address.ip.is_v4() ? ip + ":" + port : "[" + ip + "]:" + port;
}

Result<SocketAddress> parse_socket_address(std::string_view text) {
  const Error bad("\"" + std::string(text) + "\" is not ADDRESS:PORT, as \":25\", \"192.0.2.1:25\" or \"[::1]:25\"");
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad;
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1));
  if (!port) return bad;
  std::string_view host = text.substr(0, colon);
  if (host.empty()) return SocketAddress{IpAddress::v6({}), *port};
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const std::optional<IpAddress> ip = parse_ip_address(host);
  if (!ip || (host.find(':') != std::string_view::npos) != bracketed) return bad;
  return SocketAddress{*ip, *port};
}

}  // namespace rockdove::base
