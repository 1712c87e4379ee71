#include "mta/smtp/command.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "mta/base/text.h"

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

Refusal bad_syntax(std::string_view text) {
  return refuse(Refusal::Why::Syntax, 501, "5.5.4", text);
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
  if (base::equals_ignoring_case(verb, "STARTTLS")) return true;
  if (verb.size() != 4) return false;
  switch (pack(verb)) {
    case pack("AUTH"):
    case pack("BDAT"):
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

base::Result<mail::Address> take_path(std::string_view& text, mail::PathKind kind) {
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

Refusal bad_address(std::string_view text, std::string_view enhanced, const base::Error& error) {
  const bool ascii = std::all_of(text.begin(), text.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 128; });
  if (!ascii) {
    return refuse(Refusal::Why::Syntax, 553, "5.6.7",
                  "addresses outside ASCII need SMTPUTF8, which is not offered");
  }
  return refuse(Refusal::Why::Syntax, 501, enhanced, error.text());
}

struct Parameter {
  std::string_view keyword;
  std::string_view value;  // empty if there is none
};

// The next of "KEYWORD" or "KEYWORD=value" (RFC 5321 §4.1.2, esmtp-param); nullopt at the end.
std::optional<Parameter> take_parameter(std::string_view& text) {
  skip_blanks(text);
  if (text.empty()) return std::nullopt;
  const std::string_view word = take_word(text);
  const std::size_t equals = word.find('=');
  if (equals == std::string_view::npos) return Parameter{word, {}};
  return Parameter{word.substr(0, equals), word.substr(equals + 1)};
}

Refusal not_offered(std::string_view keyword) {
  return refuse(Refusal::Why::ParameterNotOffered, 555, "5.5.4",
                "the parameter " + base::printable(keyword, 40) + " is not offered here");
}

// RFC 1870 §3: digits, at most 20. What does not fit 64 bits is too big for anybody.
std::optional<std::uint64_t> parse_size(std::string_view digits) {
  if (digits.empty() || digits.size() > 20) return std::nullopt;
  std::uint64_t size = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    const std::uint64_t room = (std::numeric_limits<std::uint64_t>::max() - digit) / 10;
    size = size > room ? std::numeric_limits<std::uint64_t>::max() : size * 10 + digit;
  }
  return size;
}

std::optional<Refusal> apply(const Parameter& parameter, MailCommand& command) {
  if (base::equals_ignoring_case(parameter.keyword, "SIZE")) {
    const std::optional<std::uint64_t> size = parse_size(parameter.value);
    if (!size) return bad_syntax("SIZE= needs a number of octets");
    command.size = *size;
    return std::nullopt;
  }
  if (base::equals_ignoring_case(parameter.keyword, "BODY")) {
    const bool seven_bit = base::equals_ignoring_case(parameter.value, "7BIT");
    if (!seven_bit && !base::equals_ignoring_case(parameter.value, "8BITMIME")) {
      return refuse(Refusal::Why::ParameterNotOffered, 555, "5.5.4",
                    "BODY= can be 7BIT or 8BITMIME here");
    }
    command.eight_bit = !seven_bit;
    return std::nullopt;
  }
  return not_offered(parameter.keyword);
}

Command parse_mail(std::string_view text) {
  if (!take_word_and_colon(text, "FROM")) return bad_syntax("write MAIL FROM:<address>");
  MailCommand command;
  if (!take_null_path(text)) {
    std::string_view rest = text;
    auto sender = take_path(rest, mail::PathKind::Reverse);
    if (!sender) {
      // <postmaster> has no domain and so is no reverse path (RFC 5321 §4.1.2), but some send it.
      std::string_view again = text;
      auto postmaster = take_path(again, mail::PathKind::Forward);
      if (!postmaster) return bad_address(text, "5.1.7", sender.error());
      sender = std::move(postmaster);
      rest = again;
    }
    command.sender = std::move(*sender);
    text = rest;
  }
  if (!text.empty() && !is_blank(text.front()))
    return bad_syntax("there is something behind the address");
  while (const std::optional<Parameter> parameter = take_parameter(text)) {
    if (std::optional<Refusal> refusal = apply(*parameter, command)) return std::move(*refusal);
  }
  return command;
}

Command parse_rcpt(std::string_view text) {
  if (!take_word_and_colon(text, "TO")) return bad_syntax("write RCPT TO:<address>");
  RcptCommand command;
  if (!take_null_path(text)) {
    const std::string_view path = text;
    auto recipient = take_path(text, mail::PathKind::Forward);
    if (!recipient) return bad_address(path, "5.1.3", recipient.error());
    command.recipient = std::move(*recipient);
  }
  if (!text.empty() && !is_blank(text.front()))
    return bad_syntax("there is something behind the address");
  if (const std::optional<Parameter> parameter = take_parameter(text))
    return not_offered(parameter->keyword);
  if (command.recipient.is_null()) {
    return refuse(Refusal::Why::Syntax, 501, "5.1.3", "the null address can only be a sender");
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

}  // namespace

Command parse_command(std::string_view line) {
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
      return parse_mail(rest);
    case pack("RCPT"):
      return parse_rcpt(rest);
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
      if (!is_string(rest)) return bad_syntax("VRFY needs a name or an address");
      return VrfyCommand{rest};
    default:
      break;
  }
  if (is_known_elsewhere(verb)) {
    return refuse(Refusal::Why::NotOffered, 502, "5.5.1", "this command is not offered here");
  }
  return refuse(Refusal::Why::UnknownVerb, 500, "5.5.2", "there is no such command");
}

}  // namespace rockdove::smtp
