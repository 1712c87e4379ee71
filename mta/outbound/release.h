// What a directory is told when something about deliveries has become durable.
#pragma once

#include <optional>
#include <vector>

#include "mta/outbound/environment.h"
#include "queue/types.h"

namespace rockdove::outbound {

struct Release {
  base::DeliveryId delivery;
  std::optional<base::WallTime> due;  // none: it ended
};

// The same for deliveries that stand in different queues.
struct QueuedRelease {
  queue::QueueName queue;
  Release release;
};

// Tells each one's home. Defined in settler.cc.
void release(const Environment& environment, std::vector<QueuedRelease> releases);

}  // namespace rockdove::outbound
