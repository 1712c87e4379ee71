// What a limiter promises, case by case; limiter_property_test.cc has the random schedules.
#include "mta/traffic/limiter.h"

#include <map>

#include <catch2/catch.hpp>

#include "tests/unit/traffic/window_count.h"

namespace rockdove::traffic {
namespace {

using namespace std::chrono_literals;
using base::Instant;
using base::Now;
using Kind = Limiter::Answer::Kind;

std::vector<Rate> rates(const std::vector<std::string_view>& texts) {
  return *parse_rates(texts);
}

struct Clocks {
  Instant instant{100'000s};
  base::WallTime wall{1'800'000'000s};

  [[nodiscard]] Now now() const { return {instant, wall}; }

  Now pass(std::chrono::nanoseconds time) {
    instant += time;
    wall += std::chrono::duration_cast<base::Duration>(time);
    return now();
  }

  Now pass_until(Instant time) {
    return pass(std::max(time - instant, std::chrono::nanoseconds(0)));
  }
};

// Asks whenever it is told to, all day, and stores at once what is wanted; sends at the first or
// the last moment, in turn.
WindowCount send_all(Limiter& limiter, Clocks& clocks, std::chrono::nanoseconds length) {
  WindowCount sent;
  const Instant end = clocks.instant + length;
  bool late = false;
  while (clocks.instant < end) {
    if (limiter.state_to_store(clocks.now())) limiter.stored();
    const Limiter::Answer answer = limiter.take(clocks.now());
    if (answer.kind == Kind::Store) continue;
    if (answer.kind == Kind::Wait) {
      clocks.pass_until(std::min(answer.at, end));
      continue;
    }
    late = !late;
    sent.sent(late ? answer.at - 1ns : clocks.instant);
  }
  return sent;
}

// All that is granted now, without time passing.
int take_all(Limiter& limiter, Now now) {
  int count = 0;
  while (true) {
    if (limiter.state_to_store(now)) limiter.stored();
    const Limiter::Answer answer = limiter.take(now);
    if (answer.kind == Kind::Wait) return count;
    if (answer.kind == Kind::Go) ++count;
  }
}

TEST_CASE("without rates everything may go") {
  Clocks clocks;
  Limiter limiter({}, clocks.now());
  CHECK_FALSE(limiter.state_to_store(clocks.now()));
  for (int i = 0; i < 100; ++i) {
    const Limiter::Answer answer = limiter.take(clocks.now());
    CHECK(answer.kind == Kind::Go);
    CHECK(answer.at == clocks.instant + 50ms);
  }
}

TEST_CASE("a rate begins with a full interval and goes at even distance") {
  Clocks clocks;
  Limiter limiter(rates({"3/min"}), clocks.now());
  const Instant first = limiter.next_at(clocks.now());
  CHECK(first - clocks.instant >= 20s + 50ms / 3);
  CHECK(first - clocks.instant <= 20s + 17ms);
  CHECK(limiter.take(clocks.now()).kind == Kind::Wait);
  CHECK(limiter.take(clocks.now()).at == first);
  clocks.pass_until(first - 1ns);
  CHECK(limiter.take(clocks.now()).kind == Kind::Wait);
  clocks.pass(1ns);
  CHECK(limiter.take(clocks.now()).kind == Kind::Go);
  CHECK(limiter.next_at(clocks.now()) == first + (first - Instant(100'000s)));
}

TEST_CASE("time without work is not saved up") {
  Clocks clocks;
  Limiter limiter(rates({"3/min"}), clocks.now());
  clocks.pass(10h);
  CHECK(take_all(limiter, clocks.now()) == 1);
}

TEST_CASE("3 a minute: never 4 in a minute, never fewer than 14 in 5 minutes with work waiting") {
  Clocks clocks;
  Limiter limiter(rates({"3/min"}), clocks.now());
  clocks.pass(21s);
  const Instant begin = clocks.instant;
  WindowCount sent = send_all(limiter, clocks, 10h);
  CHECK(sent.most(1min) == 3);
  CHECK(sent.fewest(5min, begin, clocks.instant) >= 14);
}

TEST_CASE("work is conserved: each rate is used to 97 % at least, and no window holds more") {
  struct Case {
    std::vector<std::string_view> texts;
    std::chrono::nanoseconds length;
    double wanted;
    base::Duration per;
    std::uint64_t most;
  };

  const std::vector<Case> cases = {
      {{"1/s"}, 1000s, 1'000, 1s, 1},
      {{"100/s"}, 100s, 10'000, 1s, 100},
      {{"1000/s burst 50"}, 30s, 30'000, 1s, 1049},
      {{"50/min"}, 2h, 6'000, 1min, 50},
      {{"7/min burst 3"}, 10h, 4'200, 1min, 9},
      {{"100/h"}, 100h, 10'000, 1h, 100},
      {{"500/day"}, 24h * 60, 30'000, 24h, 500},
      {{"10/s", "30/min"}, 1h, 1'800, 1s, 10},
      {{"10/s", "200/h"}, 48h, 9'600, 1h, 200},
      {{"2/s", "1000/h", "3000/day"}, 240h, 30'000, 24h, 3000},
  };
  for (const Case& one : cases) {
    INFO(one.texts.back());
    Clocks clocks;
    Limiter limiter(rates(one.texts), clocks.now());
    WindowCount sent = send_all(limiter, clocks, one.length);
    CHECK(static_cast<double>(sent.size()) >= 0.97 * one.wanted);
    CHECK(sent.most(one.per) <= one.most);
  }
}

TEST_CASE("a burst goes at once, and a window never holds more than the count and it") {
  Clocks clocks;
  Limiter limiter(rates({"10/s burst 4"}), clocks.now());
  CHECK(take_all(limiter, clocks.now()) == 0);  // nobody knows what the run before has sent
  clocks.pass(10s);
  CHECK(take_all(limiter, clocks.now()) == 4);
  WindowCount sent = send_all(limiter, clocks, 100s);
  CHECK(sent.most(1s) == 10);
}

TEST_CASE(
    "a counted window is used up at any speed, to the last one, and comes back part by part") {
  Clocks clocks;
  Limiter limiter(rates({"100/h"}), clocks.now());
  CHECK(take_all(limiter, clocks.now()) == 100);
  CHECK(limiter.next_at(clocks.now()) > clocks.instant + 1h);
  CHECK(limiter.next_at(clocks.now()) < clocks.instant + 62min);
  clocks.pass(1h);
  CHECK(take_all(limiter, clocks.now()) == 0);
  clocks.pass(62s);
  CHECK(take_all(limiter, clocks.now()) == 100);
}

TEST_CASE("what is not used comes back to counted windows") {
  Clocks clocks;
  Limiter limiter(rates({"2/h"}), clocks.now());
  CHECK(take_all(limiter, clocks.now()) == 2);
  limiter.unused(clocks.instant, clocks.now());
  CHECK(take_all(limiter, clocks.now()) == 1);
  limiter.unused(clocks.instant - 1h, clocks.now());  // of no part that is known
  clocks.pass(30min);
  CHECK(take_all(limiter, clocks.now()) == 0);
  limiter.unused(clocks.instant - 30min, clocks.now());
  CHECK(take_all(limiter, clocks.now()) == 1);
}

TEST_CASE("nothing of a counted window is granted before it is stored as used") {
  Clocks clocks;
  Limiter limiter(rates({"1000/h"}), clocks.now());
  CHECK(limiter.take(clocks.now()).kind == Kind::Store);
  const std::optional<LimiterState> slice = limiter.state_to_store(clocks.now());
  REQUIRE(slice);
  REQUIRE(slice->windows.size() == 1);
  CHECK(slice->windows[0].reserved == 10);  // 1 %
  CHECK(slice->windows[0].parts.empty());
  CHECK(limiter.take(clocks.now()).kind == Kind::Store);
  CHECK_FALSE(limiter.state_to_store(clocks.now()));  // one at a time
  limiter.stored();
  CHECK_FALSE(limiter.state_to_store(clocks.now()));
  for (int i = 0; i < 5; ++i) CHECK(limiter.take(clocks.now()).kind == Kind::Go);
  const std::optional<LimiterState> next = limiter.state_to_store(clocks.now());  // in good time
  REQUIRE(next);
  CHECK(next->windows[0].reserved == 10);
  CHECK(next->windows[0].parts.at(0).count == 5);
  for (int i = 0; i < 5; ++i) CHECK(limiter.take(clocks.now()).kind == Kind::Go);
  CHECK(limiter.take(clocks.now()).kind == Kind::Store);
  limiter.not_stored();
  CHECK(limiter.take(clocks.now()).kind == Kind::Store);
  REQUIRE(limiter.state_to_store(clocks.now()));
  limiter.stored();
  CHECK(limiter.take(clocks.now()).kind == Kind::Go);
}

TEST_CASE("a crash loses what a slice had left, and no more; a stop loses nothing") {
  Clocks clocks;
  const std::vector<Rate> day = rates({"1000/day"});
  LimiterState stored;
  {
    Limiter limiter(day, clocks.now());
    stored = *limiter.state_to_store(clocks.now());
    limiter.stored();
    for (int i = 0; i < 3; ++i) CHECK(limiter.take(clocks.now()).kind == Kind::Go);
    clocks.pass(1h);
    Limiter crashed(day, stored, clocks.now());
    CHECK(take_all(crashed, clocks.now()) == 990);
    Limiter stopped(day, limiter.last_state(clocks.now()), clocks.now());
    CHECK(take_all(stopped, clocks.now()) == 997);
    CHECK(limiter.take(clocks.now()).kind == Kind::Store);  // it has promised to grant no more
  }
  clocks.pass(25h);
  Limiter later(day, stored, clocks.now());
  CHECK(take_all(later, clocks.now()) == 990);  // nobody knows when the slice was used
}

TEST_CASE("a stored state with times to come or absurd counts closes windows and breaks nothing") {
  Clocks clocks;
  LimiterState state{clocks.wall + 240h,
                     {{1h, 7, {{clocks.wall + 240h, 3}, {base::WallTime(0s), 5}}}}};
  Limiter limiter(rates({"100/h"}), state, clocks.now());
  CHECK(take_all(limiter, clocks.now()) == 90);
  state.windows[0].reserved = UINT32_MAX;
  state.windows[0].parts.assign(61, {base::WallTime::max() - 100h, UINT32_MAX});
  Limiter full(rates({"100/h"}), state, clocks.now());
  CHECK(take_all(full, clocks.now()) == 0);
  CHECK(full.next_at(clocks.now()) <= clocks.instant + 62min);
  state.windows[0].parts.assign(3, {base::WallTime::min() + 100h, 9});
  Limiter old(rates({"100/h"}), state, clocks.now());
  CHECK(take_all(old, clocks.now()) == 0);
}

TEST_CASE("a jump of the wall clock has the state stored anew before anything else is granted") {
  Clocks clocks;
  Limiter limiter(rates({"1000/h"}), clocks.now());
  REQUIRE(limiter.state_to_store(clocks.now()));
  limiter.stored();
  REQUIRE(limiter.take(clocks.now()).kind == Kind::Go);
  for (const auto jump : {std::chrono::seconds(24h), std::chrono::seconds(-48h)}) {
    clocks.wall += jump;
    CHECK(limiter.take(clocks.now()).kind == Kind::Store);
    const std::optional<LimiterState> state = limiter.state_to_store(clocks.now());
    REQUIRE(state);
    CHECK(state->windows[0].parts.at(0).until == clocks.wall);
    limiter.stored();
    CHECK(limiter.take(clocks.now()).kind == Kind::Go);
    limiter.unused(clocks.instant, clocks.now());
  }
  clocks.wall += 900ms;  // clocks drift
  CHECK(limiter.take(clocks.now()).kind == Kind::Go);
}

TEST_CASE("a jump while a state is being stored makes it worthless") {
  Clocks clocks;
  Limiter limiter(rates({"1000/h"}), clocks.now());
  REQUIRE(limiter.state_to_store(clocks.now()));
  clocks.wall += 3h;
  CHECK(limiter.take(clocks.now()).kind == Kind::Store);
  limiter.stored();
  CHECK(limiter.take(clocks.now()).kind == Kind::Store);
  REQUIRE(limiter.state_to_store(clocks.now()));
  limiter.stored();
  CHECK(limiter.take(clocks.now()).kind == Kind::Go);
}

TEST_CASE("the same rates again change nothing") {
  Clocks clocks;
  const std::vector<Rate> all = rates({"10/min burst 3", "100/h"});
  Limiter limiter(all, clocks.now());
  clocks.pass(1min);
  CHECK(take_all(limiter, clocks.now()) == 3);
  const Instant next = limiter.next_at(clocks.now());
  for (int i = 0; i < 10; ++i) limiter.set_rates(all, clocks.now());
  CHECK(limiter.next_at(clocks.now()) == next);
}

TEST_CASE("reloads to and fro give no burst twice") {
  Clocks clocks;
  const std::vector<Rate> without = rates({"60/min"});
  const std::vector<Rate> with = rates({"60/min burst 30"});
  Limiter limiter(with, clocks.now());
  clocks.pass(1h);
  int count = 0;
  for (int i = 0; i < 20; ++i) {
    limiter.set_rates(i % 2 == 0 ? with : without, clocks.now());
    count += take_all(limiter, clocks.now());
  }
  CHECK(count == 30);
}

TEST_CASE("a lower rate waits out what was sent, a higher one goes on at once") {
  Clocks clocks;
  Limiter limiter(rates({"60/min"}), clocks.now());
  clocks.pass(1h);
  CHECK(take_all(limiter, clocks.now()) == 1);
  limiter.set_rates(rates({"6/min"}), clocks.now());
  CHECK(limiter.next_at(clocks.now()) - clocks.instant >= 10s);
  CHECK(limiter.next_at(clocks.now()) - clocks.instant < 10100ms);
  limiter.set_rates(rates({"600/min"}), clocks.now());
  CHECK(limiter.next_at(clocks.now()) - clocks.instant >= 100ms);
  CHECK(limiter.next_at(clocks.now()) - clocks.instant < 101ms);
}

TEST_CASE("counted windows keep what was sent when their rates change") {
  Clocks clocks;
  Limiter limiter(rates({"100/h"}), clocks.now());
  CHECK(take_all(limiter, clocks.now()) == 100);
  limiter.set_rates(rates({"150/h"}), clocks.now());
  CHECK(take_all(limiter, clocks.now()) == 50);
  limiter.set_rates(rates({"20/h"}), clocks.now());
  clocks.pass(30min);
  CHECK(take_all(limiter, clocks.now()) == 0);
  limiter.set_rates(rates({"200/day"}), clocks.now());  // begins with what the hour knows
  CHECK(take_all(limiter, clocks.now()) == 50);
}

TEST_CASE("a rate that is new begins with a full interval") {
  Clocks clocks;
  Limiter limiter({}, clocks.now());
  REQUIRE(limiter.take(clocks.now()).kind == Kind::Go);
  limiter.set_rates(rates({"6/min burst 6"}), clocks.now());
  CHECK(limiter.next_at(clocks.now()) - clocks.instant >= 10s);
}

TEST_CASE("a pace spaces below the rates, and follows changes without a jump") {
  Clocks clocks;
  Limiter limiter(rates({"100/s"}), clocks.now());
  limiter.set_pace(2.0, clocks.now());
  CHECK(limiter.next_at(clocks.now()) == clocks.instant + 500ms);
  clocks.pass(250ms);
  limiter.set_pace(4.0, clocks.now());  // half of the distance is left, of 250 ms now
  CHECK(limiter.next_at(clocks.now()) - clocks.instant <= 125ms + 2ns);
  WindowCount sent = send_all(limiter, clocks, 100s);
  CHECK(sent.size() >= 399);
  CHECK(sent.most(1s) <= 5);
  limiter.set_pace(std::nullopt, clocks.now());
  WindowCount free = send_all(limiter, clocks, 10s);
  CHECK(free.size() >= 970);
  limiter.set_pace(0.0, clocks.now());  // once a day at least
  CHECK(limiter.next_at(clocks.now()) - clocks.instant == 24h);
}

TEST_CASE("turns of a loop that come late do not lose grants that are close together") {
  Clocks clocks;
  Limiter limiter(rates({"200/s"}), clocks.now());
  clocks.pass(10s);
  WindowCount sent;
  for (const Instant end = clocks.instant + 20s; clocks.instant < end; clocks.pass(8ms)) {
    for (int granted = take_all(limiter, clocks.now()); granted > 0; --granted)
      sent.sent(clocks.instant);
  }
  CHECK(sent.size() >= 3880);
  CHECK(sent.most(1s) <= 200);
}

TEST_CASE("the moment of a later grant is the one at which it comes") {
  const auto [texts, used] =
      GENERATE(table<std::vector<std::string_view>, int>({{{"60/min"}, 0},
                                                          {{"10/s"}, 3},
                                                          {{"60/min burst 20"}, 5},
                                                          {{"500/h"}, 0},
                                                          {{"500/h"}, 120},
                                                          {{"10/s", "500/h"}, 70},
                                                          {{"2/s", "500/h"}, 200}}));
  Clocks clocks;
  Limiter limiter(rates(texts), clocks.now());
  clocks.pass(20min);
  for (int i = 0; i < used; ++i) {
    while (take_all(limiter, clocks.now()) == 0) clocks.pass(50ms);
  }
  clocks.pass(7min);
  const Instant begin = clocks.instant;
  const bool is_counted = texts.back().ends_with('h');
  const std::chrono::nanoseconds tolerance = is_counted ? std::chrono::nanoseconds(4min) : 1us;
  std::map<std::uint64_t, Instant> said;
  for (const std::uint64_t n : {1U, 2U, 60U, 400U, 501U, 900U, 1300U})
    said[n] = limiter.nth_at(n, clocks.now());
  CHECK(said[1] == limiter.next_at(clocks.now()));
  std::uint64_t granted = 0;
  while (granted < 1300) {
    clocks.pass_until(limiter.next_at(clocks.now()));
    if (limiter.state_to_store(clocks.now())) limiter.stored();
    if (limiter.take(clocks.now()).kind != Kind::Go) continue;
    const auto asked = said.find(++granted);
    if (asked == said.end()) continue;
    INFO(texts.front() << " " << texts.back() << " " << granted << ": "
                       << (clocks.instant - begin) / 1ms << " ms, said "
                       << (asked->second - begin) / 1ms << " ms");
    CHECK(asked->second <= clocks.instant);
    CHECK(clocks.instant - asked->second <= tolerance);
  }
}

// Costs that come round again and again, asked for all day; what was sent.
WindowCount send_costs(Limiter& limiter, Clocks& clocks, std::chrono::nanoseconds length,
                       const std::vector<std::uint32_t>& costs) {
  WindowCount sent;
  const Instant end = clocks.instant + length;
  for (std::size_t next = 0; clocks.instant < end;) {
    const std::uint32_t cost = costs[next % costs.size()];
    if (limiter.state_to_store(clocks.now(), cost)) limiter.stored();
    const Limiter::Answer answer = limiter.take(clocks.now(), cost);
    if (answer.kind == Kind::Wait) clocks.pass_until(std::min(answer.at, end));
    if (answer.kind != Kind::Go) continue;
    sent.sent(clocks.instant, cost);
    ++next;
  }
  return sent;
}

TEST_CASE("grants that cost share windows exactly, and use them") {
  struct Case {
    std::vector<std::string_view> texts;
    base::Duration per;
    std::uint64_t most;
    std::vector<std::uint32_t> costs;
    double share;  // of the rate that must be used
  };

  // What does not fill a window to the end leaves the rest of it: 3 times 3 of 10, 20 of 30.
  const std::vector<Case> cases = {
      {{"30/min"}, 1min, 30, {1}, 0.95},
      {{"30/min"}, 1min, 30, {5, 1, 4}, 0.9},
      {{"30/min"}, 1min, 30, {20}, 0.63},
      {{"30/min"}, 1min, 30, {30}, 0.95},
      {{"10/s"}, 1s, 10, {3}, 0.8},
      {{"100000/min"}, 1min, 100'000, {50, 70, 7'000}, 0.93},
      {{"1000/h"}, 1h, 1'000, {100, 1, 7}, 0.9},
      {{"10000/day"}, 24h, 10'000, {100}, 0.95},
      {{"20/min burst 5"}, 1min, 24, {2}, 0.8},
      {{"30/min", "10000/day"}, 24h, 10'000, {10}, 0.95},
  };
  for (const Case& one : cases) {
    INFO(one.texts.back() << ", costs of " << one.costs.front());
    Clocks clocks;
    Limiter limiter(rates(one.texts), clocks.now(), Limiter::Costs{clocks.instant});
    WindowCount sent = send_costs(limiter, clocks, 40 * one.per, one.costs);
    sent.sorted();
    std::uint64_t all = 0;
    for (std::size_t i = 0; i < sent.size(); ++i) {
      CHECK(sent.cost_in_window(i, one.per) <= one.most);
      all += one.costs[i % one.costs.size()];
    }
    const double allowed = 40.0 * static_cast<double>(one.texts.size() > 1 ? 10'000 : one.most);
    CHECK(static_cast<double>(all) >= one.share * allowed);
  }
}

TEST_CASE("what costs more than a window holds goes alone, once in its time") {
  for (const char* text : {"10/s", "10/min", "10/h", "10/day"}) {
    INFO(text);
    const Rate rate = *parse_rate(text);
    Clocks clocks;
    Limiter limiter(std::vector<Rate>{rate}, clocks.now(), Limiter::Costs{clocks.instant});
    WindowCount sent = send_costs(limiter, clocks, 20 * rate.per, {25, 1});
    sent.sorted();
    CHECK(sent.size() >= 17);
    for (std::size_t i = 0; i < sent.size(); ++i) CHECK(sent.in_window(i, rate.per) == 1);
  }
}

TEST_CASE("a slice that is stored is at least what waits, and a crash doubles nothing") {
  Clocks clocks;
  std::optional<Limiter> limiter;
  limiter.emplace(rates({"1000/day"}), clocks.now(), Limiter::Costs{clocks.instant});
  CHECK(limiter->take(clocks.now(), 300).kind == Kind::Store);
  std::optional<LimiterState> state = limiter->state_to_store(clocks.now(), 300);
  REQUIRE(state);
  CHECK(state->windows.at(0).reserved == 300);
  limiter->stored();
  CHECK(limiter->take(clocks.now(), 300).kind == Kind::Go);
  // It dies now: what was granted, and no less, counts afterwards.
  limiter.emplace(rates({"1000/day"}), *state, clocks.pass(1min), Limiter::Costs{clocks.instant});
  CHECK(limiter->next_at(clocks.now(), 700) == clocks.instant);
  CHECK(limiter->next_at(clocks.now(), 701) > clocks.instant + 23h);
  const std::optional<Limiter::UsedUp> used_up = limiter->used_up(clocks.now(), 701);
  REQUIRE(used_up);
  CHECK(used_up->rate == rates({"1000/day"}).front());
  CHECK(used_up->until == limiter->next_at(clocks.now(), 701));
  CHECK_FALSE(limiter->used_up(clocks.now(), 700));
}

TEST_CASE("a grant that was not used is given back with its cost") {
  for (const char* text : {"10/min", "10/day"}) {
    INFO(text);
    Clocks clocks;
    Limiter limiter(rates({text}), clocks.now(), Limiter::Costs{});
    if (limiter.state_to_store(clocks.now(), 9)) limiter.stored();
    REQUIRE(limiter.take(clocks.now(), 9).kind == Kind::Go);
    CHECK(limiter.next_at(clocks.now(), 9) > clocks.instant);
    limiter.unused(clocks.instant, clocks.now(), 9);
    CHECK(limiter.next_at(clocks.now(), 9) == clocks.instant);
  }
}

TEST_CASE("costs of a window below an hour begin as though all had been used before the start") {
  Clocks clocks;
  Limiter limiter(rates({"30/min"}), clocks.now(), Limiter::Costs{clocks.instant});
  CHECK(limiter.next_at(clocks.now()) > clocks.instant + 1min);
  CHECK(limiter.next_at(clocks.now(), 30) < clocks.instant + 63s);
  // An account that is new in a run has sent nothing in it.
  clocks.pass(5min);
  Limiter later(rates({"30/min"}), clocks.now(), Limiter::Costs{clocks.instant - 5min});
  CHECK(later.next_at(clocks.now(), 30) == clocks.instant);
}

}  // namespace
}  // namespace rockdove::traffic
