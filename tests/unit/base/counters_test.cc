#include "mta/base/counters.h"

#include <numeric>
#include <thread>

#include <catch2/catch.hpp>

namespace rockdove::base {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

TEST_CASE("a thread that no table knows counts nothing") {
  count(Counter::Delivered);
  record(Timing::LoopTurn, 5ms);
  const CounterTable table;
  CHECK(table.totals().of(Counter::Delivered) == 0);
}

TEST_CASE("the counts of all threads are summed, of those that ended too") {
  CounterTable table;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const auto attachment = table.attach();
      for (int n = 0; n < 10'000; ++n) count(Counter::Delivered);
      count(Counter::OctetsAccepted, 500);
      count_nth(Counter::TlsServer10, 3);
    });
  }
  static_cast<void>(table.totals());  // while they count
  for (std::thread& thread : threads) thread.join();
  const CounterTotals totals = table.totals();
  CHECK(totals.of(Counter::Delivered) == 40'000);
  CHECK(totals.of(Counter::OctetsAccepted) == 2000);
  CHECK(totals.of(Counter::TlsServer13) == 4);
  CHECK(totals.of(Counter::Deferred) == 0);
}

TEST_CASE("timings fall into the bucket whose bound they do not pass") {
  CounterTable table;
  const auto attachment = table.attach();
  for (const auto time : {0ns, 50'000ns, 50'001ns, 5'000'000'000ns, 5'000'000'001ns, -1ns})
    record(Timing::LoopTurn, time);
  const CounterTotals totals = table.totals();
  const CounterTotals::Histogram& turns = totals.of(Timing::LoopTurn);
  CHECK(turns.buckets.front() == 3);
  CHECK(turns.buckets[1] == 1);
  CHECK(turns.buckets[kBuckets - 2] == 1);
  CHECK(turns.buckets[kBuckets - 1] == 1);
  CHECK(std::accumulate(turns.buckets.begin(), turns.buckets.end(), 0U) == 6);
  CHECK(turns.sum == 50'000 + 50'001 + 5'000'000'000 + 5'000'000'001);
  record(Timing::GroupSize, std::uint64_t{512});
  CHECK(table.totals().of(Timing::GroupSize).buckets.back() == 1);
}

}  // namespace
}  // namespace rockdove::base
