// GET /v1/trace, /v1/stats and /v1/replies: answers that take many steps, page by page from the
// store, with a pause whenever the client does not keep up. Each lives as long as its callbacks and
// ends early when the client has gone.
#pragma once

#include <cstdint>
#include <memory>

#include "mta/admin/exchange.h"
#include "mta/base/loop.h"
#include "queue/store.h"

namespace rockdove::admin {

// The parameters of the request say what is asked for (trace_text.h).
void start_trace(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange);
// `counting` is how many of these are under way; beyond a few the answer is 503.
void start_stats(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange,
                 std::shared_ptr<std::uint32_t> counting);

// A page of replies each time the client has room.
void start_replies(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange);

}  // namespace rockdove::admin
