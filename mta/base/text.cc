#include "mta/base/text.h"

#include <algorithm>

namespace rockdove::base {

std::string lower_case(std::string_view text) {
  std::string lowered(text);
  std::transform(lowered.begin(), lowered.end(), lowered.begin(), to_lower);
  return lowered;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return to_lower(x) == to_lower(y);
         });
}

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() &&
         equals_ignoring_case(text.substr(0, prefix.size()), prefix);
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::string printable(std::string_view text, std::size_t octets_max) {
  std::string shown;
  append_printable(shown, text, octets_max);
  return shown;
}

void append_printable(std::string& out, std::string_view text, std::size_t octets_max) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const std::string_view kept = text.substr(0, octets_max);
  std::size_t clean = 0;  // what stands from here on was found harmless and is copied in one go
  for (std::size_t at = 0; at < kept.size(); ++at) {
    const char c = kept[at];
    const auto octet = static_cast<unsigned char>(c);
    if (octet >= 32 && octet <= 126 && c != '"' && c != '\\') continue;
    out.append(kept.substr(clean, at - clean));
    clean = at + 1;
    if (c == '"' || c == '\\') {
      out.append(1, '\\').append(1, c);
    } else {
      out.append("\\x").append(1, kHex[octet >> 4]).append(1, kHex[octet & 15]);
    }
  }
  out.append(kept.substr(clean));
  if (text.size() > octets_max) out += "…";
}

bool matches_pattern(std::string_view pattern, std::string_view text) {
  // The usual two-finger walk: on a mismatch the last "*" takes one character more.
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && to_lower(pattern[p]) == to_lower(text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

}  // namespace rockdove::base
