#include "mta/base/time.h"

#include <catch2/catch.hpp>

using namespace rockdove::base;

TEST_CASE("time: timestamps are RFC 3339 in UTC") {
  CHECK(format_timestamp(from_unix_milliseconds(0)) == "1970-01-01T00:00:00.000Z");
  CHECK(format_timestamp(from_unix_milliseconds(1'795'293'965'123)) == "2026-11-21T20:46:05.123Z");
}

TEST_CASE("time: durations read as people write them") {
  CHECK(*parse_duration("5d") == std::chrono::hours(120));
  CHECK(*parse_duration("1h30m") == std::chrono::minutes(90));
  CHECK(*parse_duration("250ms") == std::chrono::milliseconds(250));
  for (const char* bad : {"", "5", "d", "5 d", "5x", "-5d", "99999999999999999999d", "4000d"}) {
    CHECK_FALSE(parse_duration(bad));
  }
}

TEST_CASE("time: durations are written to two units") {
  CHECK(format_duration(std::chrono::milliseconds(0)) == "0s");
  CHECK(format_duration(std::chrono::milliseconds(250)) == "250ms");
  CHECK(format_duration(std::chrono::seconds(90)) == "1m30s");
  CHECK(format_duration(std::chrono::hours(121) + std::chrono::seconds(5)) == "5d1h");
  CHECK(format_duration(std::chrono::hours(120)) == "5d");
}
