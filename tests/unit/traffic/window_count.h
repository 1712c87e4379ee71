// Counts what was sent in windows, in the plainest way: a list of moments, and for each window that
// begins with one of them a walk to its end. Knows nothing of traffic::Limiter's arithmetic, and is
// what its promises are judged by.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "mta/base/time.h"

namespace rockdove::traffic {

class WindowCount {
 public:
  void sent(base::Instant time, std::uint32_t cost = 1) {
    times_.push_back(time);
    costs_.emplace(time, cost);
  }

  [[nodiscard]] std::size_t size() const { return times_.size(); }

  // In order of time; call it once, after the last sent().
  const std::vector<base::Instant>& sorted() {
    std::sort(times_.begin(), times_.end());
    return times_;
  }

  [[nodiscard]] base::Instant sorted_time(std::size_t index) const { return times_[index]; }

  // What those of sorted() cost that are in the half-open [begin, begin + length), where `begin` is
  // the moment with this index.
  [[nodiscard]] std::uint64_t cost_in_window(std::size_t index, base::Duration length) const {
    std::uint64_t cost = 0;
    const auto end = costs_.lower_bound(times_[index] + length);
    for (auto one = costs_.lower_bound(times_[index]); one != end; ++one) cost += one->second;
    return cost;
  }

  // How many there are.
  [[nodiscard]] std::uint64_t in_window(std::size_t index, base::Duration length) const {
    const base::Instant end = times_[index] + length;
    std::uint64_t count = 0;
    while (index < times_.size() && times_[index] < end) {
      ++index;
      ++count;
    }
    return count;
  }

  // The most that any half-open window of the length holds. Only windows that begin with a moment
  // matter: any other holds no more than the one that begins with its first.
  [[nodiscard]] std::uint64_t most(base::Duration length) {
    sorted();
    std::uint64_t most = 0;
    for (std::size_t i = 0; i < times_.size(); ++i) most = std::max(most, in_window(i, length));
    return most;
  }

  // The fewest that any half-open window of the length between `begin` and `end` holds; the
  // emptiest ones begin at `begin` or right behind a moment.
  [[nodiscard]] std::uint64_t fewest(base::Duration length, base::Instant begin,
                                     base::Instant end) {
    sorted();
    std::uint64_t fewest = UINT64_MAX;
    std::vector<base::Instant> begins = {begin};
    for (const base::Instant time : times_) begins.push_back(time + std::chrono::nanoseconds(1));
    for (const base::Instant from : begins) {
      if (from < begin || from + length > end) continue;
      const auto in = std::count_if(times_.begin(), times_.end(), [&](base::Instant time) {
        return time >= from && time < from + length;
      });
      fewest = std::min(fewest, static_cast<std::uint64_t>(in));
    }
    return fewest;
  }

 private:
  std::vector<base::Instant> times_;
  std::multimap<base::Instant, std::uint32_t> costs_;  // by those
};

}  // namespace rockdove::traffic
