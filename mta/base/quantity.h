// Sizes and rates as operators write them: "20M", "600/min", "100/s, burst 20". (Durations are in
// base/time.h.)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mta/base/result.h"
#include "mta/base/time.h"

namespace rockdove::base {

// So many in so long, with a burst. count 0: no limit.
struct Rate {
  std::uint32_t count = 0;
  Duration per{60'000};
  std::uint32_t burst = 0;  // at once; 0: as `count`

  bool operator==(const Rate&) const = default;
};

// Octets: a whole number, alone or with K, M, G or T. These are powers of 1000, as disks and mail
// providers count; KiB, MiB, GiB and TiB are powers of 1024. At most 2^63 - 1.
[[nodiscard]] Result<std::uint64_t> parse_size(std::string_view text);

// The shortest of these forms that is exact: "50M", "256MiB", "1234".
[[nodiscard]] std::string format_size(std::uint64_t octets);

// A count, "/" and s, min, h or d; then, if wished, ", burst N". "off" is no limit.
[[nodiscard]] Result<Rate> parse_rate(std::string_view text);
[[nodiscard]] std::string format_rate(const Rate& rate);

}  // namespace rockdove::base
