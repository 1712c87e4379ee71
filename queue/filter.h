// Which deliveries a person means: the filter that the queue commands and the control protocol have
// in common. What is set must hold all together. Patterns match the whole text with "*" for any run
// of characters, case ignored; a subject and a reason without "*" match as a part.
//
// It is asked in three steps, so that a look at a million rows reads no more than it must: by the
// row in `waiting`, then by the delivery, then by the message.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>

#include "mta/base/ip_address.h"
#include "queue/keys.h"
#include "queue/types.h"

namespace rockdove::queue {

struct QueueFilter {
  std::optional<MessageId> message;
  std::optional<DeliveryId> delivery;
  std::optional<DeliveryState> state;
  std::string sender;  // "<>" is the null sender; of all texts here, "" matches everything
  std::string recipient;
  std::string destination;
  std::string site;      // the host of the last attempt, as "*.mail.example[192.0.2.*"
  std::string provider;  // that it was tried at last, or one of `at_provider`
  std::string source;    // the address that the last attempt left from
  std::string user;      // that authenticated
  std::string tenant;    // as in Message, and the next
  std::string campaign;
  std::string reason;  // the last reply, the reason of a hold, or what a policy has against it
  std::string subject;
  std::string message_id;  // with or without its angle brackets
  std::optional<base::IpNetwork> client;
  std::optional<WallTime> accepted_before;
  std::optional<WallTime> accepted_after;
  std::uint64_t larger_than = 0;  // octets of the message, header included
  std::uint32_t attempts_min = 0;
  // Destinations that are at `provider`, as far as somebody knows; null: nobody does.
  std::shared_ptr<const std::unordered_set<std::string>> at_provider{};
};

// The destination is a plain name, so that its rows are found by Seek: a domain in any case, a
// route or a target as it was written.
[[nodiscard]] bool names_destination(const QueueFilter& filter);

// `note` without octets is of an older version: only what the key says is asked here.
[[nodiscard]] bool is_match(const QueueFilter& filter, const WaitingKeyView& row,
                            const WaitingNote& note);
[[nodiscard]] bool needs_delivery(const QueueFilter& filter);
[[nodiscard]] bool is_match(const QueueFilter& filter, const Delivery& delivery);
// With the note of this row.
[[nodiscard]] bool needs_message(const QueueFilter& filter, const WaitingNote& note);
[[nodiscard]] bool is_match(const QueueFilter& filter, const Message& message);

}  // namespace rockdove::queue
