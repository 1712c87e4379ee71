// The answer to `rockdove route ADDRESS`: which rule applies, what the DNS says, which hosts would
// be tried, and what the account of that site is doing at the moment.
#pragma once

#include <string>

#include "mta/admin/route_explainer.h"
#include "mta/inbound/settings.h"
#include "mta/outbound/environment.h"

namespace rockdove::daemon {

// On the environment's loop, where `done` runs, never within this call.
void explain_route(const outbound::Environment& environment,
                   const inbound::InboundSettings& inbound, std::string address,
                   admin::RouteExplainer::Done done);

}  // namespace rockdove::daemon
