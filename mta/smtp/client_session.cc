#include "mta/smtp/client_session.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

#include "mta/base/assert.h"
#include "mta/base/text.h"

namespace rockdove::smtp {
namespace {

// Above this the next part of a body is not asked for.
constexpr std::size_t kUnsentOctetsMax = 128 * 1024;
// Of a banner.
constexpr std::size_t kKeptTextOctetsMax = 512;

bool is_safe(std::string_view address) {
  return std::none_of(address.begin(), address.end(), [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return octet < 32 || octet == 127;
  });
}

void append_number(std::string& text, std::uint64_t number) {
  char digits[20];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), number).ptr;
  text.append(std::begin(digits), end);
}

std::string_view describe(BodyFault fault) {
  switch (fault) {
    case BodyFault::None:
      return "";
    case BodyFault::BareLineFeed:
      return "the stored content has a bare LF";
    case BodyFault::BareCarriageReturn:
      return "the stored content has a bare CR";
    case BodyFault::NullOctet:
      return "the stored content has a NUL octet";
  }
  return "";
}

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

void ClientSession::start(const OutgoingMessage& message, Instant now) {
  MTA_ASSERT(is_ready() || can_start_next());
  MTA_ASSERT(!message.recipients.empty());
  if (current_.phase == Phase::Dot) previous_ = std::exchange(current_, Transaction());
  progress_ = now;
  current_.results.resize(message.recipients.size());
  current_.recipients_only = message.extent == Extent::RecipientsOnly;
  if (std::optional<Reply> refusal = refuse_locally(message)) {
    current_.phase = Phase::Decided;
    decide_open(current_, *refusal, Stage::Mail);
    if (previous_.phase == Phase::None) end_transaction(current_);
    return;
  }
  current_.phase = Phase::Envelope;
  writer_ = BodyWriter();
  if (!peer_.pipelining) current_.message = message;
  if (std::exchange(reset_needed_, false)) {
    send("RSET", Due::Reset);
    if (!peer_.pipelining) return;
  }
  send_mail(message);
  if (!peer_.pipelining) return;
  // RFC 2920 §3.1: DATA is the last of its group.
  for (const OutgoingRecipient& recipient : message.recipients) send_rcpt(recipient);
  if (!current_.recipients_only) send("DATA", Due::Data);
}

std::optional<Reply> ClientSession::refuse_locally(const OutgoingMessage& message) const {
  const bool safe =
      is_safe(message.sender) &&
      std::all_of(message.recipients.begin(), message.recipients.end(),
                  [](const OutgoingRecipient& each) { return is_safe(each.address); });
  if (!safe) return make_reply(553, "5.1.3", "an address with control characters cannot be sent");
  if (peer_.size && peer_.size_octets_max > 0 && message.octets > peer_.size_octets_max) {
    std::string text = "the message has ";  // RFC 1870 §5
    append_number(text, message.octets);
    text += " octets, but " + peer_.name + " takes at most ";
    append_number(text, peer_.size_octets_max);
    return make_reply(552, "5.3.4", text);
  }
  if (message.eight_bit && !peer_.eight_bit_mime) {
    return make_reply(
        554, "5.6.3",
        "the message has 8-bit text, which " + peer_.name + " does not take (8BITMIME)");
  }
  return std::nullopt;
}

void ClientSession::send(std::string_view command, Due due) {
  output_.back().append(command).append("\r\n");
  due_.push_back(due);
}

void ClientSession::send_mail(const OutgoingMessage& message) {
  std::string& line = output_.back();
  line.append("MAIL FROM:<").append(message.sender).append(">");
  if (peer_.size && message.extent == Extent::Message) {
    line.append(" SIZE=");
    append_number(line, message.octets);
  }
  if (message.eight_bit) line.append(" BODY=8BITMIME");  // RFC 6152 §3
  line.append("\r\n");
  due_.push_back(Due::Mail);
}

void ClientSession::send_rcpt(const OutgoingRecipient& recipient) {
  output_.back().append("RCPT TO:<").append(recipient.address).append(">\r\n");
  due_.push_back(Due::Rcpt);
}

void ClientSession::body(std::string_view octets, BodyLast last, Instant now) {
  MTA_ASSERT(wants_body());
  progress_ = now;
  writer_.write(octets, output_);
  if (last == BodyLast::Yes) writer_.finish(output_);
  if (writer_.fault() != BodyFault::None) {
    return fail(FailKind::BadBody, std::nullopt, std::string(describe(writer_.fault())));
  }
  if (last == BodyLast::No) return;
  expect_final_dot();
}

void ClientSession::expect_final_dot() {
  current_.phase = Phase::Dot;
  dot_ends_at_ = sent_ + output_.size();
  due_.push_back(Due::FinalDot);
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
  output_.take(octets);
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
    case Due::Reset:
      return timeouts.reset;
    case Due::Mail:
      return timeouts.mail;
    case Due::Rcpt:
      return timeouts.rcpt;
    case Due::Data:
      return timeouts.data_start;
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
    case Due::Reset:
    case Due::Quit:
      return Stage::Idle;
    case Due::Mail:
      return Stage::Mail;
    case Due::Rcpt:
      return Stage::Rcpt;
    case Due::Data:
      return Stage::Data;
    case Due::FinalDot:
      return is_dot_left() ? Stage::FinalDot : Stage::Body;
  }
  return Stage::Idle;
}

bool ClientSession::is_ready() const {
  return state_ == State::Talking && greeted_ && !quit_wanted_ && due_.is_empty() &&
         current_.phase == Phase::None;
}

bool ClientSession::can_start_next() const {
  return state_ == State::Talking && peer_.pipelining && !quit_wanted_ &&
         current_.phase == Phase::Dot && current_.dot_left && !current_.lone_dot &&
         previous_.phase == Phase::None;
}

bool ClientSession::wants_body() const {
  return state_ == State::Talking && current_.phase == Phase::Body &&
         output_.size() < kUnsentOctetsMax;
}

void ClientSession::on_reply(Reply reply) {
  if (due_.is_empty()) return on_unasked(std::move(reply));
  const Due due = due_.front();
  if (due == Due::FinalDot && !is_dot_left()) return on_unasked(std::move(reply));
  const bool fits = due == Due::Data ? !reply.is_success() : !reply.is_intermediate();
  if (!fits) {
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
    case Due::Reset:
      // Whatever it was, the peer's answer to MAIL decides.
      if (!peer_.pipelining) send_mail(current_.message);
      return;
    case Due::Mail:
      return on_mail(reply);
    case Due::Rcpt:
      return on_rcpt(std::move(reply));
    case Due::Data:
      return on_data(std::move(reply));
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

void ClientSession::on_mail(const Reply& reply) {
  current_.mail_accepted = reply.is_success();
  if (!current_.mail_accepted) decide_open(current_, reply, Stage::Mail);
  if (peer_.pipelining) return;  // what follows is due already
  if (!current_.mail_accepted) return end_transaction(current_);
  send_rcpt(current_.message.recipients.front());
}

void ClientSession::on_rcpt(Reply reply) {
  MTA_ASSERT(current_.answered < current_.results.size());
  RecipientResult& result = current_.results[current_.answered++];
  // Without a sender the reply says nothing about the recipient.
  if (current_.mail_accepted && reply.is_success()) ++current_.accepted;
  const bool decides = current_.recipients_only || !reply.is_success();
  if (current_.mail_accepted && decides) result = {Stage::Rcpt, std::move(reply)};
  const bool is_last = current_.answered == current_.results.size();
  if (peer_.pipelining && !(is_last && current_.recipients_only)) return;
  if (!is_last) return send_rcpt(current_.message.recipients[current_.answered]);
  if (!current_.recipients_only && current_.accepted > 0) return send("DATA", Due::Data);
  reset_needed_ = true;
  end_transaction(current_);
}

void ClientSession::on_data(Reply reply) {
  if (!reply.is_intermediate()) {
    reset_needed_ = current_.mail_accepted;
    decide_open(current_, reply, Stage::Data);
    return end_transaction(current_);
  }
  if (current_.accepted > 0) {
    current_.phase = Phase::Body;
    return;
  }
  // RFC 2920 §3.1: a server may say 354 though it took no recipient. It gets an empty message,
  // which it must refuse; whatever it says, nobody is delivered to.
  current_.lone_dot = true;
  output_.append(".\r\n");
  expect_final_dot();
}

void ClientSession::on_final_dot(Reply reply) {
  Transaction& transaction = previous_.phase == Phase::Dot ? previous_ : current_;
  const bool more = &transaction == &previous_;
  if (!transaction.lone_dot) decide_open(transaction, reply, Stage::FinalDot);
  end_transaction(transaction);
  if (more && current_.phase == Phase::Decided) end_transaction(current_);
  if (reply.code != 421) return;
  if (current_.phase == Phase::None) return close(std::move(reply));
  fail(FailKind::Refused, std::move(reply), {});
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

// Recipients that nothing has decided yet, those accepted included, have this reply.
void ClientSession::decide_open(Transaction& transaction, const Reply& reply, Stage stage) {
  for (RecipientResult& result : transaction.results) {
    if (!result.reply.is_none()) continue;
    result = {stage, reply};
    transaction.stage = stage;
  }
}

void ClientSession::end_transaction(Transaction& transaction) {
  Stage stage = transaction.stage;
  if (transaction.mail_accepted && (transaction.accepted == 0 || transaction.recipients_only))
    stage = Stage::Rcpt;
  events_.push_back(TransactionEnded{std::move(transaction.results), stage, /*uncertain=*/false});
  transaction = Transaction();
}

// The server wants none of us. QUIT is said out of politeness, its reply is not waited for.
void ClientSession::refuse_session(Stage stage, Reply reply) {
  fail(FailKind::Refused, std::move(reply), {});
  std::get<SessionFailed>(events_.back()).stage = stage;
  output_.append("QUIT\r\n");
}

void ClientSession::fail(FailKind kind, std::optional<Reply> reply, std::string detail) {
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
  failed.past_final_dot = current_.dot_left && !current_.lone_dot;
  for (RecipientResult& result : current_.results) {
    if (result.reply.is_none()) result.stage = failed.stage;
  }
  failed.results = std::exchange(current_, Transaction()).results;
  events_.push_back(std::move(failed));
  state_ = State::Over;
  due_.clear();
  output_.clear();  // above all a final dot that has not left yet
}

void ClientSession::close(std::optional<Reply> reply) {
  events_.push_back(SessionClosed{std::move(reply)});
  state_ = State::Over;
  due_.clear();
  output_.clear();
}

}  // namespace rockdove::smtp
