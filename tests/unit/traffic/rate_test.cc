#include "mta/traffic/rate.h"

#include <catch2/catch.hpp>

namespace rockdove::traffic {
namespace {

using namespace std::chrono_literals;

std::string error_of(std::string_view text) {
  const base::Result<Rate> rate = parse_rate(text);
  return rate ? "" : rate.error().text();
}

TEST_CASE("a rate is a count, a time and perhaps a burst") {
  CHECK(*parse_rate("50/min") == Rate{50, 1min, 1});
  CHECK(*parse_rate("10/s") == Rate{10, 1s, 1});
  CHECK(*parse_rate("5000/h") == Rate{5000, 1h, 1});
  CHECK(*parse_rate("5000/hour") == Rate{5000, 1h, 1});
  CHECK(*parse_rate("20000/day") == Rate{20000, 24h, 1});
  CHECK(*parse_rate("20000/d") == Rate{20000, 24h, 1});
  CHECK(*parse_rate("3/min burst 3") == Rate{3, 1min, 3});
  CHECK(*parse_rate(" 100 / s , burst 20 ") == Rate{100, 1s, 20});
  CHECK(*parse_rate("10000000/s") == Rate{10'000'000, 1s, 1});
}

TEST_CASE("a rate knows what a window of it holds") {
  CHECK(parse_rate("3/min")->most_in_window() == 3);
  CHECK(parse_rate("100/s burst 20")->most_in_window() == 119);
  CHECK_FALSE(parse_rate("3/min")->is_counted());
  CHECK(parse_rate("3/h")->is_counted());
  CHECK(parse_rate("30/min")->per_second() == Approx(0.5));
  CHECK(parse_rate("86400/day")->per_second() == Approx(1));
}

TEST_CASE("what is no rate is refused, and shown") {
  for (const char* text : {"", " ", "600", "600/", "600/minute", "/min", "-1/s", "+1/s", "1.5/s",
                           "1//s", "1/S", "1/s burst", "1/s, bursts 2", "2/s, burst 2x",
                           "2/s, burst -2", "2/s burst 2 burst 2", "1/s 2", "1/s,"}) {
    INFO(text);
    CHECK(error_of(text).find("is not a rate") != std::string::npos);
  }
  CHECK(error_of("600/minute")
            .find("\"600/minute\" is not a rate: write a count and s, min, h or day") == 0);
}

TEST_CASE("a rate that cannot be kept says why") {
  CHECK(error_of("0/s").find("a rate of 0") == 0);
  CHECK(error_of("10000001/s").find("a rate's count is at most 10000000") == 0);
  CHECK(error_of("99999999999999/s").find("a rate's count is at most 10000000") == 0);
  CHECK(error_of("3/min burst 0").find("a burst of 0") == 0);
  CHECK(error_of("3/min burst 4") == "a burst is at most the rate's count, here 3");
  CHECK(error_of("3/min burst 99999999999").find("a burst is at most") == 0);
  CHECK(error_of("5000/h burst 10").find("an hour or a day may be used up at any speed") == 0);
  CHECK(error_of("off").find("\"off\" stands alone") == 0);
}

TEST_CASE("several rates hold at once, the shortest window first") {
  const std::vector<std::string_view> texts = {"20000/day", "10/s", "5000/h"};
  const std::vector<Rate> rates = *parse_rates(texts);
  CHECK(format_rates(rates) == "10/s, 5000/h, 20000/day");
  CHECK(parse_rates("off")->empty());
  CHECK(format_rates({}) == "off");
  CHECK(parse_rates("10/s")->size() == 1);
}

TEST_CASE("a list of rates that contradicts itself is refused") {
  using Texts = std::vector<std::string_view>;
  CHECK(parse_rates(Texts{}).error().text() == "an empty list of rates; \"off\" is no limit");
  CHECK(parse_rates(Texts{"10/s", "off"}).error().text().find("\"off\" stands alone") == 0);
  CHECK(parse_rates(Texts{"10/d", "5/s", "20/day"}).error().text() ==
        "\"10/day\" and \"20/day\" are for the same time; leave one");
  CHECK(parse_rates(Texts(9, "10/s")).error().text() == "at most 8 rates hold at once");
  CHECK(parse_rates(Texts{"10/s", "x"}).error().text().find("\"x\" is not a rate") == 0);
}

TEST_CASE("a rate reads back as it was written") {
  for (const char* text : {"600/min", "100/s burst 20", "7/day", "9/h", "1/s"}) {
    CHECK(format_rate(*parse_rate(text)) == text);
    CHECK(*parse_rate(format_rate(*parse_rate(text))) == *parse_rate(text));
  }
}

}  // namespace
}  // namespace rockdove::traffic
