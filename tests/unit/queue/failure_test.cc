// The table of queue/failure.h, row by row: what each kind of failure costs.
#include "queue/failure.h"

#include <initializer_list>

#include <catch2/catch.hpp>

namespace rockdove::queue {
namespace {

using smtp::Stage;

Failure replied(Stage stage, int code, std::string_view enhanced = "") {
  Failure failure;
  failure.stage = stage;
  failure.cause = Cause::Reply;
  failure.reply = smtp::make_reply(code, enhanced, "text");
  return failure;
}

Failure without_reply(Stage stage, Cause cause) {
  Failure failure;
  failure.stage = stage;
  failure.cause = cause;
  return failure;
}

std::string status(const Failure& failure) {
  return mail::format_enhanced_code(judge(failure).status);
}

void check(const Failure& failure, Action action, Blame blame) {
  INFO(smtp::stage_name(failure.stage)
       << ", cause " << static_cast<int>(failure.cause) << ", reply " << failure.reply.code);
  const Judgement judgement = judge(failure);
  CHECK(static_cast<int>(judgement.action) == static_cast<int>(action));
  CHECK(static_cast<int>(judgement.blame) == static_cast<int>(blame));
}

constexpr std::initializer_list<Cause> kNoReply = {Cause::TimedOut, Cause::Lost, Cause::Malformed};
constexpr std::initializer_list<Stage> kConversation = {Stage::Banner, Stage::Hello};
constexpr std::initializer_list<Stage> kTransaction = {Stage::Mail, Stage::Rcpt, Stage::Data,
                                                       Stage::Body, Stage::FinalDot};

TEST_CASE("what the DNS says for good bounces, what it cannot tell waits") {
  check(without_reply(Stage::Resolve, Cause::Permanent), Action::Bounce, Blame::Recipient);
  check(without_reply(Stage::Resolve, Cause::Temporary), Action::Defer, Blame::Site);
  CHECK(status(without_reply(Stage::Resolve, Cause::Permanent)) == "5.1.2");
  CHECK(status(without_reply(Stage::Resolve, Cause::Temporary)) == "4.4.3");
  Failure null_mx = without_reply(Stage::Resolve, Cause::Permanent);
  null_mx.reply = smtp::make_reply(556, "5.1.10", "does not accept mail");  // RFC 7505 §4.2
  CHECK(status(null_mx) == "5.1.10");
}

TEST_CASE("a host that cannot be reached leaves the next one, and the last one blames the site") {
  for (const Cause cause : {Cause::Unreachable, Cause::TimedOut, Cause::Lost}) {
    Failure failure = without_reply(Stage::Connect, cause);
    check(failure, Action::Defer, Blame::Site);
    failure.more_hosts = true;
    check(failure, Action::TryNextHost, Blame::Site);
  }
  CHECK(status(without_reply(Stage::Connect, Cause::Unreachable)) == "4.4.1");
  CHECK(status(without_reply(Stage::Connect, Cause::TimedOut)) == "4.4.1");
}

TEST_CASE("before a transaction every failure goes to the next host first") {
  for (const Stage stage : kConversation) {
    for (const int code : {421, 450, 554}) {
      Failure failure = replied(stage, code);
      check(failure, code >= 500 ? Action::Bounce : Action::Defer, Blame::Site);
      failure.more_hosts = true;
      check(failure, Action::TryNextHost, Blame::Site);
    }
    for (const Cause cause : kNoReply) {
      Failure failure = without_reply(stage, cause);
      check(failure, Action::Defer, Blame::Site);
      failure.more_hosts = true;
      check(failure, Action::TryNextHost, Blame::Site);
    }
  }
}

TEST_CASE("TLS that must be and fails makes the mail wait, at the next host first") {
  for (const int code : {421, 454, 501, 554}) {
    Failure failure = replied(Stage::StartTls, code);
    check(failure, Action::Defer, Blame::Site);
    failure.more_hosts = true;
    check(failure, Action::TryNextHost, Blame::Site);
  }
  for (const Cause cause : kNoReply) {
    Failure failure = without_reply(Stage::StartTls, cause);
    check(failure, Action::Defer, Blame::Site);
    failure.more_hosts = true;
    check(failure, Action::TryNextHost, Blame::Site);
  }
  CHECK(status(replied(Stage::StartTls, 501, "5.5.4")) == "4.5.4");
}

TEST_CASE(
    "a password that is refused makes all mail of the site wait, and is not tried elsewhere") {
  Failure wrong = replied(Stage::Auth, 535, "5.7.8");
  check(wrong, Action::Defer, Blame::Site);
  CHECK(status(wrong) == "4.7.8");
  wrong.more_hosts = true;
  check(wrong, Action::Defer, Blame::Site);
  Failure not_now = replied(Stage::Auth, 454, "4.7.0");
  check(not_now, Action::Defer, Blame::Site);
  not_now.more_hosts = true;
  check(not_now, Action::TryNextHost, Blame::Site);
  for (const Cause cause : kNoReply) {
    Failure failure = without_reply(Stage::Auth, cause);
    check(failure, Action::Defer, Blame::Site);
    failure.more_hosts = true;
    check(failure, Action::TryNextHost, Blame::Site);
  }
}

TEST_CASE("within a transaction a refusal is the recipient's or the message's") {
  for (const Stage stage : kTransaction) {
    check(replied(stage, 450), Action::Defer, Blame::Recipient);
    check(replied(stage, 451), Action::Defer, Blame::Recipient);
    check(replied(stage, 550), Action::Bounce, Blame::Recipient);
    check(replied(stage, 554), Action::Bounce, Blame::Recipient);
    // Other hosts do not change what the site has said.
    Failure failure = replied(stage, 550);
    failure.more_hosts = true;
    check(failure, Action::Bounce, Blame::Recipient);
  }
}

TEST_CASE("a transaction without an answer blames the site, behind the final dot it is uncertain") {
  for (const Cause cause : kNoReply) {
    for (const Stage stage : {Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Body, Stage::Idle})
      check(without_reply(stage, cause), Action::Defer, Blame::Site);
    check(without_reply(Stage::FinalDot, cause), Action::DeferUncertain, Blame::Site);
    // Even on a connection that was idle before: the content is there.
    Failure reused = without_reply(Stage::FinalDot, cause);
    reused.connection_was_idle = true;
    check(reused, Action::DeferUncertain, Blame::Site);
  }
  CHECK(status(without_reply(Stage::Mail, Cause::Lost)) == "4.4.2");
  CHECK(status(without_reply(Stage::Mail, Cause::TimedOut)) == "4.4.2");
  CHECK(status(without_reply(Stage::Mail, Cause::Malformed)) == "4.5.0");
}

TEST_CASE("421 blames the site wherever it is said, and never makes a delivery uncertain") {
  for (const Stage stage : kTransaction) check(replied(stage, 421), Action::Defer, Blame::Site);
  CHECK(status(replied(Stage::Mail, 421)) == "4.3.2");
}

TEST_CASE("a kept connection found dead, or told 421, counts as not tried") {
  for (const Cause cause : kNoReply) {
    Failure failure = without_reply(Stage::Mail, cause);
    failure.connection_was_idle = true;
    check(failure, Action::TryAgainNow, Blame::Recipient);
  }
  Failure closing = replied(Stage::Mail, 421);
  closing.connection_was_idle = true;
  check(closing, Action::TryAgainNow, Blame::Recipient);
  // Any other answer is an answer.
  Failure refused = replied(Stage::Mail, 451);
  refused.connection_was_idle = true;
  check(refused, Action::Defer, Blame::Recipient);
}

TEST_CASE(
    "452 and 552 to some recipients of several send the rest at once, to all they are a refusal") {
  for (const int code : {452, 552}) {
    Failure failure = replied(Stage::Rcpt, code);
    check(failure, code == 452 ? Action::Defer : Action::Bounce, Blame::Recipient);
    failure.others_accepted = true;
    check(failure, Action::TryAgainNow, Blame::Recipient);
    failure.stage = Stage::FinalDot;  // "message too big" is about the message
    check(failure, code == 452 ? Action::Defer : Action::Bounce, Blame::Recipient);
  }
  Failure refused = replied(Stage::Rcpt, 550);
  refused.others_accepted = true;
  check(refused, Action::Bounce, Blame::Recipient);
}

TEST_CASE(
    "who was not offered because of the peer's LIMITS goes at once, whatever came of others") {
  Failure failure = replied(Stage::Rcpt, 452);
  failure.was_postponed = true;
  check(failure, Action::TryAgainNow, Blame::Recipient);
  failure.others_accepted = true;
  check(failure, Action::TryAgainNow, Blame::Recipient);
}

TEST_CASE("the peer's enhanced code counts where its class agrees with the reply") {
  CHECK(status(replied(Stage::Rcpt, 550, "5.2.1")) == "5.2.1");
  CHECK(status(replied(Stage::Rcpt, 450, "4.2.1")) == "4.2.1");
  CHECK(status(replied(Stage::Rcpt, 550, "4.2.1")) == "5.1.1");
  CHECK(status(replied(Stage::Rcpt, 550, "2.0.0")) == "5.1.1");
  CHECK(status(replied(Stage::Rcpt, 450, "5.1.1")) == "4.2.0");
  check(replied(Stage::Rcpt, 450, "5.1.1"), Action::Defer, Blame::Recipient);
  check(replied(Stage::Rcpt, 550, "4.2.1"), Action::Bounce, Blame::Recipient);
}

TEST_CASE("without an enhanced code the basic code says what it can") {
  CHECK(status(replied(Stage::Rcpt, 452)) == "4.3.1");
  CHECK(status(replied(Stage::Rcpt, 551)) == "5.1.6");
  CHECK(status(replied(Stage::Rcpt, 552)) == "5.2.2");
  CHECK(status(replied(Stage::Rcpt, 553)) == "5.1.3");
  CHECK(status(replied(Stage::Rcpt, 556)) == "5.1.10");
  CHECK(status(replied(Stage::Banner, 521)) == "5.3.2");
  CHECK(status(replied(Stage::Rcpt, 451)) == "4.0.0");
  CHECK(status(replied(Stage::FinalDot, 554)) == "5.0.0");
}

TEST_CASE("an answer out of place never reports a failure as a success") {
  check(replied(Stage::Data, 250, "2.0.0"), Action::Defer, Blame::Recipient);
  CHECK(status(replied(Stage::Data, 250, "2.0.0")) == "4.0.0");
  CHECK(status(replied(Stage::Mail, 354)) == "4.0.0");
}

TEST_CASE("our own words for what was not said may carry a better code") {
  Failure unreadable = without_reply(Stage::Body, Cause::Lost);
  unreadable.reply = smtp::make_reply(451, "4.3.0", "the message could not be read");
  CHECK(status(unreadable) == "4.3.0");
}

}  // namespace
}  // namespace rockdove::queue
