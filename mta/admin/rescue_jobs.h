// The control socket's part of `queue export` and `queue import`: the envelope of a message, and
// messages that come back into the queue.
//
// A message comes in pieces of at most a request each: first the octets of its envelope
// (envelope_text.h), then those of its content. Each piece says how long both are and where it
// stands; the answer to the last one comes when the message is durable. Nothing is kept of a
// message whose pieces stop coming: the next one that begins takes its place after kSilenceMax.
// Whoever asks meanwhile, or while the queue takes no mail, is told so by 503, and may ask again.
#pragma once

#include <memory>

#include "mta/admin/acts.h"
#include "mta/admin/exchange.h"
#include "mta/base/log.h"
#include "mta/base/loop.h"
#include "queue/restore.h"
#include "queue/store.h"

namespace rockdove::admin {

// GET /v1/queue/envelope?id=ID
void start_envelope(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange);

// POST /v1/queue/import?id=ID&envelope=OCTETS&content=OCTETS&at=OFFSET, and with deleted=take also
// what a person has deleted here. One message at a time.
class Imports {
 public:
  static constexpr base::Duration kSilenceMax = std::chrono::seconds(10);

  // All outlive it.
  struct Services {
    base::Loop& loop;
    queue::Store& store;
    QueueActs& acts;
    base::Log& log;
    queue::OwnIds own_ids;
  };

  explicit Imports(const Services& services) : services_(services) {}

  ~Imports();
  Imports(const Imports&) = delete;
  Imports& operator=(const Imports&) = delete;

  // {"outcome": "more"}, or at the end {"outcome": "taken", "known" or "deleted", "id": …}.
  void piece(const std::shared_ptr<Exchange>& exchange);

 private:
  class Import;

  const Services services_;
  std::shared_ptr<Import> current_;
};

}  // namespace rockdove::admin
