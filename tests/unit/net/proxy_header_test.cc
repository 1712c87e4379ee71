#include "mta/net/proxy_header.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace rockdove;
using namespace rockdove::net;
using namespace std::string_literals;

namespace {

const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

// "CLIENT > CALLED, OCTETS", "unknown, OCTETS", "unfinished", or the error.
std::string read(const std::string& bytes) {
  const ParsedProxyHeader parsed = parse_proxy_header(bytes);
  if (const auto* error = std::get_if<base::Error>(&parsed)) return error->text();
  if (std::holds_alternative<ProxyHeaderUnfinished>(parsed)) return "unfinished";
  const ProxyHeader& header = std::get<ProxyHeader>(parsed);
  const std::string octets = ", " + std::to_string(header.octets);
  if (!header.ends) return "unknown" + octets;
  return base::format_socket_address(header.ends->client) + " > " +
         base::format_socket_address(header.ends->called) + octets;
}

std::string version_2(unsigned char command, unsigned char family, const std::string& rest) {
  std::string header = kSignature;
  header += static_cast<char>(command);
  header += static_cast<char>(family);
  header += static_cast<char>(rest.size() >> 8);
  header += static_cast<char>(rest.size() & 255);
  return header + rest;
}

const std::string kV4 = "\xc0\x00\x02\x01\xc6\x33\x64\x02\x12\x67\x00\x19"s;

}  // namespace

TEST_CASE("version 1 names the client and the address that it called") {
  CHECK(read("PROXY TCP4 192.0.2.1 198.51.100.2 4711 25\r\nEHLO x\r\n") ==
        "192.0.2.1:4711 > 198.51.100.2:25, 43");
  CHECK(read("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n") == "[2001:db8::1]:0 > [::1]:65535, 36");
  CHECK(read("PROXY UNKNOWN\r\n") == "unknown, 15");
  CHECK(read("PROXY UNKNOWN ffff::1 whatever 1 2 3\r\n") == "unknown, 38");
}

TEST_CASE("version 1 is read strictly") {
  for (const char* line :
       {"PROXY TCP4  192.0.2.1 198.51.100.2 4711 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 4711\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 4711 25 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 4711 25 x\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 04711 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 4711 65536\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 +1 25\r\n", "PROXY TCP4 2001:db8::1 ::1 1 25\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.2 1 25\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.2 1 25\r\n"}) {
    INFO(line);
    CHECK(read(line) == "the PROXY header has no two addresses of its family with their ports");
  }
  CHECK(read("PROXY UDP4 192.0.2.1 198.51.100.2 1 25\r\n") ==
        "the PROXY header names a family that is unknown");
  CHECK(read("PROXY \r\n") == "the PROXY header names a family that is unknown");
  CHECK(read("PROXY TCP4 192.0.2.1 198.51.100.2 1 25\n") ==
        "the line of the PROXY header does not end in CR LF");
  CHECK(read("PROXY UNKNOWN \r x\r\n") == "the line of the PROXY header does not end in CR LF");
  CHECK(read("proxy TCP4 192.0.2.1 198.51.100.2 1 25\r\n") == "there is no PROXY header");
  CHECK(read("EHLO x\r\n") == "there is no PROXY header");
}

TEST_CASE("version 1 has at most 107 octets") {
  CHECK(read("PROXY UNKNOWN " + std::string(91, 'x') + "\r\n") == "unknown, 107");
  CHECK(read("PROXY UNKNOWN " + std::string(92, 'x') + "\r\n") ==
        "the PROXY header is longer than 107 octets");
  CHECK(read("PROXY UNKNOWN " + std::string(92, 'x')) == "unfinished");
  CHECK(read("PROXY UNKNOWN " + std::string(93, 'x')) ==
        "the PROXY header is longer than 107 octets");
}

TEST_CASE("version 2 names addresses, and its TLVs are passed over") {
  CHECK(read(version_2(0x21, 0x11, kV4)) == "192.0.2.1:4711 > 198.51.100.2:25, 28");
  CHECK(read(version_2(0x21, 0x11, kV4 + "\x04\x00\x03xyz"s) + "EHLO") ==
        "192.0.2.1:4711 > 198.51.100.2:25, 34");
  const std::string v6 = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x01"s +
                         std::string(15, '\0') + "\x02"s + "\x00\x01\x00\x02"s;
  CHECK(read(version_2(0x21, 0x21, v6)) == "[2001:db8::1]:1 > [::2]:2, 52");
  // A mapped address is the IPv4 address that it means, as for what comes without a proxy.
  const std::string mapped = std::string(10, '\0') + "\xff\xff\xc0\x00\x02\x01"s;
  CHECK(read(version_2(0x21, 0x21, mapped + mapped + "\x00\x01\x00\x02"s)) ==
        "192.0.2.1:1 > 192.0.2.1:2, 52");
}

TEST_CASE("version 2 without addresses leaves the connection its own") {
  CHECK(read(version_2(0x20, 0x00, "")) == "unknown, 16");
  CHECK(read(version_2(0x20, 0x11, kV4)) == "unknown, 28");  // LOCAL: what it says is ignored
  CHECK(read(version_2(0x20, 0xff, "abc")) == "unknown, 19");
  CHECK(read(version_2(0x21, 0x00, "abc")) == "unknown, 19");
  CHECK(read(version_2(0x21, 0x31, std::string(216, 'u'))) == "unknown, 232");
}

TEST_CASE("version 2 is read strictly") {
  CHECK(read(version_2(0x11, 0x11, kV4)) ==
        "the PROXY header has a version or command that is unknown");
  CHECK(read(version_2(0x22, 0x11, kV4)) ==
        "the PROXY header has a version or command that is unknown");
  CHECK(read(version_2(0x21, 0x11, kV4.substr(1))) ==
        "the PROXY header is too short for its addresses");
  CHECK(read(version_2(0x21, 0x21, kV4)) == "the PROXY header is too short for its addresses");
  CHECK(read(version_2(0x21, 0x31, kV4)) == "the PROXY header is too short for its addresses");
  for (const unsigned char family : std::vector<unsigned char>{0x12, 0x22, 0x32, 0x01, 0x10, 0x41})
    CHECK(read(version_2(0x21, family, std::string(300, 'a'))) ==
          "the PROXY header names a family that is no stream");
  CHECK(read(version_2(0x21, 0x11, kV4 + std::string(4080 - kV4.size(), 't'))) ==
        "192.0.2.1:4711 > 198.51.100.2:25, 4096");
  CHECK(read(version_2(0x21, 0x11, kV4 + std::string(4081 - kV4.size(), 't'))) ==
        "the PROXY header is longer than 4096 octets");
}

TEST_CASE("a header may come octet by octet") {
  for (const std::string& whole :
       {"PROXY TCP4 192.0.2.1 198.51.100.2 4711 25\r\n"s, version_2(0x21, 0x11, kV4 + "tlv")}) {
    for (std::size_t octets = 0; octets < whole.size(); ++octets)
      CHECK(read(whole.substr(0, octets)) == "unfinished");
    CHECK(read(whole) == "192.0.2.1:4711 > 198.51.100.2:25, " + std::to_string(whole.size()));
  }
}
