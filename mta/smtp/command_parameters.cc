#include "mta/smtp/command_parameters.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "mta/base/text.h"
#include "mta/mail/date.h"

namespace rockdove::smtp {
namespace {

constexpr std::size_t kEnvelopeIdOctetsMax = 100;         // RFC 3461 §4.4
constexpr std::size_t kOriginalRecipientOctetsMax = 500;  // RFC 3461 §4.2
constexpr std::size_t kAuthOctetsMax = 500;               // RFC 4954 §3

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

Refusal not_offered(std::string_view keyword) {
  if (keyword.empty()) return bad_syntax("a parameter needs a name");  // RFC 5321 §4.1.2
  return {Refusal::Why::ParameterNotOffered,
          make_reply(555, "5.5.4",
                     "the parameter " + base::printable(keyword, 40) + " is not offered here")};
}

std::optional<Refusal> apply_body(std::string_view value, MailCommand& command) {
  const bool seven_bit = base::equals_ignoring_case(value, "7BIT");
  if (!seven_bit && !base::equals_ignoring_case(value, "8BITMIME")) {
    return Refusal{Refusal::Why::ParameterNotOffered,
                   make_reply(555, "5.5.4", "BODY= can be 7BIT or 8BITMIME here")};
  }
  command.eight_bit = !seven_bit;
  return std::nullopt;
}

std::optional<Refusal> apply_ret(std::string_view value, MailCommand& command) {
  if (command.returned != mail::ReturnContent::Unset) return bad_syntax("RET= is there twice");
  if (base::equals_ignoring_case(value, "FULL")) {
    command.returned = mail::ReturnContent::Full;
  } else if (base::equals_ignoring_case(value, "HDRS")) {
    command.returned = mail::ReturnContent::Headers;
  } else {
    return bad_syntax("RET= is FULL or HDRS");
  }
  return std::nullopt;
}

std::optional<Refusal> apply_envid(std::string_view value, MailCommand& command) {
  if (!command.envelope_id.empty()) return bad_syntax("ENVID= is there twice");
  std::optional<std::string> id = mail::decode_xtext(value);
  // RFC 3461 §4.4: at most 100 characters as sent, printable once decoded.
  if (!id || id->empty() || value.size() > kEnvelopeIdOctetsMax || !is_printable(*id))
    return bad_syntax("ENVID= needs 1 to 100 characters of printable text as xtext");
  command.envelope_id = std::move(*id);
  return std::nullopt;
}

// priority-value of RFC 6710 §4.2: "0", or 1 to 9 with or without a minus.
std::optional<Refusal> apply_priority(std::string_view value, MailCommand& command) {
  if (command.priority) return bad_syntax("MT-PRIORITY= is there twice");
  const bool is_negative = value.starts_with('-');
  const std::string_view digit = value.substr(is_negative ? 1 : 0);
  const char least = is_negative ? '1' : '0';
  if (digit.size() != 1 || digit[0] < least || digit[0] > '9')
    return bad_syntax("MT-PRIORITY= needs a number from -9 to 9");
  command.priority = is_negative ? '0' - digit[0] : digit[0] - '0';
  return std::nullopt;
}

// RFC 4865 §4: at most one of the two, and once.
std::optional<Refusal> apply_hold(bool is_until, std::string_view value, MailCommand& command) {
  constexpr std::size_t kSecondsDigitsMax = 9;
  if (command.hold_for || command.hold_until)
    return bad_syntax("there is one HOLDFOR= or HOLDUNTIL=, not two");
  if (is_until) {
    const base::Result<base::WallTime> time = mail::parse_timestamp(value);
    if (!time) return bad_syntax("HOLDUNTIL= needs a time like 2026-11-23T08:00:00Z");
    command.hold_until = *time;
    return std::nullopt;
  }
  const std::optional<std::uint64_t> seconds = parse_octets(value);
  if (!seconds || *seconds == 0 || value.size() > kSecondsDigitsMax)
    return bad_syntax("HOLDFOR= needs 1 to 999999999 seconds");
  command.hold_for = std::chrono::seconds(*seconds);
  return std::nullopt;
}

// RFC 4954 §5: who sent it at first, as the client says; we trust nobody's word for it.
std::optional<Refusal> check_auth(std::string_view value) {
  const std::optional<std::string> mailbox = mail::decode_xtext(value);
  if (!mailbox || mailbox->empty() || value.size() > kAuthOctetsMax)
    return bad_syntax("AUTH= needs <> or a mailbox as xtext");
  return std::nullopt;
}

// addr-type of RFC 3461 §4.2, an atom.
bool is_address_type(std::string_view type) {
  return !type.empty() && std::all_of(type.begin(), type.end(), [](char c) {
    const char lowered = base::to_lower(c);
    return (lowered >= 'a' && lowered <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

std::optional<Refusal> apply_orcpt(std::string_view value, RcptCommand& command) {
  if (!command.original_recipient.empty()) return bad_syntax("ORCPT= is there twice");
  const std::size_t semicolon = value.find(';');
  const std::string_view type = value.substr(0, semicolon);
  if (semicolon == std::string_view::npos || value.size() > kOriginalRecipientOctetsMax ||
      !is_address_type(type))
    return bad_syntax("ORCPT= needs a type, a semicolon and an address");
  const std::string_view coded = value.substr(semicolon + 1);
  std::optional<std::string> address;
  if (base::equals_ignoring_case(type, "utf-8")) {
    address = mail::decode_utf8_address(coded);  // RFC 6533 §3
  } else {
    address = mail::decode_xtext(coded);
    if (address && !is_printable(*address)) address.reset();  // RFC 3461 §4.2
  }
  if (!address || address->empty()) return bad_syntax("the address of ORCPT= is not well formed");
  command.original_recipient = base::lower_case(type).append(1, ';').append(*address);
  return std::nullopt;
}

}  // namespace

std::optional<Parameter> take_parameter(std::string_view& text) {
  const std::size_t start = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(start);
  if (text.empty()) return std::nullopt;
  const std::string_view word = text.substr(0, text.find_first_of(" \t"));
  text.remove_prefix(word.size());
  const std::size_t equals = word.find('=');
  if (equals == std::string_view::npos) return Parameter{word, std::nullopt};
  return Parameter{word.substr(0, equals), word.substr(equals + 1)};
}

std::optional<Refusal> apply_parameter(const Parameter& parameter, MailCommand& command) {
  const auto is = [&](std::string_view name) {
    return base::equals_ignoring_case(parameter.keyword, name);
  };
  const std::string_view value = parameter.value.value_or(std::string_view());
  if (is("SIZE")) {
    const std::optional<std::uint64_t> size = parse_octets(value);
    if (!size) return bad_syntax("SIZE= needs a number of octets");
    command.size = *size;
    return std::nullopt;
  }
  if (is("BODY")) return apply_body(value, command);
  if (is("SMTPUTF8")) {
    if (parameter.value) return bad_syntax("SMTPUTF8 takes no value");
    command.utf8 = true;
    return std::nullopt;
  }
  if (is("RET")) return apply_ret(value, command);
  if (is("ENVID")) return apply_envid(value, command);
  if (is("AUTH")) return check_auth(value);
  if (is("MT-PRIORITY")) return apply_priority(value, command);
  if (is("HOLDFOR")) return apply_hold(/*is_until=*/false, value, command);
  if (is("HOLDUNTIL")) return apply_hold(/*is_until=*/true, value, command);
  return not_offered(parameter.keyword);
}

std::optional<Refusal> apply_parameter(const Parameter& parameter, RcptCommand& command) {
  const auto is = [&](std::string_view name) {
    return base::equals_ignoring_case(parameter.keyword, name);
  };
  const std::string_view value = parameter.value.value_or(std::string_view());
  if (is("NOTIFY")) {
    if (!command.notify.is_unset()) return bad_syntax("NOTIFY= is there twice");
    const std::optional<mail::NotifySet> notify = mail::parse_notify(value);
    if (!notify) return bad_syntax("NOTIFY= is NEVER, or of SUCCESS, FAILURE and DELAY");
    command.notify = *notify;
    return std::nullopt;
  }
  if (is("ORCPT")) return apply_orcpt(value, command);
  return not_offered(parameter.keyword);
}

std::optional<std::uint64_t> parse_octets(std::string_view digits) {
  if (digits.empty() || digits.size() > 20) return std::nullopt;  // RFC 1870 §3, RFC 3030 §2
  std::uint64_t octets = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    const std::uint64_t room = (std::numeric_limits<std::uint64_t>::max() - digit) / 10;
    octets = octets > room ? std::numeric_limits<std::uint64_t>::max() : octets * 10 + digit;
  }
  return octets;
}

Refusal bad_syntax(std::string_view text) {
  return {Refusal::Why::Syntax, make_reply(501, "5.5.4", text)};
}

}  // namespace rockdove::smtp
