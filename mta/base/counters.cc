#include "mta/base/counters.h"

#include <algorithm>

#include "mta/base/assert.h"

namespace rockdove::base {
namespace {

using Bounds = std::array<std::uint64_t, kBuckets - 1>;

constexpr std::uint64_t kMicrosecond = 1000;
constexpr std::uint64_t kMillisecond = 1000 * kMicrosecond;
constexpr std::uint64_t kSecond = 1000 * kMillisecond;

constexpr Bounds kTimes = {50 * kMicrosecond,  100 * kMicrosecond,
                           250 * kMicrosecond, 500 * kMicrosecond,
                           kMillisecond,       5 * kMillisecond / 2,
                           5 * kMillisecond,   10 * kMillisecond,
                           25 * kMillisecond,  50 * kMillisecond,
                           100 * kMillisecond, 250 * kMillisecond,
                           500 * kMillisecond, kSecond,
                           5 * kSecond};
constexpr Bounds kSizes = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256, 511};

}  // namespace

const Bounds& bucket_bounds(Timing timing) {
  return timing == Timing::GroupSize ? kSizes : kTimes;
}

void ThreadCounters::add(Timing timing, std::uint64_t value) {
  const Bounds& bounds = bucket_bounds(timing);
  const auto bucket = std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin();
  Histogram& histogram = histograms_[static_cast<std::size_t>(timing)];
  add(histogram.buckets[static_cast<std::size_t>(bucket)], 1);
  add(histogram.sum, value);
}

void ThreadCounters::add_turn(unsigned loop, std::chrono::nanoseconds processor, Instant now) {
  add(Timing::LoopTurnProcessor,
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, processor.count())));
  loop_.store(loop, std::memory_order_relaxed);
  turns_.note(processor, now);
}

std::optional<LoopCounts> ThreadCounters::of_loop(Instant now) const {
  const unsigned loop = loop_.load(std::memory_order_relaxed);
  if (loop == kNoLoop) return std::nullopt;
  const Cell& out = counters_[static_cast<std::size_t>(Counter::ConnectionsOut)];
  return LoopCounts{loop, turns_.largest(now), out.load(std::memory_order_relaxed)};
}

void ThreadCounters::add_to(CounterTotals& totals) const {
  for (std::size_t i = 0; i < kCounters; ++i)
    totals.counters[i] += counters_[i].load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < kTimings; ++i) {
    CounterTotals::Histogram& total = totals.histograms[i];
    for (std::size_t bucket = 0; bucket < kBuckets; ++bucket)
      total.buckets[bucket] += histograms_[i].buckets[bucket].load(std::memory_order_relaxed);
    total.sum += histograms_[i].sum.load(std::memory_order_relaxed);
  }
}

std::unique_ptr<CounterTable::Attachment> CounterTable::attach() {
  MTA_ASSERT(thread_counters == nullptr);
  const std::lock_guard lock(mutex_);
  threads_.push_back(std::make_unique<ThreadCounters>());
  return std::make_unique<Attachment>(*threads_.back());
}

CounterTotals CounterTable::totals() const {
  CounterTotals totals;
  const std::lock_guard lock(mutex_);
  for (const auto& thread : threads_) thread->add_to(totals);
  return totals;
}

std::vector<LoopCounts> CounterTable::of_loops(Instant now) const {
  std::vector<LoopCounts> loops;
  const std::lock_guard lock(mutex_);
  for (const auto& thread : threads_) {
    if (const std::optional<LoopCounts> loop = thread->of_loop(now)) loops.push_back(*loop);
  }
  std::sort(loops.begin(), loops.end(),
            [](const LoopCounts& a, const LoopCounts& b) { return a.loop < b.loop; });
  return loops;
}

}  // namespace rockdove::base
