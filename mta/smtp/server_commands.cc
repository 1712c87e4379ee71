// What a ServerSession does with each command line.
#include <algorithm>
#include <charconv>
#include <utility>

#include "mta/base/assert.h"
#include "mta/base/text.h"
#include "mta/smtp/server_replies.h"
#include "mta/smtp/server_session.h"

namespace rockdove::smtp {
namespace {

// Whole seconds, as FUTURERELEASE wants them: "2026-12-22T23:00:00Z".
std::string format_latest(base::WallTime time) {
  std::string text = base::format_timestamp(std::chrono::floor<std::chrono::seconds>(time));
  constexpr std::string_view kFraction = ".000";
  if (const std::size_t at = text.find(kFraction); at != std::string::npos)
    text.erase(at, kFraction.size());
  return text;
}

// To a parameter of DSN where that is not offered (RFC 5321 §4.1.1.11).
Reply dsn_not_offered() {
  return make_reply(555, "5.5.4", "DSN is not offered here: RET, ENVID, NOTIFY and ORCPT are not");
}

Reply hold_too_long(const ServerOffers& offers) {
  return make_reply(501, "5.5.4",
                    "a message can be scheduled until " + format_latest(offers.hold_until_max) +
                        " at most");  // RFC 4865 §4
}

bool begins_with_auth(std::string_view input) {
  return base::starts_with_ignoring_case(input, "AUTH ");
}

}  // namespace

void append_number(std::string& text, std::uint64_t number) {
  char digits[20];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), number).ptr;
  text.append(std::begin(digits), end);
}

Reply start_tls_first() {
  return make_reply(530, "5.7.0", "STARTTLS comes first");
}

// The next command, or what there is to say about a line that is none.
ServerSession::Event ServerSession::next_command(Instant now) {
  const std::string_view input = input_.view();
  const std::size_t end = input.find('\n');
  const bool is_secret = state_ == State::Credentials || begins_with_auth(input);
  const std::size_t octets_max = is_secret && offers_.auth != ServerOffers::Auth::Off
                                     ? kAuthLineOctetsMax + 2
                                     : limits_.command_octets_max;
  const bool too_long = std::min(end, input.size()) >= octets_max;
  progressed_ = end != std::string_view::npos || too_long;
  if (!progressed_) return std::nullopt;
  const bool whole = end != std::string_view::npos && end > 0 && input[end - 1] == '\r';
  const bool fed = end != std::string_view::npos && limits_.line_endings == LineEndings::Fix;
  const bool ends = whole || fed;
  if (skipping_line_ || too_long) {
    const bool first = !std::exchange(skipping_line_, !ends);
    // The CR of the line's end may have come without its LF.
    const bool half = end == std::string_view::npos && input.back() == '\r';
    input_.take(end == std::string_view::npos ? input.size() - (half ? 1 : 0) : end + 1);
    progressed_ = end != std::string_view::npos;
    if (!first) return std::nullopt;
    end_credentials();
    // RFC 4954 §4; RFC 5321 §4.2.4.
    return say(make_reply(500, is_secret ? "5.5.6" : "5.5.2", "the line is too long"));
  }
  if (!ends || bare_line_feed_) {
    // What stands before and after a bare LF is one line (RFC 5321 §2.3.8), and none of it is
    // obeyed.
    bare_line_feed_ = !ends;
    end_credentials();
    input_.take(end + 1);
    return say(
        make_reply(500, "5.5.2", "a line feed without a carriage return ends no line; send CR LF"));
  }
  step_deadline_ = now + limits_.command_timeout;
  Event event = take_line(input.substr(0, whole ? end - 1 : end));
  if (state_ == State::Over) return event;
  if (state_ == State::Body) step_deadline_ = now + limits_.data_timeout;
  if (state_ == State::Handshake) {
    input_.clear();  // RFC 3207 §4: what was pipelined behind STARTTLS was said by anybody
    step_deadline_ = now + limits_.handshake_timeout;
  } else if (is_secret) {
    input_.take_and_wipe(end + 1);
  } else {
    input_.take(end + 1);
  }
  return event;
}

// A command, or a response of AUTH.
ServerSession::Event ServerSession::take_line(std::string_view line) {
  if (state_ == State::Credentials) return step_of(sasl_->respond(line));
  ++commands_;
  if (++idle_commands_ > limits_.commands_max) {
    finish_with(make_reply(421, "4.7.0", "too many commands without a message"),
                CloseReason::TooManyCommands);
    return std::nullopt;
  }
  Command command = parse_command(line, offers_.addresses);
  tally_.given(command);
  return std::visit([&](auto& each) { return on(std::move(each)); }, command);
}

ServerSession::Event ServerSession::on(HelloCommand&& command) {
  const bool open = is_in_transaction();
  body_.reset();
  state_ = State::Ready;
  hello_name_.assign(command.name);
  extended_ = command.extended;
  const Reply reply =
      make_reply(250, "", extended_ ? greeting_.hostname + extensions() : greeting_.hostname);
  append_reply(output_.back(), reply);
  tally_.answered(reply);
  hello_owed_ = open;
  if (open) return TransactionReset{};  // RFC 5321 §4.1.4
  return HelloGiven{hello_name_, extended_};
}

// What EHLO offers, a line each, behind our name (RFC 5321 §4.1.1.1).
std::string ServerSession::extensions() const {
  std::string lines = "\nPIPELINING\nSIZE ";  // RFC 2920, RFC 1870
  append_number(lines, limits_.message_octets_max);
  lines +=
      "\n8BITMIME"                                                  // RFC 6152
      "\nENHANCEDSTATUSCODES"                                       // RFC 2034
      "\nCHUNKING"                                                  // RFC 3030
      "\nSMTPUTF8";                                                 // RFC 6531
  if (offers_.dsn == ServerOffers::Dsn::Offered) lines += "\nDSN";  // RFC 3461
  lines += "\nLIMITS RCPTMAX=";                                     // RFC 9422
  append_number(lines, limits_.recipients_max);
  if (offers_wishes()) {
    lines += "\nMT-PRIORITY MIXER\nFUTURERELEASE ";  // RFC 6710, RFC 4865
    append_number(lines,
                  static_cast<std::uint64_t>(offers_.hold_for_max / std::chrono::seconds(1)));
    lines.append(" ").append(format_latest(offers_.hold_until_max));
  }
  if (!tls_ && (offers_.tls == ServerOffers::Tls::Optional || must_start_tls()))
    lines += "\nSTARTTLS";                                             // RFC 3207 §4.2
  if (offers_auth()) lines.append("\nAUTH ").append(kAuthMechanisms);  // RFC 4954
  return lines;
}

bool ServerSession::offers_auth() const {
  return offers_.auth == ServerOffers::Auth::Always ||
         (offers_.auth == ServerOffers::Auth::UnderTls && tls_);
}

// Why a message may not have what its MAIL asks for; nullopt: it may.
std::optional<Reply> ServerSession::refuse_wishes(const MailCommand& command) const {
  const bool has_hold = command.hold_for || command.hold_until;
  if ((command.priority || has_hold) && !offers_wishes()) {
    return make_reply(555, "5.5.4",
                      std::string(has_hold ? "HOLDFOR and HOLDUNTIL are" : "MT-PRIORITY is") +
                          " not offered to you here");
  }
  const bool is_too_long = (command.hold_for && *command.hold_for > offers_.hold_for_max) ||
                           (command.hold_until && *command.hold_until > offers_.hold_until_max);
  if (is_too_long) return hold_too_long(offers_);
  return std::nullopt;
}

ServerSession::Event ServerSession::on(MailCommand&& command) {
  if (must_start_tls()) return say(start_tls_first());
  if (state_ == State::Hello) return say(make_reply(503, "5.5.1", "say EHLO first"));
  if (state_ != State::Ready)
    return say(make_reply(503, "5.5.1", "there is a sender already; RSET forgets it"));
  if (offers_.auth_required && user_.empty()) {
    return say(make_reply(530, "5.7.0",
                          offers_auth() ? "authentication required"
                                        : "authentication required; STARTTLS comes first"));
  }
  const bool has_dsn =
      command.returned != mail::ReturnContent::Unset || !command.envelope_id.empty();
  if (has_dsn && offers_.dsn == ServerOffers::Dsn::Off) return say(dsn_not_offered());
  if (command.size > limits_.message_octets_max) return say(refusal_of(BodyEnd::TooBig, limits_));
  if (const std::optional<Reply> refusal = refuse_wishes(command)) return say(*refusal);
  recipients_ = 0;
  utf8_ = command.utf8;
  question_ = Question::Sender;
  return SenderOffered{std::move(command.sender), command.size,
                       command.eight_bit,         command.utf8,
                       command.returned,          std::move(command.envelope_id),
                       command.priority,          command.hold_for,
                       command.hold_until};
}

ServerSession::Event ServerSession::on(RcptCommand&& command) {
  if (must_start_tls()) return say(start_tls_first());
  if (state_ != State::Mail && state_ != State::Rcpt)
    return say(make_reply(503, "5.5.1", "MAIL comes first"));
  if (command.recipient.is_null())
    return say(make_reply(501, "5.1.3", "the null address can only be a sender"));
  if (command.is_utf8 && !utf8_) {
    return say(make_reply(553, "5.6.7", "what is not ASCII needs SMTPUTF8 with MAIL"));
  }
  const bool has_dsn = !command.notify.is_unset() || !command.original_recipient.empty();
  if (has_dsn && offers_.dsn == ServerOffers::Dsn::Off) return say(dsn_not_offered());
  if (recipients_ >= limits_.recipients_max) {
    // RFC 5321 §4.5.3.1.10: the client sends the rest in another transaction.
    return say(make_reply(
        452, "4.5.3", "that is enough recipients for one message; send the others with another"));
  }
  question_ = Question::Recipient;
  return RecipientOffered{std::move(command.recipient), command.notify,
                          std::move(command.original_recipient)};
}

ServerSession::Event ServerSession::on(DataCommand&& /*command*/) {
  if (must_start_tls()) return say(start_tls_first());
  if (state_ == State::Mail) {
    return say(make_reply(554, "5.5.1", "no recipient was accepted"));  // RFC 5321 §3.3
  }
  if (state_ == State::Chunks) {
    return say(make_reply(503, "5.5.1", "BDAT has begun this message; go on with BDAT, or RSET"));
  }
  if (state_ != State::Rcpt) return say(make_reply(503, "5.5.1", "MAIL and RCPT come first"));
  chunked_ = false;
  question_ = Question::Data;
  return DataWanted{};
}

ServerSession::Event ServerSession::on(RsetCommand&& /*command*/) {
  const bool open = is_in_transaction();
  if (open) state_ = State::Ready;
  body_.reset();
  say(make_reply(250, "2.0.0", "forgotten"));
  if (open) return TransactionReset{};
  return std::nullopt;
}

ServerSession::Event ServerSession::on(NoopCommand&& /*command*/) {
  return say(make_reply(250, "2.0.0", "fine"));
}

ServerSession::Event ServerSession::on(VrfyCommand&& /*command*/) {
  if (must_start_tls()) return say(start_tls_first());
  // RFC 5321 §7.3: who is asked too much need not tell, but must say so with 252.
  return say(make_reply(252, "2.5.0", "that is not told here; send the mail and see"));
}

ServerSession::Event ServerSession::on(HelpCommand&& /*command*/) {
  return say(
      make_reply(214, "2.0.0",
                 "EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT, see RFC "
                 "5321, 3207, 4954 and 3030"));
}

ServerSession::Event ServerSession::on(QuitCommand&& /*command*/) {
  finish_with(make_reply(221, "2.0.0", greeting_.hostname + " closes the connection"),
              CloseReason::Quit);
  return std::nullopt;
}

ServerSession::Event ServerSession::on(StartTlsCommand&& /*command*/) {
  if (tls_) return say(make_reply(503, "5.5.1", "TLS runs already"));
  switch (offers_.tls) {
    case ServerOffers::Tls::Off:
      return say(make_reply(502, "5.5.1", "this command is not offered here"));
    case ServerOffers::Tls::Unavailable:
      return say(make_reply(454, "4.7.0", "TLS is not available at the moment"));
    case ServerOffers::Tls::Optional:
    case ServerOffers::Tls::Required:
      break;
  }
  if (state_ == State::Hello) return say(make_reply(503, "5.5.1", "say EHLO first"));
  if (state_ != State::Ready)
    return say(make_reply(503, "5.5.1", "not within a message; RSET forgets it"));
  state_ = State::Handshake;
  after_handshake_ = State::Hello;
  say(make_reply(220, "2.0.0", "go ahead with TLS"));
  return HandshakeWanted{};
}

ServerSession::Event ServerSession::on(AuthCommand&& command) {
  if (must_start_tls()) return say(start_tls_first());
  if (offers_.auth == ServerOffers::Auth::Off)
    return say(make_reply(502, "5.5.1", "this command is not offered here"));
  if (state_ == State::Hello) return say(make_reply(503, "5.5.1", "say EHLO first"));
  if (!user_.empty()) return say(make_reply(503, "5.5.1", "you have authenticated already"));
  if (state_ != State::Ready)
    return say(make_reply(503, "5.5.1", "not within a message; RSET forgets it"));
  if (!offers_auth()) {
    return say(make_reply(538, "5.7.11", "passwords are not taken in clear; STARTTLS comes first"));
  }
  const std::optional<AuthMechanism> mechanism = find_auth_mechanism(command.mechanism);
  if (!mechanism) {
    return say(make_reply(504, "5.5.4", "AUTH can be " + std::string(kAuthMechanisms) + " here"));
  }
  mechanism_ = *mechanism;
  return step_of(sasl_.emplace(*mechanism).start(command.initial));
}

ServerSession::Event ServerSession::step_of(SaslServer::Step&& step) {
  if (auto* credentials = std::get_if<SaslServer::Credentials>(&step)) {
    end_credentials();
    login_user_ = credentials->user;
    question_ = Question::Login;
    return LoginOffered{std::move(credentials->user), std::move(credentials->password), mechanism_};
  }
  const Reply& reply = std::get<Reply>(step);
  if (reply.is_intermediate()) {
    state_ = State::Credentials;
    return say(reply);
  }
  end_credentials();
  return say_login(reply);
}

// The exchange of AUTH is over, whatever came of it.
void ServerSession::end_credentials() {
  sasl_.reset();
  if (state_ == State::Credentials) state_ = State::Ready;
}

// How a login ended.
ServerSession::Event ServerSession::say_login(const Reply& reply) {
  say(reply);
  if (reply.code == 535 && ++failed_logins_ > limits_.failed_logins_max && state_ != State::Over) {
    finish_with(make_reply(421, "4.7.0", "too many failed logins"), CloseReason::TooManyLogins);
  }
  return std::nullopt;
}

ServerSession::Event ServerSession::on(Refusal&& refusal) {
  return say(refusal.reply);
}

}  // namespace rockdove::smtp
