// What a failure means: the one table that decides whether mail is tried at the next host, later,
// or goes back to its sender.
//
//   stage            4yz                    5yz                    lost, timed out, garbage
//   resolve          (temporary: defer and pause the destination; permanent: bounce)
//   connect          -                      -                      next host; none left:
//                                                                  defer, blame the site
//   banner, EHLO     next host; none left:  next host; none left:  next host; none left:
//                    defer, blame the site  bounce                 defer, blame the site
//   MAIL             defer                  bounce                 defer, blame the site
//   RCPT             defer that recipient   bounce that recipient  defer, blame the site
//   DATA, body       defer                  bounce                 defer, blame the site
//   final dot        defer                  bounce                 uncertain
//
// STARTTLS and AUTH fail only where TLS or a password must be: the mail waits for its site, because
// what is wrong (a certificate, our own password) is nothing that its sender could put right. A 5yz
// to AUTH is not asked for again at the next host: many lock an account that errs too often.
// 421 anywhere blames the site (RFC 5321 §3.8); 452 and 552 to some but not all RCPT mean "enough":
// those go at once in the next transaction (§4.5.3.1.10), as always does who is beyond the RCPTMAX
// of the peer; a kept connection found dead or told 421 at its next MAIL counts as not tried.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "mta/mail/enhanced_code.h"
#include "mta/smtp/reply.h"

namespace rockdove::queue {

enum class Cause : std::uint8_t {
  Reply,        // the peer said so
  TimedOut,     // it said nothing in time
  Lost,         // the connection broke or was closed
  Malformed,    // it said what is no reply
  Unreachable,  // no connection: refused, no route, no answer to the SYN
  Permanent,    // at Stage::Resolve: the DNS says that it will never work
  Temporary,    // at Stage::Resolve: the DNS could not tell
};

struct Failure {
  smtp::Stage stage = smtp::Stage::Connect;
  Cause cause = Cause::Reply;
  smtp::Reply reply;        // with Cause::Reply, or made by us: what history and report will say
  bool more_hosts = false;  // there are hosts or addresses of this site not tried in this attempt
  bool connection_was_idle =
      false;                     // it was reused, and nothing of this transaction was answered yet
  bool others_accepted = false;  // at RCPT: the same transaction has accepted recipients
  bool was_postponed = false;    // never offered, because of the peer's LIMITS (RFC 9422)
};

enum class Action : std::uint8_t {
  TryNextHost,     // the same attempt goes on elsewhere
  TryAgainNow,     // no fault of anybody: back to the front of its queue, no attempt is counted
  Defer,           // by the retry schedule
  DeferUncertain,  // as Defer, but the peer may have taken it
  Bounce,          // for good
};

enum class Blame : std::uint8_t {
  Recipient,  // or the message: says nothing about the site
  Site,       // the site is in trouble: fewer connections, or a pause
};

struct Judgement {
  Action action = Action::Defer;
  Blame blame = Blame::Recipient;
  mail::EnhancedCode status;  // for the report (RFC 3463); the peer's own where it gave one
};

[[nodiscard]] Judgement judge(const Failure& failure);

}  // namespace rockdove::queue
