// Base64 (RFC 4648 §4), as AUTH and MIME bodies use it. Strict on the way in: no
// line breaks, no foreign characters, padding in full, and no bits set that belong to no octet, so
// that each text stands for one value and each value for one text.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace rockdove::base {

// Appends the text for `octets`, padded, on one line.
void append_base64(std::string& out, std::string_view octets);
[[nodiscard]] std::string encode_base64(std::string_view octets);

// nullopt: it is not base64. "" stands for no octets.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text);

}  // namespace rockdove::base
