// What a sender asks of delivery reports, as SMTP's DSN extension carries it (RFC 3461): values,
// and the xtext that they travel in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rockdove::mail {

// RET (RFC 3461 §4.3): how much of the message a report of failure returns.
enum class ReturnContent : std::uint8_t { Unset = 0, Full = 1, Headers = 2 };

// NOTIFY (RFC 3461 §4.1). Nothing set: the sender did not say, so failures are reported, and
// delays as we see fit.
struct NotifySet {
  bool never = false;  // alone
  bool success = false;
  bool failure = false;
  bool delay = false;

  [[nodiscard]] bool is_unset() const { return !never && !success && !failure && !delay; }

  [[nodiscard]] bool wants_success() const { return success; }

  [[nodiscard]] bool wants_failure() const { return failure || is_unset(); }

  [[nodiscard]] bool wants_delay() const { return delay || is_unset(); }

  bool operator==(const NotifySet&) const = default;
};

// "SUCCESS,FAILURE"; "" if nothing is set.
[[nodiscard]] std::string format_notify(const NotifySet& notify);

// In any case of letters. nullopt: not a NOTIFY value (NEVER with another one, an unknown word, one
// twice, none).
[[nodiscard]] std::optional<NotifySet> parse_notify(std::string_view text);

// RFC 3461 §4: "+" and two capital hexadecimal digits for "+", "=", and all but printable ASCII.
[[nodiscard]] std::string encode_xtext(std::string_view octets);
// nullopt: it is no xtext.
[[nodiscard]] std::optional<std::string> decode_xtext(std::string_view xtext);

// An address with UTF-8 in it, where only ASCII can go (RFC 6533 §3, utf-8-addr-xtext, without the
// "utf-8;" in front): "\x{FC}" for all but printable ASCII, and for "\", "+" and "=". What is no
// UTF-8 becomes U+FFFD.
[[nodiscard]] std::string encode_utf8_address(std::string_view address);
// The same back, also from utf-8-addr-unitext, which has UTF-8 as it is. nullopt: it is neither, or
// stands for a control character.
[[nodiscard]] std::optional<std::string> decode_utf8_address(std::string_view text);

}  // namespace rockdove::mail
