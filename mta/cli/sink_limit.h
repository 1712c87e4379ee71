// How fast a provider of `rockdove sink` takes mail from one client, and that this changes: "so
// many in so long", several of them at once, on a schedule. Unlike traffic::Limiter, which spaces
// what we send, it counts as receivers do: what is left may be used up at any speed.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/result.h"
#include "mta/base/time.h"

namespace rockdove::cli {

struct SinkRate {
  std::uint32_t count = 1;    // 1 to kSinkCountMax
  base::Duration per{1'000};  // 1 ms to 10 years

  bool operator==(const SinkRate&) const = default;
};

inline constexpr std::uint32_t kSinkCountMax = 1'000'000;

// "50/min", "25/10s", "2000/h", "3/500ms".
[[nodiscard]] base::Result<SinkRate> parse_sink_rate(std::string_view text);
// "50/1m, 2000/1h"; "off" for none.
[[nodiscard]] std::string format_sink_rates(std::span<const SinkRate> rates);

enum class SinkWindow : std::uint8_t {
  Sliding,  // no half-open window of the rate's time holds more than its count
  Tokens,   // a bucket that holds the count, is full at first and fills up at the rate
};

// From `at` on, counted from the schedule's begin, all of `rates` hold; none: no limit.
struct SinkRateChange {
  base::Duration at{0};
  std::vector<SinkRate> rates;
};

class SinkLimit {
 public:
  // `schedule`, in the order of its times, outlives it.
  SinkLimit(SinkWindow window, const std::vector<SinkRateChange>& schedule, base::Instant begin);

  // Counts one more; false: a rate has none left, and nothing was counted. Times never go back.
  [[nodiscard]] bool take(base::Instant now);
  // Whether take() would say so.
  [[nodiscard]] bool has_room(base::Instant now);

 private:
  struct Bucket {
    SinkRate rate;
    double tokens;
    base::Instant filled;
  };

  // Brings it to the rates that hold now.
  void advance(base::Instant now);
  void change_rates(const std::vector<SinkRate>& rates, base::Instant at);
  static void fill(Bucket& bucket, base::Instant now);

  SinkWindow window_;
  const std::vector<SinkRateChange>& schedule_;
  base::Instant begin_;
  std::size_t next_change_ = 0;
  std::vector<Bucket> buckets_;      // one for each rate; of Sliding only the rate is used
  std::deque<base::Instant> taken_;  // of Sliding: the latest, at most taken_max_
  std::size_t taken_max_ = 0;        // the largest count of the schedule
};

// The rates of `schedule` that hold after so much time.
[[nodiscard]] std::span<const SinkRate> rates_at(const std::vector<SinkRateChange>& schedule,
                                                 base::Duration time);

}  // namespace rockdove::cli
