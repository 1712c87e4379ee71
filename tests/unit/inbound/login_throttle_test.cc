// On a clock that the test sets.
#include "mta/inbound/login_throttle.h"

#include <catch2/catch.hpp>

namespace rockdove::inbound {
namespace {

using base::Duration;
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

base::IpAddress address(const std::string& text) {
  return *base::parse_ip_address(text);
}

struct Fixture {
  LoginThrottle throttle{LoginLimits{}, crypto::Digest{}};
  base::Instant now{1h};
  const base::IpAddress client = address("192.0.2.1");

  // Seconds until the check; -1: never.
  long check(std::string_view user, const base::IpAddress& from) {
    const base::Instant at = throttle.check_at(user, from, now);
    return at == base::kNever ? -1
                              : std::chrono::duration_cast<std::chrono::seconds>(at - now).count();
  }

  long fail(std::string_view user, const base::IpAddress& from) {
    return std::chrono::duration_cast<std::chrono::seconds>(throttle.failed(user, from, now))
        .count();
  }
};

TEST_CASE("an address waits longer with each failure, and is not heard after ten") {
  Fixture it;
  for (const long delay : {1, 2, 4, 8, 10, 10, 10, 10, 10, 10}) {
    CHECK(it.check("a", it.client) == 0);
    CHECK(it.fail("user " + std::to_string(it.now.time_since_epoch().count()), it.client) == delay);
    it.now += 1s;
  }
  CHECK(it.check("a", it.client) == -1);
  CHECK(it.check("a", address("192.0.2.2")) == 0);
  it.now += 10min - 2s;
  CHECK(it.check("a", it.client) == -1);
  it.now += 1s;
  CHECK(it.check("a", it.client) == 0);
  CHECK(it.fail("a", it.client) == 1);
}

TEST_CASE("failures are forgotten ten minutes after the first") {
  Fixture it;
  for (int i = 0; i < 9; ++i) static_cast<void>(it.fail("a", it.client));
  it.now += 10min;
  CHECK(it.fail("a", it.client) == 1);
  CHECK(it.check("a", it.client) == 0);
}

TEST_CASE("an IPv6 client is its /64") {
  Fixture it;
  for (int i = 0; i < 10; ++i)
    static_cast<void>(it.fail("a" + std::to_string(i), address("2001:db8::" + std::to_string(i))));
  CHECK(it.check("x", address("2001:db8::ffff")) == -1);
  CHECK(it.check("x", address("2001:db8:0:1::1")) == 0);
}

TEST_CASE("a user guessed at from everywhere is checked once in ten seconds") {
  Fixture it;
  for (int i = 0; i < 10; ++i)
    static_cast<void>(it.fail("victim", address("198.51.100." + std::to_string(i))));
  CHECK(it.check("other", address("203.0.113.1")) == 0);
  CHECK(it.check("victim", address("203.0.113.1")) == 0);
  CHECK(it.check("victim", address("203.0.113.2")) == 10);
  CHECK(it.check("victim", address("203.0.113.3")) == -1);
  it.now += 10s;
  CHECK(it.check("victim", address("203.0.113.4")) == 10);
  it.now += 10min;
  CHECK(it.check("victim", address("203.0.113.4")) == 0);
  CHECK(it.check("victim", address("203.0.113.5")) == 0);
}

TEST_CASE("guesses from elsewhere lock nobody out of a good address") {
  Fixture it;
  it.throttle.succeeded("victim", it.client, it.now);
  for (int i = 0; i < 100; ++i)
    static_cast<void>(it.fail("victim", address("198.51.100." + std::to_string(i))));
  CHECK(it.check("victim", it.client) == 0);
  // Not even the failures of others at the same address.
  for (int i = 0; i < 10; ++i) static_cast<void>(it.fail("scanner", it.client));
  CHECK(it.check("scanner", it.client) == -1);
  CHECK(it.check("victim", it.client) == 0);
  CHECK(it.throttle.checks_max("victim", it.client, it.now) == 16);
  it.now += 24h;
  for (int i = 0; i < 10; ++i) static_cast<void>(it.fail("scanner", it.client));
  CHECK(it.check("victim", it.client) == -1);
}

TEST_CASE("a user's own failures at a good address count for this user") {
  Fixture it;
  it.throttle.succeeded("a", it.client, it.now);
  CHECK(it.fail("a", it.client) == 1);
  CHECK(it.fail("a", it.client) == 2);
  it.throttle.succeeded("a", it.client, it.now);
  CHECK(it.fail("a", it.client) == 1);
  for (int i = 0; i < 9; ++i) static_cast<void>(it.fail("a", it.client));
  CHECK(it.check("a", it.client) == -1);
  CHECK(it.check("b", it.client) == 0);
  CHECK(it.fail("b", it.client) == 1);
  it.now += 10min;
  CHECK(it.check("a", it.client) == 0);
}

TEST_CASE("fewer checks at once for whoever has failed") {
  Fixture it;
  CHECK(it.throttle.checks_max("a", it.client, it.now) == 16);
  static_cast<void>(it.fail("a", it.client));
  CHECK(it.throttle.checks_max("a", it.client, it.now) == 9);
  for (int i = 0; i < 12; ++i) static_cast<void>(it.fail("a", it.client));
  CHECK(it.throttle.checks_max("a", it.client, it.now) == 1);
}

TEST_CASE("the tables are bounded and forget the oldest") {
  LoginLimits limits;
  limits.entries_max = 100;
  LoginThrottle throttle(limits, crypto::Digest{});
  const base::Instant now{1h};
  const auto nth = [](int i) {
    return address("10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256));
  };
  for (int i = 0; i < 10; ++i) static_cast<void>(throttle.failed("a", nth(0), now));
  for (int i = 1; i < 100; ++i) static_cast<void>(throttle.failed("a", nth(i), now));
  CHECK(throttle.check_at("b", nth(0), now) == base::kNever);  // it was looked at: now the newest
  for (int i = 100; i < 199; ++i) static_cast<void>(throttle.failed("a", nth(i), now));
  CHECK(throttle.check_at("b", nth(0), now) == base::kNever);
  for (int i = 200; i < 300; ++i) static_cast<void>(throttle.failed("a", nth(i), now));
  CHECK(throttle.check_at("b", nth(0), now) == now);
}

}  // namespace
}  // namespace rockdove::inbound
