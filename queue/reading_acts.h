// What acts of people need to read of the queue's rows, for the reader threads (as
// queue/reading.h): many deliveries at once as they stand now, and those deleted whose time to be
// undone is over.
#pragma once

#include "queue/reading.h"
#include "queue/rows.h"
#include "queue/store.h"

namespace rockdove::queue {

[[nodiscard]] Result<ReadDeliveries> read_deliveries(const Rows& rows, const ReadRequest& request,
                                                     Damaged& damaged);

// Of the destinations whose home is `loop`; skips from queue to queue.
[[nodiscard]] Result<DeletedPage> find_deleted(const Rows& rows, unsigned loop, unsigned loops,
                                               const DeletedRequest& request);

}  // namespace rockdove::queue
