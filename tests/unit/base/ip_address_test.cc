#include "mta/base/ip_address.h"

#include <catch2/catch.hpp>

using namespace rockdove::base;

TEST_CASE("ip address: texts of both families read back, and mapped IPv4 is IPv4") {
  CHECK(format_ip_address(*parse_ip_address("192.0.2.1")) == "192.0.2.1");
  CHECK(format_ip_address(*parse_ip_address("2001:DB8::1")) == "2001:db8::1");
  CHECK_FALSE(parse_ip_address(std::string_view("192.0.2.1\0x", 11)));
  CHECK(*parse_ip_address("::ffff:10.1.2.3") == *parse_ip_address("10.1.2.3"));
  for (const char* bad : {"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "fe80::1%eth0", "[::1]", "::g"}) {
    CHECK_FALSE(parse_ip_address(bad));
  }
}

TEST_CASE("ip network: contains what shares its prefix and nothing else") {
  const IpNetwork ten = *parse_ip_network("10.0.0.0/8");
  CHECK(ten.contains(*parse_ip_address("10.255.0.1")));
  CHECK_FALSE(ten.contains(*parse_ip_address("11.0.0.1")));
  CHECK_FALSE(ten.contains(*parse_ip_address("::1")));
  CHECK(parse_ip_network("2001:db8::/33")->contains(*parse_ip_address("2001:db8:7fff::1")));
  CHECK_FALSE(parse_ip_network("2001:db8::/33")->contains(*parse_ip_address("2001:db8:8000::1")));
  CHECK(parse_ip_network("0.0.0.0/0")->contains(*parse_ip_address("203.0.113.9")));
  CHECK(parse_ip_network("10.1.2.3/8").error().text().find("10.0.0.0/8") != std::string::npos);
  CHECK_FALSE(parse_ip_network("10.0.0.0/33"));
}

TEST_CASE("socket address: both forms, and :25 for both families") {
  CHECK(format_socket_address(*parse_socket_address("127.0.0.1:25")) == "127.0.0.1:25");
  CHECK(format_socket_address(*parse_socket_address("[::1]:2525")) == "[::1]:2525");
  CHECK(parse_socket_address(":25")->ip == IpAddress::v6({}));
  for (const char* bad : {"", "25", "127.0.0.1", "::1:25", "127.0.0.1:70000", "host:25", "[127.0.0.1]:25"}) {
    CHECK_FALSE(parse_socket_address(bad));
  }
}
