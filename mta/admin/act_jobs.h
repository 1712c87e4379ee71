// The acts of the control socket: on deliveries, by id or by filter, and the pauses. Each leaves an
// audit line in the log that says who asked for what, and one that says what came of it.
#pragma once

#include <memory>
#include <string_view>

#include "mta/admin/acts.h"
#include "mta/admin/exchange.h"
#include "mta/admin/queue_explainer.h"
#include "mta/base/log.h"
#include "mta/base/loop.h"
#include "queue/store.h"

namespace rockdove::admin {

struct ActServices {
  base::Loop& loop;
  queue::Store& store;
  QueueActs& acts;
  base::Log& log;
  QueueExplainer* explainer = nullptr;  // null: there is none (with_provider())
};

// "because", "text", "to": the name of the word that an act may have; "" for none.
[[nodiscard]] std::string_view word_of(Act act);

// The request's body says to what: {"ids": […]} or {"filter": {…}, "dry_run": true}; for a hold
// "because", for a bounce "text", for a reroute "to". Answers in lines: one for each delivery for
// which it was not done, as format_act(); {"so_far": N} each second; at the end the counts. A dry
// run answers with the count of what the filter means. An act ends early when its client goes.
void start_act(const ActServices& services, std::shared_ptr<Exchange> exchange, Act act);

// A line a pause.
void list_pauses(const PauseControl& pauses, const std::shared_ptr<Exchange>& exchange,
                 base::WallTime now);

// Their bodies: {"kind": "destination", "name": "example.com", "for": "2h", "reason": "…"}.
struct PauseServices {
  base::Loop& loop;
  PauseControl& pauses;
  base::Log& log;
  const QueueExplainer* explainer = nullptr;  // knows the names of providers; null: any may be one
};

void start_pause(const PauseServices& services, const std::shared_ptr<Exchange>& exchange);
void start_resume(const PauseServices& services, const std::shared_ptr<Exchange>& exchange);

}  // namespace rockdove::admin
