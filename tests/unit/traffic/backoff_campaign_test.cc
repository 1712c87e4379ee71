// Goal: the back-off finds limits that nobody tells, and follows when they move, at the price that
// issue 6 allows. Method: 20 mailings of 100,000 recipients (gmail 45 %, outlook 20 %, yahoo 12 %,
// apple 5 %; the rest is at thousands of domains that push nobody back) through the real Limiter
// and Backoff to simulated providers. Replies take 50 to 500 ms, many are under way at once,
// connections are few. Limits begin between 1/8 and 4 times the rate of the profile and change
// twice by 1/4 to 4.
#include <queue>
#include <random>

#include <catch2/catch.hpp>

#include "mta/traffic/backoff.h"
#include "mta/traffic/limiter.h"
#include "tests/unit/traffic/simulated_provider.h"

namespace rockdove::traffic {
namespace {

using base::Instant;
using base::Now;

constexpr std::uint32_t kCounts[] = {45'000, 20'000, 12'000, 5'000};
constexpr int kElsewhere = 18'000;

struct Setting {
  SimulatedProvider::Kind kind;
  double window;
  Rate rate;
  std::uint32_t messages;
  int connections;
  std::vector<HiddenLimit> limits;
};

class Chance {
 public:
  explicit Chance(std::uint64_t seed) : random_(seed) {}

  double operator()() { return static_cast<double>(random_() >> 11U) * 0x1p-53; }

 private:
  std::mt19937_64 random_;
};

// Mailings of even seeds go at five times the rate of the others.
Setting draw(std::uint64_t seed, std::size_t which) {
  Chance chance(seed * 7'919 + which * 104'729 + 17);
  Setting setting{};
  setting.messages = kCounts[which];
  setting.rate = {kCounts[which] * (seed % 2 == 0 ? 5U : 1U) * 60 / 2'250, std::chrono::minutes(1),
                  1};
  const double ceiling = setting.rate.per_second();
  setting.kind = chance() < 0.5 ? SimulatedProvider::Kind::SlidingWindow
                                : SimulatedProvider::Kind::TokenBucket;
  constexpr double kWindows[] = {1, 10, 60};
  auto window = static_cast<std::size_t>(chance() * 3);
  while (window < 2 && ceiling / 8 * kWindows[window] < 8) ++window;
  setting.window = kWindows[window];
  const auto whole = [&](double rate) {
    const double kept = std::clamp(rate, ceiling / 8, ceiling * 4);
    return std::max(1.0, std::round(kept * setting.window)) / setting.window;
  };
  setting.limits = {{0, whole(ceiling * std::pow(2, -3 + 5 * chance()))}};
  double moves[] = {chance(), chance()};
  std::sort(std::begin(moves), std::end(moves));
  for (const double move : moves) {
    const double from =
        SimulatedProvider::optimum(setting.limits, ceiling, move * setting.messages);
    setting.limits.push_back(
        {from, whole(setting.limits.back().per_second * std::pow(4, 2 * chance() - 1))});
  }
  // Enough for the ceiling at the mean reply time, and half as many again.
  setting.connections =
      static_cast<int>(ceiling * 0.275 * 1.5) + 2 + static_cast<int>(chance() * 3);
  return setting;
}

struct Outcome {
  std::uint32_t attempts = 0;
  std::uint32_t deferrals = 0;
  double time = 0;
  double optimum = 0;
  int late = 0;  // falls that were followed neither within 20 deferrals nor within 10 s
};

class Mailing {
 public:
  Mailing(const Setting& setting, std::uint64_t seed)
      : setting_(setting),
        provider_(setting.kind, setting.window, setting.limits),
        chance_(seed),
        limiter_(std::span<const Rate>(&setting.rate, 1), now()),
        backoff_({setting.rate.per_second(), setting.rate.per_second() / 256}),
        waiting_(setting.messages),
        free_(setting.connections) {}

  Outcome run() {
    while (waiting_ > 0 || under_way_ > 0) {
      watch_limit();
      if (waiting_ > 0 && free_ > 0 && (events_.empty() || next_send() <= events_.top().time)) {
        send();
      } else {
        happen();
      }
    }
    outcome_.optimum =
        SimulatedProvider::optimum(setting_.limits, setting_.rate.per_second(), setting_.messages);
    return outcome_;
  }

 private:
  struct Event {
    Instant time;
    Instant sent;
    Instant reply;
    enum class What : std::uint8_t { Arrives, Accepted, Deferred } what;

    bool operator<(const Event& other) const { return time > other.time; }
  };

  [[nodiscard]] Now now() const {
    return {time_, base::WallTime(std::chrono::floor<base::Duration>(time_.time_since_epoch()))};
  }

  static double seconds(Instant time) { return Seconds(time - Instant()).count(); }

  Instant next_send() {
    if (!next_) next_ = limiter_.next_at(now());
    return *next_;
  }

  void send() {
    time_ = next_send();
    next_.reset();
    REQUIRE_GO(limiter_.take(now()));
    --waiting_;
    --free_;
    ++under_way_;
    ++outcome_.attempts;
    backoff_.sent(time_);
    const auto reply =
        std::chrono::nanoseconds(static_cast<std::int64_t>(50e6 + 450e6 * chance_()));
    events_.push({time_ + reply / 2, time_, time_ + reply, Event::What::Arrives});
  }

  static void REQUIRE_GO(const Limiter::Answer& answer) {
    if (answer.kind != Limiter::Answer::Kind::Go) FAIL("next_at() has promised a grant");
  }

  void happen() {
    Event event = events_.top();
    events_.pop();
    time_ = event.time;
    next_.reset();
    if (event.what == Event::What::Arrives) {
      event.what = provider_.take(seconds(time_)) ? Event::What::Accepted : Event::What::Deferred;
      event.time = event.reply;
      return events_.push(event);
    }
    ++free_;
    --under_way_;
    if (event.what == Event::What::Accepted) {
      backoff_.accepted(event.sent, time_);
      outcome_.time = seconds(time_);
    } else {
      backoff_.pushed_back(0.5, 0, event.sent, now());
      ++waiting_;
      ++outcome_.deferrals;
      ++since_fall_;
    }
    limiter_.set_pace(backoff_.pace(), now());
  }

  // Notes how long a fall of the limit is not followed.
  void watch_limit() {
    const double at = seconds(time_);
    const double limit = provider_.limit(at);
    const double rate = backoff_.pace().value_or(setting_.rate.per_second());
    if (limit < limit_) {
      fell_at_ = at;
      since_fall_ = 0;
    }
    limit_ = limit;
    if (fell_at_ < 0) return;
    if (rate < 1.1 * limit) {
      fell_at_ = -1;
    } else if (at - fell_at_ > 10 && since_fall_ > 20) {
      ++outcome_.late;
      fell_at_ = -1;
    }
  }

  const Setting& setting_;
  SimulatedProvider provider_;
  Chance chance_;
  Instant time_{};
  Limiter limiter_;
  Backoff backoff_;
  std::uint32_t waiting_;
  int free_;
  int under_way_ = 0;
  std::optional<Instant> next_;
  std::priority_queue<Event> events_;
  double limit_ = 0;
  double fell_at_ = -1;
  int since_fall_ = 0;
  Outcome outcome_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

TEST_CASE("a mailing finds hidden limits that move, with few deferrals and little time lost") {
  std::vector<double> shares;
  std::vector<double> times;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    double attempts = kElsewhere;
    double deferrals = 0;
    double time = 0;
    double optimum = 0;
    for (std::size_t which = 0; which < std::size(kCounts); ++which) {
      const Setting setting = draw(seed, which);
      const Outcome outcome = Mailing(setting, seed * 31 + which).run();
      INFO("seed " << seed << ", provider " << which);
      CHECK(outcome.late == 0);
      attempts += outcome.attempts;
      deferrals += outcome.deferrals;
      time = std::max(time, outcome.time);
      optimum = std::max(optimum, outcome.optimum);
    }
    shares.push_back(deferrals / attempts);
    times.push_back(time / optimum);
    UNSCOPED_INFO("seed " << seed << ": " << 100 * shares.back() << " % deferred, " << times.back()
                          << " of the optimum");
  }
  CHECK(median(shares) < 0.02);
  CHECK(*std::max_element(shares.begin(), shares.end()) < 0.04);
  CHECK(median(times) < 1.25);
  CHECK(*std::max_element(times.begin(), times.end()) < 1.5);
}

}  // namespace
}  // namespace rockdove::traffic
