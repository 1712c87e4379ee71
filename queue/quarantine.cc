#include "queue/quarantine.h"

namespace rockdove::queue {

void quarantine(std::span<Delivery> deliveries, std::string_view why, WallTime now,
                base::Duration time) {
  for (Delivery& delivery : deliveries) {
    delivery.state = DeliveryState::Held;
    delivery.due = now;
    delivery.hold_reason = kQuarantineHold;
    delivery.hold_detail = why.substr(0, kHoldDetailOctetsMax);
    delivery.expires = now + time;
  }
}

void forget_hold(Delivery& delivery) {
  delivery.hold_reason.clear();
  delivery.hold_detail.clear();
  delivery.expires = {};
}

}  // namespace rockdove::queue
