// Request targets in origin form (RFC 9112 §3.2.1): "/path?name=value&name=value", with %XX for
// every octet that is not unreserved (RFC 3986 §2.1).
//
// A plus sign means itself, as in RFC 3986, and not a space as in HTML forms: mail addresses have
// plus signs.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mta/base/result.h"

namespace rockdove::http {

inline constexpr std::size_t kParametersMax = 64;

struct Target {
  std::string path;                                             // decoded, begins with "/"
  std::vector<std::pair<std::string, std::string>> parameters;  // decoded, in order

  // The first of that name; null when there is none.
  [[nodiscard]] const std::string* find(std::string_view name) const;
};

// Errors: no leading slash, a broken %XX, over kParametersMax parameters.
[[nodiscard]] base::Result<Target> parse_target(std::string_view text);
[[nodiscard]] std::string format_target(const Target& target);

// nullopt: a percent sign without two hexadecimal digits behind it.
[[nodiscard]] std::optional<std::string> percent_decoded(std::string_view text);
// Leaves letters, digits and "-._~" as they are.
[[nodiscard]] std::string percent_encoded(std::string_view text);

}  // namespace rockdove::http
