#include "policy/spf_record.h"

#include <algorithm>
#include <utility>

#include "mta/base/text.h"
#include "policy/shown_text.h"
#include "policy/spf_macro.h"

namespace rockdove::policy {
namespace {

constexpr std::string_view kVersion = "v=spf1";

// What may follow a mechanism's name (RFC 7208 §5).
enum class Argument : std::uint8_t { None, Domain, MayDomain, MayDomainAndMask, Network };

struct Mechanism {
  std::string_view name;
  SpfTermKind kind;
  Argument argument;
};

constexpr Mechanism kMechanisms[] = {
    {"all", SpfTermKind::All, Argument::None},
    {"include", SpfTermKind::Include, Argument::Domain},
    {"a", SpfTermKind::A, Argument::MayDomainAndMask},
    {"mx", SpfTermKind::Mx, Argument::MayDomainAndMask},
    {"ptr", SpfTermKind::Ptr, Argument::MayDomain},
    {"ip4", SpfTermKind::Ip4, Argument::Network},
    {"ip6", SpfTermKind::Ip6, Argument::Network},
    {"exists", SpfTermKind::Exists, Argument::Domain},
};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_letter(char c) {
  return base::to_lower(c) >= 'a' && base::to_lower(c) <= 'z';
}

// What is wrong, and how far into the term. Empty: nothing.
using Mistake = std::optional<SpfTextProblem>;

std::string quoted(std::string_view text) {
  return "\"" + shown_text(text) + "\"";
}

// A number as RFC 7208 §12 writes masks: no leading zero, at most `most`.
std::optional<unsigned> parse_bits(std::string_view digits, unsigned most) {
  if (digits.empty() || digits.size() > 3 || (digits.size() > 1 && digits.front() == '0'))
    return std::nullopt;
  unsigned bits = 0;
  for (const char c : digits) {
    if (!is_digit(c)) return std::nullopt;
    bits = bits * 10 + static_cast<unsigned>(c - '0');
  }
  return bits <= most ? std::optional(bits) : std::nullopt;
}

// Where in `text` the digits at its end begin, when `mark` stands before them; else nullopt.
std::optional<std::size_t> find_mask(std::string_view text, std::string_view mark) {
  std::size_t digits = text.size();
  while (digits > 0 && is_digit(text[digits - 1])) --digits;
  if (digits == text.size() || !text.substr(0, digits).ends_with(mark)) return std::nullopt;
  return digits;
}

std::string bad_mask(std::string_view digits, unsigned most) {
  return quoted(digits) + " is no prefix length from 0 to " + std::to_string(most);
}

// Takes a mask off the end of `text`, which begins `offset` octets into the term.
Mistake take_mask(std::string_view& text, std::size_t offset, std::string_view mark, unsigned most,
                  unsigned& bits) {
  const std::optional<std::size_t> digits = find_mask(text, mark);
  if (!digits) return std::nullopt;
  const std::optional<unsigned> number = parse_bits(text.substr(*digits), most);
  if (!number) return SpfTextProblem{offset + *digits, bad_mask(text.substr(*digits), most)};
  bits = *number;
  text = text.substr(0, *digits - mark.size());
  return std::nullopt;
}

// "1.2.3.4/24" or "2001:db8::/32", which begins `offset` octets into the term.
Mistake read_network(std::string_view text, std::size_t offset, SpfTerm& term) {
  const bool is_v4 = term.kind == SpfTermKind::Ip4;
  const std::size_t slash = std::min(text.find('/'), text.size());
  const std::string_view digits = text.substr(slash);
  const unsigned most = is_v4 ? 32 : 128;
  if (!digits.empty()) {
    const std::optional<unsigned> bits = parse_bits(digits.substr(1), most);
    if (!bits) return SpfTextProblem{offset + slash + 1, bad_mask(digits.substr(1), most)};
    (is_v4 ? term.bits4 : term.bits6) = *bits;
  }
  const std::string_view written = text.substr(0, slash);
  const std::optional<base::IpAddress> address = base::parse_ip_address(written);
  const bool is_written_v4 = written.find(':') == std::string_view::npos;
  if (!address || is_written_v4 != is_v4) {
    return SpfTextProblem{
        offset, quoted(written) + (is_v4 ? " is no IPv4 address" : " is no IPv6 address")};
  }
  term.network = address->octets();
  if (!is_v4 && address->is_v4()) {  // IpAddress has read ::ffff:192.0.2.1 as what it means
    term.network = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    std::copy_n(address->octets().begin(), 4, term.network.begin() + 12);
  }
  return std::nullopt;
}

// What follows the name of a mechanism, `offset` octets into the term: ":" and a domain, masks.
Mistake read_argument(const Mechanism& mechanism, std::string_view rest, std::size_t offset,
                      SpfTerm& term) {
  const bool has_colon = rest.starts_with(':');
  if (mechanism.argument == Argument::None && !rest.empty())
    return SpfTextProblem{offset, quoted(mechanism.name) + " takes no argument"};
  if (mechanism.argument == Argument::Network && !has_colon)
    return SpfTextProblem{offset, quoted(mechanism.name) + " names no network"};
  if (mechanism.argument == Argument::Domain && !has_colon)
    return SpfTextProblem{offset, quoted(mechanism.name) + " names no domain"};
  if (mechanism.argument == Argument::Network)
    return read_network(rest.substr(1), offset + 1, term);
  if (mechanism.argument == Argument::MayDomainAndMask) {
    if (Mistake mistake = take_mask(rest, offset, "//", 128, term.bits6)) return mistake;
    if (Mistake mistake = take_mask(rest, offset, "/", 32, term.bits4)) return mistake;
  }
  if (rest.empty()) return std::nullopt;
  if (!has_colon) {
    return SpfTextProblem{offset, quoted(rest) + " cannot follow " + quoted(mechanism.name)};
  }
  term.domain = rest.substr(1);
  Mistake mistake = check_domain_spec(term.domain);
  if (mistake) mistake->position += offset + 1;
  return mistake;
}

// What may be meant by a name that is none.
std::string no_mechanism(std::string_view name) {
  const std::string said = quoted(name) + " is no mechanism of SPF";
  const std::string lower = base::lower_case(name.substr(0, 16));
  if (lower == "ipv4" || lower == "ip") return said + "; ip4 is one";
  if (lower == "ipv6") return said + "; ip6 is one";
  if (lower == "redirect" || lower == "exp") return said + ", but a modifier: write " + lower + "=";
  return said;
}

Mistake read_mechanism(SpfTerm& term) {
  std::size_t offset = 1;
  switch (term.text.front()) {
    case '+':
      break;
    case '-':
      term.qualifier = SpfQualifier::Fail;
      break;
    case '~':
      term.qualifier = SpfQualifier::SoftFail;
      break;
    case '?':
      term.qualifier = SpfQualifier::Neutral;
      break;
    default:
      offset = 0;
  }
  const std::size_t end = std::min(term.text.find_first_of(":/", offset), term.text.size());
  const std::string_view name = term.text.substr(offset, end - offset);
  for (const Mechanism& mechanism : kMechanisms) {
    if (!base::equals_ignoring_case(mechanism.name, name)) continue;
    term.kind = mechanism.kind;
    return read_argument(mechanism, term.text.substr(end), end, term);
  }
  return SpfTextProblem{offset, no_mechanism(name)};
}

// The length of the name when the term is a modifier (RFC 7208 §12: a letter, then letters, digits,
// "-", "_" and ".", then "="); 0 when it is not.
std::size_t modifier_name(std::string_view term) {
  const auto is_allowed = [](char c) {
    return is_letter(c) || is_digit(c) || c == '-' || c == '_' || c == '.';
  };
  std::size_t octets = 0;
  while (octets < term.size() && is_allowed(term[octets])) ++octets;
  return octets < term.size() && term[octets] == '=' && is_letter(term.front()) ? octets : 0;
}

Mistake read_modifier(SpfTerm& term, std::size_t name_octets) {
  const std::string_view name = term.text.substr(0, name_octets);
  const std::size_t offset = name_octets + 1;
  const std::string_view value = term.text.substr(offset);
  Mistake mistake;
  if (base::equals_ignoring_case(name, "redirect") || base::equals_ignoring_case(name, "exp")) {
    const bool is_redirect = name.size() > 3;
    term.kind = is_redirect ? SpfTermKind::Redirect : SpfTermKind::Explanation;
    term.domain = value;
    mistake = check_domain_spec(value);
  } else {
    term.kind = SpfTermKind::UnknownModifier;
    mistake = check_macro_string(value, SpfMacroPlace::Term);
  }
  if (mistake) mistake->position += offset;
  return mistake;
}

}  // namespace

bool causes_lookup(SpfTermKind kind) {
  switch (kind) {
    case SpfTermKind::Include:
    case SpfTermKind::A:
    case SpfTermKind::Mx:
    case SpfTermKind::Ptr:
    case SpfTermKind::Exists:
    case SpfTermKind::Redirect:
      return true;
    case SpfTermKind::All:
    case SpfTermKind::Ip4:
    case SpfTermKind::Ip6:
    case SpfTermKind::Explanation:
    case SpfTermKind::UnknownModifier:
      return false;
  }
  return false;
}

bool is_spf_record(std::string_view text) {
  return base::starts_with_ignoring_case(text, kVersion) &&
         (text.size() == kVersion.size() || text[kVersion.size()] == ' ');
}

SpfRecordReader::SpfRecordReader(std::string_view record)
    : record_(record), at_(std::min(kVersion.size(), record.size())) {}

std::variant<SpfTerm, SpfProblem, SpfRecordEnd> SpfRecordReader::next() {
  at_ = record_.find_first_not_of(' ', at_);
  if (at_ == std::string_view::npos) {
    at_ = record_.size();
    return SpfRecordEnd{};
  }
  SpfTerm term;
  term.position = at_;
  const std::size_t end = std::min(record_.find(' ', at_), record_.size());
  term.text = record_.substr(at_, end - at_);
  at_ = end;
  const std::size_t name_octets = modifier_name(term.text);
  Mistake mistake = name_octets > 0 ? read_modifier(term, name_octets) : read_mechanism(term);
  // RFC 7208 §6: each of the two at most once.
  const bool is_second =
      (term.kind == SpfTermKind::Redirect && std::exchange(has_redirect_, true)) ||
      (term.kind == SpfTermKind::Explanation && std::exchange(has_explanation_, true));
  if (!mistake && is_second) mistake = SpfTextProblem{0, "there may be only one such modifier"};
  if (!mistake) return term;
  at_ = record_.size();
  return SpfProblem{term.text, term.position + mistake->position, std::move(mistake->what)};
}

std::variant<SpfRecordModifiers, SpfProblem> check_spf_record(std::string_view record) {
  SpfRecordModifiers modifiers;
  SpfRecordReader reader(record);
  while (true) {
    auto next = reader.next();
    if (auto* problem = std::get_if<SpfProblem>(&next)) return std::move(*problem);
    const auto* term = std::get_if<SpfTerm>(&next);
    if (term == nullptr) return modifiers;
    if (term->kind == SpfTermKind::Redirect) modifiers.redirect = term->domain;
    if (term->kind == SpfTermKind::Explanation) modifiers.explanation = term->domain;
  }
}

bool is_in_network(const base::IpAddress& address, base::IpAddress::Family family,
                   const std::array<std::uint8_t, 16>& network, unsigned bits) {
  if (address.family() != family) return false;
  const auto& octets = address.octets();
  const std::size_t whole = bits / 8;
  if (!std::equal(octets.begin(), octets.begin() + static_cast<std::ptrdiff_t>(whole),
                  network.begin())) {
    return false;
  }
  if (bits % 8 == 0) return true;
  const unsigned mask = 0xffU << (8 - bits % 8);
  return ((static_cast<unsigned>(octets[whole]) ^ network[whole]) & mask & 0xffU) == 0;
}

}  // namespace rockdove::policy
