// Asks the next hop whether it knows a recipient, without sending anything: MAIL FROM:<>, RCPT
// TO:<address>, QUIT (relay.recipients = "ask" in product.md). Answers are kept: a yes for an hour,
// a no for ten minutes; what could not be asked is asked again.
//
// One a loop. Bounded: so many questions under way, so many answers kept; over that, 451.
#pragma once

#include <memory>

#include "mta/outbound/environment.h"
#include "mta/smtp/recipient_probe.h"

namespace rockdove::outbound {

// The environment outlives it.
[[nodiscard]] std::unique_ptr<smtp::RecipientProbe> make_verifier(const Environment& environment);

}  // namespace rockdove::outbound
