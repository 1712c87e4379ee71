// UTF-8 as RFC 3629 §4 has it: shortest forms only, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string_view>

namespace rockdove::base {

// The octets of the sequence of two to four octets at the front of `text`, which is not empty; 0:
// there is none (one octet below 128 is none either).
[[nodiscard]] std::size_t utf8_sequence(std::string_view text);

[[nodiscard]] bool is_utf8(std::string_view text);

// No octet above 127.
[[nodiscard]] bool is_ascii(std::string_view text);

}  // namespace rockdove::base
