// What the back-off does, step by step; backoff_campaign_test.cc plays it against whole providers.
#include "mta/traffic/backoff.h"

#include <limits>

#include <catch2/catch.hpp>

namespace rockdove::traffic {
namespace {

using namespace std::chrono_literals;
using base::Instant;
using base::Now;

struct Sender {
  explicit Sender(Backoff& backoff) : learner(backoff) {}

  Backoff& learner;
  Instant instant{1'000s};
  base::WallTime wall{1'800'000'000s};

  [[nodiscard]] Now now() const { return {instant, wall}; }

  // The next message goes at its pace, and is answered before the one after it.
  Instant send(double ceiling) {
    const double rate = learner.pace().value_or(ceiling);
    instant += std::chrono::duration_cast<std::chrono::nanoseconds>(Seconds(1 / rate));
    learner.sent(instant);
    return instant;
  }

  void accept(int messages, double ceiling) {
    for (int i = 0; i < messages; ++i) {
      const Instant sent = send(ceiling);
      learner.accepted(sent, sent + 1ms);
    }
  }

  bool push(double ceiling, double factor = 0.5, double floor = 0) {
    const Instant sent = send(ceiling);
    return learner.pushed_back(factor, floor, sent, now());
  }
};

TEST_CASE("without a push-back the ceiling itself holds") {
  Backoff backoff({10, 0.1});
  Sender sender(backoff);
  sender.accept(1'000, 10);
  CHECK_FALSE(backoff.pace());
  CHECK_FALSE(backoff.mark());
  CHECK(backoff.state().rate == 0);
}

TEST_CASE("a push-back cuts by its factor, and all that was under way is the same one") {
  Backoff backoff({10, 0.1});
  Sender sender(backoff);
  sender.accept(50, 10);
  const Instant before = sender.instant;
  CHECK(sender.push(10));
  CHECK(*backoff.pace() == Approx(5).epsilon(0.01));
  for (int i = 0; i < 20; ++i) CHECK_FALSE(backoff.pushed_back(0.5, 0, before, sender.now()));
  CHECK(*backoff.pace() == Approx(5).epsilon(0.01));
  CHECK(backoff.cuts() == 1);
  CHECK(sender.push(10, 0.8));
  CHECK(*backoff.pace() == Approx(4).epsilon(0.01));
}

TEST_CASE("no push-back brings the rate below the floor") {
  Backoff backoff({10, 0.1});
  Sender sender(backoff);
  sender.accept(20, 10);
  for (int i = 0; i < 10; ++i) sender.push(10, 0.5, 2);
  CHECK(*backoff.pace() == Approx(2));
  for (int i = 0; i < 10; ++i) sender.push(10);
  CHECK(*backoff.pace() == Approx(0.1));
}

TEST_CASE("the way up is quick to the mark, slow over it and quick beyond; there is no cliff") {
  Backoff backoff({100, 0.1});
  Sender sender(backoff);
  sender.accept(50, 100);
  sender.push(100);  // fails at 100, goes to 50
  sender.accept(15, 100);
  for (int i = 0; i < 3; ++i) sender.push(100);
  const double low = *backoff.pace();
  double last = low;
  int to_mark = 0;
  int over_mark = 0;
  for (int i = 0; i < 5'000 && backoff.pace(); ++i) {
    sender.accept(1, 100);
    const double rate = backoff.pace().value_or(100);
    CHECK(rate >= last);
    CHECK(rate <= 2.001 * last);
    const double mark = *backoff.mark();
    if (rate < 0.949 * mark) ++to_mark;
    if (rate > 0.951 * mark && rate < 1.05 * mark) ++over_mark;
    last = rate;
  }
  CHECK_FALSE(backoff.pace());
  CHECK(to_mark < 40);
  CHECK(over_mark >= 70);
}

TEST_CASE("who sends less than the pace allows does not raise it, and is cut from what he sends") {
  Backoff backoff({100, 0.01});
  Sender sender(backoff);
  for (int i = 0; i < 40; ++i) {
    sender.instant += 1s;
    backoff.sent(sender.instant);
    backoff.accepted(sender.instant, sender.instant + 100ms);
  }
  CHECK(backoff.pushed_back(0.5, 0, sender.instant, sender.now()));
  CHECK(*backoff.pace() == Approx(0.5).epsilon(0.1));
  for (int i = 0; i < 2'000; ++i) {
    sender.instant += 10s;
    backoff.sent(sender.instant);
    backoff.accepted(sender.instant, sender.instant + 100ms);
  }
  CHECK(*backoff.pace() < 1.1);  // the mark is 1, and the way back to it is free
}

TEST_CASE("what was learned outlives a restart, and is forgotten after a week") {
  Backoff backoff({10, 0.1});
  Sender sender(backoff);
  sender.accept(50, 10);
  sender.push(10);
  sender.accept(5, 10);
  const BackoffState state = backoff.state();
  Backoff later({10, 0.1}, state, sender.wall + 1h);
  CHECK(later.pace() == backoff.pace());
  CHECK(later.mark() == backoff.mark());
  CHECK(Backoff({4, 0.1}, state, sender.wall).pace().value_or(4) <= 4);
  CHECK_FALSE(Backoff({10, 0.1}, state, sender.wall + 169h).pace());
  CHECK(Backoff({10, 0.1}, state, sender.wall - 1h).pace());  // the clock was put back
}

TEST_CASE("a state that cannot be is not taken") {
  const base::WallTime now(1'800'000'000s);
  for (const double rate : {std::numeric_limits<double>::quiet_NaN(), -1.0, 0.0,
                            std::numeric_limits<double>::infinity()}) {
    CHECK_FALSE(Backoff({10, 0.1}, {rate, 5, 0ms, now}, now).pace());
    CHECK_FALSE(Backoff({10, 0.1}, {5, rate, 0ms, now}, now).pace());
  }
  CHECK(*Backoff({10, 0.1}, {1e-300, 1e300, -1h, now}, now).pace() == Approx(0.1));
}

TEST_CASE("a lower ceiling holds at once, a higher one is grown into") {
  Backoff backoff({10, 0.1});
  Sender sender(backoff);
  backoff.set({20, 0.1});
  CHECK_FALSE(backoff.pace());
  sender.accept(50, 20);
  sender.push(20);
  backoff.set({4, 0.1});
  CHECK(backoff.pace().value_or(4) <= 4);
  backoff.set({40, 0.1});
  CHECK(*backoff.pace() <= 4);
}

TEST_CASE("plain deferrals that rise are a push-back, a few or constant ones are not") {
  Backoff backoff({10, 0.1});
  Sender sender(backoff);
  int cuts = 0;
  for (int i = 0; i < 1'000; ++i) {  // one recipient in ten has a full mailbox
    const Instant sent = sender.send(10);
    if (i % 10 == 0)
      cuts += backoff.deferred(sent, sender.now()) ? 1 : 0;
    else
      backoff.accepted(sent, sent + 100ms);
  }
  CHECK(cuts == 0);
  int deferrals = 0;
  while (!backoff.deferred(sender.send(10), sender.now())) REQUIRE(++deferrals < 30);
  CHECK(*backoff.pace() == Approx(5).epsilon(0.01));
}

TEST_CASE("a provider that defers everything at first is not slowed down for ever") {
  Backoff backoff({10, 0.001});
  Sender sender(backoff);
  int cuts = 0;
  for (int i = 0; i < 5'000; ++i) cuts += backoff.deferred(sender.send(10), sender.now()) ? 1 : 0;
  CHECK(cuts >= 1);
  CHECK(cuts <= 8);  // in 5,000 deferrals
}

TEST_CASE("refusals of recipients say nothing about the rate") {
  Backoff backoff({10, 0.1});
  Sender sender(backoff);
  for (int i = 0; i < 100; ++i) backoff.refused(sender.send(10), sender.instant + 100ms);
  CHECK_FALSE(backoff.pace());
}

TEST_CASE("without a ceiling a push-back finds the rate that was sent") {
  Backoff backoff({Backoff::kNoCeiling, 0.01});
  Sender sender(backoff);
  for (int i = 0; i < 100; ++i) {
    sender.instant += 100ms;
    backoff.sent(sender.instant);
    backoff.accepted(sender.instant, sender.instant + 50ms);
  }
  sender.instant += 100ms;
  backoff.sent(sender.instant);
  CHECK(backoff.pushed_back(0.5, 0, sender.instant, sender.now()));
  CHECK(*backoff.pace() == Approx(5).epsilon(0.1));
}

}  // namespace
}  // namespace rockdove::traffic
