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

struct VerifierLimits {
  std::size_t questions_max = 50;  // under way at once; the same question twice is one
  std::size_t answers_max = 100'000;
  base::Duration keep_yes = std::chrono::hours(1);
  base::Duration keep_no = std::chrono::minutes(10);
  // From ask() to the answer. The client waits in RCPT meanwhile, for at least 5 minutes (RFC 5321
  // §4.5.3.2.3).
  base::Duration question_time = std::chrono::seconds(30);
  unsigned connects_max = 3;  // servers tried for one question
};

// The environment outlives it. Questions that are under way when it is destroyed get no answer.
[[nodiscard]] std::unique_ptr<smtp::RecipientProbe> make_verifier(
    const Environment& environment, const VerifierLimits& limits = {});

}  // namespace rockdove::outbound
