// `rockdove top`: what the relay is doing, live in a terminal, or as snapshots where nobody
// watches: rates, connections, the queue, the busiest and the slowest destinations of the last
// minute, and why mail was deferred.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mta/base/time.h"

namespace rockdove::cli {

struct TopSize {
  std::size_t columns = 96;
  std::size_t rows = 40;
};

// A page of `rows` lines at most, each of `columns` octets at most and with its end, from two
// answers of GET /v1/top, `apart` from each other. Rates are those of the time between them; "-"
// where there is none, as between one and itself, or where the daemon was started anew.
[[nodiscard]] std::string top_page(std::string_view before, std::string_view after,
                                   base::Duration apart, TopSize size);

// The same where there is no answer, from the error.
[[nodiscard]] std::string top_trouble(std::string_view error, TopSize size);

// The second answer with one key more: "rates", a second, of each counter; null where "-" would be.
[[nodiscard]] std::string top_line(std::string_view before, std::string_view after,
                                   base::Duration apart);

}  // namespace rockdove::cli
