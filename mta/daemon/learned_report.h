// What the loops have learned of the accounts that they own, for `rockdove plan --learned`.
#pragma once

#include "mta/admin/route_explainer.h"
#include "mta/outbound/environment.h"

namespace rockdove::daemon {

// On the environment's loop, where `done` runs, never within this call.
void collect_paces(const outbound::Environment& environment, admin::RouteExplainer::PacesDone done);

}  // namespace rockdove::daemon
