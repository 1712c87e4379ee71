#include "mta/smtp/reply.h"

#include <algorithm>
#include <array>
#include <utility>

#include "mta/base/assert.h"
#include "mta/base/text.h"

namespace rockdove::smtp {
namespace {

constexpr std::size_t kWireLineOctetsMax = 512 - 2;  // RFC 5321 §4.5.3.1.5, without CRLF
constexpr std::size_t kQuotedOctetsMax = 64;         // of what a peer said, in Malformed::what

bool is_printable(char c) {
  return c >= ' ' && c <= '~';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

void append_code(std::string& text, int code) {
  MTA_ASSERT(code >= 200 && code <= 599);
  const std::array<char, 3> digits = {static_cast<char>('0' + code / 100),
                                      static_cast<char>('0' + code / 10 % 10),
                                      static_cast<char>('0' + code % 10)};
  text.append(digits.data(), digits.size());
}

// The enhanced code at the front of `text`, if its class is that of `code` (RFC 2034 §4).
std::optional<mail::EnhancedCodeAndText> find_enhanced(std::string_view text, int code) {
  if (text.size() < 5 || text[0] - '0' != code / 100) return std::nullopt;
  return mail::parse_enhanced_code(text);
}

void append_clean(std::string& to, std::string_view text) {
  const std::size_t start = to.size();
  to.append(text);
  for (std::size_t i = start; i < to.size(); ++i) {
    const auto octet = static_cast<unsigned char>(to[i]);
    if (to[i] == '\t') {
      to[i] = ' ';
    } else if (octet < 32 || octet == 127) {
      to[i] = '?';
    }
  }
}

}  // namespace

Reply make_reply(int code, std::string_view enhanced, std::string_view text) {
  MTA_ASSERT(code >= 200 && code <= 599);
  Reply reply{code, std::nullopt, std::string(text)};
  if (!enhanced.empty()) {
    const auto parsed = mail::parse_enhanced_code(enhanced);
    MTA_ASSERT(parsed && parsed->text.empty());
    reply.enhanced = parsed->code;
  }
  return reply;
}

void append_reply(std::string& wire, const Reply& reply) {
  std::string_view rest = reply.text;
  for (bool more = true; more;) {
    const std::size_t end = rest.find('\n');
    more = end != std::string_view::npos;
    std::string_view line = rest.substr(0, end);
    const std::size_t line_start = wire.size();
    append_code(wire, reply.code);
    wire += more ? '-' : ' ';
    if (reply.enhanced) {
      wire.append(mail::format_enhanced_code(*reply.enhanced));
      if (!line.empty()) wire += ' ';
    }
    const std::size_t start = wire.size();
    line = line.substr(0, kWireLineOctetsMax - (start - line_start));
    wire.append(line);
    std::replace_if(
        wire.begin() + static_cast<std::ptrdiff_t>(start), wire.end(),
        [](char c) { return !is_printable(c); }, '?');
    wire.append("\r\n");
    if (more) rest.remove_prefix(end + 1);
  }
}

std::string format_reply(const Reply& reply) {
  std::string wire;
  append_reply(wire, reply);
  return wire;
}

std::string one_line(const Reply& reply, std::size_t octets_max) {
  constexpr std::string_view kHex = "0123456789abcdef";
  if (reply.is_none()) return "no reply";
  std::string line;
  append_code(line, reply.code);
  if (reply.enhanced) {
    line += ' ';
    line.append(mail::format_enhanced_code(*reply.enhanced));
  }
  if (!reply.text.empty()) line += ' ';
  for (const char c : reply.text) {
    if (line.size() >= octets_max) {
      line.resize(octets_max);
      return line + "…";
    }
    const auto octet = static_cast<unsigned char>(c);
    if (c == '\n') {
      line += "; ";
    } else if (is_printable(c)) {
      line += c;
    } else {
      line.append("\\x").append(1, kHex[octet >> 4]).append(1, kHex[octet & 15]);
    }
  }
  return line;
}

std::string_view stage_name(Stage stage) {
  switch (stage) {
    case Stage::Resolve:
      return "resolve";
    case Stage::Connect:
      return "connect";
    case Stage::Banner:
      return "banner";
    case Stage::Hello:
      return "EHLO";
    case Stage::Mail:
      return "MAIL";
    case Stage::Rcpt:
      return "RCPT";
    case Stage::Data:
      return "DATA";
    case Stage::Body:
      return "body";
    case Stage::FinalDot:
      return "final dot";
    case Stage::Idle:
      return "idle";
    case Stage::StartTls:
      return "STARTTLS";
    case Stage::Auth:
      return "AUTH";
  }
  return "unknown";
}

std::optional<std::variant<Reply, Malformed>> ReplyParser::next() {
  while (!malformed_) {
    const std::string_view input = input_.view();
    const std::size_t end = input.find('\n', scanned_);
    if (end == std::string_view::npos) {
      scanned_ = input.size();
      if (input.size() <= kReplyLineOctetsMax) return std::nullopt;
    }
    scanned_ = 0;
    std::string_view line = input.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    malformed_ = add_line(line);
    if (malformed_) break;
    input_.take(end + 1);
    if (!complete_) continue;
    complete_ = false;
    lines_ = 0;
    octets_ = 0;
    return std::exchange(building_, Reply());
  }
  return *malformed_;
}

std::optional<Malformed> ReplyParser::add_line(std::string_view line) {
  const auto malformed = [line](std::string_view problem) {
    return Malformed{std::string(problem) + ": \"" + base::printable(line, kQuotedOctetsMax) +
                     "\""};
  };
  octets_ += line.size();
  if (line.size() >= kReplyLineOctetsMax) return malformed("a reply line is too long");
  if (++lines_ > kReplyLinesMax || octets_ > kReplyOctetsMax) {
    return malformed("a reply is too long");
  }
  // RFC 5321 §4.2: three digits, then a blank, a hyphen or nothing.
  const bool has_code = line.size() >= 3 && line[0] >= '2' && line[0] <= '5' && is_digit(line[1]) &&
                        is_digit(line[2]);
  if (!has_code || (line.size() > 3 && line[3] != ' ' && line[3] != '-')) {
    return malformed("what came is no SMTP reply");
  }
  const int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
  complete_ = line.size() == 3 || line[3] == ' ';
  std::string_view text = line.substr(std::min<std::size_t>(4, line.size()));
  const std::optional<mail::EnhancedCodeAndText> enhanced = find_enhanced(text, code);
  if (lines_ == 1) {
    building_.code = code;
    if (enhanced) building_.enhanced = enhanced->code;
  } else {
    if (code != building_.code) return malformed("the lines of a reply have different codes");
    building_.text += '\n';
  }
  if (enhanced && enhanced->code == building_.enhanced) text = enhanced->text;
  append_clean(building_.text, text);
  return std::nullopt;
}

}  // namespace rockdove::smtp
