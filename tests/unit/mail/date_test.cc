#include "mta/mail/date.h"

#include <catch2/catch.hpp>

using namespace rockdove;
using namespace rockdove::mail;

namespace {

// Read, then written in the normal form.
std::string read(std::string_view text) {
  const auto time = parse_date(text);
  return time ? format_date(*time) : "(" + time.error().text() + ")";
}

}  // namespace

TEST_CASE("date: a time is written as RFC 5322 wants it, in UTC") {
  CHECK(format_date(base::from_unix_milliseconds(0)) == "Thu, 01 Jan 1970 00:00:00 +0000");
  CHECK(format_date(base::from_unix_milliseconds(1'795'293'965'999)) ==
        "Sat, 21 Nov 2026 20:46:05 +0000");
  CHECK(format_date(base::from_unix_milliseconds(1'709'164'799'000)) ==
        "Wed, 28 Feb 2024 23:59:59 +0000");
  CHECK(format_date(base::from_unix_milliseconds(1'709'164'800'000)) ==
        "Thu, 29 Feb 2024 00:00:00 +0000");
}

TEST_CASE("date: what was written reads back, over a hundred years") {
  for (std::uint64_t second = 0; second < 3'155'760'000; second += 7'654'321) {
    const auto time = base::from_unix_milliseconds(second * 1000);
    REQUIRE(parse_date(format_date(time)));
    CHECK(*parse_date(format_date(time)) == time);
  }
}

TEST_CASE("date: zones, obsolete forms, comments and ctime are understood") {
  constexpr std::string_view kSame = "Sat, 21 Nov 2026 20:46:05 +0000";
  for (const std::string_view form :
       {"Sat, 21 Nov 2026 20:46:05 +0000", "21 Nov 2026 20:46:05 -0000",
        "Sat, 21 Nov 26 20:46:05 GMT", "sat,21 nov 2026 20:46:05 ut", "Sat, 21 Nov 126 20:46:05 Z",
        "Sat, 21 Nov 2026 22:16:05 +0130", "Sat, 21 Nov 2026 15:46:05 EST",
        "Sat, 21 Nov 2026 12:46:05 PST", "Sat, 21 Nov 2026 12:46:05 -08:00",
        "(a (nested) \\) comment) Sat, 21 (x) Nov\r\n 2026 20:46:05(y) +0000 (UTC)",
        "Sat Nov 21 20:46:05 2026", "Sat Nov 21 20:46:05 UTC 2026", "Sat, 21 Nov 2026 20:46:05",
        "Sat, 21 November 2026 20:46:05.123 +0000", "Fri, 21 Nov 2026 20:46:05 +0000",
        "Sun, 22 Nov 2026 06:16:05 +0930"}) {
    CAPTURE(form);
    CHECK(read(form) == kSame);
  }
  CHECK(read("21 Nov 2026 20:46 +0000") == "Sat, 21 Nov 2026 20:46:00 +0000");
  CHECK(read("31 Dec 2016 23:59:60 +0000") == "Sun, 01 Jan 2017 00:00:00 +0000");
  CHECK(read("1 Jan 99 00:00 +0000") == "Fri, 01 Jan 1999 00:00:00 +0000");
}

TEST_CASE("date: timestamps of RFC 3339 are read, with a zone, to the millisecond") {
  const auto stamp = [](std::string_view text) {
    const auto time = parse_timestamp(text);
    return time ? base::format_timestamp(*time) : "(" + time.error().text() + ")";
  };
  for (const std::string_view form :
       {"2026-11-21T20:46:05Z", "2026-11-21t20:46:05z", "2026-11-21 21:46:05+01:00",
        "2026-11-21T15:46:05.0004-0500", "2026-11-22T06:16:05.000+09:30"}) {
    CAPTURE(form);
    CHECK(stamp(form) == "2026-11-21T20:46:05.000Z");
  }
  CHECK(stamp("2026-11-21T20:46Z") == "2026-11-21T20:46:00.000Z");
  CHECK(stamp("2026-11-21T20:46:05.1Z") == "2026-11-21T20:46:05.100Z");
  CHECK(stamp("2016-12-31T23:59:60Z") == "2017-01-01T00:00:00.000Z");
  for (const std::string_view bad : {"",
                                     "2026-11-21",
                                     "2026-11-21T",
                                     "2026-11-21T20:46:05",
                                     "2026-11-21T20:46:05 Z",
                                     "2026-11-21T20Z",
                                     "2026-11-21T2:46:05Z",
                                     "2026-11-21T20:46:5Z",
                                     "2026-02-30T00:00:00Z",
                                     "2026-11-21T24:00:00Z",
                                     "26-11-21T20:46:05Z",
                                     "2026/11/21T20:46:05Z",
                                     "2026-11-21X20:46Z",
                                     "2026-11-21T20:46:05.Z",
                                     "2026-11-21T20:46:05.1234567890Z",
                                     "2026-11-21T20:46:05+1",
                                     "2026-11-21T20:46:05+01:99",
                                     "2026-11-21T20:46:05Zz",
                                     "1969-12-31T23:59:59Z",
                                     "+026-11-21T20:46:05Z"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_timestamp(bad));
  }
}

TEST_CASE("date: what is no date is refused") {
  for (const std::string_view bad : {"",
                                     "Sat",
                                     "Sat,",
                                     "21 Nov 2026",
                                     "31 Feb 2026 00:00 +0000",
                                     "0 Nov 2026 00:00 +0000",
                                     "21 Foo 2026 00:00 +0000",
                                     "21 Nov 2026 24:00 +0000",
                                     "21 Nov 2026 00:60 +0000",
                                     "21 Nov 2026 00:00:61 +0000",
                                     "21 Nov 2026 0000 +0000",
                                     "21 Nov 2026 00:00 +00",
                                     "21 Nov 2026 00:00 0100",
                                     "21 Nov 2026 00:00 +0060",
                                     "21 Nov 2 00:00 +0000",
                                     "21 Nov 20266 00:00 +0000",
                                     "(21 Nov 2026 00:00 +0000",
                                     "2026-11-21T20:46:05Z",
                                     "1 Jan 1970 00:00 +0100",
                                     "1 Jan 1969 00:00 +0000",
                                     "21 Nov 2026 1:2:3:4 +0000"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_date(bad));
  }
}
