#include "mta/outbound/report_mail.h"

#include "mta/base/assert.h"
#include "mta/base/utf8.h"
#include "mta/mail/address.h"
#include "mta/mail/enhanced_code.h"
#include "mta/mail/headers.h"
#include "mta/mail/report.h"
#include "mta/outbound/router.h"
#include "queue/quarantine.h"

namespace rockdove::outbound {
namespace {

using mail::FailureKind;

struct KnownStatus {
  std::string_view status;
  FailureKind kind;
};

// RFC 3463 and the registry of RFC 5248, as far as a person is to do different things.
constexpr KnownStatus kKinds[] = {
    {"5.1.1", FailureKind::NoSuchUser},
    {"5.1.6", FailureKind::NoSuchUser},
    {"5.2.1", FailureKind::NoSuchUser},
    {"5.2.2", FailureKind::MailboxFull},
    {"4.2.2", FailureKind::MailboxFull},
    {"5.2.3", FailureKind::MessageTooBig},
    {"5.3.4", FailureKind::MessageTooBig},
    {"5.1.2", FailureKind::DomainNotFound},
    {"5.4.4", FailureKind::DomainNotFound},
    {"5.1.10", FailureKind::DomainTakesNoMail},
    {"5.4.6", FailureKind::Loop},
    {"4.4.7", FailureKind::Expired},
    {"5.6.3", FailureKind::NotConvertible},
    {"5.6.7", FailureKind::NeedsUtf8},
    {"5.6.9", FailureKind::NeedsUtf8},
    {"5.6.10", FailureKind::NeedsUtf8},
    {"5.7.0", FailureKind::RefusedByPolicy},
    {"4.7.5", FailureKind::TlsFailed},
    {"5.7.5", FailureKind::TlsFailed},
    {"5.7.7", FailureKind::RefusedByPolicy},
    {"4.7.8", FailureKind::LoginFailed},
    {"5.7.8", FailureKind::LoginFailed},
    {"4.7.9", FailureKind::LoginFailed},
    {"5.7.9", FailureKind::LoginFailed},
    {"4.7.10", FailureKind::TlsFailed},
    {"5.7.10", FailureKind::TlsFailed},
    {"5.7.20", FailureKind::RefusedByPolicy},
    {"5.7.21", FailureKind::RefusedByPolicy},
    {"5.7.22", FailureKind::RefusedByPolicy},
    {"5.7.23", FailureKind::RefusedByPolicy},
    {"5.7.24", FailureKind::RefusedByPolicy},
    {"5.7.25", FailureKind::RefusedByPolicy},
    {"5.7.26", FailureKind::RefusedByPolicy},
    {"5.7.27", FailureKind::DomainTakesNoMail},
};

FailureKind kind_by_status(std::string_view status) {
  for (const KnownStatus& known : kKinds) {
    if (known.status == status) return known.kind;
  }
  return FailureKind::Other;
}

// The code in "550 5.1.1 No such user"; "" if there is none.
std::string code_in(std::string_view reply) {
  const std::size_t blank = reply.find(' ');
  if (blank == std::string_view::npos) return {};
  const auto code = mail::parse_enhanced_code(reply.substr(blank + 1));
  return code ? mail::format_enhanced_code(code->code) : std::string();
}

FailureKind kind_of(std::string_view status, std::string_view reply) {
  // 530 and 535: RFC 4954 §6. They come with codes that say less.
  if (reply.starts_with("530 ") || reply.starts_with("535 ")) return FailureKind::LoginFailed;
  // 5.7.1 says both "no relay for you" and "refused by policy"; the words tell.
  if (status == "5.7.1") {
    const bool says_relay = reply.find("elay") != std::string_view::npos;
    return says_relay ? FailureKind::RelayDenied : FailureKind::RefusedByPolicy;
  }
  const FailureKind kind = kind_by_status(status);
  if (kind != FailureKind::Expired) return kind;
  // Its time was over; the last attempt may say why, where a person has to do something about it.
  const FailureKind why = kind_by_status(code_in(reply));
  const bool is_fault = why == FailureKind::TlsFailed || why == FailureKind::LoginFailed;
  return is_fault ? why : kind;
}

mail::ReportAction action_of(const queue::Delivery& delivery) {
  if (delivery.final_status.empty()) return mail::ReportAction::Delayed;
  switch (delivery.ending) {
    case queue::Ending::Failed:
      return mail::ReportAction::Failed;
    case queue::Ending::Delivered:
      return mail::ReportAction::Delivered;
    case queue::Ending::Relayed:
      return mail::ReportAction::Relayed;
    case queue::Ending::Expanded:
      return mail::ReportAction::Expanded;
  }
  MTA_ASSERT(false);
}

mail::Address address_of(std::string_view text) {
  const base::Result<mail::Address> address = mail::parse_mailbox_or_local_part(text);
  if (address) return *address;
  const std::size_t at = text.rfind('@');
  if (at == std::string_view::npos) return {std::string(text), {}};
  return {std::string(text.substr(0, at)), std::string(text.substr(at + 1))};
}

// "mx.example.net" of "mx.example.net[192.0.2.1]:25", and "[192.0.2.1]" where that has no name.
std::string host_name(std::string_view host) {
  const std::size_t bracket = host.find('[');
  return std::string(host.substr(0, bracket == 0 ? host.find(']') + 1 : bracket));
}

mail::ReportedRecipient reported(const queue::QueueSettings& settings,
                                 const queue::Message& original, const queue::Delivery& delivery) {
  mail::ReportedRecipient recipient;
  recipient.recipient = address_of(delivery.recipient);
  recipient.original_recipient = delivery.original_recipient;
  recipient.action = action_of(delivery);
  const bool is_delayed = recipient.action == mail::ReportAction::Delayed;
  const std::string status = is_delayed ? code_in(delivery.last.reply) : delivery.final_status;
  recipient.kind = kind_of(status, delivery.last.reply);
  if (const auto code = mail::parse_enhanced_code(status)) recipient.status = code->code;
  if (is_delayed) {
    recipient.retry_until = queue::alive_since(original, delivery) + settings.lifetime;
  }
  recipient.remote_mta = host_name(delivery.last.host);
  recipient.text = delivery.last.reply;
  recipient.text_source =
      delivery.last.host.empty() ? mail::TextSource::Ourselves : mail::TextSource::RemoteServer;
  recipient.last_attempt = delivery.last.at;
  recipient.attempts = delivery.attempts;
  return recipient;
}

}  // namespace

ReportMail make_report_mail(const queue::QueueSettings& settings, const OutboundSettings& outbound,
                            const ReportRequest& request) {
  const queue::Message& original = request.original;
  mail::Report report;
  report.reporting_mta = settings.hostname;
  report.report_id = base::format_id(request.id);
  report.to = address_of(request.to);
  report.arrival = original.accepted;
  report.now = request.now;
  report.message_id = base::format_id(original.id);
  report.original_envelope_id = original.envelope_id;
  bool has_failures = false;
  for (const queue::Delivery& delivery : request.about) {
    report.recipients.push_back(reported(settings, original, delivery));
    has_failures |= report.recipients.back().action == mail::ReportAction::Failed;
  }
  std::string_view header = original.header_block;
  if (header.ends_with("\r\n\r\n")) header.remove_suffix(2);
  report.original_header = header;
  report.original_is_smtputf8 = original.smtputf8;
  // RFC 3461 §4.3: without a failure only the header comes back.
  const bool may_return_all = has_failures && original.returned != mail::ReturnContent::Headers;
  if (may_return_all && request.body.size() == original.body_octets) {
    report.original_body = request.body;
  }
  report.returned_octets_max = settings.bounce_returned;
  const mail::ReportMessage text = mail::build_report(report);

  ReportMail mail{std::make_shared<queue::Message>(), {}};
  queue::Message& message = *mail.message;
  message.id = request.id;
  message.kind = request.kind;
  message.about = original.id;
  message.accepted = request.now;
  message.header_block = text.header + "\r\n";
  message.body = std::make_shared<const std::string>(text.body);
  message.body_octets = text.body.size();
  message.body_chunks = queue::body_chunks_of(text.body.size());
  message.eight_bit = text.is_eight_bit;
  message.smtputf8 = text.is_smtputf8;
  for (const std::string& recipient : request.recipients) {
    queue::Delivery& delivery = mail.deliveries.emplace_back();
    delivery.number = static_cast<std::uint32_t>(mail.deliveries.size());
    delivery.recipient = recipient;
    delivery.destination = destination_of(outbound, {recipient, "", "", {}});
    delivery.due = request.now;
    message.smtputf8 = message.smtputf8 || !base::is_ascii(recipient);
  }
  message.recipients = static_cast<std::uint32_t>(mail.deliveries.size());
  return mail;
}

void log_report(base::Log& log, base::MessageId about, const ReportMail& report,
                std::string_view what) {
  if (!log.wants(log.detail_level())) return;
  const queue::Message& message = *report.message;
  log.line(log.detail_level(), "report made")
      .id(about)
      .field("what", what)
      .field("report", base::format_id(message.id))
      .path("from", message.sender)
      .field("recipients", report.deliveries.size())
      .field("size", message.header_block.size() + message.body_octets)
      .detail("message_id", mail::message_id_of(message.header_block));
}

}  // namespace rockdove::outbound
