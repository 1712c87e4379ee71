// Quarantine: mail that a policy wants neither delivered nor refused (RFC 9989 §5.4, [policy] in
// product.md). It is accepted on hold, with the reason "quarantine", and leaves it by a person's
// release or deletion, or when its time is over: then it is discarded. Nobody is told of that,
// because its sender is most likely forged, and a report would itself be unwanted mail.
//
// In `waiting` it has a second row (queue/keys.h), by which outbound/graveyard.h finds what is due
// without reading anything else. What is released lives its lifetime from then on. Pure.
#pragma once

#include <span>
#include <string_view>

#include "queue/types.h"

namespace rockdove::queue {

// The reason of the hold, for filters and summaries; why it came to that is Delivery::hold_detail.
inline constexpr std::string_view kQuarantineHold = "quarantine";
inline constexpr std::size_t kHoldDetailOctetsMax = 500;

// All of a message that is about to be accepted goes into quarantine, from `now` on for `time`,
// which a later change of the configuration does not alter. `why` is one line for people: "dmarc:
// example.com asks for quarantine (p=quarantine)"; what is longer than kHoldDetailOctetsMax is cut.
void quarantine(std::span<Delivery> deliveries, std::string_view why, WallTime now,
                base::Duration time);

[[nodiscard]] inline bool is_quarantined(const Delivery& delivery) {
  return delivery.state == DeliveryState::Held && delivery.expires != WallTime{};
}

// Nothing is left of why it was on hold, and until when; its state is the caller's to set.
void forget_hold(Delivery& delivery);

// Since when its lifetime counts, and how long its sender has been waiting.
[[nodiscard]] inline WallTime alive_since(const Message& message, const Delivery& delivery) {
  return delivery.lives_from == WallTime{} ? message.accepted : delivery.lives_from;
}

}  // namespace rockdove::queue
