#include "mta/admin/queue_text.h"

#include <cstdlib>
#include <ctime>

#include <catch2/catch.hpp>

namespace {

using namespace rockdove;
using namespace std::chrono_literals;
using queue::Delivery;
using queue::DeliveryState;

const base::WallTime kNow = base::from_unix_milliseconds(1'795'295'430'000);  // 21:10:30 UTC

// Times of day are local ones, so the tests say where they are.
struct InUtc {
  InUtc() {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
  }
};

}  // namespace

TEST_CASE("why: a waiting delivery says until when, and what the last server answered") {
  const InUtc here;
  Delivery delivery;
  delivery.due = kNow + 4min + 30s;
  delivery.attempts = 3;
  delivery.last = {kNow, "mx.example.net[192.0.2.1]:25", "451 try later"};
  CHECK(admin::explain(delivery, kNow) ==
        "waits until 21:15 (in 4m30s) because mx.example.net[192.0.2.1]:25 answered "
        "\"451 try later\", attempt 3");
  delivery.due = kNow + 30h;
  CHECK(
      admin::explain(delivery, kNow).starts_with("waits until 2026-11-23 03:10 (in 1d6h) because"));
  delivery.due = kNow - 1s;
  CHECK(admin::explain(delivery, kNow)
            .starts_with("is due for another attempt; the last one failed"));
}

TEST_CASE("why: a stranger's reply cannot bring control characters to a terminal") {
  Delivery delivery;
  delivery.due = kNow + 1min;
  delivery.last = {kNow, "", "451 \x1b[2Jgone\r\nX"};
  const std::string text = admin::explain(delivery, kNow);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find('\n') == std::string::npos);
}

TEST_CASE("why: first attempts, uncertain ends, shared reports and holds have their own words") {
  const InUtc here;
  Delivery delivery;
  delivery.due = kNow;
  CHECK(admin::explain(delivery, kNow) == "waits for its first attempt, which is due");
  delivery.due = delivery.lives_from = kNow + 30h;
  CHECK(admin::explain(delivery, kNow) == "is scheduled for 2026-11-23 03:10 (in 1d6h)");
  delivery.due = kNow + 15min;
  delivery.uncertain = 1;
  delivery.last = {kNow, "mx.example.net[192.0.2.1]:25", ""};
  CHECK(admin::explain(delivery, kNow) ==
        "waits until 21:25 (in 15m) because of mx.example.net[192.0.2.1]:25; a connection was lost "
        "behind the final dot, so it may have arrived");
  delivery.final_status = "5.1.1";
  CHECK(admin::explain(delivery, kNow)
            .starts_with("has failed for good (5.1.1) and waits for the report"));
  delivery.state = DeliveryState::Held;
  delivery.hold_reason = "crash";
  delivery.crashes = 3;
  CHECK(admin::explain(delivery, kNow).find("because rockdove itself failed 3 times") !=
        std::string::npos);
  delivery.hold_reason = "operator";
  CHECK(admin::explain(delivery, kNow) == "is on hold since 21:25, reason: operator");
  delivery.hold_reason = "quarantine";
  delivery.hold_detail = "dmarc: example.com asks for quarantine";
  delivery.expires = kNow + 30min;
  CHECK(admin::explain(delivery, kNow) ==
        "is in quarantine since 21:25: dmarc: example.com asks for quarantine; unless somebody "
        "releases it, it is discarded 21:40");
}

TEST_CASE("filter: domains may have letters that are not ASCII") {
  const auto filter = admin::parse_filter({{"sender", "*@B\u00dccher.example"},
                                           {"recipient", "a@b\u00fccher.example"},
                                           {"destination", "B\u00fccher.example:2525"}},
                                          kNow);
  REQUIRE(filter);
  CHECK(filter->sender == "*@xn--bcher-kva.example");
  CHECK(filter->recipient == "a@xn--bcher-kva.example");
  CHECK(filter->destination == "xn--bcher-kva.example:2525");
  for (const std::string name : {"sender", "recipient", "destination"}) {
    const auto refused = admin::parse_filter({{name, "*@-\u00fc.example"}}, kNow);
    REQUIRE_FALSE(refused);
    CHECK(std::string(refused.error().text()).starts_with(name + ": the domain is"));
  }
}

TEST_CASE("filter: a source is an address in any writing, or a pattern") {
  const auto source = [](const std::string& text) {
    const auto filter = admin::parse_filter({{"source", text}}, kNow);
    return filter ? filter->source : std::string(filter.error().text());
  };
  CHECK(source("192.0.2.10") == "192.0.2.10");
  CHECK(source("2001:DB8:0::1") == "2001:db8::1");
  CHECK(source("2001:DB8:*") == "2001:db8:*");
  CHECK(source("mta1.example") ==
        "source: an address of ours, as 192.0.2.10, or a pattern, as 192.0.2.*, not mta1.example");
}

TEST_CASE("filter: each condition is read, and an age becomes a time") {
  const auto filter = admin::parse_filter({{"sender", "a@b"},
                                           {"recipient", "*@c"},
                                           {"destination", "Example.NET"},
                                           {"state", "held"},
                                           {"older_than", "1h"},
                                           {"tenant", "Blue*"},
                                           {"campaign", "spring"},
                                           {"reason", "greylist"}},
                                          kNow);
  REQUIRE(filter);
  CHECK(filter->sender == "a@b");
  CHECK(filter->recipient == "*@c");
  CHECK(filter->destination == "example.net");
  CHECK(filter->state == DeliveryState::Held);
  CHECK(filter->accepted_before == kNow - 1h);
  CHECK(filter->tenant == "Blue*");
  CHECK(filter->campaign == "spring");
  CHECK(filter->reason == "greylist");
}
