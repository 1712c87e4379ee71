#include "policy/report_uri.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "mta/base/text.h"
#include "mta/mail/idna.h"

namespace rockdove::policy {

using base::Error;
using base::Result;

namespace {

bool is_letter(char c) {
  const char lowered = base::to_lower(c);
  return lowered >= 'a' && lowered <= 'z';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::optional<unsigned> hex_digit(char c) {
  if (is_digit(c)) return static_cast<unsigned>(c - '0');
  const char lowered = base::to_lower(c);
  if (lowered >= 'a' && lowered <= 'f') return static_cast<unsigned>(lowered - 'a') + 10;
  return std::nullopt;
}

// RFC 3986 §2, but for "," and "!", which must be encoded here (RFC 9989 §4.8), and for ";", which
// ends the tag.
bool is_uri_character(char c) {
  constexpr std::string_view kMarks = "-._~:/?#[]@$&'()*+=";
  return is_letter(c) || is_digit(c) || kMarks.find(c) != std::string_view::npos;
}

// nullopt: a "%" that no two hexadecimal digits follow, or a character that no URI has.
std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      if (!is_uri_character(text[i])) return std::nullopt;
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const std::optional<unsigned> high = hex_digit(text[i + 1]);
    const std::optional<unsigned> low = hex_digit(text[i + 2]);
    if (!high || !low) return std::nullopt;
    out += static_cast<char>(*high * 16 + *low);
    i += 2;
  }
  return out;
}

// The octets of a scheme (RFC 3986 §3.1) with a colon behind it; 0: there is none.
std::size_t scheme_octets(std::string_view text) {
  if (text.empty() || !is_letter(text.front())) return 0;
  const auto is_part = [](char c) {
    return is_letter(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
  };
  const auto end = std::find_if_not(text.begin(), text.end(), is_part);
  if (end == text.end() || *end != ':') return 0;
  return static_cast<std::size_t>(end - text.begin());
}

// Between "//" and what ends it (RFC 3986 §3.2), without user and port.
std::string host_of_authority(std::string_view text) {
  if (!text.starts_with("//")) return "";
  text.remove_prefix(2);
  text = text.substr(0, text.find_first_of("/?#"));
  if (const std::size_t at = text.rfind('@'); at != std::string_view::npos) {
    text.remove_prefix(at + 1);
  }
  const Result<std::string> host = mail::to_ascii_domain(text.substr(0, text.find(':')));
  return host ? *host : "";
}

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

// The power of two that a unit stands for; nullopt: no unit.
std::optional<unsigned> unit_shift(char unit) {
  switch (base::to_lower(unit)) {
    case 'k':
      return 10;
    case 'm':
      return 20;
    case 'g':
      return 30;
    case 't':
      return 40;
    default:
      return std::nullopt;
  }
}

// "!10m" without the "!".
Result<void> read_limit(std::string_view text, ReportUri& uri) {
  unsigned shift = 0;
  if (!text.empty() && !is_digit(text.back())) {
    const std::optional<unsigned> unit = unit_shift(text.back());
    if (!unit) return Error("the unit of its limit is none of k, m, g and t");
    shift = *unit;
    text.remove_suffix(1);
  }
  if (text.empty() || !std::all_of(text.begin(), text.end(), is_digit)) {
    return Error("what stands behind \"!\" is no limit");
  }
  std::uint64_t number = 0;
  for (const char c : text) {
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (number > (kMost - digit) / 10) {
      uri.has_absurd_limit = true;
      number = kMost;
      break;
    }
    number = number * 10 + digit;
  }
  uri.octets_max = number > (kMost >> shift) ? kMost : number << shift;
  return {};
}

}  // namespace

Result<ReportUri> parse_report_uri(std::string_view text) {
  ReportUri uri;
  const std::size_t mark = text.find('!');
  if (mark != std::string_view::npos) {
    if (Result<void> limit = read_limit(text.substr(mark + 1), uri); !limit) return limit.error();
    text = text.substr(0, mark);
  }
  const std::size_t scheme = scheme_octets(text);
  if (scheme == 0) return Error("it is no URI; an address begins with \"mailto:\"");
  const std::string_view rest = text.substr(scheme + 1);
  const std::optional<std::string> plain = decoded(rest);
  if (!plain) return Error("it has a character that must be encoded");
  uri.uri = text;
  if (!base::equals_ignoring_case(text.substr(0, scheme), "mailto")) {
    uri.host = host_of_authority(rest);
    return uri;
  }
  // Header fields behind "?" (RFC 6068 §2) are of no use in a report.
  const std::string to = *decoded(rest.substr(0, rest.find('?')));
  Result<mail::Address> mailbox = mail::parse_mailbox(to);
  if (mailbox) {
    uri.host = mailbox->domain;
    uri.mailbox = *std::move(mailbox);
  }
  return uri;
}

}  // namespace rockdove::policy
