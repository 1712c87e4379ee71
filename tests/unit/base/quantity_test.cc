#include "mta/base/quantity.h"

#include <catch2/catch.hpp>

using namespace rockdove::base;

TEST_CASE("sizes are numbers with a decimal or a binary unit") {
  CHECK(parse_size("20M").value() == 20'000'000);
  CHECK(parse_size("50K").value() == 50'000);
  CHECK(parse_size("1G").value() == 1'000'000'000);
  CHECK(parse_size("2T").value() == 2'000'000'000'000);
  CHECK(parse_size("64KiB").value() == 65536);
  CHECK(parse_size("1 MiB").value() == 1048576);
  CHECK(parse_size("1234").value() == 1234);
  CHECK(parse_size("0").value() == 0);
}

TEST_CASE("what is no size is refused, and so is what does not fit") {
  for (const char* text :
       {"", "M", "-1", "1.5G", "20MB", "20 apples", "99999999999999999999", "20M 1"}) {
    INFO(text);
    CHECK_FALSE(parse_size(text).is_ok());
  }
  CHECK(parse_size("9223372036854775807").value() == 9223372036854775807ULL);
  CHECK(parse_size("9223372036854775808").error().text() == "a size is at most 2^63 - 1 octets");
  CHECK_FALSE(parse_size("9223372T999").is_ok());
  CHECK_FALSE(parse_size("99999999T").is_ok());
}

TEST_CASE("a size is written in the shortest exact form and reads back") {
  CHECK(format_size(50'000'000) == "50M");
  CHECK(format_size(65536) == "64KiB");
  CHECK(format_size(0) == "0");
  for (const std::uint64_t size :
       {1ULL, 999ULL, 1000ULL, 1024ULL, 1048577ULL, 9223372036854775807ULL}) {
    CHECK(parse_size(format_size(size)).value() == size);
  }
}

TEST_CASE("rates are a count, a time and perhaps a burst") {
  CHECK(parse_rate("600/min").value() == Rate{600, std::chrono::minutes(1), 0});
  CHECK(parse_rate("100/s, burst 20").value() == Rate{100, std::chrono::seconds(1), 20});
  CHECK(parse_rate(" 3 / h ,burst 5 ").value() == Rate{3, std::chrono::hours(1), 5});
  CHECK(parse_rate("1000/d").value() == Rate{1000, std::chrono::hours(24), 0});
  CHECK(parse_rate("off").value().count == 0);
}

TEST_CASE("what is no rate is refused") {
  for (const char* text :
       {"", "600", "600/", "600/minute", "/min", "-1/s", "0/s", "1/s, burst", "1/s, burst 0",
        "1/s burst 2", "1/s, bursts 2", "1/s, burst 2x", "5000000000/s"}) {
    INFO(text);
    CHECK_FALSE(parse_rate(text).is_ok());
  }
}

TEST_CASE("a rate reads back as it was written") {
  for (const char* text : {"600/min", "100/s, burst 20", "off", "7/d", "9/h"}) {
    CHECK(format_rate(parse_rate(text).value()) == text);
  }
}
