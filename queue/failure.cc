#include "queue/failure.h"

namespace rockdove::queue {
namespace {

using mail::EnhancedCode;
using smtp::Stage;

// The peer's enhanced code if it fits its basic code (RFC 3463 §2: the classes agree), else what
// the basic code says by itself (RFC 5321 §4.2.2, RFC 5248 §2.4).
EnhancedCode status_of(const smtp::Reply& reply) {
  // What failed is reported as a failure, whatever was answered out of place.
  const std::uint8_t digit = reply.is_permanent() ? 5 : 4;
  if (reply.enhanced && reply.enhanced->status_class == digit) return *reply.enhanced;
  switch (reply.code) {
    case 421:
      return {4, 3, 2};
    case 450:
      return {4, 2, 0};
    case 452:
      return {4, 3, 1};
    case 521:
      return {5, 3, 2};  // RFC 7504 §4
    case 550:
      return {5, 1, 1};
    case 551:
      return {5, 1, 6};
    case 552:
      return {5, 2, 2};
    case 553:
      return {5, 1, 3};
    case 556:
      return {5, 1, 10};
    default:
      return {digit, 0, 0};
  }
}

// Our own words for what the peer did not say may carry the code that fits best.
EnhancedCode status_without_reply(const Failure& failure) {
  const std::uint8_t digit = failure.cause == Cause::Permanent ? 5 : 4;
  if (failure.reply.enhanced && failure.reply.enhanced->status_class == digit)
    return *failure.reply.enhanced;
  switch (failure.cause) {
    case Cause::Permanent:
      return {5, 1, 2};
    case Cause::Temporary:
      return {4, 4, 3};
    case Cause::Unreachable:
      return {4, 4, 1};
    case Cause::Malformed:
      return {4, 5, 0};
    case Cause::TimedOut:
      if (failure.stage == Stage::Connect) return {4, 4, 1};
      return {4, 4, 2};
    case Cause::Lost:
    case Cause::Reply:
      return {4, 4, 2};
  }
  MTA_ASSERT(false);
}

bool is_about_the_conversation(Stage stage) {
  return stage == Stage::Connect || stage == Stage::Banner || stage == Stage::Hello ||
         stage == Stage::StartTls || stage == Stage::Auth;
}

Judgement judge_reply(const Failure& failure) {
  const smtp::Reply& reply = failure.reply;
  const EnhancedCode status = status_of(reply);
  if (failure.stage == Stage::StartTls || failure.stage == Stage::Auth) {
    const bool is_wrong_password = failure.stage == Stage::Auth && reply.is_permanent();
    if (failure.more_hosts && !is_wrong_password) return {Action::TryNextHost, Blame::Site, status};
    return {Action::Defer, Blame::Site, {4, status.subject, status.detail}};
  }
  if (is_about_the_conversation(failure.stage)) {
    if (failure.more_hosts) return {Action::TryNextHost, Blame::Site, status};
    return {reply.is_permanent() ? Action::Bounce : Action::Defer, Blame::Site, status};
  }
  if (reply.code == 421) {  // RFC 5321 §3.8: the service is closing
    if (failure.connection_was_idle) return {Action::TryAgainNow, Blame::Recipient, status};
    return {Action::Defer, Blame::Site, status};
  }
  if (failure.stage == Stage::Rcpt && failure.others_accepted &&
      (reply.code == 452 || reply.code == 552)) {
    return {Action::TryAgainNow, Blame::Recipient, status};
  }
  return {reply.is_permanent() ? Action::Bounce : Action::Defer, Blame::Recipient, status};
}

}  // namespace

Judgement judge(const Failure& failure) {
  if (failure.was_postponed) {
    return {Action::TryAgainNow, Blame::Recipient, status_of(failure.reply)};
  }
  if (failure.cause == Cause::Reply) return judge_reply(failure);
  const EnhancedCode status = status_without_reply(failure);
  if (failure.cause == Cause::Permanent) return {Action::Bounce, Blame::Recipient, status};
  if (failure.cause == Cause::Temporary) return {Action::Defer, Blame::Site, status};
  if (is_about_the_conversation(failure.stage)) {
    return {failure.more_hosts ? Action::TryNextHost : Action::Defer, Blame::Site, status};
  }
  if (failure.stage == Stage::FinalDot) return {Action::DeferUncertain, Blame::Site, status};
  if (failure.connection_was_idle) return {Action::TryAgainNow, Blame::Recipient, status};
  return {Action::Defer, Blame::Site, status};
}

}  // namespace rockdove::queue
