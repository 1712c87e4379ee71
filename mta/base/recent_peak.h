// The largest value of late: of the minute that runs and of the one before, so that whoever asks at
// least once a minute sees each peak, however many ask, and an old one does not stand for ever.
//
// One thread notes, any thread asks; a peak is one word of memory a minute, without a lock.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "mta/base/time.h"

namespace rockdove::base {

class RecentPeak {
 public:
  static constexpr std::chrono::nanoseconds kSpan = std::chrono::minutes(1);

  // The noting thread only. Whole microseconds are kept, at most kMax; below 0 counts as 0.
  void note(std::chrono::nanoseconds value, Instant now) {
    const std::uint64_t span = number_of(now);
    const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(value).count();
    const auto kept = static_cast<std::uint64_t>(
        std::clamp<std::int64_t>(microseconds, 0, static_cast<std::int64_t>(kMax)));
    std::atomic<std::uint64_t>& word = words_[span % words_.size()];
    const std::uint64_t old = word.load(std::memory_order_relaxed);
    if (span_of(old) == span && value_of(old) >= kept) return;
    word.store(span << kValueBits | kept, std::memory_order_relaxed);
  }

  // Any thread. 0: nothing was noted in the last minute.
  [[nodiscard]] std::chrono::microseconds largest(Instant now) const {
    const std::uint64_t span = number_of(now);
    std::uint64_t found = 0;
    for (const std::atomic<std::uint64_t>& word : words_) {
      const std::uint64_t kept = word.load(std::memory_order_relaxed);
      // The noter's clock may be read a moment after the asker's.
      const bool is_recent = span_of(kept) + 1 >= span && span_of(kept) <= span + 1;
      if (is_recent) found = std::max(found, value_of(kept));
    }
    return std::chrono::microseconds(found);
  }

 private:
  static constexpr unsigned kValueBits = 36;
  static constexpr std::uint64_t kMax = (std::uint64_t{1} << kValueBits) - 1;  // 19 hours

  static std::uint64_t number_of(Instant now) {
    return static_cast<std::uint64_t>(now.time_since_epoch() / kSpan);
  }

  static std::uint64_t span_of(std::uint64_t word) { return word >> kValueBits; }

  static std::uint64_t value_of(std::uint64_t word) { return word & kMax; }

  // The number of a span above, the largest value of it below.
  std::array<std::atomic<std::uint64_t>, 2> words_{};
};

}  // namespace rockdove::base
