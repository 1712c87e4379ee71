// Text of strangers within what is said about it, in header fields, replies and logs: printable
// ASCII, with quotes and backslashes escaped, and "..." where it was cut.
#pragma once

#include <string>
#include <string_view>

#include "mta/base/text.h"

namespace rockdove::policy {

inline constexpr std::size_t kShownOctetsMax = 80;  // of a name or a term

[[nodiscard]] inline std::string shown_text(std::string_view text,
                                            std::size_t octets_max = kShownOctetsMax) {
  std::string shown = base::printable(text.substr(0, octets_max), octets_max);
  if (text.size() > octets_max) shown += "...";
  return shown;
}

}  // namespace rockdove::policy
