// What dialogues cannot show: questions that stay open, connections that vanish, limits of memory.
#include "mta/smtp/server_session.h"

#include <catch2/catch.hpp>

#include "tests/unit/smtp/server_script.h"

namespace rockdove::smtp {
namespace {

const ServerLimits kLimits;
const Greeting kGreeting{"mx.example", "ESMTP"};
const Instant kStart{std::chrono::hours(1)};

template <typename T>
T take(ServerSession& session) {
  std::optional<ServerEvent> event = session.next_event(kStart);
  REQUIRE(event);
  REQUIRE(std::holds_alternative<T>(*event));
  return std::get<T>(std::move(*event));
}

// Greeted, and asked for the sender.
void come_to_sender(ServerSession& session) {
  session.greet(kStart);
  session.receive("HELO c\r\nMAIL FROM:<a@x.example>\r\n", kStart);
  take<HelloGiven>(session);
  take<SenderOffered>(session);
  session.output_sent(session.output().size(), kStart);
}

void come_to_body(ServerSession& session) {
  come_to_sender(session);
  session.answer(make_reply(250, "", "ok"), kStart);
  session.receive("RCPT TO:<b@x.example>\r\nDATA\r\n", kStart);
  take<RecipientOffered>(session);
  session.answer(make_reply(250, "", "ok"), kStart);
  take<DataWanted>(session);
  session.answer(make_reply(354, "", "go"), kStart);
  session.output_sent(session.output().size(), kStart);
}

TEST_CASE("while a question is open nothing is read, and there is no deadline") {
  ServerSession session(kLimits, kGreeting, kStart);
  come_to_sender(session);
  session.receive("RCPT TO:<b@x.example>\r\nNOOP\r\n", kStart);
  CHECK_FALSE(session.next_event(kStart));
  CHECK(session.output().empty());
  CHECK(session.deadline() == base::kNever);
  CHECK(session.has_open_question());
  session.answer(make_reply(250, "", "ok"), kStart);
  take<RecipientOffered>(session);
}

TEST_CASE("a client that sends on and on while a question is open is held back") {
  ServerSession session(kLimits, kGreeting, kStart);
  come_to_sender(session);
  CHECK(session.wants_input());
  session.receive(std::string(20'000, 'x'), kStart);
  CHECK_FALSE(session.wants_input());
  session.answer(make_reply(250, "", "ok"), kStart);
  CHECK_FALSE(session.next_event(kStart));  // dropped: a line that is too long
  CHECK(session.wants_input());
}

TEST_CASE("a client that does not fetch its replies is held back") {
  ServerSession session(kLimits, kGreeting, kStart);
  session.greet(kStart);
  for (int i = 0; i < 700 && session.wants_input(); ++i) {
    session.receive("HELP\r\nHELP\r\n", kStart);
    CHECK_FALSE(session.next_event(kStart));
  }
  CHECK_FALSE(session.wants_input());
  session.output_sent(session.output().size(), kStart);
  CHECK(session.wants_input());
}

TEST_CASE("lost within a question: it is over at once, and the answer is taken in vain") {
  ServerSession session(kLimits, kGreeting, kStart);
  come_to_sender(session);
  session.lost(kStart);
  CHECK(take<SessionOver>(session).reason == CloseReason::Lost);
  CHECK_FALSE(session.next_event(kStart));
  CHECK(session.is_over());
  session.answer(make_reply(250, "", "ok"), kStart);
  CHECK(session.output().empty());
}

TEST_CASE("lost before the final dot the transaction is reset, after it the application decides") {
  ServerSession before(kLimits, kGreeting, kStart);
  come_to_body(before);
  before.lost(kStart);
  take<TransactionReset>(before);
  take<SessionOver>(before);

  ServerSession after(kLimits, kGreeting, kStart);
  come_to_body(after);
  after.receive("a\r\n.\r\n", kStart);
  CHECK(take<BodyPart>(after).octets == "a\r\n");
  CHECK(take<BodyEnded>(after).how == BodyEnd::Dot);
  after.lost(kStart);
  take<SessionOver>(after);
}

TEST_CASE("a client that closed its side still gets the answer to its message") {
  ServerSession session(kLimits, kGreeting, kStart);
  come_to_body(session);
  session.receive(".\r\n", kStart);
  take<BodyEnded>(session);
  session.peer_closed(kStart);
  CHECK_FALSE(session.next_event(kStart));
  CHECK_FALSE(session.wants_input());
  session.answer(make_reply(250, "2.0.0", "queued"), kStart);
  CHECK(take<SessionOver>(session).reason == CloseReason::PeerClosed);
  CHECK(session.output() == "250 2.0.0 queued\r\n");
}

TEST_CASE("DATA refused by the application ends the transaction") {
  ServerSession session(kLimits, kGreeting, kStart);
  come_to_sender(session);
  session.answer(make_reply(250, "", "ok"), kStart);
  session.receive("RCPT TO:<b@x.example>\r\nDATA\r\nMAIL FROM:<>\r\n", kStart);
  take<RecipientOffered>(session);
  session.answer(make_reply(250, "", "ok"), kStart);
  take<DataWanted>(session);
  session.answer(make_reply(452, "4.3.1", "full"), kStart);
  CHECK(take<SenderOffered>(session).sender.is_null());
}

TEST_CASE("a session that is refused says so and is over") {
  ServerSession session(kLimits, kGreeting, kStart);
  CHECK_FALSE(session.next_event(kStart));
  session.refuse(make_reply(421, "4.3.2", "too many connections"), kStart);
  CHECK(session.output() == "421 4.3.2 too many connections\r\n");
  CHECK(take<SessionOver>(session).reason == CloseReason::Refused);
  CHECK(session.is_over());
  CHECK(session.deadline() == base::kNever);
}

TEST_CASE("a session has a limit of time, whatever the client does") {
  ServerLimits limits;
  limits.session_timeout = base::Duration(60'000);
  ServerSession session(limits, kGreeting, kStart);
  session.greet(kStart);
  CHECK(session.deadline() == kStart + std::chrono::minutes(1));
  session.deadline_reached(kStart + std::chrono::seconds(59));
  CHECK_FALSE(session.next_event(kStart));
  session.deadline_reached(kStart + std::chrono::minutes(1));
  CHECK(take<SessionOver>(session).reason == CloseReason::SessionTimeout);
}

TEST_CASE("octets that trickle in do not put off a command's deadline, but a body's") {
  ServerSession session(kLimits, kGreeting, kStart);
  session.greet(kStart);
  session.receive("NO", kStart + std::chrono::minutes(4));
  CHECK_FALSE(session.next_event(kStart));
  CHECK(session.deadline() == kStart + std::chrono::minutes(5));
  ServerSession with_body(kLimits, kGreeting, kStart);
  come_to_body(with_body);
  with_body.receive("x", kStart + std::chrono::minutes(4));
  CHECK(with_body.deadline() == kStart + std::chrono::minutes(9));
}

TEST_CASE("what a log wants is counted") {
  ServerScript script(kLimits);
  script.greet();
  script.receive(
      "EHLO me\r\nFOO\r\nMAIL FROM:<>\r\nRCPT TO:<a@x.example>\r\nRCPT TO:<no@x.example>\r\n");
  CHECK(script.session().commands() == 5);
  CHECK(script.session().errors() == 2);
  CHECK(script.session().recipients() == 1);
  CHECK(script.session().hello_name() == "me");
  CHECK(script.session().is_extended());
  CHECK(script.session().state_name() == "after RCPT");
}

}  // namespace
}  // namespace rockdove::smtp
