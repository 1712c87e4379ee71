// Messages and deliveries as a directory is shown them: without content, known by id and time.
#pragma once

#include <cstdint>
#include <memory>

#include "mta/base/time.h"
#include "queue/types.h"

namespace rockdove::queue {

inline const WallTime kStart = base::from_unix_milliseconds(1'800'000'000'000);

inline MessageId message_id(WallTime at, std::uint64_t counter) {
  return MessageId{(base::to_unix_milliseconds(at) << 20) + counter};
}

inline MessagePointer message_with(MessageId id) {
  auto message = std::make_shared<Message>();
  message->id = id;
  return message;
}

inline Delivery delivery_due(std::uint32_t number, WallTime due) {
  Delivery delivery;
  delivery.number = number;
  delivery.due = due;
  return delivery;
}

}  // namespace rockdove::queue
