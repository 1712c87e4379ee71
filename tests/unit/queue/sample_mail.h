// Messages and deliveries for the queue's tests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "queue/change.h"
#include "queue/types.h"

namespace rockdove::tests {

inline constexpr queue::WallTime kSampleTime = base::from_unix_milliseconds(1'800'000'000'000);

// The id that a loop would make `tick` milliseconds after kSampleTime.
[[nodiscard]] inline queue::MessageId sample_id(std::uint64_t tick) {
  return {(base::to_unix_milliseconds(kSampleTime) + tick) << 20};
}

[[nodiscard]] inline queue::Message sample_message(std::uint64_t tick, std::uint32_t recipients = 1,
                                                   std::string body = "hello\r\n") {
  queue::Message message;
  message.id = sample_id(tick);
  message.sender = "alice@here.example";
  message.client = {base::IpAddress::v4({192, 0, 2, 7}), "client.example", "lan"};
  message.accepted = message.id.made_at();
  message.header_block = "Subject: hi\r\nMessage-ID: <1@here.example>\r\n\r\n";
  message.body_octets = body.size();
  message.body_chunks = body.empty() ? 0 : 1;
  message.recipients = recipients;
  message.body = std::make_shared<const std::string>(std::move(body));
  return message;
}

[[nodiscard]] inline queue::Delivery sample_delivery(const queue::Message& message,
                                                     std::uint32_t number,
                                                     const std::string& domain = "example.net") {
  queue::Delivery delivery;
  delivery.number = number;
  delivery.recipient = "bob" + std::to_string(number) + "@" + domain;
  delivery.destination = domain;
  delivery.due = message.accepted;
  return delivery;
}

[[nodiscard]] inline std::vector<queue::Delivery> sample_deliveries(const queue::Message& message) {
  std::vector<queue::Delivery> deliveries;
  for (std::uint32_t number = 1; number <= message.recipients; ++number) {
    deliveries.push_back(sample_delivery(message, number));
  }
  return deliveries;
}

[[nodiscard]] inline queue::Attempt sample_attempt(queue::WallTime at) {
  return {at, std::chrono::milliseconds(12), "mx.example.net[192.0.2.1]:25", "250 2.0.0 Ok"};
}

}  // namespace rockdove::tests
