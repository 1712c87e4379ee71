// The two clocks. Waits within a run use the monotonic one (Instant); what is stored or shown is
// wall clock (WallTime). Code below the daemon never asks a clock: it is told `Now` by its caller,
// so that a test decides what time it is.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "mta/base/result.h"

namespace rockdove::base {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

using Duration = std::chrono::milliseconds;

// A moment of the monotonic clock of this run; meaningless in any other run.
using Instant = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;
inline constexpr Instant kNever = Instant::max();

// A moment of the wall clock, in milliseconds since 1970-01-01 UTC, leap seconds not counted.
using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;
inline constexpr WallTime kNeverWall = WallTime::max();

struct Now {
  Instant instant;
  WallTime wall;
};

// The two clocks of this machine, read now. For loops, threads and main only.
[[nodiscard]] Now read_clocks();

// Milliseconds since 1970 and back; stored times are never negative.
[[nodiscard]] constexpr std::uint64_t to_unix_milliseconds(WallTime time) {
  return static_cast<std::uint64_t>(time.time_since_epoch().count());
}
[[nodiscard]] constexpr WallTime from_unix_milliseconds(std::uint64_t milliseconds) {
  return WallTime(std::chrono::milliseconds(static_cast<std::int64_t>(milliseconds)));
}

// "2026-11-21T20:46:05.123Z", for logs and listings (RFC 3339).
[[nodiscard]] std::string format_timestamp(WallTime time);

// A duration as a person writes it, to two units: "0s", "1m30s", "2h5m", "5d".
[[nodiscard]] std::string format_duration(Duration duration);

// "5d", "4h", "15m", "30s", "250ms", or a sum of them as "1h30m". A bare number is refused, because
// its unit would be a guess. At most ten years.
[[nodiscard]] Result<Duration> parse_duration(std::string_view text);

}  // namespace rockdove::base
