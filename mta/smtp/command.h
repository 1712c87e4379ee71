// Command lines of SMTP (RFC 5321 §4.1): text in, a value or a refusal out. No state: whether a
// command comes at the right time is for the ServerSession to judge.
//
// Lenient where clients are sloppy and no harm is done (white space around FROM and ":", a path
// without angle brackets, trailing blanks); the address itself is as strict as mta/mail.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "mta/mail/address.h"
#include "mta/smtp/reply.h"

namespace rockdove::smtp {

inline constexpr std::size_t kHelloNameOctetsMax = 255;

// Views point into the line that was parsed.
struct HelloCommand {
  std::string_view name;
  bool extended = false;  // EHLO
};

struct MailCommand {
  mail::Address sender;    // is_null() for <>
  std::uint64_t size = 0;  // of SIZE= (RFC 1870); 0: not given
  bool eight_bit = false;  // BODY=8BITMIME (RFC 6152)
};

struct RcptCommand {
  mail::Address recipient;  // without a domain only for <postmaster>
};

struct DataCommand {};

struct RsetCommand {};

struct NoopCommand {};

struct VrfyCommand {
  std::string_view argument;  // never empty
};

struct HelpCommand {};

struct QuitCommand {};

// Why a line is no command of ours, and what to answer.
struct Refusal {
  enum class Why : std::uint8_t {
    UnknownVerb,          // nothing that SMTP knows: 500
    NotOffered,           // a verb of SMTP or its extensions that we do not offer: 502
    ParameterNotOffered,  // of MAIL or RCPT: 555
    Syntax,               // 501
  };
  Why why = Why::Syntax;
  Reply reply;
};

using Command = std::variant<HelloCommand, MailCommand, RcptCommand, DataCommand, RsetCommand,
                             NoopCommand, VrfyCommand, HelpCommand, QuitCommand, Refusal>;

// `line` is without its line end and may hold any octet.
[[nodiscard]] Command parse_command(std::string_view line);

}  // namespace rockdove::smtp
