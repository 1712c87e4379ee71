// Internet addresses and networks as values. An IPv4-mapped IPv6 address (::ffff:a.b.c.d) is read as
// the IPv4 address it means, so that a rule for 10.0.0.0/8 also meets it on a listener of both families.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mta/base/result.h"

namespace rockdove::base {

class IpAddress {
 public:
  enum class Family : std::uint8_t { V4, V6 };

  IpAddress() = default;  // 0.0.0.0
  static IpAddress v4(std::array<std::uint8_t, 4> octets);
  static IpAddress v6(const std::array<std::uint8_t, 16>& octets);  // mapped ones become V4

  [[nodiscard]] Family family() const { return family_; }
  [[nodiscard]] bool is_v4() const { return family_ == Family::V4; }
  // Network order; V4 uses the first four.
  [[nodiscard]] const std::array<std::uint8_t, 16>& octets() const { return octets_; }
  [[nodiscard]] bool is_loopback() const;     // 127.0.0.0/8, ::1
  [[nodiscard]] bool is_unspecified() const;  // 0.0.0.0, ::

  auto operator<=>(const IpAddress&) const = default;

 private:
  Family family_ = Family::V4;
  std::array<std::uint8_t, 16> octets_{};
};

[[nodiscard]] std::optional<IpAddress> parse_ip_address(std::string_view text);  // no zone, no brackets
[[nodiscard]] std::string format_ip_address(const IpAddress& address);

// An address range in CIDR form; a bare address is a range of one.
struct IpNetwork {
  IpAddress base;
  unsigned prefix_bits = 32;

  [[nodiscard]] bool contains(const IpAddress& address) const;
  bool operator==(const IpNetwork&) const = default;
};

// "10.0.0.0/8", "::1". Bits behind the prefix must be zero: "10.1.2.3/8" is an error that shows 10.0.0.0/8.
[[nodiscard]] Result<IpNetwork> parse_ip_network(std::string_view text);
[[nodiscard]] std::string format_ip_network(const IpNetwork& network);

struct SocketAddress {
  IpAddress ip;
  std::uint16_t port = 0;

  auto operator<=>(const SocketAddress&) const = default;
};

// "192.0.2.1:25", "[2001:db8::1]:25".
[[nodiscard]] std::string format_socket_address(const SocketAddress& address);
// The same, and ":25" for the unspecified IPv6 address, which listens on both families.
[[nodiscard]] Result<SocketAddress> parse_socket_address(std::string_view text);

}  // namespace rockdove::base

template <>
struct std::hash<rockdove::base::IpAddress> {
  std::size_t operator()(const rockdove::base::IpAddress& address) const noexcept {
    const auto& octets = address.octets();
    return std::hash<std::string_view>()(
        std::string_view(reinterpret_cast<const char*>(octets.data()), octets.size()));
  }
};
