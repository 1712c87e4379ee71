#include "mta/cli/top.h"

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace {

using namespace rockdove;
using namespace rockdove::cli;
using namespace std::chrono_literals;

constexpr std::string_view kBefore =
    R"({"counters":{"accepted":100,"delivered":90,"deferred":5,"octets_accepted":0}})";
constexpr std::string_view kAfter =
    R"({"time":"2026-11-21T21:15:00.000Z","counters":{"accepted":120,"delivered":93,"deferred":5,)"
    R"("octets_accepted":50000},"standing":{"readiness":"ready","stopping":false,)"
    R"("connections_in":3,"connections_in_max":2000,"memory_max":256000000},)"
    R"("queue":{"waiting":12,"held":1,"deleted":0,"oldest":"2026-11-21T20:15:00.000Z",)"
    R"("counted":"2026-11-21T21:14:58.000Z"},"pauses_in_all":5,"pauses":[{"kind":"everything"},)"
    R"({"kind":"destination","name":"*.example"}],"destinations":[)"
    R"({"name":"busy.example","delivered":70,"deferred":1,"bounced":0,"slowest_ms":1500},)"
    R"({"name":"slow\u001b.example","delivered":0,"deferred":2,"bounced":0,"slowest_ms":30000}],)"
    R"("slowest":[{"name":"slow\u001b.example","stage":"final dot","ms":125000},)"
    R"({"name":"busy.example","ms":1500}],)"
    R"("deferrals":{"greylisted":1,"unreachable":2}})";

}  // namespace

TEST_CASE("top: a page has rates, standing, queue, pauses, deferrals and destinations") {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  CHECK(top_page(kBefore, kAfter, 2s, {80, 40}) ==
        "rockdove  2026-11-21 21:15:00  ready\n"
        "Per second   in 10.0  refused 0.0  delivered 1.5  deferred 0.0  bounced 0.0\n"
        "Connections  in 3 of 2000  out 0 of 0  opened 0.0  failed 0.0 a second\n"
        "Memory       0 of 256.0M for mail  disk 0 free  coming in 25.0K a second\n"
        "Queue        12 waiting, 1 held, 0 deleted, oldest 1h  (counted 2s ago)\n"
        "Paused       everything, destination *.example and 3 more\n"
        "Deferred     in the last minute:  unreachable 2  greylisted 1\n"
        "\n"
        "THE LAST MINUTE, BUSIEST FIRST        DELIVERED   DEFERRED    BOUNCED    SLOWEST\n"
        "busy.example                                 70          1          0       1.5s\n"
        "slow?.example                                 0          2          0      30.0s\n"
        "\n"
        "THE SLOWEST                                                    NOW AT       TIME\n"
        "slow?.example                                               final dot       2m5s\n"
        "busy.example                                                     done       1.5s\n");
}

TEST_CASE("top: below many destinations the slowest are listed, too, where there is room") {
  std::string busy;
  std::string slow;
  for (int i = 1; i <= 30; ++i) {
    const std::string number = std::to_string(i);
    busy += (i == 1 ? "" : ",") + (R"({"name":"d)" + number) + R"(.example","delivered":1})";
    slow += (i == 1 ? "" : ",") + (R"({"name":"s)" + number) + R"(.example","ms":9000})";
  }
  const std::string answer = R"({"destinations":[)" + busy + R"(],"slowest":[)" + slow + "]}";
  const std::string page = top_page(answer, answer, 1s, {80, 24});
  CHECK(std::count(page.begin(), page.end(), '\n') == 24);
  const std::size_t slowest = page.find("THE SLOWEST");
  CHECK(slowest != std::string::npos);
  CHECK(page.find("d1.example ") < slowest);
  CHECK(page.find("s5.example ") > slowest);
  CHECK(page.find("s6.example ") == std::string::npos);
  const std::string low = top_page(answer, answer, 1s, {80, 16});
  CHECK(low.find("THE SLOWEST") == std::string::npos);
  CHECK(std::count(low.begin(), low.end(), '\n') == 16);
  const std::string stuck = top_page(answer, R"({"slowest":[)" + slow + "]}", 1s, {80, 16});
  CHECK(stuck.find("THE SLOWEST") != std::string::npos);  // where nothing ended within a minute
}

TEST_CASE("top: what is wrong is said") {
  const std::string ill = top_page(
      kBefore,
      R"({"time":"2026-11-21T21:15:00.000Z","standing":{"trouble":["the disk of /var/lib/rockdove )"
      R"(has 12M free, less than min_free_disk, 1G; new mail is refused"]},"silent_loops":2})",
      1s, {60, 9});
  CHECK(
      ill.starts_with("rockdove  2026-11-21 21:15:00  NOT WELL\n"
                      "Trouble      the disk of /var/lib/rockdove has 12M free,\n"
                      "             less than min_free_disk, 1G; new mail is\n"
                      "             refused\n"
                      "Trouble      2 of its loops did not answer: the last minute\n"
                      "             is not all here\n"
                      "Per second"));
  const std::string page = top_trouble("no rockdove runs: \x1b[2J connecting to /run/x", {20, 9});
  CHECK(page.find("no rockdove runs: ?[\n2J connecting to /ru\nn/x\n") != std::string::npos);
  CHECK(top_trouble("no", {1, 1}) == ".\n");
}

TEST_CASE("top: a page fits any terminal, and what is missing is no error") {
  for (const TopSize size :
       {TopSize{1, 1}, TopSize{2, 2}, TopSize{20, 3}, TopSize{200, 12}, TopSize{80, 24}}) {
    for (const std::string& page : {top_page(kBefore, kAfter, 1s, size),
                                    top_trouble("no rockdove runs, as it seems", size)}) {
      CHECK(static_cast<std::size_t>(std::count(page.begin(), page.end(), '\n')) <= size.rows);
      std::string_view rest = page;
      while (!rest.empty()) {
        const std::size_t end = rest.find('\n');
        CHECK(end <= size.columns);
        rest.remove_prefix(end + 1);
      }
    }
  }
  CHECK_FALSE(top_page("", "no json", 0s, {80, 24}).empty());
  CHECK_FALSE(top_page("[]", R"({"destinations":[7],"queue":3})", 1s, {80, 24}).empty());
}

TEST_CASE("top: rates are of the time between, and none after a start anew") {
  const auto json = nlohmann::json::parse(top_line(kBefore, kAfter, 2s));
  CHECK(json["rates"]["accepted"] == 10.0);
  CHECK(json["rates"]["delivered"] == 1.5);
  const auto anew = nlohmann::json::parse(top_line(kAfter, kBefore, 2s));
  CHECK(anew["rates"]["accepted"].is_null());
  CHECK(top_page(kAfter, kAfter, 0s, {80, 24}).find("in -  refused -") != std::string::npos);
}

TEST_CASE("top: all reasons of deferrals are told, on as many lines as they need") {
  const std::string page = top_page(
      kBefore,
      R"({"deferrals":{"greylisted":122,"mailbox-full":50,"unreachable":7,"rate-limited":6,"dns":1}})",
      1s, {79, 24});
  CHECK(page.find("Deferred     in the last minute:  greylisted 122  mailbox-full 50  unreachable\n"
                  "             7  rate-limited 6  dns 1\n") != std::string::npos);
}
