#include "queue/codec.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "mta/base/text.h"
#include "queue/records.pb.h"

namespace rockdove::queue {
namespace {

using base::Error;
using base::Result;

// Length-delimited field 15, as records.proto has it for the header block.
constexpr char kHeaderBlockTag = static_cast<char>((15 << 3) | 2);

void append_varint(std::string& octets, std::uint64_t number) {
  for (; number >= 0x80; number >>= 7) {
    octets.push_back(static_cast<char>((number & 0x7F) | 0x80));
  }
  octets.push_back(static_cast<char>(number));
}

std::uint64_t stored_time(WallTime time) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, time.time_since_epoch().count()));
}

WallTime read_time(std::uint64_t milliseconds) {
  return base::from_unix_milliseconds(
      std::min(milliseconds, base::to_unix_milliseconds(base::kNeverWall)));
}

std::uint64_t stored_duration(base::Duration duration) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, duration.count()));
}

base::Duration read_duration(std::uint64_t milliseconds) {
  constexpr std::uint64_t kMost = 1'000'000'000'000;
  return base::Duration(static_cast<std::int64_t>(std::min(milliseconds, kMost)));
}

std::string_view address_octets(const base::IpAddress& address) {
  return {reinterpret_cast<const char*>(address.octets().data()), address.is_v4() ? 4U : 16U};
}

std::optional<base::IpAddress> read_address(std::string_view octets) {
  if (octets.size() == 4) {
    std::array<std::uint8_t, 4> address{};
    std::copy(octets.begin(), octets.end(), address.begin());
    return base::IpAddress::v4(address);
  }
  if (octets.size() == 16) {
    std::array<std::uint8_t, 16> address{};
    std::copy(octets.begin(), octets.end(), address.begin());
    return base::IpAddress::v6(address);
  }
  return std::nullopt;
}

bool is_parsed(google::protobuf::MessageLite& record, std::string_view octets) {
  return octets.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()) &&
         record.ParseFromArray(octets.data(), static_cast<int>(octets.size()));
}

Error damaged(std::string_view family, std::string_view name, std::string_view what) {
  std::string text = "the row of ";
  text.append(name).append(" in `").append(family).append("` is damaged: ").append(what);
  return Error(std::move(text));
}

void append_record(const google::protobuf::MessageLite& record, std::string& octets) {
  // Cannot fail: all our fields are far below the 2 GiB that a record may have.
  MTA_ASSERT(record.AppendToString(&octets));
}

// Of the value of a field, which may begin on a line of its own: Exchange folds long ones so
// (RFC 5322 §2.2.3).
std::string_view first_line_of_value(std::string_view value) {
  constexpr std::size_t kLineOctetsMax = 998;  // RFC 5322 §2.1.1
  for (;;) {
    const std::size_t end = value.find('\n');
    const std::string_view line = base::trimmed(value.substr(0, std::min(end, kLineOctetsMax)));
    if (!line.empty() || end == std::string_view::npos) return line;
    value.remove_prefix(end + 1);
    if (value.empty() || (value.front() != ' ' && value.front() != '\t')) return {};
  }
}

// Of record::Delivery::notify.
constexpr std::uint32_t kNever = 1;
constexpr std::uint32_t kSuccess = 2;
constexpr std::uint32_t kFailure = 4;
constexpr std::uint32_t kDelay = 8;

std::uint32_t notify_bits(const mail::NotifySet& notify) {
  return (notify.never ? kNever : 0U) | (notify.success ? kSuccess : 0U) |
         (notify.failure ? kFailure : 0U) | (notify.delay ? kDelay : 0U);
}

mail::NotifySet read_notify(std::uint32_t bits) {
  return {(bits & kNever) != 0, (bits & kSuccess) != 0, (bits & kFailure) != 0,
          (bits & kDelay) != 0};
}

std::string_view state_name(DeliveryState state) {
  switch (state) {
    case DeliveryState::Waiting:
      return "deferred";
    case DeliveryState::Held:
      return "held";
    case DeliveryState::Deleted:
      return "deleted";
  }
  return "unknown";
}

std::string_view deed_name(Deed deed) {
  switch (deed) {
    case Deed::None:
      return "";
    case Deed::Held:
      return "held";
    case Deed::Released:
      return "released";
    case Deed::Retried:
      return "retried";
    case Deed::Deleted:
      return "deleted";
    case Deed::Undeleted:
      return "undeleted";
    case Deed::Expired:
      return "expired";
    case Deed::Rerouted:
      return "rerouted";
    case Deed::Returned:
      return "returned";
    case Deed::Failed:
      return "failed";
    case Deed::Succeeded:
      return "succeeded";
    case Deed::DelayTold:
      return "delay-told";
    case Deed::Quarantined:
      return "quarantined";
  }
  return "";
}

}  // namespace

std::string_view outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::Delivered:
      return "delivered";
    case Outcome::Bounced:
      return "bounced";
    case Outcome::Discarded:
      return "discarded";
    case Outcome::Deleted:
      return "deleted";
    case Outcome::Unreturnable:
      return "unreturnable";
    case Outcome::Unreported:
      return "unreported";
    case Outcome::Expanded:
      return "expanded";
    case Outcome::QuarantineExpired:
      return "quarantine-expired";
  }
  return "unknown";
}

std::string_view message_id_field(std::string_view header_block) {
  constexpr std::string_view kName = "message-id:";
  for (std::size_t at = 0; at < header_block.size();) {
    if (base::starts_with_ignoring_case(header_block.substr(at), kName)) {
      return first_line_of_value(header_block.substr(at + kName.size()));
    }
    const std::size_t end = header_block.find('\n', at);
    if (end == std::string_view::npos) break;
    at = end + 1;
  }
  return {};
}

void encode_message(const Message& message, std::string& octets) {
  record::Message record;
  record.set_kind(static_cast<std::uint32_t>(message.kind));
  record.set_sender(message.sender);
  const std::string_view address = address_octets(message.client.address);
  record.set_client_address(address.data(), address.size());
  record.set_client_helo(message.client.helo);
  record.set_client_listener(message.client.listener);
  record.set_accepted(stored_time(message.accepted));
  record.set_body_octets(message.body_octets);
  record.set_body_chunks(message.body_chunks);
  record.set_eight_bit(message.eight_bit);
  record.set_recipients(message.recipients);
  record.set_tenant(message.tenant);
  record.set_campaign(message.campaign);
  record.set_smtputf8(message.smtputf8);
  record.set_envelope_id(message.envelope_id);
  record.set_returned(static_cast<std::uint32_t>(message.returned));
  record.set_client_user(message.client.user);
  record.set_client_tls(message.client.tls);
  record.set_about(message.about.value);
  append_record(record, octets);
  // The records of Protocol Buffers may be concatenated, so the largest field goes in by hand.
  octets.push_back(kHeaderBlockTag);
  append_varint(octets, message.header_block.size());
  octets.append(message.header_block);
}

Result<Message> decode_message(MessageId id, std::string_view octets) {
  record::Message record;
  if (!is_parsed(record, octets)) return damaged("messages", base::format_id(id), "no record");
  if (record.kind() > static_cast<std::uint32_t>(MessageKind::PostmasterReport)) {
    return damaged("messages", base::format_id(id), "unknown kind");
  }
  if (record.returned() > static_cast<std::uint32_t>(mail::ReturnContent::Headers)) {
    return damaged("messages", base::format_id(id), "unknown RET");
  }
  const std::optional<base::IpAddress> address = read_address(record.client_address());
  if (!address) return damaged("messages", base::format_id(id), "bad client address");
  Message message;
  message.id = id;
  message.kind = static_cast<MessageKind>(record.kind());
  message.sender = std::move(*record.mutable_sender());
  message.client.address = *address;
  message.client.helo = std::move(*record.mutable_client_helo());
  message.client.listener = std::move(*record.mutable_client_listener());
  message.accepted = read_time(record.accepted());
  message.header_block = std::move(*record.mutable_header_block());
  message.body_octets = record.body_octets();
  message.body_chunks = record.body_chunks();
  message.eight_bit = record.eight_bit();
  message.recipients = record.recipients();
  message.tenant = std::move(*record.mutable_tenant());
  message.campaign = std::move(*record.mutable_campaign());
  message.smtputf8 = record.smtputf8();
  message.envelope_id = std::move(*record.mutable_envelope_id());
  message.returned = static_cast<mail::ReturnContent>(record.returned());
  message.client.user = std::move(*record.mutable_client_user());
  message.client.tls = std::move(*record.mutable_client_tls());
  message.about = MessageId{record.about()};
  return message;
}

void encode_delivery(const Delivery& delivery, std::string& octets) {
  record::Delivery record;
  record.set_recipient(delivery.recipient);
  record.set_destination(delivery.destination);
  record.set_tenant(delivery.tenant);
  record.set_priority(delivery.priority);
  record.set_state(static_cast<std::uint32_t>(delivery.state));
  record.set_due(stored_time(delivery.due));
  record.set_attempts(delivery.attempts);
  record.set_uncertain(delivery.uncertain);
  record.set_crashes(delivery.crashes);
  record.set_hold_reason(delivery.hold_reason);
  record.set_last_at(stored_time(delivery.last.at));
  record.set_last_host(delivery.last.host);
  record.set_last_reply(delivery.last.reply.data(),
                        std::min(delivery.last.reply.size(), kReplyOctetsKept));
  record.set_final_status(delivery.final_status);
  record.set_notify(notify_bits(delivery.notify));
  record.set_original_recipient(delivery.original_recipient);
  record.set_delay_told(delivery.delay_told);
  record.set_ending(static_cast<std::uint32_t>(delivery.ending));
  record.set_last_tls(delivery.last.tls);
  record.set_last_rule(delivery.last.rule);
  record.set_last_source(delivery.last.source);
  record.set_last_wants_other_source(delivery.last.wants_other_source);
  record.set_last_provider(delivery.last.provider);
  if (delivery.state == DeliveryState::Deleted) {
    record.set_state_before(static_cast<std::uint32_t>(delivery.state_before));
    record.set_due_before(stored_time(delivery.due_before));
  }
  record.set_route_to(delivery.route_to);
  record.set_is_expired(delivery.is_expired);
  record.set_last_took(stored_duration(delivery.last.took));
  record.set_alias(delivery.alias);
  record.set_hold_detail(delivery.hold_detail);
  record.set_expires(stored_time(delivery.expires));
  record.set_lives_from(stored_time(delivery.lives_from));
  append_record(record, octets);
}

Result<Delivery> decode_delivery(DeliveryId id, std::string_view octets) {
  record::Delivery record;
  if (!is_parsed(record, octets)) return damaged("deliveries", base::format_id(id), "no record");
  if (record.state() < 1 || record.state() > 3) {
    return damaged("deliveries", base::format_id(id), "unknown state");
  }
  if (record.priority() > 255) {
    return damaged("deliveries", base::format_id(id), "bad priority");
  }
  if (record.ending() > static_cast<std::uint32_t>(Ending::Expanded)) {
    return damaged("deliveries", base::format_id(id), "unknown ending");
  }
  if (record.state_before() > static_cast<std::uint32_t>(DeliveryState::Held)) {
    return damaged("deliveries", base::format_id(id), "unknown state before its deletion");
  }
  Delivery delivery;
  delivery.number = id.number;
  delivery.recipient = std::move(*record.mutable_recipient());
  delivery.destination = std::move(*record.mutable_destination());
  delivery.tenant = std::move(*record.mutable_tenant());
  delivery.priority = static_cast<std::uint8_t>(record.priority());
  delivery.state = static_cast<DeliveryState>(record.state());
  delivery.due = read_time(record.due());
  delivery.attempts = record.attempts();
  delivery.uncertain = record.uncertain();
  delivery.crashes = record.crashes();
  delivery.hold_reason = std::move(*record.mutable_hold_reason());
  delivery.last.at = read_time(record.last_at());
  delivery.last.host = std::move(*record.mutable_last_host());
  delivery.last.reply = std::move(*record.mutable_last_reply());
  delivery.final_status = std::move(*record.mutable_final_status());
  delivery.notify = read_notify(record.notify());
  delivery.original_recipient = std::move(*record.mutable_original_recipient());
  delivery.delay_told = record.delay_told();
  delivery.ending = static_cast<Ending>(record.ending());
  delivery.last.tls = std::move(*record.mutable_last_tls());
  if (record.state_before() > 0) {
    delivery.state_before = static_cast<DeliveryState>(record.state_before());
    delivery.due_before = read_time(record.due_before());
  }
  delivery.route_to = std::move(*record.mutable_route_to());
  delivery.is_expired = record.is_expired();
  delivery.hold_detail = std::move(*record.mutable_hold_detail());
  delivery.expires = read_time(record.expires());
  delivery.lives_from = read_time(record.lives_from());
  delivery.last.took = read_duration(record.last_took());
  delivery.last.rule = std::move(*record.mutable_last_rule());
  delivery.last.source = std::move(*record.mutable_last_source());
  delivery.last.wants_other_source = record.last_wants_other_source();
  delivery.last.provider = std::move(*record.mutable_last_provider());
  delivery.alias = std::move(*record.mutable_alias());
  return delivery;
}

void encode_note(const WaitingNote& note, std::string& octets) {
  record::Waiting record;
  record.set_sender(note.sender);
  record.set_octets(std::max<std::uint64_t>(1, note.octets));
  record.set_user(note.user);
  record.set_reason(note.reason);
  record.set_campaign(note.campaign);
  append_record(record, octets);
}

bool decode_note(std::string_view octets, WaitingNote& note) {
  thread_local record::Waiting record;  // keeps the room of its strings
  if (!is_parsed(record, octets)) return false;
  note.sender.assign(record.sender());
  note.octets = record.octets();
  note.user.assign(record.user());
  note.reason.assign(record.reason());
  note.campaign.assign(record.campaign());
  return true;
}

void encode_report_state(const ReportState& state, std::string& octets) {
  record::ReportState record;
  record.set_reports(state.reports);
  record.set_last(stored_time(state.last));
  append_record(record, octets);
}

Result<ReportState> decode_report_state(MessageId id, std::string_view octets) {
  record::ReportState record;
  if (!is_parsed(record, octets)) {
    return damaged("deliveries", base::format_id(DeliveryId{id, 0}), "no record");
  }
  return ReportState{record.reports(), read_time(record.last())};
}

void encode_attempt(const Delivery& after, const Attempt& attempt, std::string& octets) {
  record::Step record;
  record.set_what(attempt.deed == Deed::None ? static_cast<std::uint32_t>(after.state)
                                             : static_cast<std::uint32_t>(attempt.deed));
  record.set_took(stored_duration(attempt.took));
  record.set_host(attempt.host);
  record.set_reply(attempt.reply.data(), std::min(attempt.reply.size(), kReplyOctetsKept));
  record.set_attempts(after.attempts);
  record.set_tls(attempt.tls);
  record.set_rule(attempt.rule);
  record.set_source(attempt.source);
  record.set_report(attempt.report.value);
  append_record(record, octets);
}

void encode_closing(const Message& message, std::string_view message_id, const Delivery& delivery,
                    Outcome how, const Attempt& attempt, std::string& octets) {
  record::Step record;
  record.set_what(static_cast<std::uint32_t>(how));
  const bool is_last = attempt.is_last;
  record.set_took(stored_duration(is_last ? delivery.last.took : attempt.took));
  const std::string& reply = is_last ? delivery.last.reply : attempt.reply;
  record.set_host(is_last ? delivery.last.host : attempt.host);
  record.set_reply(reply.data(), std::min(reply.size(), kReplyOctetsKept));
  record.set_tls(is_last ? delivery.last.tls : attempt.tls);
  record.set_rule(is_last ? delivery.last.rule : attempt.rule);
  record.set_source(is_last ? delivery.last.source : attempt.source);
  record.set_attempts(delivery.attempts);
  record.set_client_user(message.client.user);
  record.set_client_tls(message.client.tls);
  record.set_sender(message.sender);
  record.set_recipient(delivery.recipient);
  const std::string_view address = address_octets(message.client.address);
  record.set_client_address(address.data(), address.size());
  record.set_accepted(stored_time(message.accepted));
  record.set_octets(message.header_block.size() + message.body_octets);
  record.set_message_id_field(message_id.data(), message_id.size());
  record.set_client_helo(message.client.helo);
  record.set_client_listener(message.client.listener);
  record.set_report(attempt.report.value);
  record.set_about(message.about.value);
  record.set_kind(static_cast<std::uint32_t>(message.kind));
  record.set_status(delivery.final_status);
  record.set_original_recipient(delivery.original_recipient);
  record.set_alias(delivery.alias);
  record.set_tenant(message.tenant);
  record.set_campaign(message.campaign);
  record.set_priority(delivery.priority);
  append_record(record, octets);
}

Result<HistoryStep> decode_step(const HistoryKey& key, std::string_view octets) {
  record::Step record;
  if (!is_parsed(record, octets)) {
    return damaged("history", base::format_id(key.delivery), "no record");
  }
  HistoryStep step;
  step.delivery = key.delivery;
  step.at = key.at;
  const bool is_closing = key.kind == HistoryKind::Closing;
  const bool is_deed = !is_closing && record.what() >= static_cast<std::uint32_t>(Deed::Held) &&
                       record.what() <= static_cast<std::uint32_t>(Deed::Quarantined);
  const std::uint32_t what_max =
      is_closing ? static_cast<std::uint32_t>(Outcome::QuarantineExpired) : 3;
  if (!is_deed && (record.what() < 1 || record.what() > what_max)) {
    return damaged("history", base::format_id(key.delivery), "unknown step");
  }
  step.what = is_closing ? outcome_name(static_cast<Outcome>(record.what()))
              : is_deed  ? deed_name(static_cast<Deed>(record.what()))
                         : state_name(static_cast<DeliveryState>(record.what()));
  if (is_closing) step.outcome = static_cast<Outcome>(record.what());
  step.host = std::move(*record.mutable_host());
  step.reply = std::move(*record.mutable_reply());
  step.sender = std::move(*record.mutable_sender());
  step.recipient = std::move(*record.mutable_recipient());
  step.tls = std::move(*record.mutable_tls());
  step.rule = std::move(*record.mutable_rule());
  step.source = std::move(*record.mutable_source());
  step.client_user = std::move(*record.mutable_client_user());
  step.client_tls = std::move(*record.mutable_client_tls());
  step.took = read_duration(record.took());
  step.attempts = record.attempts();
  step.report = MessageId{record.report()};
  if (!is_closing) return step;
  if (record.kind() <= static_cast<std::uint32_t>(MessageKind::PostmasterReport)) {
    step.kind = static_cast<MessageKind>(record.kind());
  }
  step.about = MessageId{record.about()};
  // Records of older versions may lack it; a wrong one says no more than none.
  if (const auto address = read_address(record.client_address())) step.client_address = *address;
  step.client_helo = std::move(*record.mutable_client_helo());
  step.client_listener = std::move(*record.mutable_client_listener());
  step.accepted = read_time(record.accepted());
  step.octets = record.octets();
  step.message_id_field = std::move(*record.mutable_message_id_field());
  step.status = std::move(*record.mutable_status());
  step.original_recipient = std::move(*record.mutable_original_recipient());
  step.alias = std::move(*record.mutable_alias());
  step.tenant = std::move(*record.mutable_tenant());
  step.campaign = std::move(*record.mutable_campaign());
  step.priority = static_cast<std::uint8_t>(std::min(record.priority(), 255U));
  return step;
}

}  // namespace rockdove::queue
