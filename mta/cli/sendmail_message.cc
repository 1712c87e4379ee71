#include "mta/cli/sendmail_message.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "mta/base/text.h"
#include "mta/base/utf8.h"
#include "mta/cli/mime.h"
#include "mta/mail/address_list.h"
#include "mta/mail/date.h"
#include "mta/mail/headers.h"

namespace rockdove::cli {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kBodyLineOctetsMax = 65'000;  // a listener takes 65,536
constexpr std::size_t kNameOctetsMax = 200;

// mbox's separator, not a From field with a blank before its colon (RFC 5322 §4.5).
bool is_mailbox_line(std::string_view line) {
  constexpr std::string_view kFrom = "From ";
  if (line.starts_with('>')) line.remove_prefix(1);
  if (!line.starts_with(kFrom)) return false;
  line.remove_prefix(kFrom.size());
  const std::size_t word = line.find_first_not_of(" \t");
  return word == std::string_view::npos || line[word] != ':';
}

// The next line without its end: LF, CRLF, or CR; of several CRs before an LF all are its end.
std::string_view take_line(std::string_view& rest) {
  const std::size_t end = rest.find_first_of("\r\n");
  const std::string_view line = rest.substr(0, end);
  if (end == std::string_view::npos) {
    rest = {};
    return line;
  }
  rest.remove_prefix(end);
  const std::size_t returns = std::min(rest.find_first_not_of('\r'), rest.size());
  if (returns < rest.size() && rest[returns] == '\n') {
    rest.remove_prefix(returns + 1);
  } else {
    rest.remove_prefix(1);
  }
  return line;
}

void append_without_nul(std::string& text, std::string_view line) {
  while (!line.empty()) {
    const std::size_t nul = std::min(line.find('\0'), line.size());
    text += line.substr(0, nul);
    line.remove_prefix(std::min(nul + 1, line.size()));
  }
}

bool is_any_of(const mail::HeaderField& field, const std::vector<std::string_view>& names) {
  return std::any_of(names.begin(), names.end(),
                     [&field](std::string_view name) { return field.is(name); });
}

Result<std::vector<mail::Address>> recipients_of(std::string_view header) {
  const std::vector<std::string_view> resent = {"Resent-To", "Resent-Cc", "Resent-Bcc"};
  const std::vector<std::string_view> plain = {"To", "Cc", "Bcc"};
  const mail::HeaderFields fields(header);
  const bool is_resent =
      std::any_of(fields.begin(), fields.end(),
                  [&resent](const mail::HeaderField& field) { return is_any_of(field, resent); });
  std::vector<mail::Address> recipients;
  for (const mail::HeaderField& field : fields) {
    if (!is_any_of(field, is_resent ? resent : plain)) continue;
    Result<std::vector<mail::Address>> found =
        mail::parse_address_list(field.value, kSendmailRecipientsMax - recipients.size());
    if (!found) return found.error().in(base::printable(field.name, 40));
    std::move(found->begin(), found->end(), std::back_inserter(recipients));
  }
  return recipients;
}

}  // namespace

std::string to_wire_lines(std::string_view input, LoneDot dot) {
  std::string text;
  text.reserve(input.size() + input.size() / 32 + 16);
  bool is_first = true;
  bool in_body = false;
  while (!input.empty()) {
    std::string_view line = take_line(input);
    if (dot == LoneDot::EndsMessage && line == ".") break;
    if (std::exchange(is_first, false) && is_mailbox_line(line)) {
      is_first = true;  // some have several
      continue;
    }
    in_body = in_body || line.empty();
    while (in_body && line.size() > kBodyLineOctetsMax) {
      append_without_nul(text, line.substr(0, kBodyLineOctetsMax));
      text += "\r\n";
      line.remove_prefix(kBodyLineOctetsMax);
    }
    append_without_nul(text, line);
    text += "\r\n";
  }
  return text;
}

Result<PreparedMail> prepare_mail(std::string_view text, Extraction extraction,
                                  const OwnFields& own) {
  mail::HeaderSplitter splitter;
  const std::size_t taken = splitter.receive(text);
  splitter.finish();
  const std::string_view header = splitter.header();
  PreparedMail prepared;
  if (extraction == Extraction::Recipients) {
    if (splitter.end() == mail::HeaderSplitter::End::TooBig)
      return Error("the header is larger than 256 KiB, so that not all recipients were read");
    Result<std::vector<mail::Address>> recipients = recipients_of(header);
    if (!recipients) return recipients.error();
    prepared.recipients = *std::move(recipients);
  }
  const std::vector<std::string_view> dropped = {"Bcc", "Resent-Bcc", "Return-Path",
                                                 "Content-Length"};
  std::string& content = prepared.content;
  content.reserve(text.size() + 512);
  for (const mail::HeaderField& field : mail::HeaderFields(header)) {
    if (!is_any_of(field, dropped)) content += field.whole;
  }
  // RFC 5322 §3.6: a message has these two, and should have the third.
  if (!mail::find_field(header, "From") && !own.from.empty())
    content.append("From: ").append(own.from).append("\r\n");
  if (!mail::has_date(header))
    content.append("Date: ").append(mail::format_date(own.now)).append("\r\n");
  if (!mail::has_message_id(header))
    content.append("Message-ID: ").append(own.message_id).append("\r\n");
  content += splitter.separator();
  content += splitter.body_start();
  content += text.substr(taken);
  return prepared;
}

std::string format_from(std::string_view full_name, const std::string& address) {
  constexpr std::string_view kWordCharacters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !#$%&'*+-/=?^_`{|}~";
  std::string name;
  for (const char c : base::trimmed(full_name).substr(0, kNameOctetsMax)) {
    if (static_cast<unsigned char>(c) >= 32 && c != 127) name += c;
  }
  if (name.empty()) return address;
  if (!base::is_ascii(name)) return encode_header_text(name) + " <" + address + ">";
  if (name.find_first_not_of(kWordCharacters) != std::string::npos) {
    std::string quoted = "\"";
    for (const char c : name) {
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += c;
    }
    name = quoted + "\"";
  }
  return name + " <" + address + ">";
}

}  // namespace rockdove::cli
