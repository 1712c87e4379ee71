// Goal: no half-open window ever holds more than its rate says, whatever happens. Method: thousands
// of random histories of one budget (asks at all distances, slow and failing stores, crashes,
// stops, reloads, paces, clocks that jump), each judged afterwards by counting the sends. Who is
// granted sends at the moment within the guard that hurts most, or at any other. Where grants have
// costs, one that costs more than a window holds may be in it alone.
#include <map>
#include <optional>
#include <random>

#include <catch2/catch.hpp>

#include "mta/traffic/limiter.h"
#include "tests/unit/traffic/window_count.h"

namespace rockdove::traffic {
namespace {

using namespace std::chrono_literals;
using base::Instant;
using base::Now;
using std::chrono::nanoseconds;
using Kind = Limiter::Answer::Kind;

enum class Scale : std::uint8_t { Seconds, Hours };

enum class Cost : std::uint8_t { One, Any };

class History {
 public:
  History(std::uint64_t seed, Scale scale, Cost cost)
      : random_(seed), scale_(scale), costs_(cost), late_(chance(50)) {
    choose_rates();
    choose_cost();
    limiter_.emplace(rates_, now(), costs({}));
  }

  void live(int steps) {
    for (int i = 0; i < steps; ++i) step();
    note_rates();
  }

  // Every window of every rate that was in force all the time holds what it may.
  void judge() {
    sent_.sorted();
    for (const auto& [per, spans] : in_force_) {
      for (std::size_t i = 0; i < sent_.size(); ++i) judge_window(i, per, spans);
    }
  }

  [[nodiscard]] std::size_t sends() const { return sent_.size(); }

  [[nodiscard]] std::uint64_t judged() const { return judged_; }

  [[nodiscard]] std::uint64_t full() const { return full_; }

  // Windows that hold more than they may, by one that costs more than that.
  [[nodiscard]] std::uint64_t alone() const { return alone_; }

 private:
  struct Span {
    Instant from;
    Instant until;
    Rate rate;
  };

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

  bool chance(int percent) { return below(100) < static_cast<std::uint64_t>(percent); }

  [[nodiscard]] Now now() const { return {instant_, wall_}; }

  void pass(nanoseconds time) {
    instant_ += time;
    rest_ += time;
    const auto whole = std::chrono::floor<base::Duration>(rest_);
    wall_ += whole;
    rest_ -= whole;
  }

  [[nodiscard]] nanoseconds apart() const {
    return nanoseconds(wall_.time_since_epoch()) + rest_ - instant_.time_since_epoch();
  }

  // Whether times in what is durable would be read wrongly.
  [[nodiscard]] bool is_jumped() const {
    const nanoseconds moved = apart() - durable_apart_;
    return moved > 2'001ms || moved < -2'001ms;
  }

  void choose_rates() {
    rates_.clear();
    const auto add = [&](base::Duration per, std::uint32_t most) {
      const auto count = static_cast<std::uint32_t>(1 + below(most));
      const bool bursts = per < kCountedFrom && chance(40);
      rates_.push_back({count, per, bursts ? static_cast<std::uint32_t>(1 + below(count)) : 1});
    };
    if (scale_ == Scale::Seconds) {
      if (chance(60)) add(1s, 30);
      if (chance(60) || rates_.empty()) add(1min, 100);
      if (chance(20)) add(1h, 300);
    } else {
      if (chance(30)) add(1min, 60);
      if (chance(70)) add(1h, chance(50) ? 10 : 400);
      if (chance(50) || rates_.empty()) add(24h, chance(50) ? 30 : 1'000);
    }
  }

  // nullopt: all costs are 1.
  [[nodiscard]] std::optional<Limiter::Costs> costs(Instant unknown_until) const {
    if (costs_ == Cost::One) return std::nullopt;
    return Limiter::Costs{unknown_until};
  }

  // Of the next one that is asked for: mostly small, some as large as a window, or larger.
  void choose_cost() {
    if (costs_ == Cost::One) return;
    const std::uint32_t count = rates_[below(rates_.size())].count;
    const std::uint32_t most = chance(70)   ? std::max(count / 8, 1U)
                               : chance(80) ? count
                                            : count * 3;
    cost_ = static_cast<std::uint32_t>(1 + below(most));
  }

  // The rates end here; judge() wants to know when each was in force.
  void note_rates() {
    for (const Rate& rate : rates_) in_force_[rate.per].push_back({since_, instant_, rate});
    since_ = instant_;
  }

  void step() {
    const std::uint64_t what = below(200);
    if (what < 2) return crash();
    if (what < 3) return stop();
    if (what < 5) return reload();
    if (what < 6) return jump();
    if (what < 7)
      return limiter_->set_pace(
          chance(30) ? std::nullopt : std::optional(0.01 + static_cast<double>(below(20))), now());
    wait();
    store();
    ask();
  }

  void wait() {
    const Instant next = limiter_->next_at(now(), cost_);
    switch (below(8)) {
      case 0:
        return;
      case 1:
        return pass(nanoseconds(below(1'000)));
      case 2:
        return pass(nanoseconds(below(100'000'000)));
      case 3:
        return pass(std::chrono::seconds(below(scale_ == Scale::Hours ? 7'200 : 20)));
      case 4:
        return next > instant_ + 1ns ? pass(next - instant_ - 1ns) : pass(0ns);
      default:
        return next > instant_ ? pass(next - instant_) : pass(0ns);
    }
  }

  void store() {
    if (const std::optional<LimiterState> state = limiter_->state_to_store(now(), cost_)) {
      storing_ = state;
      storing_apart_ = apart();
    }
    if (!storing_ || chance(30)) return;
    // A failed write may have reached the disk all the same.
    const bool fails = chance(5);
    if (!fails || chance(50)) write();
    storing_.reset();
    if (fails)
      limiter_->not_stored();
    else
      limiter_->stored();
  }

  void write() {
    durable_ = *storing_;
    durable_apart_ = storing_apart_;
  }

  void ask() {
    for (int asks = static_cast<int>(1 + below(6)); asks > 0; --asks) {
      const Limiter::Answer answer = limiter_->take(now(), cost_);
      if (answer.kind != Kind::Go) return;
      if (answer.at <= instant_) FAIL("a grant that nobody can use");
      const bool counts = std::any_of(rates_.begin(), rates_.end(),
                                      [](const Rate& rate) { return rate.is_counted(); });
      if (counts && is_jumped())
        FAIL("a grant of a counted window, while what is stored has other times");
      if (chance(5)) {
        limiter_->unused(instant_, now(), cost_);
        continue;
      }
      const auto guard = static_cast<std::uint64_t>((answer.at - instant_).count());
      const std::uint64_t delay = chance(40) ? below(guard) : late_ ? guard - 1 : 0;
      sent_.sent(instant_ + nanoseconds(delay), cost_);
      choose_cost();
      if (chance(5)) late_ = !late_;
    }
  }

  // What is being stored may have reached the disk or not. The clock may have been put back.
  void crash() {
    if (storing_ && chance(50)) write();
    if (is_jumped()) return;  // limiter.h: this is the one thing that cannot be known
    storing_.reset();
    start();
  }

  void stop() {
    durable_ = limiter_->last_state(now());
    storing_.reset();
    start();
  }

  void start() {
    pass(chance(50) ? nanoseconds(60ms) : nanoseconds(std::chrono::seconds(below(4'000))));
    if (chance(10)) wall_ -= std::chrono::seconds(below(100'000));
    if (chance(20)) {
      note_rates();
      choose_rates();
    }
    durable_apart_ = apart();  // a clock that was put back makes all of it younger, which is safe
    if (durable_.windows.empty()) {
      limiter_.emplace(rates_, now(), costs(instant_));
    } else {
      limiter_.emplace(rates_, durable_, now(), costs(instant_));
    }
  }

  void reload() {
    note_rates();
    if (chance(60)) choose_rates();
    limiter_->set_rates(rates_, now());
    pass(1ns);  // so that a rate taken away and given back was away for a while
  }

  void jump() {
    const auto far = std::chrono::seconds(below(200'000));
    wall_ += chance(50) ? far : -far;
  }

  void judge_window(std::size_t index, base::Duration per, const std::vector<Span>& spans) {
    const Instant begin = sent_.sorted_time(index);
    const Instant end = begin + per;
    // The grant may be older than the send by the guard.
    Instant covered = begin - 50ms;
    std::uint32_t count = 0;
    std::uint32_t burst = 0;
    for (const Span& span : spans) {
      if (span.until <= covered) continue;
      if (span.from > covered) return;  // not in force then
      count = std::max(count, span.rate.count);
      burst = std::max(burst, span.rate.burst);
      covered = span.until;
      if (covered >= end) break;
    }
    if (covered < end) return;
    ++judged_;
    const std::uint64_t found = sent_.cost_in_window(index, per);
    if (found == std::uint64_t{count} + burst - 1) ++full_;
    if (found <= std::uint64_t{count} + burst - 1) return;
    if (costs_ == Cost::Any && sent_.in_window(index, per) == 1) {
      ++alone_;
    } else {
      FAIL(found << " sent within " << base::format_duration(per) << ", at most " << count
                 << " burst " << burst);
    }
  }

  std::mt19937_64 random_;
  Scale scale_;
  Cost costs_;
  std::uint32_t cost_ = 1;
  bool late_;
  Instant instant_{1'000'000s};
  base::WallTime wall_{1'800'000'000s};
  nanoseconds rest_{0};
  std::vector<Rate> rates_;
  Instant since_{1'000'000s};
  std::map<base::Duration, std::vector<Span>> in_force_;
  std::optional<Limiter> limiter_;
  LimiterState durable_;
  std::optional<LimiterState> storing_;
  // Between the clocks, when what is durable, or being stored, was made.
  nanoseconds durable_apart_ = apart();
  nanoseconds storing_apart_{0};
  WindowCount sent_;
  std::uint64_t judged_ = 0;
  std::uint64_t full_ = 0;
  std::uint64_t alone_ = 0;
};

void live(std::uint64_t first, std::uint64_t last, int steps, Scale scale, Cost cost = Cost::One) {
  std::uint64_t sends = 0;
  std::uint64_t judged = 0;
  std::uint64_t full = 0;
  std::uint64_t alone = 0;
  for (std::uint64_t seed = first; seed < last; ++seed) {
    INFO("seed " << seed);
    History history(seed, scale, cost);
    history.live(steps);
    history.judge();
    sends += history.sends();
    judged += history.judged();
    full += history.full();
    alone += history.alone();
  }
  // The histories are such that the limits are felt: windows were judged, and many were full.
  INFO(sends << " sends, " << judged << " windows judged, " << full << " full, " << alone
             << " of one");
  CHECK(sends > (last - first) * 10);
  CHECK(judged > sends / 5);
  if (cost == Cost::One) {
    CHECK(full > judged / 50);
    CHECK(alone == 0);
  } else {
    CHECK(full > judged / 200);
    CHECK(alone > (last - first) / 10);
  }
}

TEST_CASE("no window holds more than its rate, over seconds and minutes") {
  live(1, 1'501, 500, Scale::Seconds);
}

TEST_CASE("no window holds more than its rate, over hours and days") {
  live(5'001, 6'501, 500, Scale::Hours);
}

TEST_CASE("no window holds more than its rate where grants have costs, over seconds and minutes") {
  live(10'001, 11'501, 500, Scale::Seconds, Cost::Any);
}

TEST_CASE("no window holds more than its rate where grants have costs, over hours and days") {
  live(15'001, 16'501, 500, Scale::Hours, Cost::Any);
}

}  // namespace
}  // namespace rockdove::traffic
