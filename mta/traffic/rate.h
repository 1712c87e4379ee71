// How fast mail may go to a provider: "50/min", "10/s", "3/min burst 5", "20000/day". A value; what
// keeps to it is traffic/limiter.h.
//
// Windows below an hour are *spaced*: the messages go one after the other at even distance. Windows
// of an hour and more are *counted*: they may be used up at any speed. (Rates at which clients may
// hand in mail are base::Rate, where a burst that is not named is the whole count.)
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/result.h"
#include "mta/base/time.h"

namespace rockdove::traffic {

inline constexpr std::uint32_t kRateCountMax = 10'000'000;
// Of what limiters count, whatever its unit: the most that one job costs, or a window may hold.
inline constexpr std::uint32_t kCostMax = 1'000'000'000;
inline constexpr std::size_t kRatesMax = 8;               // windows of one knob
inline constexpr base::Duration kCountedFrom{3'600'000};  // from here on a window is counted

// At most `count` messages in any `per`; with a burst, `burst` of them may go at once.
struct Rate {
  std::uint32_t count = 1;    // 1 to kRateCountMax; to kCostMax where it is no count of messages
  base::Duration per{1'000};  // a second, a minute, an hour or a day
  std::uint32_t burst = 1;    // 1 to count; always 1 for a counted window

  // What any half-open window of `per` holds at most, which `traffic show` prints.
  [[nodiscard]] std::uint64_t most_in_window() const { return std::uint64_t{count} + burst - 1; }

  [[nodiscard]] bool is_counted() const { return per >= kCountedFrom; }

  // Messages a second in the long run.
  [[nodiscard]] double per_second() const {
    return count / std::chrono::duration<double>(per).count();
  }

  bool operator==(const Rate&) const = default;
};

// A count, "/" and s, min, h (hour) or day (d); for s and min then, if wished, "burst N", with or
// without a comma before it. Fails on anything else, with a sentence that says what to write.
[[nodiscard]] base::Result<Rate> parse_rate(std::string_view text);

// What stands in a profile: one text or several, of which all hold. "off" alone is no limit, an
// empty list. Fails as parse_rate() does, on "off" beside others, on two rates of one window, and
// on more than kRatesMax. The list comes back with the shortest window first.
[[nodiscard]] base::Result<std::vector<Rate>> parse_rates(std::span<const std::string_view> texts);
[[nodiscard]] base::Result<std::vector<Rate>> parse_rates(std::string_view text);

// Reads back as it was: "50/min", "3/min burst 5", "20000/day".
[[nodiscard]] std::string format_rate(const Rate& rate);
// "10/s, 5000/h"; "off" for none.
[[nodiscard]] std::string format_rates(std::span<const Rate> rates);

// Messages a second in the unit that a person can imagine: "12.5/s", "40/min", "6/h".
[[nodiscard]] std::string format_pace(double per_second);

}  // namespace rockdove::traffic
