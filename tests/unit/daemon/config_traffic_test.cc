// The budgets of routes, and what takes over when one is used up.
#include "mta/daemon/config_traffic.h"

#include <catch2/catch.hpp>

#include "parsed.h"

using namespace rockdove;
using namespace rockdove::daemon;
using namespace std::chrono_literals;

TEST_CASE("a route names what takes over when its budget is used up") {
  const std::string second = "[[route]]\nname = \"second\"\nto = \"smtp://b\"\n";
  const auto first = [&](const std::string& keys) {
    return "[[route]]\nname = \"m365\"\nrecipient = \"*@x\"\nto = \"smtp://a\"\n" + keys + "\n";
  };
  const outbound::OutboundSettings read =
      accepted(first("recipient_rate = \"10000/day\"\nbytes = \"5G/h\"\noverflow = \"second\"\n"
                     "overflow_after = \"1m\"") +
               second)
          .outbound;
  CHECK(read.routes[0].overflow == "second");
  CHECK(read.routes[0].overflow_after == 1min);
  CHECK(traffic::format_rates(*read.routes[0].limits.recipient_rate.value) == "10000/day");
  CHECK(read.routes[0].limits.bytes.value->octets == 5'000'000'000);
  CHECK(read.routes[1].overflow_after == 5min);
  const auto problem = [&](const std::string& keys, const std::string& others) {
    const Lines problems = problems_of(first(keys) + others);
    REQUIRE(problems.size() == 1);
    return problems[0];
  };
  CHECK(
      problem("overflow = \"second\"\nrate = \"30/min\"", second) ==
      "c:6:12: error: `overflow` wants a budget of an hour or a day, which can be used up: `rate`, "
      "`recipient_rate` or `bytes`, as in recipient_rate = \"10000/day\"");
  const std::string day = "overflow = \"second\"\nrate = \"2000/day\"";
  CHECK(
      problem("overflow_after = \"5m\"", "") ==
      "c:6:18: error: `overflow_after` says when the route of `overflow` takes over, and this one "
      "has none");
  // The second is used, though the first takes everything.
  CHECK(
      problems_of("[[route]]\nto = \"smtp://a\"\nrate = \"5/h\"\noverflow = \"second\"\n" + second)
          .empty());
  CHECK(problem("overflow = \"secnd\"\nrate = \"2000/day\"", second) ==
        "c:6:12: error: there is no route `secnd`, did you mean `second`?");
  CHECK(problem(day, "[[route]]\nname = \"second\"\nto = \"mx\"") ==
        "c:6:12: error: the route `second` has no hosts in `to` that could take over");
  const Lines circle = problems_of(
      first(day) +
      "[[route]]\nname = \"second\"\nto = \"smtp://b\"\nrate = \"5/h\"\noverflow = \"m365\"");
  REQUIRE(circle.size() == 2);
  CHECK(circle[0] ==
        "c:6:12: error: `overflow` leads in a circle: `m365`, `second` and back to `m365`");
  const Lines by_mx = problems_of("[[route]]\nto = \"mx\"\nrate = \"5/h\"\noverflow = \"x\"");
  REQUIRE(by_mx.size() == 2);
  CHECK(by_mx[0] ==
        "c:2:1: error: limits of a route want hosts in `to`, as smtp://host:port; for mail by MX "
        "write them into a traffic profile");
  CHECK(by_mx[1].find("`overflow` wants hosts in `to`") != std::string::npos);
}
