// Text of strangers on its way to a terminal, which obeys control characters: it could be made to
// hide a line, to lie, or worse.
#pragma once

#include <string>
#include <string_view>

namespace rockdove::cli {

// Control characters, those of U+0080 to U+009F too, and those that turn the direction of writing
// (U+202A to U+202E, U+2066 to U+2069) become "?"; octets that are no UTF-8 become U+FFFD. A tab
// stays.
[[nodiscard]] std::string safe_text(std::string_view text);

}  // namespace rockdove::cli
