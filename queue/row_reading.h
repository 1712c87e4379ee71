// One message or delivery out of a view of the rows, for those who read the queue
// (queue/reading.h).
#pragma once

#include <memory>
#include <vector>

#include "queue/reading.h"

namespace rockdove::queue {

// The message of this row; null: there is none, or it is damaged.
[[nodiscard]] Result<std::shared_ptr<Message>> read_message(const RowView& view, MessageId id,
                                                            Damaged& damaged);
// All that have not ended, by their numbers; damaged ones are left out.
[[nodiscard]] Result<std::vector<Delivery>> read_deliveries(const RowView& view, MessageId id,
                                                            Damaged& damaged);
// nullopt: there is none, or it is damaged.
[[nodiscard]] Result<std::optional<Delivery>> read_delivery(const RowView& view, DeliveryId id,
                                                            Damaged& damaged);

}  // namespace rockdove::queue
