// The half of ClientSession that speaks from MAIL to the reply to the final dot.
#include <charconv>
#include <iterator>
#include <utility>

#include "mta/base/assert.h"
#include "mta/smtp/client_session.h"

namespace rockdove::smtp {
namespace {

// Above this the next part of a body is not asked for.
constexpr std::size_t kUnsentOctetsMax = 128 * 1024;
// Less than this waits for more before it becomes a chunk, unless it is the last.
constexpr std::size_t kChunkOctetsMin = 64 * 1024;

void append_number(std::string& text, std::uint64_t number) {
  char digits[20];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), number).ptr;
  text.append(std::begin(digits), end);
}

}  // namespace

void ClientSession::start(const OutgoingMessage& message, Instant now) {
  MTA_ASSERT(is_ready() || can_start_next());
  MTA_ASSERT(!message.recipients.empty());
  if (current_.phase == Phase::Dot) previous_ = std::exchange(current_, Transaction());
  progress_ = now;
  current_.results.resize(message.recipients.size());
  current_.recipients_only = message.extent == Extent::RecipientsOnly;
  current_.plan = plan_envelope(message, peer_);
  EnvelopePlan& plan = current_.plan;
  for (const std::uint32_t index : plan.refused)
    current_.results[index] = {Stage::Rcpt, not_without_smtputf8(peer_)};
  current_.offered = plan.is_partial ? plan.offered.size() : message.recipients.size();
  if (plan.refusal || current_.offered == 0) {
    current_.phase = Phase::Decided;
    current_.stage = Stage::Rcpt;
    if (plan.refusal) decide_open(current_, *plan.refusal, Stage::Mail);
    if (previous_.phase == Phase::None) end_transaction(current_);
    return;
  }
  ++mails_;
  current_.phase = Phase::Envelope;
  writer_ = BodyWriter();
  line_end_check_ = LineEndCheck();
  if (plan.form == ContentForm::SevenBit) encoder_ = std::make_unique<mail::SevenBitEncoder>();
  last_held_ = false;
  chunk_given_ = false;
  if (!peer_.pipelining) {
    current_.message = plan.rewritten ? *std::exchange(plan.rewritten, std::nullopt) : message;
    current_.message.header = {};
    current_.message.body = {};
  }
  if (std::exchange(reset_needed_, false)) {
    send("RSET", Due::Reset);
    if (!peer_.pipelining) return;
  }
  if (!peer_.pipelining) return send_envelope(current_.message);
  send_envelope(plan.rewritten ? *plan.rewritten : message);
  plan.rewritten.reset();
}

// As much of it as may be said at once.
void ClientSession::send_envelope(const OutgoingMessage& message) {
  append_mail(output_.back(), message, current_.plan, peer_);
  due_.push_back(Due::Mail);
  if (!peer_.pipelining) return;
  for (std::size_t place = 0; place < current_.offered; ++place) send_rcpt(message, place);
  // RFC 2920 §3.1: DATA is the last of its group. A chunk may follow (RFC 3030 §4.2).
  const bool needs_data = current_.plan.form != ContentForm::Chunks;
  if (!current_.recipients_only && needs_data) send("DATA", Due::Data);
}

void ClientSession::send_rcpt(const OutgoingMessage& message, std::size_t place) {
  append_rcpt(output_.back(), message.recipients[index_of(current_, place)], peer_);
  due_.push_back(Due::Rcpt);
}

std::size_t ClientSession::index_of(const Transaction& transaction, std::size_t place) {
  return transaction.plan.is_partial ? transaction.plan.offered[place] : place;
}

bool ClientSession::wants_body() const {
  if (state_ != State::Talking || output_.size() >= kUnsentOctetsMax) return false;
  if (current_.phase == Phase::Body) return peer_.pipelining || due_.is_empty();
  // The first chunk goes along with the envelope, the last one never does.
  return current_.phase == Phase::Envelope && current_.plan.form == ContentForm::Chunks &&
         peer_.pipelining && !current_.recipients_only && !chunk_given_ && !last_held_;
}

void ClientSession::body(std::string_view octets, BodyLast last, Instant now) {
  MTA_ASSERT(wants_body());
  progress_ = now;
  switch (current_.plan.form) {
    case ContentForm::Data:
      return write_stuffed(octets, last);
    case ContentForm::Chunks:
      return write_chunk(octets, last);
    case ContentForm::SevenBit:
      return write_re_encoded(octets, last);
  }
}

void ClientSession::write_stuffed(std::string_view octets, BodyLast last) {
  writer_.write(octets, output_);
  if (last == BodyLast::Yes) writer_.finish(output_);
  if (writer_.fault() != BodyFault::None) {
    return fail(FailKind::BadBody, std::nullopt, std::string(describe(writer_.fault())));
  }
  if (last == BodyLast::Yes) expect_final_dot();
}

void ClientSession::write_re_encoded(std::string_view octets, BodyLast last) {
  std::string text;
  encoder_->write(octets, text);
  if (last == BodyLast::Yes) encoder_->finish(text);
  if (encoder_->problem() == mail::SevenBitProblem::None) return write_stuffed(text, last);
  fail(FailKind::BadBody, cannot_be_seven_bit(peer_, encoder_->problem()), {});
}

void ClientSession::write_chunk(std::string_view octets, BodyLast last) {
  line_end_check_.look(octets);
  if (last == BodyLast::Yes) line_end_check_.finish();
  if (line_end_check_.fault() != BodyFault::None) {
    return fail(FailKind::BadBody, std::nullopt, std::string(describe(line_end_check_.fault())));
  }
  const bool is_small = held_.size() + octets.size() < kChunkOctetsMin;
  const bool is_too_early = current_.phase == Phase::Envelope;
  if (last == BodyLast::Yes ? is_too_early : is_small) {
    held_.append(octets);
    last_held_ = last == BodyLast::Yes;
    return;
  }
  std::string& wire = output_.back();
  wire.append("BDAT ");
  append_number(wire, held_.size() + octets.size());
  wire.append(last == BodyLast::Yes ? " LAST\r\n" : "\r\n");
  wire.append(held_).append(octets);
  std::string().swap(held_);
  chunk_given_ = true;
  if (last == BodyLast::Yes) return expect_final_dot();
  due_.push_back(Due::Chunk);
}

void ClientSession::expect_final_dot() {
  current_.phase = Phase::Dot;
  dot_ends_at_ = sent_ + output_.size();
  // RFC 2033 §4.2: a reply for each recipient that was accepted.
  const bool is_each = terms_.dialect == Dialect::Lmtp;
  current_.final_due = is_each ? current_.accepted : 1;
  for (std::size_t i = 0; i < current_.final_due; ++i) due_.push_back(Due::FinalDot);
}

void ClientSession::on_mail(const Reply& reply) {
  current_.mail_accepted = reply.is_success();
  if (!current_.mail_accepted) decide_open(current_, reply, Stage::Mail);
  for (const std::uint32_t index : current_.plan.postponed) {
    RecipientResult& result = current_.results[index];
    if (result.reply.is_none()) result = {Stage::Rcpt, beyond_limits(peer_), /*is_postponed=*/true};
  }
  if (peer_.pipelining) return;  // what follows is due already
  if (!current_.mail_accepted) return end_transaction(current_);
  send_rcpt(current_.message, 0);
}

void ClientSession::on_rcpt(Reply reply) {
  MTA_ASSERT(current_.answered < current_.offered);
  RecipientResult& result = current_.results[index_of(current_, current_.answered++)];
  // Without a sender the reply says nothing about the recipient.
  if (current_.mail_accepted && reply.is_success()) ++current_.accepted;
  const bool decides = current_.recipients_only || !reply.is_success();
  if (current_.mail_accepted && decides) result = {Stage::Rcpt, std::move(reply)};
  if (current_.answered == current_.offered) return envelope_answered();
  if (!peer_.pipelining) send_rcpt(current_.message, current_.answered);
}

void ClientSession::envelope_answered() {
  const bool is_chunked = current_.plan.form == ContentForm::Chunks;
  if (!current_.recipients_only) {
    if (!is_chunked && peer_.pipelining) return;  // DATA is said already
    if (!is_chunked && current_.accepted > 0) return send("DATA", Due::Data);
    if (is_chunked && current_.accepted > 0) {
      current_.phase = Phase::Body;
      if (last_held_) write_chunk({}, BodyLast::Yes);
      return;
    }
  }
  reset_needed_ = true;
  current_.phase = Phase::Ending;
  if (due_.is_empty()) end_transaction(current_);
}

void ClientSession::on_data(const Reply& reply) {
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
  current_.is_void = true;
  output_.append(".\r\n");
  expect_final_dot();
}

void ClientSession::on_chunk(const Reply& reply) {
  if (current_.phase != Phase::Ending) {
    if (reply.is_success()) return;
    // RFC 3030 §4.2: nothing but RSET helps now. A LAST that has left is answered for itself.
    decide_open(current_, reply, Stage::Body);
    current_.is_void = true;
    reset_needed_ = true;
    if (current_.phase == Phase::Dot) {
      if (terms_.dialect == Dialect::Lmtp) fail(FailKind::Refused, reply, {});
      return;
    }
    current_.phase = Phase::Ending;
  }
  if (due_.is_empty()) end_transaction(current_);
}

void ClientSession::on_final_dot(Reply reply) {
  Transaction& transaction = previous_.phase == Phase::Dot ? previous_ : current_;
  const bool more = &transaction == &previous_;
  if (!transaction.is_void && terms_.dialect == Dialect::Lmtp) decide_next(transaction, reply);
  if (!transaction.is_void && terms_.dialect == Dialect::Smtp)
    decide_open(transaction, reply, Stage::FinalDot);
  if (reply.code == 421) transaction.closing = std::move(reply);
  if (--transaction.final_due > 0) return;
  std::optional<Reply> closing = std::move(transaction.closing);
  end_transaction(transaction);
  if (more && current_.phase == Phase::Decided) end_transaction(current_);
  if (!closing) return;
  if (current_.phase == Phase::None) return close(std::move(closing));
  fail(FailKind::Refused, std::move(closing), {});
}

// Recipients that nothing has decided yet, those accepted included, have this reply.
void ClientSession::decide_open(Transaction& transaction, const Reply& reply, Stage stage) {
  for (RecipientResult& result : transaction.results) {
    if (!result.reply.is_none()) continue;
    result = {stage, reply};
    transaction.stage = stage;
  }
}

// The first recipient that nothing has decided yet.
void ClientSession::decide_next(Transaction& transaction, const Reply& reply) {
  for (RecipientResult& result : transaction.results) {
    if (!result.reply.is_none()) continue;
    result = {Stage::FinalDot, reply};
    transaction.stage = Stage::FinalDot;
    return;
  }
}

void ClientSession::end_transaction(Transaction& transaction) {
  Stage stage = transaction.stage;
  if (transaction.mail_accepted && (transaction.accepted == 0 || transaction.recipients_only))
    stage = Stage::Rcpt;
  events_.push_back(TransactionEnded{std::move(transaction.results), stage, /*uncertain=*/false});
  if (&transaction == &current_) {
    encoder_.reset();
    std::string().swap(held_);
  }
  transaction = Transaction();
}

}  // namespace rockdove::smtp
