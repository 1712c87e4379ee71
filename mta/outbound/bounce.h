// A report about failed deliveries as a message of our own, ready for the queue (RFC 3464, RFC 5321
// §6.1).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "queue/settings.h"
#include "queue/types.h"

namespace rockdove::outbound {

struct BounceRequest {
  const queue::Message& original;
  // Their `last` says what the remote server said, `failed_status` the code, as in "5.1.1".
  std::vector<queue::Delivery> failed;
  std::string_view body;  // of the original, as far as it is at hand; may be empty
  std::string to;         // the original's sender, or the postmaster
  queue::MessageKind kind = queue::MessageKind::Report;
  base::MessageId id;  // of the report
  base::WallTime now;
};

// Header block, body and envelope of the report; recipients is left to the caller.
[[nodiscard]] queue::Message make_bounce(const queue::QueueSettings& settings,
                                         const BounceRequest& request);

}  // namespace rockdove::outbound
