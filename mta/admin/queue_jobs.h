// The answers of the control socket that take many steps: page by page from the store, with a pause
// whenever the client does not keep up. Each job lives as long as its callbacks and ends early when
// the client has gone; an act that has been asked for is still carried out.
#pragma once

#include <functional>
#include <memory>

#include "mta/admin/exchange.h"
#include "mta/admin/queue_explainer.h"
#include "mta/admin/queue_text.h"
#include "mta/base/log.h"
#include "mta/base/loop.h"
#include "queue/store.h"

namespace rockdove::admin {

// An error that names a similar one, if the profiles have no provider of this name. A pattern with
// "*" is none: it also finds what was tried at a provider that the profiles no longer have.
[[nodiscard]] base::Result<void> check_provider(const std::string& pattern,
                                                const QueueExplainer& explainer);

// Hands the filter on, with the destinations of its provider, if it asks for one and there is an
// explainer; null: there is none, and only what was tried there is known. Refuses the request
// where check_provider() does.
void with_provider(base::Loop& loop, queue::Store& store, QueueExplainer* explainer,
                   std::shared_ptr<Exchange> exchange, queue::QueueFilter filter,
                   std::function<void(queue::QueueFilter)> then);

void start_listing(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange,
                   ListQuery query);
// Answers {"deliveries": N}.
void start_count(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange,
                 queue::QueueFilter filter);
// By provider only with an explainer; null: there is none.
void start_summary(base::Loop& loop, queue::Store& store, QueueExplainer* explainer,
                   std::shared_ptr<Exchange> exchange, const queue::SummaryRequest& request);

}  // namespace rockdove::admin
