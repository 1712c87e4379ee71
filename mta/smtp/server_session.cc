#include "mta/smtp/server_session.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include "mta/base/assert.h"

namespace rockdove::smtp {
namespace {

// Beyond these the client waits: what it pipelines while a question is open, and what it does not
// fetch of its replies.
constexpr std::size_t kPendingOctetsMax = 8 * 1024;
constexpr std::size_t kUnsentOctetsMax = 64 * 1024;

// What EHLO offers, after our name (RFC 5321 §4.1.1.1). Extensions of later issues get a line here.
constexpr std::string_view kExtensions[] = {
    "PIPELINING",           // RFC 2920
    "SIZE",                 // RFC 1870; the limit is added
    "8BITMIME",             // RFC 6152
    "ENHANCEDSTATUSCODES",  // RFC 2034
};

void append_number(std::string& text, std::uint64_t number) {
  char digits[20];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), number).ptr;
  text.append(std::begin(digits), end);
}

// At most the largest number.
std::uint64_t sum(std::uint64_t a, std::uint64_t b) {
  return a > std::numeric_limits<std::uint64_t>::max() - b
             ? std::numeric_limits<std::uint64_t>::max()
             : a + b;
}

// More octets of one message than this are not even dropped. Fixing and unstuffing take at most
// half of what came, so a message that is not too big never gets here.
std::uint64_t wire_octets_max(const ServerLimits& limits) {
  const std::uint64_t fitting =
      sum(sum(limits.message_octets_max, limits.message_octets_max), 1000);
  return sum(fitting, limits.dropped_octets_max);
}

Reply refusal_of(BodyEnd how, const ServerLimits& limits) {
  switch (how) {
    case BodyEnd::Dot:
      break;
    case BodyEnd::TooBig: {
      std::string text = "the message is larger than ";
      append_number(text, limits.message_octets_max);
      return make_reply(552, "5.3.4", text + " octets");  // RFC 1870 §6.3
    }
    case BodyEnd::BareLineFeed:
      return make_reply(554, "5.6.0",
                        "the message has a line feed without a carriage return before it; end each "
                        "line with CR LF");
    case BodyEnd::BareCarriageReturn:
      return make_reply(554, "5.6.0",
                        "the message has a carriage return without a line feed after it; end each "
                        "line with CR LF");
    case BodyEnd::NullOctet:
      return make_reply(554, "5.6.0",
                        "the message has a NUL octet; encode binary parts, as with base64");
    case BodyEnd::LineTooLong: {
      std::string text = "the message has a line of more than ";
      append_number(text, limits.text_line_octets_max);
      return make_reply(554, "5.6.0", text + " octets; break it, or encode the part");
    }
  }
  MTA_ASSERT(false);
  return {};
}

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
  }
  return "unknown";
}

ServerSession::ServerSession(const ServerLimits& limits, const Greeting& greeting, Instant now)
    : limits_(limits),
      greeting_(greeting),
      session_deadline_(now + limits.session_timeout),
      step_deadline_(now + limits.command_timeout) {}

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
  input_.append(bytes);
  if (state_ == State::Body) step_deadline_ = now + limits_.data_timeout;
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
  if (now >= session_deadline_) {
    return finish_with(make_reply(421, "4.4.2", "this session has taken too long; come again"),
                       CloseReason::SessionTimeout);
  }
  // RFC 5321 §4.5.3.2.7: a server may give up, and says 421.
  finish_with(make_reply(421, "4.4.2", "nothing came for too long; come again"),
              state_ == State::Body ? CloseReason::DataTimeout : CloseReason::CommandTimeout);
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
      state_ = reply.is_intermediate() ? State::Body : State::Ready;
      if (state_ == State::Ready) break;
      step_deadline_ = now + limits_.data_timeout;
      body_.emplace(BodyLimits{limits_.message_octets_max, limits_.text_line_octets_max,
                               limits_.line_endings});
      break;
    case Question::Message:
      state_ = State::Ready;
      if (!reply.is_success()) break;
      idle_commands_ = 0;
      idle_errors_ = 0;
      break;
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
    } else if (farewell_) {
      finish_with(*farewell_, CloseReason::ShutDown);
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

// Sets progressed_ when something was taken from the input, so that it is worth trying again.
ServerSession::Event ServerSession::next_body_part(Instant now) {
  const std::uint64_t room = wire_octets_max(limits_) - body_->wire_octets();
  if (room == 0) {
    finish_with(refusal_of(body_->how(), limits_), CloseReason::TooMuchData);
    return std::nullopt;
  }
  std::string_view input = input_.view();
  progressed_ = !input.empty();
  if (input.size() > room) input = input.substr(0, static_cast<std::size_t>(room));
  std::size_t taken = 0;
  while (taken < input.size() && !body_->is_ended()) {
    const BodyReader::Part part = body_->read(input.substr(taken));
    taken += part.taken;
    if (part.octets.empty()) continue;
    held_ = taken;  // the part may lie in there
    return BodyPart{part.octets};
  }
  input_.take(taken);
  if (!body_->is_ended()) return std::nullopt;
  return body_ended(now);
}

ServerSession::Event ServerSession::body_ended(Instant now) {
  const BodyEnded ended{body_->how(), body_->octets(), body_->fixed_line_endings(),
                        body_->longest_line()};
  body_.reset();
  if (ended.how == BodyEnd::Dot) {
    question_ = Question::Message;
    return ended;
  }
  state_ = State::Ready;
  step_deadline_ = now + limits_.command_timeout;
  say(refusal_of(ended.how, limits_));
  return ended;
}

// The next command, or what there is to say about a line that is none.
ServerSession::Event ServerSession::next_command(Instant now) {
  const std::string_view input = input_.view();
  const std::size_t end = input.find('\n');
  const bool too_long = std::min(end, input.size()) >= limits_.command_octets_max;
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
    return say(make_reply(500, "5.5.2", "the line is too long"));  // RFC 5321 §4.2.4
  }
  if (!ends || bare_line_feed_) {
    // What stands before and after a bare LF is one line (RFC 5321 §2.3.8), and none of it is
    // obeyed.
    bare_line_feed_ = !ends;
    input_.take(end + 1);
    return say(
        make_reply(500, "5.5.2", "a line feed without a carriage return ends no line; send CR LF"));
  }
  step_deadline_ = now + limits_.command_timeout;
  ++commands_;
  if (++idle_commands_ > limits_.commands_max) {
    finish_with(make_reply(421, "4.7.0", "too many commands without a message"),
                CloseReason::TooManyCommands);
    return std::nullopt;
  }
  Command command = parse_command(input.substr(0, whole ? end - 1 : end));
  Event event = std::visit([&](auto& each) { return on(std::move(each)); }, command);
  if (state_ != State::Over) input_.take(end + 1);
  return event;
}

ServerSession::Event ServerSession::on(HelloCommand&& command) {
  const bool open = state_ == State::Mail || state_ == State::Rcpt;
  state_ = State::Ready;
  hello_name_.assign(command.name);
  extended_ = command.extended;
  if (!extended_) {
    append_reply(output_.back(), make_reply(250, "", greeting_.hostname));
  } else {
    Reply reply = make_reply(250, "", greeting_.hostname);
    for (const std::string_view extension : kExtensions) {
      reply.text.append("\n").append(extension);
      if (extension != "SIZE") continue;
      reply.text += ' ';
      append_number(reply.text, limits_.message_octets_max);
    }
    append_reply(output_.back(), reply);
  }
  hello_owed_ = open;
  if (open) return TransactionReset{};  // RFC 5321 §4.1.4
  return HelloGiven{hello_name_, extended_};
}

ServerSession::Event ServerSession::on(MailCommand&& command) {
  if (state_ == State::Hello) return say(make_reply(503, "5.5.1", "say EHLO first"));
  if (state_ != State::Ready)
    return say(make_reply(503, "5.5.1", "there is a sender already; RSET forgets it"));
  if (command.size > limits_.message_octets_max) return say(refusal_of(BodyEnd::TooBig, limits_));
  recipients_ = 0;
  question_ = Question::Sender;
  return SenderOffered{std::move(command.sender), command.size, command.eight_bit};
}

ServerSession::Event ServerSession::on(RcptCommand&& command) {
  if (state_ != State::Mail && state_ != State::Rcpt)
    return say(make_reply(503, "5.5.1", "MAIL comes first"));
  if (recipients_ >= limits_.recipients_max) {
    // RFC 5321 §4.5.3.1.10: the client sends the rest in another transaction.
    return say(make_reply(
        452, "4.5.3", "that is enough recipients for one message; send the others with another"));
  }
  question_ = Question::Recipient;
  return RecipientOffered{std::move(command.recipient)};
}

ServerSession::Event ServerSession::on(DataCommand&& /*command*/) {
  if (state_ == State::Mail) {
    return say(make_reply(554, "5.5.1", "no recipient was accepted"));  // RFC 5321 §3.3
  }
  if (state_ != State::Rcpt) return say(make_reply(503, "5.5.1", "MAIL and RCPT come first"));
  question_ = Question::Data;
  return DataWanted{};
}

ServerSession::Event ServerSession::on(RsetCommand&& /*command*/) {
  const bool open = state_ == State::Mail || state_ == State::Rcpt;
  if (open) state_ = State::Ready;
  say(make_reply(250, "2.0.0", "forgotten"));
  if (open) return TransactionReset{};
  return std::nullopt;
}

ServerSession::Event ServerSession::on(NoopCommand&& /*command*/) {
  return say(make_reply(250, "2.0.0", "fine"));
}

ServerSession::Event ServerSession::on(VrfyCommand&& /*command*/) {
  // RFC 5321 §7.3: who is asked too much need not tell, but must say so with 252.
  return say(make_reply(252, "2.5.0", "that is not told here; send the mail and see"));
}

ServerSession::Event ServerSession::on(HelpCommand&& /*command*/) {
  return say(
      make_reply(214, "2.0.0", "EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT, see RFC 5321"));
}

ServerSession::Event ServerSession::on(QuitCommand&& /*command*/) {
  finish_with(make_reply(221, "2.0.0", greeting_.hostname + " closes the connection"),
              CloseReason::Quit);
  return std::nullopt;
}

ServerSession::Event ServerSession::on(Refusal&& refusal) {
  return say(refusal.reply);
}

// Gives no event, so that handlers can return it.
ServerSession::Event ServerSession::say(const Reply& reply) {
  append_reply(output_.back(), reply);
  if (!reply.is_permanent()) return std::nullopt;
  ++errors_;
  if (++idle_errors_ > limits_.errors_max) {
    finish_with(make_reply(421, "4.7.0", "too many errors"), CloseReason::TooManyErrors);
  }
  return std::nullopt;
}

void ServerSession::finish_with(const Reply& reply, CloseReason reason) {
  append_reply(output_.back(), reply);
  finish(reason);
}

void ServerSession::finish(CloseReason reason) {
  MTA_ASSERT(state_ != State::Over);
  // Past the final dot the application decides by itself whether it keeps the message.
  const bool open = state_ == State::Mail || state_ == State::Rcpt || state_ == State::Body;
  reset_owed_ = open && question_ != Question::Message;
  reason_ = reason;
  state_ = State::Over;
  body_.reset();
  held_ = 0;
  input_.clear();
}

ServerSession::Event ServerSession::tell_end() {
  if (std::exchange(reset_owed_, false)) return TransactionReset{};
  if (std::exchange(over_told_, true)) return std::nullopt;
  return SessionOver{reason_};
}

void ServerSession::release_held() {
  if (held_ > 0) input_.take(std::exchange(held_, 0));
}

}  // namespace rockdove::smtp
