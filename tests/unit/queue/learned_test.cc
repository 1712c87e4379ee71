// Goal: what is kept of accounts comes back as it was, and damage is noticed.
#include "queue/learned.h"

#include <catch2/catch.hpp>

#include "mta/base/random.h"

namespace rockdove::queue {
namespace {

using namespace std::chrono_literals;

const base::WallTime kNow = base::from_unix_milliseconds(1'800'000'000'000);

traffic::LimiterState some_state() {
  return {kNow, {{24h, 3, {{kNow - 2h, 17}, {kNow - 5min, 4}}}, {1h, 1, {{kNow - 5min, 4}}}}};
}

TEST_CASE("what limits have granted comes back as it was") {
  const auto state = decode_limiter(encode_limiter(some_state()));
  REQUIRE(state.is_ok());
  CHECK(state->written == kNow);
  REQUIRE(state->windows.size() == 2);
  CHECK(state->windows[0].per == 24h);
  CHECK(state->windows[0].reserved == 3);
  REQUIRE(state->windows[0].parts.size() == 2);
  CHECK(state->windows[0].parts[1].until == kNow - 5min);
  CHECK(state->windows[0].parts[1].count == 4);
  CHECK(state->windows[1].per == 1h);
}

TEST_CASE("what an account has taken comes back as it was, and damage is refused or harmless") {
  const std::string whole = encode_uptake({1234.5, 90s, kNow});
  const auto state = decode_uptake(whole);
  REQUIRE(state.is_ok());
  CHECK(state->accepted == 1234.5);
  CHECK(state->busy == 90s);
  CHECK(state->last == kNow);
  CHECK_FALSE(decode_uptake(whole.substr(0, whole.size() - 1)).is_ok());
  base::Random random{6};
  for (int i = 0; i < 2000; ++i) {
    std::string octets = whole;
    octets[random.below(octets.size())] = static_cast<char>(random.below(256));
    const auto damaged = decode_uptake(octets);
    if (!damaged) continue;
    const std::optional<double> mean =
        traffic::Uptake(*damaged, {base::Instant{} + 1000h, kNow}).mean();
    CHECK((!mean || *mean > 0));
  }
}

TEST_CASE("a whole mailing is planned by the mean where one is known, else by the pace") {
  CHECK(LearnedPace{"a", 2.0, 3.0}.planned() == 3.0);
  CHECK(LearnedPace{"a", 2.0, {}}.planned() == 2.0);
  CHECK_FALSE(LearnedPace{"a", {}, {}}.planned());
}

TEST_CASE("a damaged record is refused, or is one that a limiter can take") {
  base::Random random{5};
  const std::string whole = encode_limiter(some_state());
  CHECK_FALSE(decode_limiter(whole.substr(0, whole.size() - 1)).is_ok());
  for (int i = 0; i < 5000; ++i) {
    std::string octets = whole;
    octets[random.below(octets.size())] = static_cast<char>(random.below(256));
    const auto state = decode_limiter(octets);
    if (!state) continue;
    const base::Now now{base::Instant{} + 1000h, kNow};
    const auto rates = traffic::parse_rates("100/d").value();
    traffic::Limiter limiter(rates, *state, now);
    CHECK(limiter.next_at(now) >= now.instant);
  }
  traffic::LimiterState many = some_state();
  many.windows.resize(traffic::kRatesMax + 1, many.windows[0]);
  CHECK_FALSE(decode_limiter(encode_limiter(many)).is_ok());
}

TEST_CASE("what a rule has paused comes back as it was, and damage is noticed") {
  const std::string whole = encode_rule_pause({kNow + 2h, "421 later (rule a.toml:7)"});
  const auto pause = decode_rule_pause(whole);
  REQUIRE(pause.is_ok());
  CHECK(pause->until == kNow + 2h);
  CHECK(pause->reason == "421 later (rule a.toml:7)");
  CHECK_FALSE(decode_rule_pause(whole.substr(0, whole.size() - 1)).is_ok());
}

TEST_CASE("what no window counts any more is over") {
  CHECK_FALSE(is_over(some_state(), kNow));
  CHECK_FALSE(is_over(some_state(), kNow + 23h));
  CHECK(is_over(some_state(), kNow + 24h));
  CHECK(is_over({kNow, {}}, kNow));
}

}  // namespace
}  // namespace rockdove::queue
