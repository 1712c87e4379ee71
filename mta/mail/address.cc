#include "mta/mail/address.h"

#include <algorithm>
#include <array>
#include <utility>

#include "mta/base/text.h"
#include "mta/base/utf8.h"
#include "mta/mail/idna.h"

namespace rockdove::mail {
namespace {

using base::Error;
using base::Result;

enum CharacterClass : std::uint8_t {
  kAtom = 1,         // atext, RFC 5322 §3.2.3
  kLetterDigit = 2,  // Let-dig, RFC 5321 §4.1.2
  kQuotable = 4,     // %d32-126: what may follow a backslash, RFC 5321 §4.1.2 quoted-pairSMTP
  kUtf8 = 8,         // octets above 127; whether they are UTF-8 is checked afterwards
};

// RFC 6531 §3.3: what may be unquoted, and what may be quoted, with UTF-8.
constexpr std::uint8_t kUnicodeAtom = kAtom | kUtf8;
constexpr std::uint8_t kUnicodeQuotable = kQuotable | kUtf8;

constexpr std::array<std::uint8_t, 256> make_character_classes() {
  std::array<std::uint8_t, 256> classes{};
  for (unsigned c = 32; c <= 126; ++c) classes[c] = kQuotable;
  for (unsigned c = 128; c <= 255; ++c) classes[c] = kUtf8;
  for (unsigned c = '0'; c <= '9'; ++c) classes[c] |= kAtom | kLetterDigit;
  for (unsigned c = 'a'; c <= 'z'; ++c) classes[c] |= kAtom | kLetterDigit;
  for (unsigned c = 'A'; c <= 'Z'; ++c) classes[c] |= kAtom | kLetterDigit;
  for (const char c : std::string_view("!#$%&'*+-/=?^_`{|}~")) {
    classes[static_cast<unsigned char>(c)] |= kAtom;
  }
  return classes;
}

constexpr std::array<std::uint8_t, 256> kCharacterClasses = make_character_classes();

bool is_in(char c, std::uint8_t wanted) {
  return (kCharacterClasses[static_cast<unsigned char>(c)] & wanted) != 0;
}

// A place in the text that moves forward over what has been read.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  [[nodiscard]] bool is_at_end() const { return position_ == text_.size(); }

  [[nodiscard]] bool is_at(char c) const { return !is_at_end() && text_[position_] == c; }

  [[nodiscard]] std::size_t position() const { return position_; }

  [[nodiscard]] std::string_view rest() const { return text_.substr(position_); }

  [[nodiscard]] std::string_view since(std::size_t start) const {
    return text_.substr(start, position_ - start);
  }

  char take() { return text_[position_++]; }

  bool take_if(char c) {
    if (!is_at(c)) return false;
    ++position_;
    return true;
  }

  // Moves over all that is of one of the classes; returns how many octets.
  std::size_t skip(std::uint8_t wanted) {
    const std::size_t start = position_;
    while (!is_at_end() && is_in(text_[position_], wanted)) ++position_;
    return position_ - start;
  }

  void move_to(std::size_t position) { position_ = position; }

 private:
  std::string_view text_;
  std::size_t position_ = 0;
};

bool is_dot_string(std::string_view text) {
  char before = '.';
  for (const char c : text) {
    if (c == '.' ? before == '.' : !is_in(c, kUnicodeAtom)) return false;
    before = c;
  }
  return before != '.';
}

// The normal form of a local part whose meaning, without quotes and backslashes, is `value`.
std::string quoted_if_needed(std::string_view value) {
  if (is_dot_string(value)) return std::string(value);
  std::string quoted = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  quoted += '"';
  return quoted;
}

// Quoted-string of RFC 5321 §4.1.2; the cursor is at its opening quote.
Result<std::string> parse_quoted_string(Cursor& cursor) {
  std::string value;
  cursor.take();
  while (!cursor.is_at_end()) {
    char c = cursor.take();
    if (c == '"') return quoted_if_needed(value);
    if (c == '\\') {
      if (cursor.is_at_end()) break;
      c = cursor.take();
    }
    if (!is_in(c, kUnicodeQuotable)) return Error("a character that no quoted local part may have");
    value += c;
  }
  return Error("the quoted local part has no closing quote");
}

Result<std::string> parse_local_part(Cursor& cursor) {
  const std::size_t start = cursor.position();
  std::string local;
  if (cursor.is_at('"')) {
    Result<std::string> quoted = parse_quoted_string(cursor);
    if (!quoted) return quoted;
    local = std::move(*quoted);
  } else {
    do {
      const bool is_first = cursor.position() == start;
      if (cursor.skip(kUnicodeAtom) > 0) continue;
      if (!is_first) return Error("the local part has a dot at its end or two in a row");
      return Error(
          "the local part is missing or begins with a character it may have only in quotes");
    } while (cursor.take_if('.'));
    local = std::string(cursor.since(start));
  }
  if (cursor.position() - start > kLocalPartOctetsMax) {
    return Error("the local part is over 64 octets");  // RFC 5321 §4.5.3.1.1
  }
  if (!base::is_utf8(local)) return Error("the local part is neither ASCII nor UTF-8");
  return local;
}

// Snum "." Snum "." Snum "." Snum of RFC 5321 §4.1.3: each one to three digits that are decimal
// even with leading zeros (elsewhere 010 is octal).
std::optional<std::array<std::uint8_t, 4>> parse_dotted_quad(std::string_view text) {
  std::array<std::uint8_t, 4> octets{};
  std::size_t position = 0;
  for (std::size_t i = 0; i < octets.size(); ++i) {
    if (i > 0 && (position == text.size() || text[position++] != '.')) return std::nullopt;
    unsigned number = 0;
    const std::size_t start = position;
    while (position < text.size() && text[position] >= '0' && text[position] <= '9') {
      if (position - start == 3) return std::nullopt;
      number = number * 10 + static_cast<unsigned>(text[position++] - '0');
    }
    if (position == start || number > 255) return std::nullopt;
    octets[i] = static_cast<std::uint8_t>(number);
  }
  if (position != text.size()) return std::nullopt;
  return octets;
}

std::optional<base::IpAddress> parse_ipv6(std::string_view text) {
  constexpr std::size_t kOctetsMax = 45;  // six groups, then a dotted quad
  if (text.size() > kOctetsMax || text.find(':') == std::string_view::npos) return std::nullopt;
  if (text.find('.') == std::string_view::npos) return base::parse_ip_address(text);
  const std::size_t split = text.rfind(':') + 1;
  const auto quad = parse_dotted_quad(text.substr(split));
  if (!quad) return std::nullopt;
  return base::parse_ip_address(std::string(text.substr(0, split)) +
                                base::format_ip_address(base::IpAddress::v4(*quad)));
}

// sub-domain *("." sub-domain) of RFC 5321 §4.1.2, as it stands there.
Result<std::string_view> parse_domain_name(Cursor& cursor) {
  const std::size_t start = cursor.position();
  do {
    const std::size_t label_start = cursor.position();
    if (cursor.skip(kLetterDigit) == 0) {
      if (label_start == start)
        return Error("the domain is missing or begins with a character no domain has");
      return Error("a label of the domain is empty or begins with a character no label may have");
    }
    while (cursor.is_at('-')) {
      while (cursor.take_if('-')) {
      }
      if (cursor.skip(kLetterDigit) == 0) return Error("a label of the domain ends with a hyphen");
    }
    if (cursor.position() - label_start > kDomainLabelOctetsMax) {
      return Error("a label of the domain is over 63 octets");
    }
  } while (cursor.take_if('.'));
  const std::string_view domain = cursor.since(start);
  if (domain.size() > kDomainOctetsMax)
    return Error("the domain is over 255 octets");  // §4.5.3.1.2
  return domain;
}

// A name with U-labels (RFC 6531 §3.3), if one begins here: its A-labels. nullopt: there is none.
std::optional<Result<std::string>> parse_unicode_domain(Cursor& cursor) {
  const std::string_view rest = cursor.rest();
  std::size_t octets = 0;
  bool is_unicode = false;
  while (octets < rest.size()) {
    const char c = rest[octets];
    if (!is_in(c, kLetterDigit | kUtf8) && c != '-' && c != '.') break;
    is_unicode = is_unicode || is_in(c, kUtf8);
    ++octets;
  }
  if (!is_unicode) return std::nullopt;
  cursor.move_to(cursor.position() + octets);
  return to_ascii_domain(rest.substr(0, octets));
}

Result<std::string> parse_domain(Cursor& cursor) {
  if (!cursor.is_at('[')) {
    if (std::optional<Result<std::string>> unicode = parse_unicode_domain(cursor))
      return std::move(*unicode);
    const Result<std::string_view> name = parse_domain_name(cursor);
    if (!name) return name.error();
    return base::lower_case(*name);
  }
  const std::size_t end = cursor.rest().find(']');
  if (end == std::string_view::npos) return Error("the address literal has no closing bracket");
  const auto ip = parse_address_literal(cursor.rest().substr(0, end + 1));
  if (!ip) return Error("the address literal is neither [192.0.2.1] nor [IPv6:2001:db8::1]");
  cursor.move_to(cursor.position() + end + 1);
  return format_address_literal(*ip);
}

// A-d-l ":" of RFC 5321 §4.1.2, if one is there: checked, then forgotten.
Result<void> skip_source_route(Cursor& cursor) {
  if (!cursor.is_at('@')) return {};
  do {
    if (!cursor.take_if('@')) return Error("a hop of the source route does not begin with @");
    const Result<std::string> hop = parse_domain(cursor);
    if (!hop) return hop.error().in("source route");
  } while (cursor.take_if(','));
  if (!cursor.take_if(':')) return Error("the source route does not end with a colon");
  return {};
}

Result<Address> parse_mailbox_at(Cursor& cursor) {
  Result<std::string> local = parse_local_part(cursor);
  if (!local) return local.error();
  if (!cursor.take_if('@')) {
    if (cursor.is_at_end() || cursor.is_at('>')) return Error("the address has no domain");
    return Error("the local part has a character that it may have only in quotes");
  }
  Result<std::string> domain = parse_domain(cursor);
  if (!domain) return domain.error();
  return Address{std::move(*local), std::move(*domain)};
}

// RFC 5321 §4.5.3.1.3, counted in the form that is kept; U-labels may take less room than A-labels.
bool is_too_long(const Address& address) {
  return address.local.size() + 1 + address.domain.size() + 2 > kPathOctetsMax;
}

Error trailing_error() {
  return Error("the domain has a character that no domain may have");
}

}  // namespace

std::string format_address(const Address& address) {
  std::string text;
  append_address(text, address);
  return text;
}

void append_address(std::string& text, const Address& address) {
  text += address.local;
  if (!address.domain.empty()) text.append(1, '@').append(address.domain);
}

bool is_unicode(const Address& address) {
  return !base::is_ascii(address.local);
}

bool is_postmaster(const Address& address) {
  return base::equals_ignoring_case(address.local, "postmaster");
}

Result<Address> parse_mailbox(std::string_view text) {
  Cursor cursor(text);
  Result<Address> address = parse_mailbox_at(cursor);
  if (address && !cursor.is_at_end()) return trailing_error();
  if (address && (text.size() + 2 > kPathOctetsMax || is_too_long(*address)))
    return Error("the address is over 254 octets");
  return address;
}

Result<Address> parse_mailbox_or_local_part(std::string_view text) {
  Cursor cursor(text);
  Result<std::string> local = parse_local_part(cursor);
  if (local && cursor.is_at_end()) return Address{std::move(*local), {}};
  return parse_mailbox(text);
}

Result<Path> parse_path(std::string_view text, PathKind kind) {
  Cursor cursor(text);
  if (!cursor.take_if('<')) return Error("the address is not in angle brackets");
  if (cursor.take_if('>')) {
    if (kind == PathKind::Forward) return Error("<> is no recipient");
    return Path{{}, cursor.rest()};
  }
  // RFC 5321 §4.5.1: <postmaster> needs no domain.
  constexpr std::string_view kPostmaster = "postmaster>";
  if (kind == PathKind::Forward && base::starts_with_ignoring_case(cursor.rest(), kPostmaster)) {
    return Path{{"postmaster", {}}, cursor.rest().substr(kPostmaster.size())};
  }
  const Result<void> route = skip_source_route(cursor);
  if (!route) return route.error();
  Result<Address> address = parse_mailbox_at(cursor);
  if (!address) return address.error();
  if (cursor.is_at_end()) return Error("the closing angle bracket is missing");
  if (!cursor.take_if('>')) return trailing_error();
  if (cursor.position() > kPathOctetsMax || is_too_long(*address))
    return Error("the path is over 256 octets");
  return Path{std::move(*address), cursor.rest()};
}

bool is_valid_domain(std::string_view domain) {
  Cursor cursor(domain);
  return parse_domain_name(cursor).is_ok() && cursor.is_at_end();
}

std::optional<base::IpAddress> parse_address_literal(std::string_view domain) {
  if (domain.size() < 2 || domain.front() != '[' || domain.back() != ']') return std::nullopt;
  const std::string_view inner = domain.substr(1, domain.size() - 2);
  constexpr std::string_view kTag = "IPv6:";
  if (base::starts_with_ignoring_case(inner, kTag)) return parse_ipv6(inner.substr(kTag.size()));
  const auto quad = parse_dotted_quad(inner);
  if (!quad) return std::nullopt;
  return base::IpAddress::v4(*quad);
}

std::string format_address_literal(const base::IpAddress& address) {
  return (address.is_v4() ? "[" : "[IPv6:") + base::format_ip_address(address) + "]";
}

}  // namespace rockdove::mail
