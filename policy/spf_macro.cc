#include "policy/spf_macro.h"

#include <algorithm>
#include <vector>

#include "dns/answers.h"
#include "mta/base/text.h"
#include "policy/shown_text.h"

namespace rockdove::policy {
namespace {

constexpr std::string_view kTermLetters = "slodiphv";
constexpr std::string_view kExplanationLetters = "slodiphvcrt";
constexpr std::string_view kDelimiters = ".-+,/_=";
constexpr unsigned kPartsMax = 1000;      // a larger number means no more than this one
constexpr std::size_t kTailOctets = 512;  // of a long expansion; more than any name has

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_alphanumeric(char c) {
  return (base::to_lower(c) >= 'a' && base::to_lower(c) <= 'z') || is_digit(c);
}

// A run of literal text, or one macro.
struct Piece {
  std::string_view literal;  // "%%", "%_" and "%-" are literals, too, but `is_escape`
  bool is_escape = false;
  char letter = 0;  // lower case; 0: a literal
  bool is_url_escaped = false;
  bool is_reversed = false;
  unsigned parts = 0;  // how many of the right are kept; 0: all
  std::string_view delimiters;
};

class PieceReader {
 public:
  PieceReader(std::string_view text, SpfMacroPlace place) : text_(text), place_(place) {}

  // nullopt: the end, or a mistake, which is then in problem().
  std::optional<Piece> next() {
    if (at_ == text_.size() || problem_) return std::nullopt;
    return text_[at_] == '%' ? read_escape() : read_literal();
  }

  [[nodiscard]] const std::optional<SpfTextProblem>& problem() const { return problem_; }

 private:
  std::optional<Piece> fail(std::size_t position, std::string what) {
    problem_ = {position, std::move(what)};
    return std::nullopt;
  }

  std::optional<Piece> read_literal() {
    const std::size_t end = std::min(text_.find('%', at_), text_.size());
    const char least = place_ == SpfMacroPlace::Explanation ? ' ' : '!';
    for (std::size_t i = at_; i < end; ++i) {
      if (text_[i] < least || text_[i] > '~') {
        return fail(
            i, "the octet \"" + shown_text(text_.substr(i, 1)) + "\" may not stand in a record");
      }
    }
    Piece piece;
    piece.literal = text_.substr(at_, end - at_);
    at_ = end;
    return piece;
  }

  std::optional<Piece> read_escape() {
    Piece piece;
    piece.is_escape = true;
    const std::string_view two = text_.substr(at_, 2);
    if (two == "%{") return read_macro();
    if (two == "%%") piece.literal = "%";
    if (two == "%_") piece.literal = " ";
    if (two == "%-") piece.literal = "%20";
    if (piece.literal.empty()) return fail(at_, "% stands alone; a percent sign is %%");
    at_ += two.size();
    return piece;
  }

  // At "%{" (RFC 7208 §7.1: macro-letter, transformers, delimiters, "}").
  std::optional<Piece> read_macro() {
    const std::size_t start = at_;
    if (++macros_ > kSpfMacrosMax) return fail(start, "there are too many macros");
    at_ += 2;
    const char letter = take();
    Piece piece;
    piece.letter = base::to_lower(letter);
    piece.is_url_escaped = letter != piece.letter;
    if (kExplanationLetters.find(piece.letter) == std::string_view::npos || letter == 0) {
      return fail(start, "\"" + shown_text(text_.substr(start, 3)) + "\" begins no macro");
    }
    if (place_ == SpfMacroPlace::Term &&
        kTermLetters.find(piece.letter) == std::string_view::npos) {
      return fail(start, std::string("%{") + letter + "} is for explanations only");
    }
    const std::size_t digits = at_;
    while (is_digit(peek())) {
      piece.parts = std::min(piece.parts * 10 + static_cast<unsigned>(take() - '0'), kPartsMax);
    }
    if (at_ != digits && piece.parts == 0) return fail(digits, "a macro keeps 0 parts");
    if (base::to_lower(peek()) == 'r') {
      piece.is_reversed = true;
      take();
    }
    const std::size_t delimiters = at_;
    while (peek() != 0 && kDelimiters.find(peek()) != std::string_view::npos) take();
    piece.delimiters = text_.substr(delimiters, at_ - delimiters);
    if (take() != '}') return fail(start, "the macro does not end in }");
    return piece;
  }

  // 0 at the end; a zero in the text is as wrong as the end.
  [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  char take() {
    const char c = peek();
    if (at_ < text_.size()) ++at_;
    return c;
  }

  std::string_view text_;
  SpfMacroPlace place_;
  std::size_t at_ = 0;
  std::size_t macros_ = 0;
  std::optional<SpfTextProblem> problem_;
};

// RFC 7208 §7.1: letters and digits, at least one letter; or with hyphens within.
bool is_top_label(std::string_view label) {
  if (label.empty() || !is_alphanumeric(label.front()) || !is_alphanumeric(label.back()))
    return false;
  const auto is_allowed = [](char c) { return is_alphanumeric(c) || c == '-'; };
  return std::all_of(label.begin(), label.end(), is_allowed) &&
         !std::all_of(label.begin(), label.end(), is_digit);
}

// "1.2.0.192" is not reversed here: %{i} is the address in its own order, a dot between the parts.
std::string dotted_address(const base::IpAddress& address) {
  if (address.is_v4()) return base::format_ip_address(address);
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string dotted;
  for (const unsigned octet : address.octets()) {
    for (const unsigned digit : {octet >> 4, octet & 0xf}) {
      if (!dotted.empty()) dotted += '.';
      dotted += kDigits[digit];
    }
  }
  return dotted;
}

std::string value_of(char letter, const SpfMacroValues& values) {
  switch (letter) {
    case 's':
      return std::string(values.sender);
    case 'l':
      return std::string(values.sender_local);
    case 'o':
      return std::string(values.sender_domain);
    case 'd':
      return std::string(values.domain);
    case 'i':
      return dotted_address(values.client);
    case 'p':
      return std::string(values.validated);
    case 'v':
      return values.client.is_v4() ? "in-addr" : "ip6";
    case 'h':
      return std::string(values.helo);
    case 'c':
      return base::format_ip_address(values.client);
    case 'r':
      return std::string(values.receiver.empty() ? "unknown" : values.receiver);
    default:
      return std::to_string(base::to_unix_milliseconds(values.now) / 1000);
  }
}

// RFC 7208 §7.3: split, reversed, cut on the left, and joined by dots.
std::string transformed(const Piece& piece, std::string value) {
  if (piece.parts == 0 && !piece.is_reversed && piece.delimiters.empty()) return value;
  const std::string_view delimiters = piece.delimiters.empty() ? "." : piece.delimiters;
  std::vector<std::string_view> parts;
  std::string_view rest = value;
  for (std::size_t end = rest.find_first_of(delimiters); end != std::string_view::npos;
       end = rest.find_first_of(delimiters)) {
    parts.push_back(rest.substr(0, end));
    rest.remove_prefix(end + 1);
  }
  parts.push_back(rest);
  if (piece.is_reversed) std::reverse(parts.begin(), parts.end());
  std::size_t first = 0;
  if (piece.parts != 0 && piece.parts < parts.size()) first = parts.size() - piece.parts;
  std::string joined;
  for (std::size_t i = first; i < parts.size(); ++i) {
    if (i > first) joined += '.';
    joined += parts[i];
  }
  return joined;
}

// All but the unreserved characters of RFC 3986 §2.3 as %XX (RFC 7208 §7.3).
std::string url_escaped(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string escaped;
  for (const char c : text) {
    if (is_alphanumeric(c) ||
        (c != 0 && std::string_view("-._~").find(c) != std::string_view::npos)) {
      escaped += c;
      continue;
    }
    const auto octet = static_cast<unsigned char>(c);
    escaped += '%';
    escaped += kDigits[octet >> 4];
    escaped += kDigits[octet & 0xf];
  }
  return escaped;
}

void append(std::string& out, const Piece& piece, const SpfMacroValues& values) {
  if (piece.letter == 0) {
    out += piece.literal;
    return;
  }
  const std::string value = transformed(piece, value_of(piece.letter, values));
  out += piece.is_url_escaped ? url_escaped(value) : value;
}

}  // namespace

std::optional<SpfTextProblem> check_macro_string(std::string_view text, SpfMacroPlace place) {
  PieceReader reader(text, place);
  while (reader.next()) {
  }
  return reader.problem();
}

std::optional<SpfTextProblem> check_domain_spec(std::string_view text) {
  if (text.empty()) return SpfTextProblem{0, "no domain is named"};
  PieceReader reader(text, SpfMacroPlace::Term);
  Piece last;
  while (const std::optional<Piece> piece = reader.next()) last = *piece;
  if (reader.problem()) return reader.problem();
  if (last.letter != 0 || last.is_escape) return std::nullopt;
  std::string_view end = last.literal;
  if (end.ends_with('.')) end.remove_suffix(1);
  const std::size_t dot = end.rfind('.');
  if (dot != std::string_view::npos && is_top_label(end.substr(dot + 1))) return std::nullopt;
  return SpfTextProblem{text.size() - last.literal.size(),
                        "\"" + shown_text(end) + "\" ends in no top-level domain"};
}

bool uses_spf_macro(std::string_view text, char letter) {
  PieceReader reader(text, SpfMacroPlace::Explanation);
  while (const std::optional<Piece> piece = reader.next()) {
    if (piece->letter == letter) return true;
  }
  return false;
}

std::string expand_domain_spec(std::string_view text, const SpfMacroValues& values) {
  PieceReader reader(text, SpfMacroPlace::Term);
  std::string name;
  while (const std::optional<Piece> piece = reader.next()) {
    append(name, *piece, values);
    if (name.size() > 2 * kTailOctets) name.erase(0, name.size() - kTailOctets);
  }
  if (name.ends_with('.')) name.pop_back();
  if (name.size() <= dns::kNameOctetsMax) return name;
  // RFC 7208 §7.3: whole labels go, with their dots, until the rest fits.
  const std::size_t dot = name.find('.', name.size() - dns::kNameOctetsMax - 1);
  return dot == std::string::npos ? name : name.substr(dot + 1);
}

std::optional<std::string> expand_explanation(std::string_view text, const SpfMacroValues& values) {
  PieceReader reader(text, SpfMacroPlace::Explanation);
  std::string expanded;
  while (expanded.size() < kSpfExplanationOctetsMax) {
    const std::optional<Piece> piece = reader.next();
    if (!piece) break;
    append(expanded, *piece, values);
  }
  if (expanded.size() > kSpfExplanationOctetsMax) expanded.resize(kSpfExplanationOctetsMax);
  const auto is_printable = [](char c) { return c >= ' ' && c <= '~'; };
  if (!std::all_of(expanded.begin(), expanded.end(), is_printable)) return std::nullopt;
  return expanded;
}

}  // namespace rockdove::policy
