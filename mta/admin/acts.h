// What a person may do to deliveries and to what is sent at all, as the admin layer asks for it.
// The daemon implements it: the owner of each delivery decides, on its own loop, and the answer
// comes back to the asker's.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/result.h"
#include "mta/base/unique_function.h"
#include "queue/pauses.h"
#include "queue/steering.h"
#include "queue/store.h"

namespace rockdove::admin {

using queue::Act;
using queue::ActOutcome;

// All from the control socket's loop; each `done` runs there, once, never within the call.
class QueueActs {
 public:
  using Done = base::UniqueFunction<void(queue::ActAnswer)>;

  virtual ~QueueActs() = default;

  virtual void act(std::shared_ptr<const queue::Order> order, std::vector<queue::Selected> targets,
                   Done done) = 0;

  // The target of a reroute as it is kept: as [[route]] to, or "route:NAME" of a route that there
  // is. An error says what would do.
  [[nodiscard]] virtual base::Result<std::string> check_target(std::string_view text) const = 0;

  // These deliveries of one message have come into the queue from elsewhere and are durable.
  virtual void restored(const std::vector<queue::Delivery>& deliveries) = 0;

  // Mail is coming in or going out: what is done to many deliveries should leave room for it.
  [[nodiscard]] virtual bool is_busy() const = 0;
};

class PauseControl {
 public:
  virtual ~PauseControl() = default;

  // All of them, those that are ending included. None while they are not known yet.
  [[nodiscard]] virtual std::vector<queue::Pause> pauses() const = 0;

  // Durable when `done` runs. One of the same kind and pattern is replaced.
  virtual void pause(queue::Pause pause, base::UniqueFunction<void(base::Result<void>)> done) = 0;

  // What was ended; none: there is no such pause.
  virtual void resume(
      queue::PauseKind kind, std::string pattern, std::string by,
      base::UniqueFunction<void(base::Result<std::optional<queue::Pause>>)> done) = 0;
};

}  // namespace rockdove::admin
