// Enhanced status codes (RFC 3463, registry of RFC 5248): the 5.1.1 that follows the 550 of a
// reply, and the Status field of delivery reports.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rockdove::mail {

struct EnhancedCode {
  std::uint8_t status_class = 0;  // 2 done, 4 not now, 5 never; 0: there is no code
  std::uint16_t subject = 0;      // 0 to 999
  std::uint16_t detail = 0;       // 0 to 999

  [[nodiscard]] bool is_set() const { return status_class != 0; }

  auto operator<=>(const EnhancedCode&) const = default;
};

// "5.1.1".
[[nodiscard]] std::string format_enhanced_code(const EnhancedCode& code);

struct EnhancedCodeAndText {
  EnhancedCode code;
  std::string_view text;  // what follows, without the blanks before it
};

// A code at the front of the text of a reply. nullopt when there is none: other classes than 2, 4
// and 5, leading zeros, more than three digits, or no end after it (4.3.2.1 is an address).
[[nodiscard]] std::optional<EnhancedCodeAndText> parse_enhanced_code(std::string_view text);

// What the code means, as half a sentence in plain words: "there is no such mailbox". A code that
// is not registered is explained by its subject, then by its class; never empty.
[[nodiscard]] std::string_view explain(const EnhancedCode& code);

}  // namespace rockdove::mail
