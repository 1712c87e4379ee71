#include "mta/traffic/reply_pattern.h"

#include <algorithm>
#include <re2/re2.h>
#include <utility>
#include <variant>

#include "mta/base/text.h"
#include "mta/mail/enhanced_code.h"

namespace rockdove::traffic {

using base::Error;
using base::Result;

namespace {

constexpr std::int64_t kMemoryMax = 1024 * 1024;  // of a compiled pattern
constexpr std::size_t kCodeOctets = 3;

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Where the next line of a reply begins that continues with `code`, from `from` on; npos: nowhere.
std::size_t next_line(std::string_view text, std::string_view code, std::size_t from) {
  for (std::size_t at = text.find(code, from); at != std::string_view::npos;
       at = text.find(code, at + 1)) {
    const std::size_t behind = at + kCodeOctets;
    const bool begins = at > 0 && is_blank(text[at - 1]);
    const bool ends = behind == text.size() || text[behind] == '-' || is_blank(text[behind]);
    if (begins && ends) return at;
  }
  return std::string_view::npos;
}

// Each line with CRLF, as it came on the wire.
std::string as_wire(std::string_view text) {
  const std::string_view code = text.substr(0, kCodeOctets);
  // Only a reply whose first line says so goes on: "421 4.7.0 Error 421 occurred" is one line.
  const bool continues = text.size() > kCodeOctets && text[kCodeOctets] == '-';
  std::string wire;
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t next = continues ? next_line(text, code, at + kCodeOctets) : std::string_view::npos;
    next = std::min(next, text.size());
    std::string_view line = base::trimmed(text.substr(at, next - at));
    line.remove_prefix(std::min(line.size(), kCodeOctets + 1));
    wire.append(code).append(next == text.size() ? " " : "-");
    for (const char c : line) wire += is_blank(c) ? ' ' : c;
    wire += "\r\n";
    at = next;
  }
  return wire;
}

}  // namespace

std::string line_of(const smtp::Reply& reply) {
  std::string line = std::to_string(reply.code);
  if (reply.enhanced) line.append(" ").append(mail::format_enhanced_code(*reply.enhanced));
  if (!reply.text.empty()) line.append(" ").append(reply.text);
  std::replace(line.begin(), line.end(), '\n', ' ');
  if (line.size() > kMatchedOctetsMax) line.resize(kMatchedOctetsMax);
  return line;
}

Result<smtp::Reply> parse_refusal(std::string_view text) {
  const std::string_view said = base::trimmed(text);
  const bool has_code =
      said.size() >= kCodeOctets && (said[0] == '4' || said[0] == '5') && is_digit(said[1]) &&
      is_digit(said[2]) &&
      (said.size() == kCodeOctets || said[kCodeOctets] == '-' || is_blank(said[kCodeOctets]));
  if (!has_code) {
    return Error(
        "a refusal begins with a code from 400 to 599 and a blank, as in \"421 4.7.0 Try "
        "again later\"");
  }
  smtp::ReplyParser parser;
  parser.receive(as_wire(said));
  auto parsed = parser.next();
  if (!parsed) return Error("the reply does not end");
  if (const auto* malformed = std::get_if<smtp::Malformed>(&*parsed)) return Error(malformed->what);
  return std::get<smtp::Reply>(*std::move(parsed));
}

struct ReplyPattern::Compiled {
  Compiled(std::string_view text, const RE2::Options& options)
      : expression(re2::StringPiece(text.data(), text.size()), options) {}

  RE2 expression;
};

ReplyPattern::ReplyPattern(std::string_view text, std::unique_ptr<const Compiled> compiled)
    : text_(text), compiled_(std::move(compiled)) {}

ReplyPattern::~ReplyPattern() = default;

Result<std::shared_ptr<const ReplyPattern>> ReplyPattern::compile(std::string_view text) {
  if (text.empty()) return Error("the pattern is empty");
  if (text.size() > kPatternOctetsMax) {
    return Error("the pattern has more than " + std::to_string(kPatternOctetsMax) + " octets");
  }
  RE2::Options options;
  // Replies hold any octets: "." is one octet of them.
  options.set_encoding(RE2::Options::EncodingLatin1);
  options.set_case_sensitive(false);
  options.set_log_errors(false);
  options.set_max_mem(kMemoryMax);
  auto compiled = std::make_unique<const Compiled>(text, options);
  if (!compiled->expression.ok()) {
    return Error("no pattern that RE2 understands: " + compiled->expression.error());
  }
  return std::shared_ptr<const ReplyPattern>(new ReplyPattern(text, std::move(compiled)));
}

bool ReplyPattern::matches(std::string_view line) const {
  return RE2::PartialMatch(re2::StringPiece(line.data(), line.size()), compiled_->expression);
}

}  // namespace rockdove::traffic
