#include "mta/base/strand.h"

#include <atomic>
#include <deque>
#include <latch>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/support/hand_workers.h"

namespace rockdove::base {
namespace {

TEST_CASE("two strands take turns, and each keeps its order") {
  tests::HandWorkers workers;
  Strand one(workers);
  Strand two(workers);
  std::vector<int> ran;
  for (const int step : {1, 2}) {
    REQUIRE(one.post([&ran, step] { ran.push_back(10 + step); }));
    REQUIRE(two.post([&ran, step] { ran.push_back(20 + step); }));
  }
  CHECK(workers.waiting.size() == 2);
  while (workers.run_one()) continue;
  CHECK(ran == std::vector{11, 21, 12, 22});
}

TEST_CASE("what a strand has taken runs although there is no room any more") {
  tests::HandWorkers workers;
  Strand strand(workers);
  int ran = 0;
  REQUIRE(strand.post([&ran] { ++ran; }));
  REQUIRE(strand.post([&ran] { ++ran; }));
  workers.room = 0;
  CHECK(workers.run_one());
  CHECK(ran == 2);
  CHECK_FALSE(strand.post([&ran] { ++ran; }));
  workers.room = 1;
  CHECK(strand.post([&ran] { ++ran; }));
  CHECK(workers.run_one());
  CHECK(ran == 3);
}

TEST_CASE("on many threads no two tasks of a strand run at once, and none is lost") {
  constexpr int kStrands = 8;
  constexpr int kTasks = 500;
  WorkerPool pool(4, 10'000);
  std::latch done(kStrands * kTasks);
  std::atomic<bool> is_broken = false;
  std::vector<int> next(kStrands);  // each touched by its strand only
  {
    std::deque<Strand> strands;
    for (int i = 0; i < kStrands; ++i) strands.emplace_back(pool);
    for (int task = 0; task < kTasks; ++task) {
      for (std::size_t i = 0; i < kStrands; ++i) {
        REQUIRE(strands[i].post([&, i, task] {
          if (next[i]++ != task) is_broken = true;
          done.count_down();
        }));
      }
    }
  }  // what waits runs without its strand
  done.wait();
  CHECK_FALSE(is_broken);
}

}  // namespace
}  // namespace rockdove::base
