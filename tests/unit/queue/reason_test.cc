#include "queue/reason.h"

#include <catch2/catch.hpp>

namespace {

using namespace rockdove;
using queue::Reason;

Reason reason(const std::string& reply, const std::string& host = "mx.example.net[192.0.2.1]:25") {
  return queue::reason_of({{}, host, reply});
}

}  // namespace

TEST_CASE("reason: what peers say is told apart") {
  CHECK(queue::reason_of({}) == Reason::NotTried);
  CHECK(reason("451 4.7.1 Greylisting in action, please come back in 00:04:59") ==
        Reason::Greylisted);
  CHECK(reason("450 4.2.0 <b@example.net>: Recipient address rejected: Greylisted") ==
        Reason::Greylisted);
  CHECK(reason("451 4.7.1 Please try again later") == Reason::Greylisted);
  CHECK(reason("452 4.2.2 Mailbox full") == Reason::MailboxFull);
  CHECK(reason("450 The user's quota exceeded") == Reason::MailboxFull);
  CHECK(reason("421 4.7.0 [TSS04] Messages from 192.0.2.9 temporarily deferred") ==
        Reason::RateLimited);
  CHECK(reason("450 4.7.1 Error: too much mail, rate limit") == Reason::RateLimited);
  CHECK(reason("450-4.2.1 over") == Reason::Refused);
  CHECK(reason("421 4.7.28 Gmail has detected an unusual rate of unsolicited mail") ==
        Reason::RateLimited);
  CHECK(reason("451 4.3.2 Please try again later") == Reason::Refused);
  CHECK(reason("421") == Reason::Refused);
  CHECK(reason("452 4.5.3 Too many recipients") == Reason::Refused);
  CHECK(reason("535 5.7.8 Authentication credentials invalid") == Reason::Login);
  CHECK(reason("454 4.7.0 Temporary authentication failure") == Reason::Login);
  CHECK(reason("451 4.7.4 mx.example.net does not offer AUTH with PLAIN or LOGIN") ==
        Reason::Login);
}

TEST_CASE("reason: what waiting does not mend is not taken for greylisting, or for our login") {
  CHECK(reason("450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.9]") ==
        Reason::Refused);
  CHECK(reason("450 4.7.1 <relay.local>: Helo command rejected: Host not found; try again later") ==
        Reason::Refused);
  CHECK(reason("451 4.7.1 blocked by policy, try again later") == Reason::Refused);
  CHECK(reason("451 4.7.1 no") == Reason::Refused);
  CHECK(reason("454 4.7.1 <bob@example.net>: Relay access denied") == Reason::Refused);
}

TEST_CASE("reason: what we say in a peer's place is known by the host in front") {
  const std::string host = "mx.example.net[192.0.2.1]:25";
  CHECK(reason("451 4.4.1 " + host + " could not be reached: connection refused") ==
        Reason::Unreachable);
  CHECK(reason("451 4.4.2 " + host + " did not answer in time (stage: banner)") == Reason::Silent);
  CHECK(reason("451 4.5.0 " + host + " did not answer as a mail server does: x") == Reason::Silent);
  CHECK(reason("451 4.7.5 " + host + " offers no STARTTLS, and this route requires TLS") ==
        Reason::Tls);
  CHECK(reason("451 4.4.1 this machine has no IPv6 route, and mx has no IPv4 address") ==
        Reason::Unreachable);
  CHECK(reason("451 4.4.3 the name servers did not answer", "") == Reason::Dns);
  CHECK(reason("451 4.3.0 the message could not be read from the queue: chunk 1 is missing") ==
        Reason::Unreadable);
  CHECK(queue::reason_of({{}, host, ""}) == Reason::Silent);
  CHECK(reason("451 4.4.1 no source address of the pool a can be used: they are not here", "") ==
        Reason::Source);
  CHECK(reason("452 4.3.1 /mail/bob/new: no space left on device", "maildir:/mail/bob") ==
        Reason::Maildir);
}
