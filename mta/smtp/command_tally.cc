#include "mta/smtp/command_tally.h"

namespace rockdove::smtp {
namespace {

constexpr std::string_view kUpper[] = {"HELO", "EHLO", "STARTTLS", "AUTH",    "MAIL",
                                       "BDAT", "RCPT", "DATA",     "RSET",    "NOOP",
                                       "VRFY", "HELP", "QUIT",     "UNKNOWN", "CONNECT"};
constexpr std::string_view kLower[] = {"helo", "ehlo", "starttls", "auth",   "mail",
                                       "bdat", "rcpt", "data",     "rset",   "noop",
                                       "vrfy", "help", "quit",     "unknown"};

void append_counts(std::string& text, std::string_view name, std::uint32_t taken,
                   std::uint32_t given) {
  if (!text.empty()) text += ' ';
  text.append(name).append("=").append(std::to_string(taken));
  if (taken != given || given == 0) text.append("/").append(std::to_string(given));
}

}  // namespace

CommandTally::Verb CommandTally::verb_of(const Command& command) {
  // In the order of smtp::Command; HELO and EHLO are one there.
  constexpr Verb kVerbs[] = {Helo, Mail, Rcpt,     Data, Rset, Noop,   Vrfy,
                             Help, Quit, StartTls, Auth, Bdat, Unknown};
  static_assert(std::size(kVerbs) == std::variant_size_v<Command>);
  const auto* hello = std::get_if<HelloCommand>(&command);
  if (hello != nullptr && hello->extended) return Ehlo;
  return kVerbs[command.index()];
}

void CommandTally::given(const Command& command) {
  last_ = verb_of(command);
  ++given_[last_];
  awaits_reply_ = true;
}

void CommandTally::answered(const Reply& reply) {
  if (!awaits_reply_ || !reply.is_success()) return;
  awaits_reply_ = false;
  ++taken_[last_];
}

std::string_view CommandTally::last() const {
  return kUpper[last_];
}

std::string CommandTally::text() const {
  std::string text;
  std::uint32_t all_taken = 0;
  std::uint32_t all_given = 0;
  for (unsigned verb = 0; verb < Count; ++verb) {
    if (given_[verb] == 0) continue;
    append_counts(text, kLower[verb], taken_[verb], given_[verb]);
    all_taken += taken_[verb];
    all_given += given_[verb];
  }
  append_counts(text, "commands", all_taken, all_given);
  return text;
}

}  // namespace rockdove::smtp
