#include "mta/outbound/bounce.h"

#include "mta/mail/address.h"
#include "mta/mail/enhanced_code.h"
#include "mta/mail/report.h"

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
    {"5.7.0", FailureKind::RefusedByPolicy},
    {"5.7.7", FailureKind::RefusedByPolicy},
    {"5.7.20", FailureKind::RefusedByPolicy},
    {"5.7.21", FailureKind::RefusedByPolicy},
    {"5.7.22", FailureKind::RefusedByPolicy},
    {"5.7.23", FailureKind::RefusedByPolicy},
    {"5.7.24", FailureKind::RefusedByPolicy},
    {"5.7.25", FailureKind::RefusedByPolicy},
    {"5.7.26", FailureKind::RefusedByPolicy},
    {"5.7.27", FailureKind::DomainTakesNoMail},
};

FailureKind kind_of(std::string_view status, std::string_view reply) {
  // 5.7.1 says both "no relay for you" and "refused by policy"; the words tell.
  if (status == "5.7.1") {
    const bool says_relay = reply.find("elay") != std::string_view::npos;
    return says_relay ? FailureKind::RelayDenied : FailureKind::RefusedByPolicy;
  }
  for (const KnownStatus& known : kKinds) {
    if (known.status == status) return known.kind;
  }
  return FailureKind::Other;
}

mail::Address address_of(std::string_view text) {
  const base::Result<mail::Address> address = mail::parse_mailbox_or_local_part(text);
  return address ? *address : mail::Address{std::string(text), {}};
}

// "mx.example.net" of "mx.example.net[192.0.2.1]:25", and "[192.0.2.1]" where that has no name.
std::string host_name(std::string_view host) {
  const std::size_t bracket = host.find('[');
  return std::string(host.substr(0, bracket == 0 ? host.find(']') + 1 : bracket));
}

mail::ReportedRecipient reported(const queue::Delivery& delivery) {
  mail::ReportedRecipient recipient;
  recipient.recipient = address_of(delivery.recipient);
  recipient.kind = kind_of(delivery.failed_status, delivery.last.reply);
  if (const auto status = mail::parse_enhanced_code(delivery.failed_status))
    recipient.status = status->code;
  recipient.remote_mta = host_name(delivery.last.host);
  recipient.text = delivery.last.reply;
  recipient.text_source =
      delivery.last.host.empty() ? mail::TextSource::Ourselves : mail::TextSource::RemoteServer;
  recipient.last_attempt = delivery.last.at;
  recipient.attempts = delivery.attempts;
  return recipient;
}

}  // namespace

queue::Message make_bounce(const queue::QueueSettings& settings, const BounceRequest& request) {
  const queue::Message& original = request.original;
  mail::Report report;
  report.reporting_mta = settings.hostname;
  report.report_id = base::format_id(request.id);
  report.to = address_of(request.to);
  report.arrival = original.accepted;
  report.now = request.now;
  report.message_id = base::format_id(original.id);
  for (const queue::Delivery& delivery : request.failed)
    report.recipients.push_back(reported(delivery));
  std::string_view header = original.header_block;
  if (header.ends_with("\r\n\r\n")) header.remove_suffix(2);
  report.original_header = header;
  if (request.body.size() == original.body_octets) report.original_body = request.body;
  report.returned_octets_max = settings.bounce_returned;
  const mail::ReportMessage text = mail::build_report(report);

  queue::Message message;
  message.id = request.id;
  message.kind = request.kind;
  message.accepted = request.now;
  message.header_block = text.header + "\r\n";
  message.body = std::make_shared<const std::string>(text.body);
  message.body_octets = text.body.size();
  message.body_chunks = queue::body_chunks_of(text.body.size());
  message.eight_bit = text.is_eight_bit;
  return message;
}

}  // namespace rockdove::outbound
