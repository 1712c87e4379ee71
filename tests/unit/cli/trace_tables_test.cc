// What `rockdove trace` and `rockdove stats` print for people, from the daemon's lines.
#include "mta/cli/trace_tables.h"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <string>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace rockdove::cli;
using Json = nlohmann::ordered_json;

namespace {

Json step(const char* at, const char* what) {
  return {{"at", at}, {"what", what}};
}

Json traced() {
  Json later = step("2026-11-22T06:50:02.000Z", "deferred");
  later["host"] = "mx.x.example[192.0.2.1]:25";
  later["reply"] = "451 4.7.1 greylisted";
  later["seconds"] = 0.25;
  later["attempts"] = 1;
  Json end = step("2026-11-22T06:55:03.000Z", "bounced");
  end["host"] = "mx.x.example[192.0.2.1]:25";
  end["tls"] = "TLSv1.3 X";
  end["reply"] = "550 5.1.1 no such user";
  end["status"] = "5.1.1";
  end["seconds"] = 12.5;
  end["report"] = "3ZzBCDFGHJKM";
  Json failed{{"id", "3ZzBCDFGHJKL-1"}, {"address", "c@x.example"}, {"state", "bounced"}};
  failed["steps"].push_back(later);
  failed["steps"].push_back(end);
  Json waits{{"id", "3ZzBCDFGHJKL-2"}, {"address", "d@x.example"}, {"state", "waiting"}};
  waits["due"] = "2026-11-22T07:00:00.000Z";
  Json line{{"queue_id", "3ZzBCDFGHJKL"}, {"kind", "ordinary"},
            {"sender", "a@b.example"},    {"accepted", "2026-11-22T06:50:01.123Z"},
            {"message_size", 1234},       {"message_id", "<1@b.example>"},
            {"client", "192.0.2.7"},      {"helo", "client.example"},
            {"listener", "lan"},          {"user", "bob"},
            {"tls", "TLSv1.2 Y"},         {"recipients_left_out", 3},
            {"steps_left_out", 4}};
  line["recipients"].push_back(failed);
  line["recipients"].push_back(waits);
  return line;
}

}  // namespace

TEST_CASE("trace page: a message, its recipients and their steps, and its reports below") {
  ::setenv("TZ", "UTC-1", 1);  // an hour ahead of UTC
  ::tzset();
  Json line = traced();
  Json told{{"id", "3ZzBCDFGHJKM-1"}, {"address", "a@b.example"}, {"state", "held"}};
  told["hold_reason"] = "operator";
  told["steps"].push_back(step("2026-11-22T06:56:00.000Z", "held"));
  Json report{{"queue_id", "3ZzBCDFGHJKM"}, {"kind", "report"}, {"about", "3ZzBCDFGHJKL"}};
  report["accepted"] = "2026-11-22T06:55:03.000Z";
  report["message_size"] = 2000;
  report["recipients"].push_back(told);
  line["reports"].push_back(report);
  CHECK(traced_page(line.dump()) ==
        "3ZzBCDFGHJKL, from <a@b.example>, 1234 octets\n"
        "  Message-ID <1@b.example>\n"
        "  2026-11-22 07:50:01 accepted from client.example [192.0.2.7], listener lan, user bob, "
        "TLSv1.2\n"
        "  Y\n"
        "  -1 <c@x.example> bounced\n"
        "    2026-11-22 07:50:02 deferred by mx.x.example[192.0.2.1]:25, 0.25 s: 451 4.7.1 "
        "greylisted\n"
        "    2026-11-22 07:55:03 bounced by mx.x.example[192.0.2.1]:25, TLSv1.3 X, 12.5 s, status "
        "5.1.1:\n"
        "    550 5.1.1 no such user (report 3ZzBCDFGHJKM)\n"
        "  -2 <d@x.example> waiting, due 2026-11-22 08:00:00\n"
        "  and 3 other recipients\n"
        "  and 4 further steps\n"
        "    3ZzBCDFGHJKM, a report about 3ZzBCDFGHJKL, from <>, 2000 octets\n"
        "      2026-11-22 07:55:03 accepted from rockdove itself\n"
        "      -1 <a@b.example> held: operator\n"
        "        2026-11-22 07:56:00 held\n");
}

TEST_CASE("trace page: nothing that strangers wrote is obeyed by a terminal") {
  const std::string evil =
      "\x1B[2J\r\nfake\x07 \xC2\x9B"
      "31m \xE2\x80\xAE"
      "evil";
  Json line = traced();
  for (const char* name : {"sender", "message_id", "helo", "user", "tls", "client"}) {
    line[name] = evil;
  }
  line["recipients"][0]["address"] = evil;
  line["recipients"][0]["steps"][0]["reply"] = evil;
  line["recipients"][0]["steps"][0]["host"] = evil;
  line["recipients"][1]["state"] = "held";
  line["recipients"][1]["hold_reason"] = evil + std::string(65'536, 'x');
  const std::string page = traced_page(line.dump());
  CHECK(std::none_of(page.begin(), page.end(), [](char octet) {
    return (static_cast<unsigned char>(octet) < 32 && octet != '\n') || octet == 127;
  }));
  CHECK(page.find("\xC2\x9B") == std::string::npos);
  CHECK(page.find("\xE2\x80\xAE") == std::string::npos);
  CHECK(page.find("\nfake") == std::string::npos);
}

TEST_CASE("trace page: a line of a newer or broken daemon is no fault") {
  for (const char* line : {"", "[]", "{}", "{\"recipients\":7,\"reports\":[1,{}]}",
                           "{\"message_size\":\"x\",\"recipients\":[3,{\"steps\":[null]}]}"}) {
    CHECK_FALSE(traced_page(line).empty());
    CHECK_FALSE(stats_entry(line).empty());
  }
}

TEST_CASE("stats table: its columns stand below their names, and what was left out is said") {
  Json line{{"name", "x.example"}, {"accepted", 1234567},  {"octets", 5'000'000'000},
            {"recipients", 20},    {"delivered", 1234567}, {"deferred", 3},
            {"bounced", 2},        {"waiting", 1},         {"delay_median", 0.25},
            {"delay_p95", 12.0},   {"delay_p99", 3661.0}};
  const std::string header = stats_header();
  const std::string entry = stats_entry(line.dump());
  CHECK(
      entry ==
      "  1234567     5.0G    1234567         3        2       1  0.25s    12s   1h1m  x.example\n");
  CHECK(header.find("NAME") == entry.find("x.example"));
  CHECK(header.find("ACCEPTED") + 8 == entry.find("1234567") + 7);
  line = {{"name", ""}, {"names", 7}, {"is_exact", false}};
  CHECK(stats_entry(line.dump()).ends_with("-      -      -  (7 other names) about\n"));
  line = {{"name", ""}, {"total", true}};
  CHECK(stats_entry(line.dump()).ends_with("(all)\n"));
}
