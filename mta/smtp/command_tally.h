// How often a client gave each command in a session, and how often it was taken: for the log, in
// the words of Postfix's "disconnect" line, which fail2ban and people read.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "mta/smtp/command.h"

namespace rockdove::smtp {

class CommandTally {
 public:
  void given(const Command& command);
  // A reply to the command given last. It counts as taken once, at its first 2yz.
  void answered(const Reply& reply);

  // "CONNECT" before the first command, "UNKNOWN" behind a line that was none.
  [[nodiscard]] std::string_view last() const;
  // "ehlo=1 mail=1 rcpt=1/2 data=1 quit=1 commands=5/6": those that were given, taken/given where
  // some were not; "commands=0/0" when none was.
  [[nodiscard]] std::string text() const;

 private:
  // In the order of text().
  enum Verb : std::uint8_t {
    Helo,
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Bdat,
    Rcpt,
    Data,
    Rset,
    Noop,
    Vrfy,
    Help,
    Quit,
    Unknown,
    Count,
  };

  static Verb verb_of(const Command& command);

  std::array<std::uint32_t, Count> given_{};
  std::array<std::uint32_t, Count> taken_{};
  Verb last_ = Count;          // Count: none yet
  bool awaits_reply_ = false;  // of success
};

}  // namespace rockdove::smtp
