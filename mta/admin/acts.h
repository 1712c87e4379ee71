// What a person may do to deliveries, as the admin layer asks for it. The daemon implements it: the
// owner of the delivery decides, on its own loop, and the answer comes back to the asker's.
#pragma once

#include <cstdint>
#include <string_view>

#include "mta/base/ids.h"
#include "mta/base/result.h"
#include "mta/base/unique_function.h"

namespace rockdove::admin {

enum class Act : std::uint8_t {
  Retry,   // due now; a held one is released first
  Delete,  // out of the queue, without a report
};

enum class ActOutcome : std::uint8_t {
  Done,       // durable
  BeingSent,  // an attempt is under way; nothing was changed
  NotFound,   // it is not in the queue, or not any more
};

class QueueActs {
 public:
  using Done = base::UniqueFunction<void(base::Result<ActOutcome>)>;

  virtual ~QueueActs() = default;
  // From the control socket's loop; `done` runs there, once, never within this call.
  virtual void act(Act act, base::DeliveryId id, Done done) = 0;
};

// "retry", "delete".
[[nodiscard]] std::string_view act_name(Act act);
// As --json and scripts see it: "done", "being-sent", "not-found".
[[nodiscard]] std::string_view outcome_name(ActOutcome outcome);

}  // namespace rockdove::admin
