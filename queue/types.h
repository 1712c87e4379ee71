// What the queue holds, as values: messages, their deliveries, and the names they are sorted by.
//
// A message is an envelope and a body; a delivery is one recipient of one message and the unit that
// has a state, is tried, and ends. How these become rows is queue/codec.h's business; what may
// happen to them is queue/change.h's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/ids.h"
#include "mta/base/ip_address.h"
#include "mta/base/time.h"
#include "mta/mail/dsn.h"

namespace rockdove::queue {

using base::DeliveryId;
using base::MessageId;
using base::WallTime;

// A body is kept in pieces of this size; the last one may be shorter.
inline constexpr std::size_t kBodyChunkOctets = 256 * 1024;

// How many pieces a body of so many octets has.
[[nodiscard]] constexpr std::uint32_t body_chunks_of(std::uint64_t octets) {
  return static_cast<std::uint32_t>((octets + kBodyChunkOctets - 1) / kBodyChunkOctets);
}

// The header block as it will be sent, our Received field and the empty line included.
inline constexpr std::size_t kHeaderBlockOctetsMax = 256 * 1024;
inline constexpr std::size_t kReplyOctetsKept = 1024;

inline constexpr std::size_t kTenantOctetsMax = 64;
inline constexpr std::size_t kCampaignOctetsMax = 128;

// Priorities are those of MT-PRIORITY (RFC 6710): from 9, the most urgent, to -9.
inline constexpr int kPriorityMax = 9;

// As Delivery::priority and the keys hold it: minus the priority in two's complement, so that 0,
// which versions without priorities wrote, is the normal one.
[[nodiscard]] constexpr std::uint8_t stored_priority(int priority) {
  return static_cast<std::uint8_t>(-priority);
}

// The way back; a damaged or foreign octet counts as the nearest priority.
[[nodiscard]] constexpr int priority_of(std::uint8_t stored) {
  const int priority = -static_cast<int>(static_cast<std::int8_t>(stored));
  return priority > kPriorityMax    ? kPriorityMax
         : priority < -kPriorityMax ? -kPriorityMax
                                    : priority;
}

// Who handed the message in.
struct Client {
  base::IpAddress address;
  std::string helo;      // as the client named itself; a stranger's text
  std::string listener;  // the listener's name; "" for reports that we write ourselves
  std::string user{};    // the account that it authenticated as; "" without AUTH
  std::string tls{};     // as net::describe(TlsInfo); "" in clear
};

enum class MessageKind : std::uint8_t {
  Ordinary = 0,
  Report = 1,            // a delivery status notification of ours, to the sender of what failed
  PostmasterReport = 2,  // a report of ours about mail with the null sender; ends `unreturnable`
};

// What all deliveries of a message have in common. Immutable once accepted, so loops share it.
struct Message {
  MessageId id;
  MessageKind kind = MessageKind::Ordinary;
  std::string sender;  // reverse-path without <>; "" is the null sender (RFC 5321 §4.5.5)
  Client client;
  WallTime accepted;
  std::string header_block;       // ends in the empty line; empty while only listed, not to be sent
  std::uint64_t body_octets = 0;  // without the header block
  std::uint32_t body_chunks = 0;  // rows in `bodies`
  bool eight_bit = false;         // the content has octets above 127, whatever was said of it
  bool smtputf8 = false;          // needs SMTPUTF8 (RFC 6531): an address or the header has UTF-8
  std::string envelope_id{};      // ENVID of RFC 3461 §4.4, decoded; "" for none
  mail::ReturnContent returned = mail::ReturnContent::Unset;  // RET of RFC 3461 §4.3
  std::uint32_t recipients = 0;  // deliveries at acceptance, numbered 1 to this
  MessageId about{};             // of a report: the message that it tells of; 0 of any other
  std::string tenant;            // whose mail it is; "" nobody's; ≤ kTenantOctetsMax
  std::string campaign{};        // the mailing that it belongs to; "" none; ≤ kCampaignOctetsMax
  // The whole body where it has at most one chunk and is at hand; else null, to be read.
  std::shared_ptr<const std::string> body;
};

using MessagePointer = std::shared_ptr<const Message>;

enum class DeliveryState : std::uint8_t { Waiting = 1, Held = 2, Deleted = 3 };

// Why a delivery is in the state it is in, for people: "crash", "operator", "quarantine", …; ""
// when Waiting.
using HoldReason = std::string;

// What the last attempt came to; empty before the first one.
struct LastAttempt {
  WallTime at;
  std::string host;   // "mx.example.net[192.0.2.1]:25", or "" when none was reached
  std::string reply;  // the remote server's own text, or ours in the same form; ≤ kReplyOctetsKept
  std::string tls{};  // of the connection, as net::describe(TlsInfo); "" in clear or without one
  base::Duration took{0};
  std::string rule{};    // of the traffic profiles, that acted on this reply: "FILE:LINE"; "" none
  std::string source{};  // our address that it left from; "": the system chose
  bool wants_other_source = false;  // a rule wants the next attempt to leave from another one
  std::string provider{};           // of the traffic profiles, that it was tried at; "": none
};

// What a delivery has come to that only waits for a report.
enum class Ending : std::uint8_t {
  Failed = 0,     // for good
  Delivered = 1,  // into the mailbox
  Relayed = 2,    // to a next hop that does not report for us
  Expanded = 3,   // an alias, in the place of which its addresses have deliveries of their own
};

struct Delivery {
  std::uint32_t number = 0;   // from 1
  std::string recipient;      // forward-path without <>
  std::string destination;    // the recipient's domain in lower case, or "route:NAME"
  std::string tenant;         // as the message's; part of the queue's name
  std::uint8_t priority = 0;  // see stored_priority()
  DeliveryState state = DeliveryState::Waiting;
  WallTime due;                 // not before this; of a held one: since when
  std::uint32_t attempts = 0;   // those that reached a verdict; none for what the environment did
  std::uint32_t uncertain = 0;  // attempts that were cut off behind the final dot
  std::uint32_t crashes = 0;    // times the process failed while it worked on this
  HoldReason hold_reason;
  std::string hold_detail{};  // of what is in quarantine: what a policy has against it, in words
  WallTime expires{};  // likewise: then it is discarded; 0 of all others (queue/quarantine.h)
  LastAttempt last;
  mail::NotifySet notify{};          // NOTIFY of RFC 3461 §4.1
  std::string original_recipient{};  // ORCPT of RFC 3461 §4.2 as "rfc822;bob@x", decoded; "" none
  bool delay_told = false;           // the sender has had a report of the delay
  // Set: it has come to its end and only waits for a report that it shares with others of its
  // message (outbound/report_desk.h). The text is the status code, "5.1.1" or "2.0.0".
  std::string final_status;
  Ending ending = Ending::Failed;  // what it came to; without a final_status it means nothing
  // Of a deleted one: what it comes back to where a person undeletes it.
  DeliveryState state_before = DeliveryState::Waiting;
  WallTime due_before{};
  std::string route_to{};   // where a person has it sent (see outbound/target.h); "": by the routes
  bool is_expired = false;  // a person has ended its lifetime: the next failure is its last
  std::string alias{};      // that it was handed in for, in the place of which it stands; "" none
  WallTime lives_from{};    // since when its lifetime counts; 0: since its message was accepted
};

// What a look at a whole queue says of a delivery without reading more than its row in `waiting`.
struct WaitingNote {
  std::string sender;        // as in Message
  std::uint64_t octets = 0;  // of the message; 0: not known, an older version wrote the row
  std::string user;          // as in Client
  std::string reason;        // as reason_class()
  std::string campaign{};    // as in Message
};

inline constexpr std::size_t kReasonClassOctets = 80;
// Why a delivery is where it is, so that those with the same cause have the same text: the first
// line of the last reply without what differs from mail to mail (addresses, numbers of over three
// digits), or the reason of a hold; "" before the first attempt. At most kReasonClassOctets.
[[nodiscard]] std::string reason_class(const Delivery& delivery);

// It waits for the time that its sender has set, and has not been tried.
[[nodiscard]] inline bool is_scheduled(const Delivery& delivery, WallTime now) {
  return delivery.state == DeliveryState::Waiting && delivery.attempts == 0 && delivery.due > now &&
         delivery.due == delivery.lives_from;
}

[[nodiscard]] WaitingNote note_of(const Message& message, const Delivery& delivery);

// The queue a waiting delivery stands in: what the directory knows and fairness is about.
struct QueueName {
  std::string destination;
  std::string tenant;
  std::uint8_t priority = 0;

  auto operator<=>(const QueueName&) const = default;
};

[[nodiscard]] inline QueueName queue_of(const Delivery& delivery) {
  return {delivery.destination, delivery.tenant, delivery.priority};
}

// A message with those of its deliveries that are spoken about.
struct MessageWithDeliveries {
  MessagePointer message;
  std::vector<Delivery> deliveries;
};

// How a delivery ended. The names are written into history, logs and --json.
enum class Outcome : std::uint8_t {
  Delivered = 1,     // the next hop said 250
  Bounced = 2,       // failed for good; a report to the sender is queued
  Discarded = 3,     // by a route that says discard:
  Deleted = 4,       // by a person
  Unreturnable = 5,  // failed for good, and there is nobody to tell
  Unreported = 6,    // failed for good, and the sender asked not to be told (NOTIFY of RFC 3461)
  Expanded = 7,      // an alias: its addresses have deliveries of their own
  QuarantineExpired = 8,  // discarded, because nobody has released it in time
};

}  // namespace rockdove::queue

template <>
struct std::hash<rockdove::queue::QueueName> {
  std::size_t operator()(const rockdove::queue::QueueName& name) const noexcept {
    const std::hash<std::string> text;
    return (text(name.destination) * 31 + text(name.tenant)) * 31 + name.priority;
  }
};
