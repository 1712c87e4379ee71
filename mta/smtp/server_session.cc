#include "mta/smtp/server_session.h"

#include <algorithm>
#include <utility>

#include "mta/base/assert.h"

namespace rockdove::smtp {
namespace {

// Beyond these the client waits: what it pipelines while a question is open, and what it does not
// fetch of its replies.
constexpr std::size_t kPendingOctetsMax = 16 * 1024;
static_assert(kPendingOctetsMax > kAuthLineOctetsMax + 2);
constexpr std::size_t kUnsentOctetsMax = 64 * 1024;

}  // namespace

std::string_view close_reason_name(CloseReason reason) {
  switch (reason) {
    case CloseReason::Quit:
      return "quit";
    case CloseReason::PeerClosed:
      return "peer closed";
    case CloseReason::CommandTimeout:
      return "command timeout";
    case CloseReason::DataTimeout:
      return "data timeout";
    case CloseReason::SessionTimeout:
      return "session timeout";
    case CloseReason::TooManyErrors:
      return "too many errors";
    case CloseReason::TooManyCommands:
      return "too many commands";
    case CloseReason::TooMuchData:
      return "too much data";
    case CloseReason::EarlyTalker:
      return "early talker";
    case CloseReason::Refused:
      return "refused";
    case CloseReason::ShutDown:
      return "shut down";
    case CloseReason::Lost:
      return "lost";
    case CloseReason::HandshakeTimeout:
      return "handshake timeout";
    case CloseReason::TooManyLogins:
      return "too many failed logins";
  }
  return "unknown";
}

ServerSession::ServerSession(const ServerLimits& limits, const Greeting& greeting, Instant now,
                             const ServerOffers& offers)
    : limits_(limits),
      greeting_(greeting),
      offers_(offers),
      session_deadline_(now + limits.session_timeout),
      step_deadline_(now + limits.command_timeout) {}

void ServerSession::begin_with_tls(Instant now) {
  MTA_ASSERT(state_ == State::Greeting);
  state_ = State::Handshake;
  after_handshake_ = State::Greeting;
  step_deadline_ = now + limits_.handshake_timeout;
}

void ServerSession::tls_started(Instant now) {
  release_held();
  if (state_ == State::Over) return;
  MTA_ASSERT(state_ == State::Handshake);
  tls_ = true;
  state_ = std::exchange(after_handshake_, State::Hello);
  // RFC 3207 §4.2: forget all that was said in clear.
  hello_name_.clear();
  extended_ = false;
  user_.clear();
  step_deadline_ = now + limits_.command_timeout;
}

void ServerSession::greet(Instant now) {
  if (state_ != State::Greeting) return;
  state_ = State::Hello;
  step_deadline_ = now + limits_.command_timeout;
  append_reply(output_.back(), make_reply(220, "", greeting_.hostname + " " + greeting_.text));
}

void ServerSession::refuse(const Reply& reply, Instant /*now*/) {
  if (state_ == State::Over) return;
  MTA_ASSERT(state_ == State::Greeting);
  finish_with(reply, CloseReason::Refused);
}

void ServerSession::receive(std::string_view bytes, Instant now) {
  release_held();
  if (state_ == State::Over || bytes.empty()) return;
  if (state_ == State::Handshake) return;  // in clear, behind STARTTLS: forgotten (RFC 3207 §6)
  input_.append(bytes);
  if (state_ == State::Body || state_ == State::Dropping)
    step_deadline_ = now + limits_.data_timeout;
}

void ServerSession::peer_closed(Instant /*now*/) {
  release_held();
  peer_closed_ = true;
}

void ServerSession::lost(Instant /*now*/) {
  release_held();
  if (state_ != State::Over) finish(CloseReason::Lost);
  output_.clear();
}

void ServerSession::deadline_reached(Instant now) {
  release_held();
  if (state_ == State::Over || question_ != Question::None || now < deadline()) return;
  if (state_ == State::Handshake) return finish(CloseReason::HandshakeTimeout);  // no word in clear
  if (now >= session_deadline_) {
    return finish_with(make_reply(421, "4.4.2", "this session has taken too long; come again"),
                       CloseReason::SessionTimeout);
  }
  // RFC 5321 §4.5.3.2.7: a server may give up, and says 421.
  finish_with(make_reply(421, "4.4.2", "nothing came for too long; come again"),
              state_ == State::Body || state_ == State::Dropping ? CloseReason::DataTimeout
                                                                 : CloseReason::CommandTimeout);
}

void ServerSession::close_with(const Reply& reply, Instant /*now*/) {
  release_held();
  if (!farewell_) farewell_ = reply;
}

void ServerSession::output_sent(std::size_t octets, Instant /*now*/) {
  release_held();
  output_.take(octets);
}

Instant ServerSession::deadline() const {
  if (state_ == State::Over || question_ != Question::None) return base::kNever;
  return std::min(step_deadline_, session_deadline_);
}

bool ServerSession::wants_input() const {
  return state_ != State::Over && !peer_closed_ && input_.size() - held_ < kPendingOctetsMax &&
         output_.size() < kUnsentOctetsMax;
}

std::string_view ServerSession::state_name() const {
  switch (state_) {
    case State::Greeting:
      return "greeting";
    case State::Hello:
      return "before EHLO";
    case State::Ready:
      return "ready";
    case State::Mail:
      return "after MAIL";
    case State::Rcpt:
      return "after RCPT";
    case State::Body:
      return "in the content";
    case State::Chunks:
      return "between chunks";
    case State::Dropping:
      return "in a refused chunk";
    case State::Credentials:
      return "in AUTH";
    case State::Handshake:
      return "in the TLS handshake";
    case State::Over:
      return "over";
  }
  return "unknown";
}

void ServerSession::answer(const Reply& reply, Instant now) {
  MTA_ASSERT(question_ != Question::None);
  release_held();
  const Question asked = std::exchange(question_, Question::None);
  if (state_ == State::Over) return;  // lost() while the answer was looked for
  step_deadline_ = now + limits_.command_timeout;
  switch (asked) {
    case Question::None:
      break;
    case Question::Sender:
      if (reply.is_success()) state_ = State::Mail;
      break;
    case Question::Recipient:
      if (!reply.is_success()) break;
      state_ = State::Rcpt;
      ++recipients_;
      break;
    case Question::Data:
      if (answer_data(reply, now)) return;
      break;
    case Question::Message:
      state_ = State::Ready;
      if (!reply.is_success()) break;
      idle_commands_ = 0;
      idle_errors_ = 0;
      break;
    case Question::Login:
      if (reply.code == 421) break;
      if (reply.is_success()) user_ = std::move(login_user_);
      login_user_.clear();
      say_login(reply);
      return;
  }
  if (reply.code == 421) return finish_with(reply, CloseReason::ShutDown);  // RFC 5321 §3.8
  say(reply);
}

std::optional<ServerEvent> ServerSession::next_event(Instant now) {
  release_held();
  if (std::exchange(hello_owed_, false)) return HelloGiven{hello_name_, extended_};
  while (state_ != State::Over && question_ == Question::None) {
    Event event;
    if (state_ == State::Body) {
      event = next_body_part(now);
    } else if (state_ == State::Dropping) {
      event = drop_chunk(now);
    } else if (farewell_) {
      if (state_ == State::Handshake) {
        finish(CloseReason::ShutDown);  // no word in clear
      } else {
        finish_with(*farewell_, CloseReason::ShutDown);
      }
      break;
    } else if (state_ == State::Handshake) {
      break;
    } else if (state_ == State::Greeting) {
      if (input_.is_empty() && !peer_closed_) return std::nullopt;
      if (input_.is_empty()) {
        finish(CloseReason::PeerClosed);
      } else {
        // RFC 5321 §3.1: the client waits for the greeting. Those that do not are mostly no
        // mailers.
        finish_with(make_reply(554, "5.5.1", "you spoke before the greeting"),
                    CloseReason::EarlyTalker);
      }
      break;
    } else {
      event = next_command(now);
    }
    if (event) return event;
    if (!progressed_) break;
  }
  if (state_ == State::Over) return tell_end();
  if (question_ == Question::None && peer_closed_) {
    finish(CloseReason::PeerClosed);
    return tell_end();
  }
  return std::nullopt;
}

// Gives no event, so that handlers can return it.
ServerSession::Event ServerSession::say(const Reply& reply) {
  append_reply(output_.back(), reply);
  tally_.answered(reply);
  if (!reply.is_permanent()) return std::nullopt;
  ++errors_;
  if (++idle_errors_ > limits_.errors_max) {
    finish_with(make_reply(421, "4.7.0", "too many errors"), CloseReason::TooManyErrors);
  }
  return std::nullopt;
}

void ServerSession::finish_with(const Reply& reply, CloseReason reason) {
  append_reply(output_.back(), reply);
  tally_.answered(reply);
  finish(reason);
}

void ServerSession::finish(CloseReason reason) {
  MTA_ASSERT(state_ != State::Over);
  // Past the final dot the application decides by itself whether it keeps the message.
  reset_owed_ = is_in_transaction() && question_ != Question::Message;
  reason_ = reason;
  state_ = State::Over;
  body_.reset();
  sasl_.reset();
  held_ = 0;
  input_.clear();
}

ServerSession::Event ServerSession::tell_end() {
  if (std::exchange(reset_owed_, false)) return TransactionReset{};
  if (std::exchange(over_told_, true)) return std::nullopt;
  return SessionOver{reason_};
}

bool ServerSession::is_in_transaction() const {
  const State state = state_ == State::Dropping ? after_drop_ : state_;
  return state == State::Mail || state == State::Rcpt || state == State::Body ||
         state == State::Chunks;
}

void ServerSession::release_held() {
  if (held_ > 0) input_.take(std::exchange(held_, 0));
}

}  // namespace rockdove::smtp
