#include "mta/base/recent_peak.h"

#include <catch2/catch.hpp>

namespace rockdove::base {
namespace {

constexpr Instant kStart = Instant(std::chrono::minutes(1000));

}  // namespace

TEST_CASE("recent peak: the largest value stands in its minute and in the next, then goes") {
  RecentPeak peak;
  CHECK(peak.largest(kStart) == 0us);
  peak.note(3ms, kStart + 1s);
  peak.note(7ms, kStart + 2s);
  peak.note(5ms, kStart + 3s);
  CHECK(peak.largest(kStart + 3s) == 7ms);
  peak.note(1ms, kStart + 60s);
  CHECK(peak.largest(kStart + 60s) == 7ms);
  CHECK(peak.largest(kStart + 119s) == 7ms);
  CHECK(peak.largest(kStart + 120s) == 1ms);
  CHECK(peak.largest(kStart + 180s) == 0us);
  peak.note(2ms, kStart + 10min);
  CHECK(peak.largest(kStart + 10min) == 2ms);
}

TEST_CASE("recent peak: what is noted a moment after the question's clock was read is seen") {
  RecentPeak peak;
  peak.note(9ms, kStart + 60s);
  CHECK(peak.largest(kStart + 60s - 1ns) == 9ms);
}

TEST_CASE("recent peak: absurd values are kept within bounds, and the minute stays right") {
  RecentPeak peak;
  peak.note(-5ms, kStart);
  CHECK(peak.largest(kStart) == 0us);
  peak.note(10 * 24h, kStart);
  CHECK(peak.largest(kStart) > 19h);
  CHECK(peak.largest(kStart + 120s) == 0us);
}

}  // namespace rockdove::base
