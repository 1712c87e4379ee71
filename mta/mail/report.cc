#include "mta/mail/report.h"

#include <algorithm>

#include "mta/base/assert.h"
#include "mta/base/base64.h"
#include "mta/base/text.h"
#include "mta/base/utf8.h"
#include "mta/mail/date.h"
#include "mta/mail/dsn.h"
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

// How addresses of the report are written (RFC 6533 §3): the sender's own decides.
Charset charset_of(const Report& report) {
  const std::string to = format_address(report.to);
  return !base::is_ascii(to) && base::is_utf8(to) ? Charset::Utf8 : Charset::Ascii;
}

struct Returned {
  std::string_view content_type;  // empty: nothing is returned
  std::string_view description;
  std::string text;
};

Returned choose_returned(const Report& report) {
  const std::string_view header = report.original_header;
  const bool is_global =
      report.original_is_smtputf8 && !base::is_ascii(header) && base::is_utf8(header);
  if (report.original_body && is_clean_text(header) && is_clean_text(*report.original_body)) {
    const std::string_view body = *report.original_body;
    if (header.size() + 2 + body.size() <= report.returned_octets_max) {
      std::string whole(header);
      whole.append("\r\n").append(body);
      return {is_global ? "message/global" : "message/rfc822", "Your message", std::move(whole)};
    }
  }
  Returned returned;
  for (const HeaderField& field : HeaderFields(header)) {
    if (returned.text.size() + field.whole.size() > report.returned_octets_max) break;
    if (is_clean_text(field.whole)) returned.text += field.whole;
  }
  if (!returned.text.empty()) {
    returned.content_type = is_global ? "message/global-headers" : "text/rfc822-headers";
    returned.description = "Header of your message";
  }
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

// The same for a value that may have UTF-8, in a header that may not: from the first word on that
// is not ASCII all becomes encoded words of at most 75 octets (RFC 2047 §2).
void append_encoded_field(std::string& out, std::string_view name, std::string_view value) {
  constexpr std::size_t kOctetsPerWord = 42;
  const auto high = std::find_if(value.begin(), value.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0x80) != 0;
  });
  if (high == value.end()) return append_field(out, name, value);
  const std::size_t blank = value.rfind(' ', static_cast<std::size_t>(high - value.begin()));
  const std::size_t plain = blank == std::string_view::npos ? 0 : blank + 1;
  std::string encoded(value.substr(0, plain));
  std::string_view rest = value.substr(plain);
  while (!rest.empty()) {
    std::size_t octets = std::min(rest.size(), kOctetsPerWord);
    while (octets < rest.size() && (static_cast<unsigned char>(rest[octets]) & 0xC0) == 0x80) {
      --octets;
    }
    encoded += "=?utf-8?B?";
    base::append_base64(encoded, rest.substr(0, octets));
    encoded += "?= ";
    rest.remove_prefix(octets);
  }
  encoded.pop_back();
  append_field(out, name, encoded);
}

// RFC 2045 §6.7. Lines end in CRLF.
std::string quoted_printable(std::string_view text) {
  constexpr std::string_view kHexDigits = "0123456789ABCDEF";
  constexpr std::size_t kColumnsMax = 75;  // and the "=" of a soft line break
  std::string out;
  std::size_t column = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 2) == "\r\n") {
      out += "\r\n";
      column = 0;
      ++i;
      continue;
    }
    const auto value = static_cast<unsigned char>(text[i]);
    const bool ends_line = text.substr(i + 1, 2) == "\r\n";
    const bool is_plain =
        (value > 32 && value < 127 && value != '=') || (value == ' ' && !ends_line);
    const std::size_t width = is_plain ? 1 : 3;
    if (column + width > kColumnsMax) {
      out += "=\r\n";
      column = 0;
    }
    if (is_plain) {
      out += text[i];
    } else {
      out += '=';
      out += kHexDigits[value >> 4];
      out += kHexDigits[value & 15];
    }
    column += width;
  }
  return out;
}

// Bounded, so that it fits a line: an octet may take eight.
std::string ascii_address(std::string_view utf8) {
  constexpr std::size_t kOctetsMax = 900;
  std::string encoded = encode_utf8_address(utf8);
  if (encoded.size() > kOctetsMax) encoded.resize(kOctetsMax);
  return encoded;
}

// "rfc822; bob@example.net", or the type of RFC 6533 §3 for an address with UTF-8.
std::string typed_address(const Address& address, Charset charset) {
  const std::string text = format_address(address);
  if (base::is_ascii(text) || !base::is_utf8(text))
    return "rfc822; " + shown_address(address, Charset::Ascii);
  if (charset == Charset::Utf8) return "utf-8; " + shown_address(address, Charset::Utf8);
  return "utf-8; " + ascii_address(text);
}

// What the sender called the recipient (RFC 3461 §4.2): "type;address". It is no ASCII only where
// its type is "utf-8".
std::string typed_original(std::string_view original, Charset charset) {
  constexpr std::size_t kOctetsMax = 500;
  const std::size_t semicolon = original.find(';');
  if (semicolon == std::string_view::npos) return {};
  std::string type = tamed(original.substr(0, semicolon), 50);
  std::string_view address = original.substr(semicolon + 1).substr(0, kOctetsMax);
  if (charset == Charset::Ascii && !base::is_ascii(address)) {
    return type + "; " + ascii_address(address);
  }
  return type + "; " + tamed(address, kOctetsMax, charset);
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

void append_recipient_fields(std::string& out, const ReportedRecipient& recipient, Detail detail,
                             Charset charset) {
  out += "\r\n";
  // Not folded: blanks within a quoted local part have to stay as they are.
  const std::string original = typed_original(recipient.original_recipient, charset);
  if (!original.empty()) out.append("Original-Recipient: ").append(original).append("\r\n");
  out.append("Final-Recipient: ")
      .append(typed_address(recipient.recipient, charset))
      .append("\r\n");
  append_field(out, "Action", action_name(recipient.action));
  append_field(out, "Status", format_enhanced_code(status_of(recipient)));
  if (detail == Detail::Brief) return;
  const bool is_remote = recipient.text_source == TextSource::RemoteServer;
  const std::string remote_mta = tamed(recipient.remote_mta, kDomainOctetsMax);
  if (!remote_mta.empty()) append_field(out, "Remote-MTA", "dns; " + remote_mta);
  const std::string text = tamed(recipient.text, kReportedTextOctetsMax, charset);
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
std::string delivery_status(const Report& report, Charset charset) {
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
                            i < kReportedInFullMax ? Detail::Full : Detail::Brief, charset);
  }
  return out;
}

std::string report_header(const Report& report, std::string_view boundary, Charset charset,
                          bool eight_bit) {
  Address to = report.to;
  if (to.domain.empty()) to.domain = report.reporting_mta;
  std::string out;
  append_field(out, "Date", format_date(report.now));
  append_field(out, "From", "Mail Delivery System <MAILER-DAEMON@" + report.reporting_mta + ">");
  out.append("To: <").append(shown_address(to, charset)).append(">\r\n");
  if (charset == Charset::Utf8) {
    append_field(out, "Subject", report_subject(report));
  } else {
    append_encoded_field(out, "Subject", report_subject(report));
  }
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
  const Charset charset = charset_of(report);
  const std::string text = report_text(report);
  const std::string status = delivery_status(report, charset);
  const Returned returned = choose_returned(report);
  const std::string boundary = choose_boundary(report, text + status, returned.text);
  constexpr std::string_view kEightBit = "Content-Transfer-Encoding: 8bit\r\n";

  ReportMessage message;
  message.is_smtputf8 = charset == Charset::Utf8;
  message.is_eight_bit =
      message.is_smtputf8 || !base::is_ascii(returned.text) || !base::is_ascii(status);
  message.header = report_header(report, boundary, charset, message.is_eight_bit);
  // What a person reads travels as ASCII everywhere.
  if (base::is_ascii(text)) {
    append_part(
        message.body, boundary,
        "Content-Description: What happened\r\nContent-Type: text/plain; charset=us-ascii\r\n",
        text);
  } else {
    append_part(message.body, boundary,
                "Content-Description: What happened\r\nContent-Type: text/plain; charset=utf-8\r\n"
                "Content-Transfer-Encoding: quoted-printable\r\n",
                quoted_printable(text));
  }
  std::string fields = "Content-Description: Delivery report\r\nContent-Type: message/";
  fields += message.is_smtputf8 ? "global-delivery-status\r\n" : "delivery-status\r\n";
  if (!base::is_ascii(status)) fields += kEightBit;
  append_part(message.body, boundary, fields, status);
  if (!returned.content_type.empty()) {
    fields = "Content-Description: ";
    fields.append(returned.description);
    fields.append("\r\nContent-Type: ").append(returned.content_type).append("\r\n");
    if (!base::is_ascii(returned.text)) fields += kEightBit;
    append_part(message.body, boundary, fields, returned.text);
  }
  message.body.append("--").append(boundary).append("--\r\n");
  return message;
}

}  // namespace rockdove::mail
