#include "mta/cli/mime.h"

#include <algorithm>
#include <cstdint>

#include "mta/base/base64.h"
#include "mta/base/text.h"
#include "mta/mail/date.h"

namespace rockdove::cli {
namespace {

constexpr std::size_t kLineOctetsMax = 998;    // RFC 5322 §2.1.1
constexpr std::size_t kBase64LineInput = 57;   // makes 76 characters
constexpr std::size_t kEncodedWordInput = 45;  // makes 60 characters of the 75 (RFC 2047 §2)

bool is_printable_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 32 && c < 127; });
}

// With CRLF line ends, the last one included.
std::string with_crlf(std::string_view text) {
  std::string lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.append(line).append("\r\n");
  }
  return lines;
}

// Whether text with CRLF line ends can go as it is.
bool is_plain_text(std::string_view text) {
  std::size_t line = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool ends_line = c == '\r' && i + 1 < text.size() && text[i + 1] == '\n';
    if (ends_line) {
      ++i;
      line = 0;
    } else if ((c < 32 && c != '\t') || c == 127 || ++line > kLineOctetsMax) {
      return false;
    }
  }
  return true;
}

void append_text_part(std::string& out, std::string_view text) {
  const std::string lines = with_crlf(text);
  if (is_plain_text(lines)) {
    out.append("Content-Type: text/plain; charset=us-ascii\r\n\r\n").append(lines);
    return;
  }
  out += "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n";
  append_base64_lines(out, lines);
}

// name="scan.pdf", or as RFC 2231 §4 has it for what is not ASCII.
void append_parameter(std::string& out, std::string_view name, std::string_view value) {
  out.append(";\r\n ").append(name);
  if (is_printable_ascii(value)) {
    out += "=\"";
    for (const char c : value) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
    return;
  }
  constexpr std::string_view kHex = "0123456789ABCDEF";
  out += "*=utf-8''";
  for (const char c : value) {
    const auto octet = static_cast<unsigned char>(c);
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
    if (is_plain) {
      out += c;
    } else {
      out.append(1, '%').append(1, kHex[octet >> 4]).append(1, kHex[octet & 15]);
    }
  }
}

std::string_view type_of(std::string_view name) {
  constexpr std::string_view kTypes[][2] = {
      {".pdf", "application/pdf"}, {".png", "image/png"},        {".jpg", "image/jpeg"},
      {".jpeg", "image/jpeg"},     {".tif", "image/tiff"},       {".tiff", "image/tiff"},
      {".zip", "application/zip"}, {".csv", "text/csv"},         {".html", "text/html"},
      {".xml", "application/xml"}, {".json", "application/json"}};
  const std::string lowered = base::lower_case(name);
  for (const auto& [suffix, type] : kTypes) {
    if (lowered.ends_with(suffix)) return type;
  }
  return "application/octet-stream";
}

void append_attachment(std::string& out, const Attachment& attachment) {
  out.append("Content-Type: ").append(type_of(attachment.name)).append("\r\n");
  out += "Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment";
  append_parameter(out, "filename", attachment.name);
  out += "\r\n\r\n";
  append_base64_lines(out, attachment.content);
}

// Takes octets of at most `octets_max` from the front, never within a UTF-8 sequence.
std::string_view take_characters(std::string_view& text, std::size_t octets_max) {
  std::size_t end = std::min(octets_max, text.size());
  while (end < text.size() && end > 1 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;
  const std::string_view taken = text.substr(0, end);
  text.remove_prefix(end);
  return taken;
}

struct Header {
  std::string_view name;
  std::string_view value;
};

base::Result<Header> parse_header(std::string_view text) {
  const std::size_t colon = text.find(':');
  const Header header{text.substr(0, colon),
                      colon == std::string_view::npos ? "" : base::trimmed(text.substr(colon + 1))};
  // RFC 5322 §3.6.8: a name is printable ASCII without blanks and colons.
  const bool is_name =
      colon != std::string_view::npos && colon > 0 &&
      std::all_of(header.name.begin(), header.name.end(), [](char c) { return c > 32 && c < 127; });
  const bool has_control = std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 32 || c == 127;
  });
  if (!is_name || has_control)
    return base::Error("\"" + base::printable(text, 80) +
                       "\" is no header field; write \"Name: value\"");
  return header;
}

}  // namespace

void append_base64_lines(std::string& out, std::string_view octets) {
  out.reserve(out.size() + octets.size() / kBase64LineInput * 78 + 160);
  for (std::size_t i = 0; i < octets.size(); i += kBase64LineInput) {
    base::append_base64(out, octets.substr(i, kBase64LineInput));
    out += "\r\n";
  }
}

std::string encode_header_text(std::string_view text) {
  constexpr std::size_t kPlainOctetsMax = 900;
  const bool looks_encoded = text.find("=?") != std::string_view::npos;
  if (is_printable_ascii(text) && text.size() <= kPlainOctetsMax && !looks_encoded)
    return std::string(text);
  std::string encoded;
  while (!text.empty()) {
    if (!encoded.empty()) encoded += "\r\n ";
    encoded += "=?utf-8?B?";
    base::append_base64(encoded, take_characters(text, kEncodedWordInput));
    encoded += "?=";
  }
  return encoded;
}

base::Result<std::string> write_message(const NewMessage& message, base::WallTime now,
                                        std::string_view boundary) {
  std::string out;
  std::vector<std::string> given;  // lower-case names of the headers that stand already
  for (const std::string& text : message.headers) {
    const base::Result<Header> header = parse_header(text);
    if (!header) return header.error();
    given.push_back(base::lower_case(header->name));
    out.append(header->name).append(": ").append(encode_header_text(header->value)).append("\r\n");
  }
  const auto add = [&](std::string_view name, std::string_view value) {
    if (std::find(given.begin(), given.end(), base::lower_case(name)) != given.end()) return;
    out.append(name).append(": ").append(value).append("\r\n");
  };
  std::string to;
  for (const std::string& recipient : message.to) {
    if (!to.empty()) to += ",\r\n ";
    to.append("<").append(recipient).append(">");
  }
  add("Date", mail::format_date(now));
  add("From", "<" + message.from + ">");
  add("To", to);
  if (!message.subject.empty()) add("Subject", encode_header_text(message.subject));
  add("Message-ID", "<" + std::string(boundary) + "@" + message.hostname + ">");
  add("MIME-Version", "1.0");
  if (message.attachments.empty()) {
    append_text_part(out, message.text);
    return out;
  }
  const std::string delimiter = "--" + std::string(boundary);
  out.append("Content-Type: multipart/mixed; boundary=\"").append(boundary).append("\"\r\n\r\n");
  out.append(delimiter).append("\r\n");
  append_text_part(out, message.text);
  for (const Attachment& attachment : message.attachments) {
    out.append("\r\n").append(delimiter).append("\r\n");
    append_attachment(out, attachment);
  }
  out.append("\r\n").append(delimiter).append("--\r\n");
  return out;
}

}  // namespace rockdove::cli
