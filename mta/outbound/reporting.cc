#include "mta/outbound/reporting.h"

#include "mta/base/assert.h"
#include "queue/quarantine.h"

namespace rockdove::outbound {
namespace {

// Reports of ours have the null sender, too (RFC 3464 §2).
bool has_reader(const queue::Message& message) {
  return message.kind == queue::MessageKind::Ordinary && !message.sender.empty();
}

}  // namespace

bool reports_failure(const queue::Delivery& delivery) {
  return delivery.notify.wants_failure();
}

std::optional<queue::Ending> success_to_report(const queue::Message& message,
                                               const queue::Delivery& delivery, Taker taker) {
  if (!has_reader(message) || !delivery.notify.wants_success()) return std::nullopt;
  switch (taker) {
    case Taker::NextHop:
      return queue::Ending::Relayed;  // RFC 3461 §5.2.2
    case Taker::NextHopWithDsn:
      return std::nullopt;
    case Taker::Mailbox:
      return queue::Ending::Delivered;  // RFC 3461 §5.2.4
  }
  MTA_ASSERT(false);
}

bool wants_delay_notice(const queue::QueueSettings& settings, const queue::Message& message,
                        const queue::Delivery& delivery, base::WallTime now) {
  return settings.delay_notice > base::Duration::zero() && !delivery.delay_told &&
         has_reader(message) && delivery.notify.wants_delay() &&
         now - queue::alive_since(message, delivery) >= settings.delay_notice;
}

}  // namespace rockdove::outbound
