// Why an attempt left a delivery waiting, in kinds that people and counters tell apart: read from
// what is kept of it, the peer's own words or ours in the same form. For showing and counting only;
// what a failure means for the mail is failure.h's word.
#pragma once

#include <cstdint>
#include <string_view>

#include "queue/types.h"

namespace rockdove::queue {

enum class Reason : std::uint8_t {
  NotTried,    // there was no attempt yet
  Greylisted,  // it takes mail of strangers only when they come again; or it sounds so
  MailboxFull,
  RateLimited,  // we send too much, or too fast, it says
  Refused,      // any other 4yz of the peer's
  Unreachable,  // no connection to any host
  Silent,       // the connection ended, or nothing came, before it had answered
  Dns,          // its hosts could not be found out
  Tls,          // TLS must be, and there was none that is good enough
  Login,        // it does not let us log in
  Unreadable,   // our own queue could not be read
  Maildir,      // the file of a maildir could not be written
  Source,       // no source address of its pool can be used
};
inline constexpr std::size_t kReasons = 13;

[[nodiscard]] Reason reason_of(const LastAttempt& last);

// "greylisted", "mailbox-full", …: for --json and scripts.
[[nodiscard]] std::string_view reason_name(Reason reason);

}  // namespace rockdove::queue
