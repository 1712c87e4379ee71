#include "mta/net/uv_loop.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "mta/base/counters.h"
#include "mta/base/processor_time.h"
#include "mta/net/deadline_heap.h"

namespace rockdove::net {

namespace {

using base::Instant;
using std::chrono::milliseconds;

// Uses so much processor time of the calling thread.
void burn(milliseconds time) {
  const std::chrono::nanoseconds end = base::thread_processor_time() + time;
  while (base::thread_processor_time() < end) {
  }
}

// What a loop that runs these tasks counts of its turns; each is posted by the one before, so that
// it has a turn of its own.
struct CountedTurns {
  explicit CountedTurns(std::vector<std::function<void()>> tasks) : tasks_(std::move(tasks)) {
    const auto attachment = table_.attach();
    UvLoop loop(3);
    next(loop);
    burn(milliseconds(40));
    loop.run();
    totals = table_.totals();
    loops = table_.of_loops(std::chrono::steady_clock::now());
  }

  [[nodiscard]] const base::CounterTotals::Histogram& histogram() const {
    return totals.of(base::Timing::LoopTurnProcessor);
  }

  base::CounterTotals totals;
  std::vector<base::LoopCounts> loops;

 private:
  void next(UvLoop& loop) {
    std::thread([this, &loop] {
      loop.post([this, &loop] {
        if (done_ == tasks_.size()) return loop.stop();
        tasks_[done_++]();
        next(loop);
      });
    }).join();
  }

  base::CounterTable table_;
  std::vector<std::function<void()>> tasks_;
  std::size_t done_ = 0;
};

}  // namespace

TEST_CASE("posts of one thread run in order, and never within the call") {
  UvLoop loop(0);
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) loop.post([&order, i] { order.push_back(i); });
  CHECK(order.empty());
  loop.post([&loop] { loop.stop(); });
  loop.run();
  REQUIRE(order.size() == 100);
  CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("posts between two loops keep their order in both directions") {
  constexpr int kPosts = 20'000;
  UvLoop first(0);
  UvLoop second(1);
  std::vector<int> at_second;
  std::vector<int> back_at_first;
  // Bursts of different lengths, so that batches begin and end everywhere.
  std::function<void(int)> burst = [&](int from) {
    const int to = std::min(kPosts, from + 1 + from % 97);
    for (int i = from; i < to; ++i) {
      second.post([&, i] {
        at_second.push_back(i);
        first.post([&, i] {
          back_at_first.push_back(i);
          if (i + 1 < kPosts) return;
          first.stop();
          second.stop();
        });
      });
    }
    if (to < kPosts) first.post([&, to] { burst(to); });
  };
  first.post([&] { burst(0); });
  std::thread other([&] { second.run(); });
  first.run();
  other.join();
  CHECK(at_second.size() == kPosts);
  CHECK(std::is_sorted(at_second.begin(), at_second.end()));
  CHECK(back_at_first.size() == kPosts);
  CHECK(std::is_sorted(back_at_first.begin(), back_at_first.end()));
}

TEST_CASE("many threads post at once and nothing is lost") {
  UvLoop loop(0);
  constexpr int kThreads = 4;
  constexpr int kEach = 2'000;
  int ran = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int post = 0; post < kEach; ++post) {
        loop.post([&] {
          if (++ran == kThreads * kEach) loop.stop();
        });
      }
    });
  }
  loop.run();
  for (std::thread& thread : threads) thread.join();
  CHECK(ran == kThreads * kEach);
}

TEST_CASE("what is asked for the turn's end runs after what has arrived, and in the same turn") {
  UvLoop loop(0);
  std::vector<std::string> order;
  base::Now at_start{};
  loop.post([&] {
    at_start = loop.now();
    loop.at_turn_end([&] {
      order.push_back("end");
      loop.at_turn_end([&] {
        order.push_back("end of end");
        CHECK(loop.now().instant == at_start.instant);
        loop.stop();
      });
    });
    order.push_back("first");
  });
  loop.post([&] { order.push_back("second"); });
  loop.run();
  CHECK(order == std::vector<std::string>{"first", "second", "end", "end of end"});
}

TEST_CASE("turn ends that ask for turn ends for ever do not keep timers from ringing") {
  UvLoop loop(0);
  int rounds = 0;
  std::function<void()> again = [&] {
    ++rounds;
    loop.at_turn_end([&] { again(); });
  };
  auto timer = loop.make_timer([&] { loop.stop(); });
  loop.post([&] {
    timer->set(loop.now().instant + milliseconds(5));
    again();
  });
  loop.run();
  CHECK(rounds > 8);
}

TEST_CASE("a turn's processor time is counted, and the longest is remembered") {
  const CountedTurns turns({[] {}, [] { burn(milliseconds(25)); }, [] {}, [] {}});
  REQUIRE(turns.loops.size() == 1);
  CHECK(turns.loops.front().loop == 3);
  CHECK(turns.loops.front().longest_turn >= milliseconds(25));
  CHECK(turns.loops.front().longest_turn < milliseconds(40));  // before run() there are no turns
  const auto& buckets = turns.histogram().buckets;
  CHECK(std::accumulate(buckets.begin(), buckets.end(), std::uint64_t{0}) >= 4);
  CHECK(turns.histogram().sum >= 25'000'000);
}

TEST_CASE("what other threads use while a turn waits for the processor is not the turn's") {
  const CountedTurns turns({[] { std::thread([] { burn(milliseconds(100)); }).join(); }});
  REQUIRE(turns.loops.size() == 1);
  CHECK(turns.loops.front().longest_turn < milliseconds(50));
}

TEST_CASE("a timer rings once, not before its time, and can be moved either way") {
  UvLoop loop(0);
  Instant rang{};
  Instant wanted{};
  int rings = 0;
  std::unique_ptr<base::Timer> end = loop.make_timer([&] { loop.stop(); });
  std::unique_ptr<base::Timer> later = loop.make_timer([&] {
    ++rings;
    rang = loop.now().instant;
    end->set(rang + milliseconds(20));
  });
  std::unique_ptr<base::Timer> cancelled = loop.make_timer([&] { rings += 100; });
  std::unique_ptr<base::Timer> destroyed = loop.make_timer([&] { rings += 100; });
  loop.post([&] {
    const Instant now = loop.now().instant;
    cancelled->set(now + milliseconds(1));
    cancelled->set(base::kNever);
    destroyed->set(now + milliseconds(1));
    destroyed.reset();
    later->set(now + std::chrono::hours(1));
    later->set(now + milliseconds(2));
    wanted = now + milliseconds(12);
    later->set(wanted);
  });
  loop.run();
  CHECK(rings == 1);
  CHECK(rang >= wanted);
}

TEST_CASE("a timer's callback may set it again and may destroy it") {
  UvLoop loop(0);
  int rings = 0;
  std::unique_ptr<base::Timer> timer = loop.make_timer([&] {
    if (++rings < 3) return timer->set(loop.now().instant);  // now: in the next turn
    timer.reset();
    loop.stop();
  });
  timer->set(Instant{});
  loop.run();
  CHECK(rings == 3);
}

TEST_CASE("tasks posted after the end are destroyed unrun, and so is what they post") {
  auto held = std::make_shared<int>(1);
  bool ran = false;
  {
    UvLoop loop(0);
    loop.post([&] { loop.stop(); });
    loop.run();
    loop.post([held, &ran] { ran = true; });
    CHECK(held.use_count() == 1);
  }
  {
    UvLoop never_run(0);
    never_run.post([held, &ran] { ran = true; });
    CHECK(held.use_count() == 2);
  }
  CHECK(held.use_count() == 1);
  CHECK_FALSE(ran);
}

TEST_CASE("a stop before run ends it at once") {
  UvLoop loop(0);
  loop.stop();
  loop.run();
  CHECK(loop.index() == 0);
}

TEST_CASE("the heap runs deadlines by the times that were set last") {
  struct Entry {
    std::vector<int>* rung;
    int number;
  };

  DeadlineHeap heap;
  std::vector<int> rung;
  std::vector<Entry> entries;
  for (int i = 0; i < 50; ++i) entries.push_back({&rung, i});
  std::vector<std::unique_ptr<Deadline>> deadlines;
  const auto ring = [](void* owner) {
    const Entry* entry = static_cast<Entry*>(owner);
    entry->rung->push_back(entry->number);
  };
  for (Entry& entry : entries) deadlines.push_back(std::make_unique<Deadline>(heap, ring, &entry));
  const Instant start{};
  for (int i = 0; i < 50; ++i) deadlines[static_cast<std::size_t>(i)]->set(start + milliseconds(i));
  // Each is moved to a place that mixes the order; some later, some earlier, every tenth never.
  std::vector<int> expected;
  for (int i = 0; i < 50; ++i) {
    const int at = (i * 37) % 50;
    deadlines[static_cast<std::size_t>(i)]->set(i % 10 == 3 ? base::kNever
                                                            : start + milliseconds(at));
  }
  for (int at = 0; at < 50; ++at) {
    for (int i = 0; i < 50; ++i) {
      if ((i * 37) % 50 == at && i % 10 != 3 && i != 7) expected.push_back(i);
    }
  }
  deadlines[7].reset();
  for (int at = 0; at < 50; ++at) heap.run_due(start + milliseconds(at));
  CHECK(rung == expected);
  CHECK(heap.earliest() == base::kNever);
}

}  // namespace rockdove::net
