#include "mta/net/proxy_header.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace rockdove::net {
namespace {

using base::Error;

constexpr std::string_view kSignature1 = "PROXY ";
constexpr std::string_view kSignature2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kLine1OctetsMax = 107;  // with CR LF (section 2.1)
constexpr std::size_t kFixedOctets2 = 16;

// The next field up to a single space; the last one ends with the text.
std::string_view take_field(std::string_view& text) {
  const std::size_t space = text.find(' ');
  const std::string_view field = text.substr(0, space);
  text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
  return field;
}

// 0 to 65535, without leading zeros.
std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

std::optional<base::IpAddress> parse_address(std::string_view text, bool is_v6) {
  if ((text.find(':') != std::string_view::npos) != is_v6) return std::nullopt;
  return base::parse_ip_address(text);
}

// Section 2.1. `line` without CR LF.
ParsedProxyHeader parse_line(std::string_view line, std::size_t octets) {
  ProxyHeader header{std::nullopt, octets};
  line.remove_prefix(kSignature1.size());
  const bool ends_in_space = line.ends_with(' ');
  const std::string_view family = take_field(line);
  if (family == "UNKNOWN") return header;  // the rest of the line must be ignored
  const bool is_v6 = family == "TCP6";
  if (!is_v6 && family != "TCP4") return Error("the PROXY header names a family that is unknown");
  const auto source = parse_address(take_field(line), is_v6);
  const auto destination = parse_address(take_field(line), is_v6);
  const auto source_port = parse_port(take_field(line));
  const auto destination_port = parse_port(take_field(line));
  if (!source || !destination || !source_port || !destination_port || !line.empty() ||
      ends_in_space) {
    return Error("the PROXY header has no two addresses of its family with their ports");
  }
  header.ends = ProxyHeader::Ends{{*source, *source_port}, {*destination, *destination_port}};
  return header;
}

ParsedProxyHeader parse_version_1(std::string_view bytes) {
  const std::string_view begin = bytes.substr(0, kLine1OctetsMax);
  const std::size_t end = begin.find('\n');
  if (end == std::string_view::npos) {
    if (bytes.size() >= kLine1OctetsMax) return Error("the PROXY header is longer than 107 octets");
    return ProxyHeaderUnfinished{};
  }
  const std::string_view line = begin.substr(0, end);
  if (!line.ends_with('\r') || line.find('\r') != line.size() - 1)
    return Error("the line of the PROXY header does not end in CR LF");
  return parse_line(line.substr(0, line.size() - 1), end + 1);
}

std::uint8_t octet(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint8_t>(bytes[at]);
}

std::uint16_t two_octets(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint16_t>(octet(bytes, at) << 8 | octet(bytes, at + 1));
}

base::IpAddress address_at(std::string_view bytes, std::size_t at, bool is_v6) {
  if (is_v6) {
    std::array<std::uint8_t, 16> octets{};
    std::memcpy(octets.data(), bytes.data() + at, octets.size());
    return base::IpAddress::v6(octets);
  }
  std::array<std::uint8_t, 4> octets{};
  std::memcpy(octets.data(), bytes.data() + at, octets.size());
  return base::IpAddress::v4(octets);
}

// Section 2.2: source, destination and their ports, in this order; TLVs may follow.
ParsedProxyHeader parse_ends(std::string_view addresses, bool is_v6, std::size_t octets) {
  const std::size_t width = is_v6 ? 16 : 4;
  if (addresses.size() < 2 * width + 4)
    return Error("the PROXY header is too short for its addresses");
  ProxyHeader::Ends ends;
  ends.client = {address_at(addresses, 0, is_v6), two_octets(addresses, 2 * width)};
  ends.called = {address_at(addresses, width, is_v6), two_octets(addresses, 2 * width + 2)};
  return ProxyHeader{ends, octets};
}

ParsedProxyHeader parse_version_2(std::string_view bytes) {
  constexpr std::uint8_t kLocal = 0x20;
  constexpr std::uint8_t kProxy = 0x21;
  constexpr std::size_t kUnixOctets = 216;
  if (bytes.size() > kSignature2.size() && octet(bytes, 12) != kLocal && octet(bytes, 12) != kProxy)
    return Error("the PROXY header has a version or command that is unknown");
  if (bytes.size() < kFixedOctets2) return ProxyHeaderUnfinished{};
  const std::size_t octets = kFixedOctets2 + two_octets(bytes, 14);
  if (octets > kProxyHeaderOctetsMax) return Error("the PROXY header is longer than 4096 octets");
  if (bytes.size() < octets) return ProxyHeaderUnfinished{};
  if (octet(bytes, 12) == kLocal) return ProxyHeader{std::nullopt, octets};
  const std::string_view rest = bytes.substr(kFixedOctets2, octets - kFixedOctets2);
  switch (octet(bytes, 13)) {
    case 0x00:  // UNSPEC
      return ProxyHeader{std::nullopt, octets};
    case 0x11:  // TCP over IPv4
      return parse_ends(rest, false, octets);
    case 0x21:  // TCP over IPv6
      return parse_ends(rest, true, octets);
    case 0x31:  // a Unix stream
      if (rest.size() < kUnixOctets)
        return Error("the PROXY header is too short for its addresses");
      return ProxyHeader{std::nullopt, octets};
    default:  // datagrams, and what is not defined
      return Error("the PROXY header names a family that is no stream");
  }
}

// Whether `bytes` begins with `signature`, or is a beginning of it.
bool may_begin(std::string_view bytes, std::string_view signature) {
  const std::size_t octets = std::min(bytes.size(), signature.size());
  return bytes.substr(0, octets) == signature.substr(0, octets);
}

}  // namespace

ParsedProxyHeader parse_proxy_header(std::string_view bytes) {
  if (may_begin(bytes, kSignature1)) {
    if (bytes.size() < kSignature1.size()) return ProxyHeaderUnfinished{};
    return parse_version_1(bytes);
  }
  if (may_begin(bytes, kSignature2)) {
    if (bytes.size() < kSignature2.size()) return ProxyHeaderUnfinished{};
    return parse_version_2(bytes);
  }
  return Error("there is no PROXY header");
}

}  // namespace rockdove::net
