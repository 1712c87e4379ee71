#include "mta/smtp/command.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "mta/base/text.h"
#include "mta/base/utf8.h"
#include "mta/smtp/command_parameters.h"

namespace rockdove::smtp {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

bool is_control(char c) {
  const auto octet = static_cast<unsigned char>(c);
  return (octet < 32 && c != '\t') || octet == 127;
}

void skip_blanks(std::string_view& text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
}

// Takes the front of `text` up to a blank.
std::string_view take_word(std::string_view& text) {
  const auto end = std::find_if(text.begin(), text.end(), is_blank);
  const std::string_view word = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  text.remove_prefix(word.size());
  return word;
}

Refusal refuse(Refusal::Why why, int code, std::string_view enhanced, std::string_view text) {
  return {why, make_reply(code, enhanced, text)};
}

// Four letters as one number, so that a verb is found by a switch.
constexpr std::uint32_t pack(std::string_view verb) {
  std::uint32_t packed = 0;
  for (const char c : verb.substr(0, 4)) {
    packed = packed << 8 | static_cast<unsigned char>(base::to_lower(c));
  }
  return packed;
}

// Verbs of SMTP and its extensions that are not offered: 502 rather than 500 (RFC 5321 §4.2.4).
bool is_known_elsewhere(std::string_view verb) {
  if (verb.size() != 4) return false;
  switch (pack(verb)) {
    case pack("BURL"):
    case pack("EXPN"):
    case pack("ETRN"):
    case pack("ATRN"):
    case pack("TURN"):
    case pack("SEND"):
    case pack("SOML"):
    case pack("SAML"):
    case pack("LHLO"):
      return true;
    default:
      return false;
  }
}

Command parse_hello(std::string_view name, bool extended) {
  if (name.empty()) {
    return bad_syntax(extended ? "EHLO needs the name of your host"
                               : "HELO needs the name of your host");
  }
  // Scanners and old devices call themselves anything; that endangers nobody.
  const bool printable =
      std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (!printable || name.size() > kHelloNameOctetsMax) {
    return bad_syntax("that cannot be the name of a host");
  }
  return HelloCommand{name, extended};
}

// "FROM:" or "TO:", with blanks around the words.
bool take_word_and_colon(std::string_view& text, std::string_view word) {
  skip_blanks(text);
  if (!base::starts_with_ignoring_case(text, word)) return false;
  text.remove_prefix(word.size());
  skip_blanks(text);
  if (!text.starts_with(':')) return false;
  text.remove_prefix(1);
  skip_blanks(text);
  return true;
}

// Takes "<>" or "< >".
bool take_null_path(std::string_view& text) {
  if (!text.starts_with('<')) return false;
  std::string_view rest = text.substr(1);
  skip_blanks(rest);
  if (!rest.starts_with('>')) return false;
  text = rest.substr(1);
  return true;
}

// "<root>", or without brackets: one of this machine. Nullopt: it is none, nothing was taken.
std::optional<mail::Address> take_user(std::string_view& text) {
  const bool has_brackets = text.starts_with('<');
  const std::string_view from = text.substr(has_brackets ? 1 : 0);
  std::size_t octets = 0;
  if (from.starts_with('"')) {
    octets = 1;
    while (octets < from.size() && from[octets] != '"') octets += from[octets] == '\\' ? 2U : 1U;
  }
  octets = std::min(from.find_first_of(has_brackets ? ">" : " \t", octets), from.size());
  if (has_brackets && octets == from.size()) return std::nullopt;
  base::Result<mail::Address> user = mail::parse_mailbox_or_local_part(from.substr(0, octets));
  if (!user || !user->domain.empty()) return std::nullopt;
  text = from.substr(octets + (has_brackets ? 1 : 0));
  return std::move(*user);
}

base::Result<mail::Address> take_path(std::string_view& text, mail::PathKind kind,
                                      AddressForm form = AddressForm::Mailbox) {
  if (form == AddressForm::OrUser) {
    if (std::optional<mail::Address> user = take_user(text)) return std::move(*user);
  }
  if (!text.starts_with('<')) {
    // Scripts and devices leave the brackets out. No blank can be in such an address.
    const std::string bracketed = "<" + std::string(take_word(text)) + ">";
    auto path = mail::parse_path(bracketed, kind);
    if (!path) return path.error();
    if (!path->rest.empty()) return base::Error("there is something behind the address");
    return std::move(path->address);
  }
  auto path = mail::parse_path(text, kind);
  if (!path) return path.error();
  text = path->rest;
  return std::move(path->address);
}

Command parse_mail(std::string_view text, AddressForm form) {
  const std::string_view line = text;
  if (!take_word_and_colon(text, "FROM")) return bad_syntax("write MAIL FROM:<address>");
  MailCommand command;
  if (!take_null_path(text)) {
    std::string_view rest = text;
    auto sender = take_path(rest, mail::PathKind::Reverse, form);
    if (!sender) {
      // <postmaster> has no domain and so is no reverse path (RFC 5321 §4.1.2), but some send it.
      std::string_view again = text;
      auto postmaster = take_path(again, mail::PathKind::Forward);
      if (!postmaster) {
        return refuse(Refusal::Why::Syntax, 501, "5.1.7", sender.error().text());
      }
      sender = std::move(postmaster);
      rest = again;
    }
    command.sender = std::move(*sender);
    text = rest;
  }
  if (!text.empty() && !is_blank(text.front()))
    return bad_syntax("there is something behind the address");
  while (const std::optional<Parameter> parameter = take_parameter(text)) {
    if (std::optional<Refusal> refusal = apply_parameter(*parameter, command))
      return std::move(*refusal);
  }
  if (!command.utf8 && !base::is_ascii(line)) {
    return refuse(Refusal::Why::Syntax, 553, "5.6.7",
                  "what is not ASCII needs the parameter SMTPUTF8");  // RFC 6531 §3.5
  }
  return command;
}

Command parse_rcpt(std::string_view text, AddressForm form) {
  if (!take_word_and_colon(text, "TO")) return bad_syntax("write RCPT TO:<address>");
  RcptCommand command;
  command.is_utf8 = !base::is_ascii(text);
  if (!take_null_path(text)) {
    auto recipient = take_path(text, mail::PathKind::Forward, form);
    if (!recipient) return refuse(Refusal::Why::Syntax, 501, "5.1.3", recipient.error().text());
    command.recipient = std::move(*recipient);
  }
  if (!text.empty() && !is_blank(text.front()))
    return bad_syntax("there is something behind the address");
  while (const std::optional<Parameter> parameter = take_parameter(text)) {
    if (std::optional<Refusal> refusal = apply_parameter(*parameter, command))
      return std::move(*refusal);
  }
  return command;
}

// A string, quoted or not, that is not empty (RFC 5321 §4.1.1.6).
bool is_string(std::string_view text) {
  if (!text.starts_with('"')) return !text.empty();
  std::size_t at = 1;
  while (at < text.size() && text[at] != '"') at += text[at] == '\\' ? 2U : 1U;
  return at + 1 == text.size() && at > 1;
}

Command parse_vrfy(std::string_view text) {
  VrfyCommand command;
  constexpr std::string_view kParameter = " SMTPUTF8";
  if (text.size() > kParameter.size() &&
      base::equals_ignoring_case(text.substr(text.size() - kParameter.size()), kParameter)) {
    command.utf8 = true;
    text = base::trimmed(text.substr(0, text.size() - kParameter.size()));
  }
  if (!is_string(text)) return bad_syntax("VRFY needs a name or an address");
  if (!command.utf8 && !base::is_ascii(text)) {
    return refuse(Refusal::Why::Syntax, 553, "5.6.7",
                  "what is not ASCII needs the parameter SMTPUTF8");  // RFC 6531 §3.7.4.2
  }
  command.argument = text;
  return command;
}

// auth-command = "AUTH" SP sasl-mech [SP initial-response], RFC 4954 §8; names as RFC 4422 §3.1.
Command parse_auth(std::string_view text) {
  constexpr std::size_t kMechanismOctetsMax = 20;
  AuthCommand command;
  command.mechanism = take_word(text);
  const bool is_name = std::all_of(command.mechanism.begin(), command.mechanism.end(), [](char c) {
    const char lowered = base::to_lower(c);
    return (lowered >= 'a' && lowered <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
  if (command.mechanism.empty() || command.mechanism.size() > kMechanismOctetsMax || !is_name)
    return bad_syntax("AUTH needs the name of a mechanism");
  skip_blanks(text);
  if (text.empty()) return command;
  command.initial = take_word(text);
  if (!text.empty()) return bad_syntax("there is something behind the initial response");
  return command;
}

// bdat-cmd = "BDAT" SP chunk-size [SP "LAST"], RFC 3030 §2.
Command parse_bdat(std::string_view text) {
  const std::optional<std::uint64_t> octets = parse_octets(take_word(text));
  if (!octets) return bad_syntax("BDAT needs the number of octets that follow");
  BdatCommand command{*octets, false};
  skip_blanks(text);
  if (text.empty()) return command;
  if (!base::equals_ignoring_case(text, "LAST"))
    return bad_syntax("behind BDAT's number there may only be LAST");
  command.last = true;
  return command;
}

}  // namespace

Command parse_command(std::string_view line, AddressForm form) {
  if (std::any_of(line.begin(), line.end(), is_control)) {
    return refuse(Refusal::Why::UnknownVerb, 500, "5.5.2", "a command has no control characters");
  }
  while (!line.empty() && is_blank(line.back())) line.remove_suffix(1);
  std::string_view rest = line;
  const std::string_view verb = take_word(rest);
  skip_blanks(rest);
  const auto without_argument = [&](Command command) -> Command {
    if (rest.empty()) return command;
    return bad_syntax("this command takes no argument");
  };
  switch (verb.size() == 4 ? pack(verb) : 0) {
    case pack("EHLO"):
      return parse_hello(rest, /*extended=*/true);
    case pack("HELO"):
      return parse_hello(rest, /*extended=*/false);
    case pack("MAIL"):
      return parse_mail(rest, form);
    case pack("RCPT"):
      return parse_rcpt(rest, form);
    case pack("DATA"):
      return without_argument(DataCommand{});
    case pack("RSET"):
      return without_argument(RsetCommand{});
    case pack("QUIT"):
      return without_argument(QuitCommand{});
    case pack("NOOP"):
      return NoopCommand{};
    case pack("HELP"):
      return HelpCommand{};
    case pack("VRFY"):
      return parse_vrfy(rest);
    case pack("AUTH"):
      return parse_auth(rest);
    case pack("BDAT"):
      return parse_bdat(rest);
    default:
      break;
  }
  if (base::equals_ignoring_case(verb, "STARTTLS")) return without_argument(StartTlsCommand{});
  if (is_known_elsewhere(verb)) {
    return refuse(Refusal::Why::NotOffered, 502, "5.5.1", "this command is not offered here");
  }
  return refuse(Refusal::Why::UnknownVerb, 500, "5.5.2", "there is no such command");
}

}  // namespace rockdove::smtp
