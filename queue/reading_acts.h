// What acts of people need to read of the queue's rows, for the reader threads (as
// queue/reading.h): many deliveries at once as they stand now, and those that go for good because
// their time to be brought back, or to be released, is over.
#pragma once

#include "queue/reading.h"
#include "queue/rows.h"
#include "queue/store.h"

namespace rockdove::queue {

[[nodiscard]] Result<ReadDeliveries> read_deliveries(const Rows& rows, const ReadRequest& request,
                                                     Damaged& damaged);

// Of the destinations whose home is `loop`.
[[nodiscard]] Result<OverduePage> find_overdue(const Rows& rows, unsigned loop, unsigned loops,
                                               const OverdueRequest& request);

}  // namespace rockdove::queue
