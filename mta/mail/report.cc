#include "mta/mail/report.h"

#include <algorithm>

#include "mta/base/assert.h"
#include "mta/base/text.h"
#include "mta/mail/date.h"
#include "mta/mail/headers.h"
#include "mta/mail/report_text.h"

namespace rockdove::mail {
namespace {

constexpr std::size_t kLineOctetsMax = 998;        // RFC 5322 §2.1.1, without CRLF
constexpr std::size_t kEnvelopeIdOctetsMax = 100;  // RFC 3461 §4.4
constexpr std::size_t kReportIdOctetsMax = 40;  // so that the boundary keeps to 70, RFC 2046 §5.1.1

// Whether the text can travel as it is: lines that end in CRLF and nowhere else, none too long, no
// NUL. What was accepted by SMTP has no bare CR or LF, but may have longer lines.
bool is_clean_text(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return false;
  while (!text.empty()) {
    const std::size_t end = text.find_first_of("\r\n");
    if (end == std::string_view::npos) return text.size() <= kLineOctetsMax;
    if (end > kLineOctetsMax || text.substr(end, 2) != "\r\n") return false;
    text.remove_prefix(end + 2);
  }
  return true;
}

bool is_eight_bit(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) > 127; });
}

struct Returned {
  std::string_view content_type;  // empty: nothing is returned
  std::string text;
};

Returned choose_returned(const Report& report) {
  const std::string_view header = report.original_header;
  if (report.original_body && is_clean_text(header) && is_clean_text(*report.original_body)) {
    const std::string_view body = *report.original_body;
    if (header.size() + 2 + body.size() <= report.returned_octets_max) {
      std::string whole(header);
      whole.append("\r\n").append(body);
      return {"message/rfc822", std::move(whole)};
    }
  }
  Returned returned;
  for (const HeaderField& field : HeaderFields(header)) {
    if (returned.text.size() + field.whole.size() > report.returned_octets_max) break;
    if (is_clean_text(field.whole)) returned.text += field.whole;
  }
  if (!returned.text.empty()) returned.content_type = "text/rfc822-headers";
  return returned;
}

// A boundary that stands in none of the parts; the first guess nearly always is one.
std::string choose_boundary(const Report& report, std::string_view text,
                            std::string_view returned) {
  const std::string stem = "=_rockdove_" + report.report_id;
  std::string boundary = stem;
  for (unsigned number = 1; text.find(boundary) != std::string_view::npos ||
                            returned.find(boundary) != std::string_view::npos;
       ++number) {
    boundary = stem + "_" + std::to_string(number) + "_";
  }
  return boundary;
}

// "Name: value" in folded lines. Only blanks are broken at, so the value is the same once unfolded.
void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  append_wrapped(out, value, {.column = name.size() + 2, .indent = " "});
  out += "\r\n";
}

std::string_view action_name(ReportAction action) {
  switch (action) {
    case ReportAction::Failed:
      return "failed";
    case ReportAction::Delayed:
      return "delayed";
    case ReportAction::Delivered:
      return "delivered";
    case ReportAction::Relayed:
      return "relayed";
    case ReportAction::Expanded:
      return "expanded";
  }
  MTA_ASSERT(false);
}

// The class of the code has to go with the action (RFC 3464 §2.3.4).
EnhancedCode status_of(const ReportedRecipient& recipient) {
  EnhancedCode status = recipient.status;
  switch (recipient.action) {
    case ReportAction::Failed:
      // A 4.x.x may stay: a delivery that was put off until its time was over failed with it.
      if (status.status_class != 4) status.status_class = 5;
      break;
    case ReportAction::Delayed:
      status.status_class = 4;
      break;
    case ReportAction::Delivered:
    case ReportAction::Relayed:
    case ReportAction::Expanded:
      status.status_class = 2;
      break;
  }
  return status;
}

enum class Detail : std::uint8_t { Full, Brief };

void append_recipient_fields(std::string& out, const ReportedRecipient& recipient, Detail detail) {
  out += "\r\n";
  // Not folded: blanks within a quoted local part have to stay as they are.
  out.append("Final-Recipient: rfc822; ").append(shown_address(recipient.recipient)).append("\r\n");
  append_field(out, "Action", action_name(recipient.action));
  append_field(out, "Status", format_enhanced_code(status_of(recipient)));
  if (detail == Detail::Brief) return;
  const bool is_remote = recipient.text_source == TextSource::RemoteServer;
  const std::string remote_mta = tamed(recipient.remote_mta, kDomainOctetsMax);
  if (!remote_mta.empty()) append_field(out, "Remote-MTA", "dns; " + remote_mta);
  const std::string text = tamed(recipient.text, kReportedTextOctetsMax);
  if (!text.empty()) {
    out += "Diagnostic-Code: ";
    append_wrapped(out, (is_remote ? "smtp; " : "x-rockdove; ") + text,
                   {.column = 17, .indent = " ", .word_octets_max = 76});
    out += "\r\n";
  }
  if (recipient.last_attempt != base::WallTime()) {
    append_field(out, "Last-Attempt-Date", format_date(recipient.last_attempt));
  }
  if (recipient.action == ReportAction::Delayed && recipient.retry_until) {
    append_field(out, "Will-Retry-Until", format_date(*recipient.retry_until));
  }
}

// RFC 3464 §2.
std::string delivery_status(const Report& report) {
  std::string out;
  const std::string envelope_id = tamed(report.original_envelope_id, kEnvelopeIdOctetsMax);
  if (!envelope_id.empty()) append_field(out, "Original-Envelope-Id", envelope_id);
  append_field(out, "Reporting-MTA", "dns; " + report.reporting_mta);
  append_field(out, "Arrival-Date", format_date(report.arrival));
  if (!report.message_id.empty()) append_field(out, "X-Rockdove-Message", report.message_id);
  if (report.further_failures > 0) {
    append_field(out, "X-Rockdove-Further-Failures", std::to_string(report.further_failures));
  }
  for (std::size_t i = 0; i < report.recipients.size(); ++i) {
    append_recipient_fields(out, report.recipients[i],
                            i < kReportedInFullMax ? Detail::Full : Detail::Brief);
  }
  return out;
}

std::string report_header(const Report& report, std::string_view boundary, bool eight_bit) {
  Address to = report.to;
  if (to.domain.empty()) to.domain = report.reporting_mta;
  std::string out;
  append_field(out, "Date", format_date(report.now));
  append_field(out, "From", "Mail Delivery System <MAILER-DAEMON@" + report.reporting_mta + ">");
  out.append("To: <").append(shown_address(to)).append(">\r\n");
  append_field(out, "Subject", report_subject(report));
  append_field(out, "Message-ID", "<" + report.report_id + ".report@" + report.reporting_mta + ">");
  const std::string_view original_id = message_id_of(report.original_header);
  // Mail programs then show the report beside the message. A long one would not fit a folded line.
  const bool is_referable = original_id.starts_with('<') && original_id.size() < 250 &&
                            original_id.find_first_of(" \t") == std::string_view::npos;
  if (is_referable) {
    append_field(out, "In-Reply-To", original_id);
    append_field(out, "References", original_id);
  }
  append_field(out, "Auto-Submitted", "auto-replied");  // RFC 3834 §5
  append_field(out, "MIME-Version", "1.0");
  out.append("Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"");
  out.append(boundary).append("\"\r\n");
  if (eight_bit) append_field(out, "Content-Transfer-Encoding", "8bit");
  return out;
}

void append_part(std::string& out, std::string_view boundary, std::string_view fields,
                 std::string_view content) {
  out.append("--").append(boundary).append("\r\n").append(fields).append("\r\n").append(content);
  out += "\r\n";  // belongs to the boundary that follows (RFC 2046 §5.1.1)
}

}  // namespace

ReportMessage build_report(const Report& report) {
  MTA_ASSERT(!report.recipients.empty());
  MTA_ASSERT(!report.report_id.empty() && report.report_id.size() <= kReportIdOctetsMax);
  MTA_ASSERT(std::all_of(report.report_id.begin(), report.report_id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.';
  }));
  const std::string text = report_text(report);
  const std::string status = delivery_status(report);
  const Returned returned = choose_returned(report);
  const std::string boundary = choose_boundary(report, text + status, returned.text);

  ReportMessage message;
  message.is_eight_bit = is_eight_bit(returned.text);
  message.header = report_header(report, boundary, message.is_eight_bit);
  append_part(
      message.body, boundary,
      "Content-Description: What happened\r\nContent-Type: text/plain; charset=us-ascii\r\n", text);
  append_part(message.body, boundary,
              "Content-Description: Delivery report\r\nContent-Type: message/delivery-status\r\n",
              status);
  if (!returned.content_type.empty()) {
    std::string fields = "Content-Description: ";
    fields += returned.content_type == "message/rfc822" ? "Your message" : "Header of your message";
    fields.append("\r\nContent-Type: ").append(returned.content_type).append("\r\n");
    if (message.is_eight_bit) fields += "Content-Transfer-Encoding: 8bit\r\n";
    append_part(message.body, boundary, fields, returned.text);
  }
  message.body.append("--").append(boundary).append("--\r\n");
  return message;
}

}  // namespace rockdove::mail
