#include <cstdlib>
#include <ctime>

#include <catch2/catch.hpp>

#include "mta/cli/why.h"

namespace {

using namespace rockdove;
using namespace rockdove::cli;

const base::WallTime kNow = base::from_unix_milliseconds(1'795'295'700'000);  // 21:15 UTC

constexpr std::string_view kLine =
    R"({"id":"3ZzBCDFGHJKL-1","recipient":"bob@example.net","sender":"a@x.example","attempts":1,)"
    R"("cause":"refused",)"
    R"("text":"The receiving side did not take it \u001b[2J this time: mx.example.net[192.0.2.1]:25 )"
    R"(answered \"451 4.3.2 try again later\".","accepted":"2026-11-21T20:15:00.000Z",)"
    R"("since":"2026-11-21T21:14:00.000Z","next":"2026-11-21T21:20:00.000Z",)"
    R"("ends":"2026-11-26T20:15:00.000Z","ends_how":"a failure after that returns it to its sender",)"
    R"("settings":[{"name":"[queue] retry","value":"5m"},{"name":"[queue] lifetime","value":"5d"}],)"
    R"("advice":[{"text":"try it now","command":"rockdove queue retry 3ZzBCDFGHJKL-1"},{"text":"wait"}]})";

}  // namespace

TEST_CASE("queue why: an estimate says that it is one") {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  const auto goes = [](const std::string& keys) {
    const std::string page =
        why_page(R"({"id":"3ZzBCDFGHJKL-1","estimate":"as its turn comes",)" + keys + "}", kNow);
    const std::size_t at = page.find("  Goes ");
    return page.substr(at, page.find('\n', at) - at);
  };
  CHECK(goes(R"("about":"2026-11-21T21:20:00.000Z")") ==
        "  Goes        about 2026-11-21 21:20:00 (in 5m), as its turn comes");
  CHECK(goes(R"("latest":"2026-11-21T21:20:00.000Z")") ==
        "  Goes        by 2026-11-21 21:20:00 (in 5m) at the latest, as its turn comes");
  CHECK(goes(R"("attempts":0)") == "  Goes        as its turn comes");
}

TEST_CASE("queue why: a page says what, since when, until when, why and what to do") {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  CHECK(
      why_page(kLine, kNow) ==
      "3ZzBCDFGHJKL-1 from a@x.example to bob@example.net\n"
      "  The receiving side did not take it ?[2J this time: mx.example.net[192.0.2.1]:25 answered "
      "\"451\n"
      "  4.3.2 try again later\".\n"
      "  Accepted    2026-11-21 20:15:00 (1h ago), 1 attempt so far\n"
      "  So since    2026-11-21 21:14:00 (1m ago)\n"
      "  Goes        2026-11-21 21:20:00 (in 5m)\n"
      "  Until       2026-11-26 20:15:00 (in 4d23h); a failure after that returns it to its "
      "sender\n"
      "  Because of  [queue] retry = 5m\n"
      "              [queue] lifetime = 5d\n"
      "  You can     try it now: rockdove queue retry 3ZzBCDFGHJKL-1\n"
      "              wait\n");
}

TEST_CASE("queue why: what is missing is left out") {
  const std::string page =
      why_page(R"({"id":"x-1","recipient":"b@x","text":"It is the next.","estimate":"now"})", kNow);
  CHECK(page.find("Goes        now\n") != std::string::npos);
  CHECK(page.find("Until") == std::string::npos);
  CHECK(page.find("You can") == std::string::npos);
  CHECK(page.starts_with("x-1 from <> to b@x\n"));
  CHECK_FALSE(why_page("no json", kNow).empty());
}

TEST_CASE("queue why: what is due goes now, and a long command stays whole") {
  const std::string address = "'" + std::string(90, 'b') + "'";
  const std::string page = why_page(R"({"id":"x-1","next":"2026-11-21T21:15:00.000Z","advice":[)"
                                    R"({"text":"ask","command":"rockdove route )" +
                                        address + R"("}]})",
                                    kNow);
  CHECK(page.find("  Goes        now\n") != std::string::npos);
  CHECK(page.find("  You can     ask:\n                rockdove route " + address + "\n") !=
        std::string::npos);
}
