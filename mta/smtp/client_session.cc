#include "mta/smtp/client_session.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

#include "mta/base/assert.h"
#include "mta/base/text.h"

namespace rockdove::smtp {
namespace {

// Of a banner.
constexpr std::size_t kKeptTextOctetsMax = 512;

}  // namespace

ClientSession::ClientSession(const ClientOptions& options, Instant now, ClientTerms terms)
    : options_(options), terms_(std::move(terms)), inside_tls_(terms_.inside_tls), progress_(now) {
  due_.push_back(Due::Banner);
}

void ClientSession::receive(std::string_view bytes, Instant now) {
  if (state_ == State::Over || bytes.empty()) return;
  parser_.receive(bytes);
  while (state_ != State::Over) {
    // RFC 3207 §6: what was said in clear, perhaps by somebody in between, must never be taken for
    // a reply inside TLS.
    if (state_ == State::Handshake) {
      if (parser_.is_between_replies()) return;
      return fail(FailKind::Malformed, std::nullopt, "more than a reply to STARTTLS, in clear");
    }
    std::optional<std::variant<Reply, Malformed>> next = parser_.next();
    if (!next) return;
    progress_ = now;
    if (auto* malformed = std::get_if<Malformed>(&*next)) {
      return fail(FailKind::Malformed, std::nullopt, std::move(malformed->what));
    }
    on_reply(std::get<Reply>(std::move(*next)));
    say_quit_when_idle();
  }
}

void ClientSession::peer_closed(Instant /*now*/) {
  if (state_ == State::Quitting) return close(std::nullopt);
  if (state_ == State::Over) return;
  fail(FailKind::Lost, std::nullopt, "the peer closed the connection");
}

void ClientSession::lost(Instant /*now*/) {
  if (state_ == State::Quitting) return close(std::nullopt);
  if (state_ == State::Over) return output_.clear();
  fail(FailKind::Lost, std::nullopt, "the connection broke");
}

void ClientSession::deadline_reached(Instant now) {
  if (state_ == State::Over || now < deadline()) return;
  if (state_ == State::Quitting) return close(std::nullopt);
  fail(FailKind::TimedOut, std::nullopt, {});
}

void ClientSession::tls_started(Instant now) {
  MTA_ASSERT(wants_tls());
  state_ = State::Talking;
  inside_tls_ = true;
  progress_ = now;
  parser_ = ReplyParser();
  say_hello();
}

void ClientSession::send(std::string_view command, Due due) {
  output_.back().append(command).append("\r\n");
  due_.push_back(due);
}

void ClientSession::quit(Instant now) {
  if (state_ != State::Talking) return;
  if (!greeted_) {
    output_.clear();
    return close(std::nullopt);
  }
  if (!std::exchange(quit_wanted_, true)) progress_ = now;
  say_quit_when_idle();
}

void ClientSession::say_quit_when_idle() {
  if (greeted_ && is_exhausted()) quit_wanted_ = true;
  if (!quit_wanted_ || state_ != State::Talking || !due_.is_empty()) return;
  if (current_.phase != Phase::None) return;
  send("QUIT", Due::Quit);
  state_ = State::Quitting;
}

void ClientSession::abandon(Instant /*now*/) {
  if (state_ == State::Over) return;
  if (state_ == State::Quitting) return close(std::nullopt);
  fail(FailKind::Abandoned, std::nullopt, {});
}

std::optional<ClientEvent> ClientSession::next_event(Instant /*now*/) {
  if (events_taken_ == events_.size()) return std::nullopt;
  std::optional<ClientEvent> event = std::move(events_[events_taken_]);
  if (++events_taken_ == events_.size()) {
    events_.clear();
    events_taken_ = 0;
  }
  return event;
}

void ClientSession::output_sent(std::size_t octets, Instant now) {
  if (octets == 0) return;
  if (output_.is_empty()) {
    secret_.take(octets);
  } else {
    output_.take(octets);
  }
  sent_ += octets;
  progress_ = now;
  if (current_.phase == Phase::Dot && sent_ >= dot_ends_at_) current_.dot_left = true;
}

Instant ClientSession::deadline() const {
  const bool is_idle =
      state_ != State::Handshake && due_.is_empty() && current_.phase == Phase::None;
  return state_ == State::Over || is_idle ? base::kNever : progress_ + timeout();
}

// RFC 5321 §4.5.3.2.
Duration ClientSession::timeout() const {
  const ClientTimeouts& timeouts = options_.timeouts;
  if (state_ == State::Handshake) return timeouts.start_tls;
  if (due_.is_empty()) return timeouts.body_block;
  switch (due_.front()) {
    case Due::Banner:
      return timeouts.banner;
    case Due::Ehlo:
    case Due::Helo:
      return timeouts.hello;
    case Due::StartTls:
      return timeouts.start_tls;
    case Due::Auth:
      return timeouts.auth;
    case Due::Reset:
      return timeouts.reset;
    case Due::Mail:
      return timeouts.mail;
    case Due::Rcpt:
      return timeouts.rcpt;
    case Due::Data:
      return timeouts.data_start;
    case Due::Chunk:
      return timeouts.body_block;
    case Due::FinalDot:
      return is_dot_left() ? timeouts.final_dot : timeouts.body_block;
    case Due::Quit:
      return timeouts.quit;
  }
  return timeouts.quit;
}

Stage ClientSession::stage() const {
  if (state_ == State::Handshake) return Stage::StartTls;
  if (due_.is_empty()) return current_.phase == Phase::Body ? Stage::Body : Stage::Idle;
  switch (due_.front()) {
    case Due::Banner:
      return Stage::Banner;
    case Due::Ehlo:
    case Due::Helo:
      return Stage::Hello;
    case Due::StartTls:
      return Stage::StartTls;
    case Due::Auth:
      return Stage::Auth;
    case Due::Quit:
      return Stage::Idle;
    case Due::Reset:  // said before a MAIL only, and a part of it
    case Due::Mail:
      return Stage::Mail;
    case Due::Rcpt:
      return Stage::Rcpt;
    case Due::Data:
      return Stage::Data;
    case Due::Chunk:  // a LAST may have left behind it
      return current_.dot_left && !current_.is_void ? Stage::FinalDot : Stage::Body;
    case Due::FinalDot:
      return is_dot_left() ? Stage::FinalDot : Stage::Body;
  }
  return Stage::Idle;
}

bool ClientSession::is_ready() const {
  return state_ == State::Talking && greeted_ && !quit_wanted_ && !is_exhausted() &&
         due_.is_empty() && current_.phase == Phase::None;
}

bool ClientSession::can_start_next() const {
  return state_ == State::Talking && peer_.pipelining && !quit_wanted_ && !is_exhausted() &&
         current_.phase == Phase::Dot && current_.dot_left && !current_.is_void &&
         previous_.phase == Phase::None;
}

// RFC 9422 §4.2: MAILMAX counts MAIL commands.
bool ClientSession::is_exhausted() const {
  return peer_.messages_max > 0 && mails_ >= peer_.messages_max;
}

bool ClientSession::fits(const Reply& reply, Due due) const {
  if (due == Due::Auth)
    return !auth_->is_cancelled() || reply.is_transient() || reply.is_permanent();
  if (due != Due::Data) return !reply.is_intermediate();
  // RFC 2033 §4.2: to the content of a message for nobody there would be no reply at all.
  const bool is_for_nobody = terms_.dialect == Dialect::Lmtp && current_.accepted == 0;
  return !reply.is_success() && !(reply.is_intermediate() && is_for_nobody);
}

void ClientSession::on_reply(Reply reply) {
  if (due_.is_empty()) return on_unasked(std::move(reply));
  const Due due = due_.front();
  if (due == Due::FinalDot && !is_dot_left()) return on_unasked(std::move(reply));
  if (due == Due::Auth && !secret_.is_empty()) return on_unasked(std::move(reply));
  if (!fits(reply, due)) {
    return fail(FailKind::Malformed, std::nullopt, "no answer to this: " + one_line(reply, 80));
  }
  // RFC 5321 §3.8: after a 421 the server closes. To a final dot it is an answer first of all.
  if (reply.code == 421 && due != Due::FinalDot && due != Due::Quit) {
    return fail(FailKind::Refused, std::move(reply), {});
  }
  due_.take();
  switch (due) {
    case Due::Banner:
      return on_banner(std::move(reply));
    case Due::Ehlo:
    case Due::Helo:
      return on_hello(std::move(reply), due);
    case Due::StartTls:
      return on_start_tls(std::move(reply));
    case Due::Auth:
      return on_auth(std::move(reply));
    case Due::Reset:
      // Whatever it was, the peer's answer to MAIL decides.
      if (!peer_.pipelining) send_envelope(current_.message);
      return;
    case Due::Mail:
      return on_mail(reply);
    case Due::Rcpt:
      return on_rcpt(std::move(reply));
    case Due::Data:
      return on_data(reply);
    case Due::Chunk:
      return on_chunk(reply);
    case Due::FinalDot:
      return on_final_dot(std::move(reply));
    case Due::Quit:
      return close(std::move(reply));
  }
}

void ClientSession::on_banner(Reply reply) {
  if (!reply.is_success()) return refuse_session(Stage::Banner, std::move(reply));
  peer_.banner = reply.text.substr(0, kKeptTextOctetsMax);
  say_hello();
}

void ClientSession::say_hello() {
  send((terms_.dialect == Dialect::Lmtp ? "LHLO " : "EHLO ") + options_.hostname, Due::Ehlo);
}

void ClientSession::on_hello(Reply reply, Due due) {
  const bool is_lmtp = terms_.dialect == Dialect::Lmtp;
  if (reply.is_permanent() && due == Due::Ehlo && !is_lmtp) {
    return send("HELO " + options_.hostname, Due::Helo);  // RFC 5321 §3.2
  }
  if (!reply.is_success()) return refuse_session(Stage::Hello, std::move(reply));
  const HelloKind kind = due == Due::Helo ? HelloKind::Helo
                         : is_lmtp        ? HelloKind::Lhlo
                                          : HelloKind::Ehlo;
  learn_capabilities(reply, kind, peer_);
  introduce();
}

// What is still to be done before mail may be sent.
void ClientSession::introduce() {
  if (!inside_tls_ && terms_.tls != UseTls::Never) {
    if (peer_.starttls && !tls_refused_) return send("STARTTLS", Due::StartTls);
    if (terms_.tls == UseTls::Required) {
      return refuse_session(Stage::StartTls,
                            make_reply(451, "4.7.4", peer_.name + " does not offer STARTTLS"));
    }
  }
  if (terms_.credentials != nullptr && !logged_in_) return start_auth();
  greeted_ = true;
  events_.push_back(Greeted{});
}

void ClientSession::on_start_tls(Reply reply) {
  if (reply.is_success()) {
    state_ = State::Handshake;
    events_.push_back(TlsWanted{});
    return;
  }
  tls_refused_ = true;
  if (terms_.tls == UseTls::Required) return refuse_session(Stage::StartTls, std::move(reply));
  introduce();
}

void ClientSession::start_auth() {
  if (!inside_tls_ && !terms_.auth_in_clear) {
    const std::string text = "no password is sent to " + peer_.name + " without TLS";
    return refuse_session(Stage::Auth, make_reply(451, "4.7.11", text));
  }
  if (!peer_.auth_plain && !peer_.auth_login) {
    const std::string text = peer_.name + " does not offer AUTH with PLAIN or LOGIN";
    return refuse_session(Stage::Auth, make_reply(451, "4.7.4", text));
  }
  auth_.emplace(peer_.auth_plain ? ClientAuth::Mechanism::Plain : ClientAuth::Mechanism::Login,
                terms_.credentials);
  auth_->begin(secret_);
  due_.push_back(Due::Auth);
}

void ClientSession::on_auth(Reply reply) {
  if (reply.is_intermediate()) {
    auth_->answer(secret_);
    return due_.push_back(Due::Auth);
  }
  if (!reply.is_success()) return refuse_session(Stage::Auth, std::move(reply));
  auth_.reset();
  logged_in_ = true;
  introduce();
}

// No command of ours waits for this.
void ClientSession::on_unasked(Reply reply) {
  const bool in_body = current_.phase == Phase::Body || current_.phase == Phase::Dot;
  if (in_body && (reply.is_transient() || reply.is_permanent())) {
    return fail(FailKind::Refused, std::move(reply), {});
  }
  if (!in_body && reply.code == 421) return close(std::move(reply));
  fail(FailKind::Malformed, std::nullopt, "a reply that nobody asked for: " + one_line(reply, 80));
}

bool ClientSession::is_dot_left() const {
  return previous_.phase == Phase::Dot || current_.dot_left;
}

// The server wants none of us. QUIT is said out of politeness, its reply is not waited for.
void ClientSession::refuse_session(Stage stage, Reply reply) {
  fail(FailKind::Refused, std::move(reply), {});
  std::get<SessionFailed>(events_.back()).stage = stage;
  output_.append("QUIT\r\n");
}

void ClientSession::fail(FailKind kind, std::optional<Reply> reply, std::string detail) {
  // Servers have been seen to quote what they did not understand.
  if (auth_ && kind == FailKind::Malformed) detail = "no answer to AUTH";
  if (auth_ && reply) auth_->hide_secrets(reply->text);
  auth_.reset();
  SessionFailed failed{stage(), kind, std::move(reply), std::move(detail), false, false, {}};
  if (previous_.phase == Phase::Dot) {
    for (RecipientResult& result : previous_.results) {
      if (result.reply.is_none()) result.stage = Stage::FinalDot;
    }
    events_.push_back(
        TransactionEnded{std::move(previous_.results), Stage::FinalDot, /*uncertain=*/true});
    previous_ = Transaction();
    if (current_.phase == Phase::Decided) end_transaction(current_);
    // What was pipelined behind that dot has not come further than its MAIL.
    if (current_.phase != Phase::None) failed.stage = Stage::Mail;
  }
  failed.transaction_open = current_.phase != Phase::None;
  failed.past_final_dot = current_.dot_left && !current_.is_void;
  for (RecipientResult& result : current_.results) {
    if (!result.reply.is_none()) continue;
    result.stage = failed.stage;
    if (kind == FailKind::BadBody && failed.reply) result.reply = *failed.reply;
  }
  failed.results = std::exchange(current_, Transaction()).results;
  events_.push_back(std::move(failed));
  state_ = State::Over;
  due_.clear();
  output_.clear();  // above all a final dot that has not left yet
  secret_.clear();
  std::string().swap(held_);
}

void ClientSession::close(std::optional<Reply> reply) {
  events_.push_back(SessionClosed{std::move(reply)});
  state_ = State::Over;
  due_.clear();
  output_.clear();
  secret_.clear();
}

}  // namespace rockdove::smtp
