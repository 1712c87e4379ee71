// Who hears of what became of a delivery: NOTIFY of RFC 3461 §4.1 and §5.2, and nobody ever hears
// of what became of mail with the null sender, but for failures, which go to the postmaster. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "queue/settings.h"
#include "queue/types.h"

namespace rockdove::outbound {

// The one who took a delivery.
enum class Taker : std::uint8_t {
  NextHop,         // a server that does not offer DSN
  NextHopWithDsn,  // a server that does: it reports from now on (RFC 3461 §5.2.1)
  Mailbox,         // over LMTP, or a maildir: mail ends there
};

// false: the failure of this delivery stays untold.
[[nodiscard]] bool reports_failure(const queue::Delivery& delivery);

// What a report says of a delivery that went well; nullopt: there is to be none.
[[nodiscard]] std::optional<queue::Ending> success_to_report(const queue::Message& message,
                                                             const queue::Delivery& delivery,
                                                             Taker taker);

// Whether an attempt that failed now leads to a notice of the delay: once a delivery.
[[nodiscard]] bool wants_delay_notice(const queue::QueueSettings& settings,
                                      const queue::Message& message,
                                      const queue::Delivery& delivery, base::WallTime now);

}  // namespace rockdove::outbound
