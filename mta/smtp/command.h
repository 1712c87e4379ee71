// Command lines of SMTP (RFC 5321 §4.1) and of the extensions that we offer: text in, a value or a
// refusal out. No state: whether a command comes at the right time, whether this connection may use
// it, and whether UTF-8 was agreed on, is for the ServerSession to judge.
//
// Lenient where clients are sloppy and no harm is done (white space around FROM and ":", a path
// without angle brackets, trailing blanks); the address itself is as strict as mta/mail.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "mta/base/time.h"
#include "mta/mail/address.h"
#include "mta/mail/dsn.h"
#include "mta/smtp/reply.h"

namespace rockdove::smtp {

inline constexpr std::size_t kHelloNameOctetsMax = 255;

// Views point into the line that was parsed.
struct HelloCommand {
  std::string_view name;
  bool extended = false;  // EHLO
};

struct MailCommand {
  mail::Address sender;                                       // is_null() for <>
  std::uint64_t size = 0;                                     // of SIZE= (RFC 1870); 0: not given
  bool eight_bit = false;                                     // BODY=8BITMIME (RFC 6152)
  bool utf8 = false;                                          // SMTPUTF8 (RFC 6531)
  mail::ReturnContent returned = mail::ReturnContent::Unset;  // RET= (RFC 3461 §4.3)
  std::string envelope_id{};                   // of ENVID= (RFC 3461 §4.4), decoded; "" for none
  std::optional<int> priority{};               // MT-PRIORITY= (RFC 6710), -9 to 9
  std::optional<base::Duration> hold_for{};    // HOLDFOR= (RFC 4865); never with hold_until
  std::optional<base::WallTime> hold_until{};  // HOLDUNTIL= (RFC 4865)
};

struct RcptCommand {
  // Without a domain only <postmaster>, or as AddressForm says; is_null() for <>.
  mail::Address recipient;
  bool is_utf8 = false;              // something on the line is not ASCII
  mail::NotifySet notify{};          // NOTIFY= (RFC 3461 §4.1)
  std::string original_recipient{};  // of ORCPT= (RFC 3461 §4.2) as "rfc822;bob@x", decoded
};

struct DataCommand {};

struct RsetCommand {};

struct NoopCommand {};

struct VrfyCommand {
  std::string_view argument;  // never empty
  bool utf8 = false;          // SMTPUTF8 (RFC 6531 §3.7.4.2)
};

struct StartTlsCommand {};

// RFC 4954 §4.
struct AuthCommand {
  std::string_view mechanism;                 // a well-formed name, in any case of letters
  std::optional<std::string_view> initial{};  // response, as it stands there: "=" for an empty one
};

// RFC 3030 §2.
struct BdatCommand {
  std::uint64_t octets = 0;  // that follow the line; the largest number for all that is larger
  bool last = false;
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
                             NoopCommand, VrfyCommand, HelpCommand, QuitCommand, StartTlsCommand,
                             AuthCommand, BdatCommand, Refusal>;

// What may stand in MAIL and RCPT.
enum class AddressForm : std::uint8_t {
  Mailbox,  // RFC 5321: with a domain, but for <postmaster>
  OrUser,   // "root", too: from users of this machine
};

// `line` is without its line end and may hold any octet.
[[nodiscard]] Command parse_command(std::string_view line, AddressForm form = AddressForm::Mailbox);

}  // namespace rockdove::smtp
