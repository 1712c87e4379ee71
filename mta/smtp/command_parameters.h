// The parameters of MAIL and RCPT (RFC 5321 §4.1.2 esmtp-param) that we offer: SIZE (RFC 1870),
// BODY (RFC 6152), SMTPUTF8 (RFC 6531), RET, ENVID, NOTIFY and ORCPT (RFC 3461, RFC 6533),
// MT-PRIORITY (RFC 6710), HOLDFOR and HOLDUNTIL (RFC 4865), and AUTH (RFC 4954 §5), which is read
// and then not believed. Used by command.cc alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "mta/smtp/command.h"

namespace rockdove::smtp {

struct Parameter {
  std::string_view keyword;
  std::optional<std::string_view> value;  // nullopt: there is no "="
};

// The next of "KEYWORD" or "KEYWORD=value"; nullopt at the end.
[[nodiscard]] std::optional<Parameter> take_parameter(std::string_view& text);

// Notes it in the command; or why not.
[[nodiscard]] std::optional<Refusal> apply_parameter(const Parameter& parameter,
                                                     MailCommand& command);
[[nodiscard]] std::optional<Refusal> apply_parameter(const Parameter& parameter,
                                                     RcptCommand& command);

// 1 to 20 digits. What does not fit 64 bits becomes the largest number: too big for anybody.
[[nodiscard]] std::optional<std::uint64_t> parse_octets(std::string_view digits);

// 501 5.5.4
[[nodiscard]] Refusal bad_syntax(std::string_view text);

}  // namespace rockdove::smtp
