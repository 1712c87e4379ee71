#include "mta/base/client_table.h"

#include <catch2/catch.hpp>

namespace rockdove::base {
namespace {

constexpr Instant kStart(1h);

IpAddress ip(std::string_view text) {
  return *parse_ip_address(text);
}

// How many messages are granted at once.
int burst_of(ClientTable& table, const IpAddress& client, const Rate& rate, Instant now) {
  int granted = 0;
  while (granted < 1000 && table.try_message(client, rate, now)) ++granted;
  return granted;
}

TEST_CASE("client table: so many connections at once") {
  ClientTable table;
  CHECK(table.try_connect(ip("192.0.2.1"), 2, kStart));
  CHECK(table.try_connect(ip("192.0.2.1"), 2, kStart));
  CHECK_FALSE(table.try_connect(ip("192.0.2.1"), 2, kStart));
  CHECK(table.try_connect(ip("192.0.2.2"), 2, kStart));
  table.disconnect(ip("192.0.2.1"), kStart);
  CHECK(table.try_connect(ip("192.0.2.1"), 2, kStart));
  CHECK_FALSE(table.try_connect(ip("192.0.2.1"), 2, kStart));
}

TEST_CASE("client table: an IPv6 client is its /64, an IPv4 client is itself in either form") {
  ClientTable table;
  CHECK(table.try_connect(ip("2001:db8:0:1::1"), 1, kStart));
  CHECK_FALSE(table.try_connect(ip("2001:db8:0:1:ffff::2"), 1, kStart));
  CHECK(table.try_connect(ip("2001:db8:0:2::1"), 1, kStart));
  CHECK(table.try_connect(ip("192.0.2.1"), 1, kStart));
  CHECK_FALSE(table.try_connect(ip("::ffff:192.0.2.1"), 1, kStart));
  const Rate rate{1, 1min, 0};
  CHECK(table.try_message(ip("2001:db8:0:1::3"), rate, kStart));
  CHECK_FALSE(table.try_message(ip("2001:db8:0:1::4"), rate, kStart));
  CHECK(client_key(ip("2001:db8:0:1:2:3:4:5")) == ip("2001:db8:0:1::"));
  CHECK(client_key(ip("192.0.2.1")) == ip("192.0.2.1"));
}

TEST_CASE("client table: a rate is granted at once, then as time passes") {
  ClientTable table;
  const Rate rate{6, 1min, 0};
  CHECK(burst_of(table, ip("192.0.2.1"), rate, kStart) == 6);
  CHECK_FALSE(table.try_message(ip("192.0.2.1"), rate, kStart + 9s));
  CHECK(table.try_message(ip("192.0.2.1"), rate, kStart + 11s));
  CHECK_FALSE(table.try_message(ip("192.0.2.1"), rate, kStart + 12s));
  CHECK(burst_of(table, ip("192.0.2.1"), rate, kStart + 1h) == 6);
  CHECK(burst_of(table, ip("192.0.2.2"), rate, kStart) == 6);
}

TEST_CASE("client table: a burst may be smaller or larger than the rate's count") {
  ClientTable table;
  CHECK(burst_of(table, ip("192.0.2.1"), {60, 1min, 3}, kStart) == 3);
  CHECK(burst_of(table, ip("192.0.2.1"), {60, 1min, 3}, kStart + 2100ms) == 2);
  CHECK(burst_of(table, ip("192.0.2.1"), {60, 1min, 3}, kStart + 1h) == 3);
  CHECK(burst_of(table, ip("192.0.2.2"), {1, 1min, 10}, kStart) == 10);
  CHECK(burst_of(table, ip("192.0.2.2"), {1, 1min, 10}, kStart + 61s) == 1);
}

TEST_CASE("client table: a rate of 0 is no limit and leaves no trace") {
  ClientTable table;
  CHECK(burst_of(table, ip("192.0.2.1"), {0, 1min, 0}, kStart) == 1000);
  CHECK(table.size() == 0);
}

TEST_CASE("client table: a client that is gone and has its full rate again is forgotten") {
  ClientTable table;
  const Rate rate{60, 1min, 0};
  CHECK(table.try_connect(ip("192.0.2.1"), 5, kStart));
  CHECK(table.try_message(ip("192.0.2.1"), rate, kStart));
  table.disconnect(ip("192.0.2.1"), kStart);
  CHECK(table.size() == 1);  // or it could begin anew by hanging up
  CHECK(burst_of(table, ip("192.0.2.1"), rate, kStart) == 59);
  CHECK(table.try_connect(ip("192.0.2.1"), 5, kStart));
  table.disconnect(ip("192.0.2.1"), kStart + 2min);
  CHECK(table.size() == 0);
}

TEST_CASE("client table: a flood of addresses does not grow it without bound") {
  ClientTable table;
  const Rate rate{1, std::chrono::hours(24), 0};
  REQUIRE(table.try_connect(ip("192.0.2.1"), 1, kStart));
  std::size_t most = 0;
  for (std::uint32_t i = 0; i < 600'000; ++i) {
    std::array<std::uint8_t, 16> octets{0x20, 0x01, 0x0d, 0xb8};
    for (unsigned byte = 0; byte < 4; ++byte)
      octets[4 + byte] = static_cast<std::uint8_t>(i >> (8 * byte));
    static_cast<void>(table.try_message(IpAddress::v6(octets), rate, kStart));
    if (i % 10'000 == 0) most = std::max(most, table.size());
  }
  CHECK(most > 100'000);
  CHECK(most <= 64 * 4096);
  CHECK(table.size() <= 64 * 4096);
  CHECK_FALSE(table.try_connect(ip("192.0.2.1"), 1, kStart));  // who is connected is not forgotten
}

}  // namespace
}  // namespace rockdove::base
