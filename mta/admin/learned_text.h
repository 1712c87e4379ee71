// What was learned of accounts as JSON lines: GET /v1/learned, and the same from a queue of which
// no daemon runs. `rockdove plan --learned` reads them.
#pragma once

#include <string>
#include <vector>

#include "mta/base/result.h"
#include "mta/base/time.h"
#include "queue/learned.h"
#include "queue/rows.h"

namespace rockdove::admin {

// {"account":…, "pace":…, "mean":…}: messages a second; what is not known is left out.
[[nodiscard]] std::string format_learned(const queue::LearnedPace& learned);

// By account. Of what a daemon that is stopped has left, by its rows; damaged ones say nothing.
[[nodiscard]] base::Result<std::vector<queue::LearnedPace>> read_learned(const queue::Rows& rows,
                                                                         base::Now now);

}  // namespace rockdove::admin
