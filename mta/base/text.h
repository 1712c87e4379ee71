// ASCII text, the way mail protocols compare it: case folds for A-Z only, never by locale.
#pragma once

#include <string>
#include <string_view>

namespace rockdove::base {

[[nodiscard]] constexpr char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

[[nodiscard]] std::string lower_case(std::string_view text);
[[nodiscard]] bool equals_ignoring_case(std::string_view a, std::string_view b);
[[nodiscard]] bool starts_with_ignoring_case(std::string_view text, std::string_view prefix);

// Whether all of `text`, in any case, matches `pattern`, in which "*" stands for any run of
// characters.
[[nodiscard]] bool matches_pattern(std::string_view pattern, std::string_view text);

// Without spaces, tabs, CR and LF at both ends.
[[nodiscard]] std::string_view trimmed(std::string_view text);

// For logs and replies that show what a stranger sent: control characters and octets above 126
// become \xNN, quotes and backslashes are escaped, and what is longer than `octets_max` ends in
// "…".
[[nodiscard]] std::string printable(std::string_view text, std::size_t octets_max = 256);
// The same, at the end of `out`.
void append_printable(std::string& out, std::string_view text, std::size_t octets_max);

}  // namespace rockdove::base
