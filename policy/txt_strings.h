// TXT records as they stand in a zone file: a text in strings of at most 255 octets, which whoever
// reads the record puts together again without blanks (RFC 7208 §3.3, RFC 6376 §3.6.2.2).
#pragma once

#include <string>
#include <string_view>

namespace rockdove::policy {

// "\"v=DKIM1; …\" \"…\"": quoted, quotes and backslashes escaped.
[[nodiscard]] std::string format_txt_strings(std::string_view text);

}  // namespace rockdove::policy
