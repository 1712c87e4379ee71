// The content of messages as a ServerSession reads it: after DATA, or in chunks by BDAT.
#include <algorithm>
#include <limits>
#include <utility>

#include "mta/base/assert.h"
#include "mta/smtp/server_replies.h"
#include "mta/smtp/server_session.h"

namespace rockdove::smtp {
namespace {

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

}  // namespace

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

// The answer to DATA, or to the first BDAT. True: there is nothing more to say now.
bool ServerSession::answer_data(const Reply& reply, Instant now) {
  if (!reply.is_intermediate()) {
    state_ = State::Ready;
    if (!chunked_ || reply.code == 421) return false;
    refuse_chunk(reply);
    return true;
  }
  state_ = State::Body;
  step_deadline_ = now + limits_.data_timeout;
  body_.emplace(BodyLimits{limits_.message_octets_max, limits_.text_line_octets_max,
                           limits_.line_endings,
                           chunked_ ? BodyFraming::Chunks : BodyFraming::Dots});
  return chunked_;
}

ServerSession::Event ServerSession::on(BdatCommand&& command) {
  chunk_left_ = command.octets;
  chunk_octets_ = command.octets;
  chunk_last_ = command.last;
  if (must_start_tls()) return refuse_chunk(start_tls_first());
  if (state_ == State::Chunks) {
    state_ = State::Body;
    return std::nullopt;
  }
  if (state_ == State::Mail)
    return refuse_chunk(make_reply(554, "5.5.1", "no recipient was accepted"));
  if (state_ != State::Rcpt)
    return refuse_chunk(make_reply(503, "5.5.1", "MAIL and RCPT come first"));
  chunked_ = true;
  question_ = Question::Data;
  return DataWanted{};
}

// RFC 3030 §2: the octets of a chunk that is refused are read all the same, or they would be taken
// for commands. Only then is the client told.
ServerSession::Event ServerSession::refuse_chunk(Reply reply) {
  if (chunk_left_ > limits_.dropped_octets_max) {
    finish_with(reply, CloseReason::TooMuchData);
    return std::nullopt;
  }
  if (chunk_left_ == 0) return say(reply);
  after_drop_ = state_;
  state_ = State::Dropping;
  drop_reply_ = std::move(reply);
  return std::nullopt;
}

ServerSession::Event ServerSession::drop_chunk(Instant now) {
  const std::uint64_t octets = std::min<std::uint64_t>(chunk_left_, input_.size());
  progressed_ = octets > 0;
  input_.take(static_cast<std::size_t>(octets));
  chunk_left_ -= octets;
  if (chunk_left_ > 0) return std::nullopt;
  state_ = after_drop_;
  step_deadline_ = now + limits_.command_timeout;
  return say(*std::exchange(drop_reply_, std::nullopt));
}

// Sets progressed_ when something was taken from the input, so that it is worth trying again.
ServerSession::Event ServerSession::next_body_part(Instant now) {
  if (chunked_ && chunk_left_ == 0) return chunk_ended(now);
  const std::uint64_t room = wire_octets_max(limits_) - body_->wire_octets();
  if (room == 0) {
    finish_with(refusal_of(body_->how(), limits_), CloseReason::TooMuchData);
    return std::nullopt;
  }
  std::string_view input = input_.view();
  progressed_ = !input.empty();
  const std::uint64_t wanted = chunked_ ? std::min(room, chunk_left_) : room;
  if (input.size() > wanted) input = input.substr(0, static_cast<std::size_t>(wanted));
  std::size_t taken = 0;
  while (taken < input.size() && !body_->is_ended()) {
    const BodyReader::Part part = body_->read(input.substr(taken));
    taken += part.taken;
    if (chunked_) chunk_left_ -= part.taken;
    if (part.octets.empty()) continue;
    held_ = taken;  // the part may lie in there
    return BodyPart{part.octets};
  }
  input_.take(taken);
  if (!body_->is_ended()) return std::nullopt;
  return body_ended(now);
}

// All octets of this chunk have been read.
ServerSession::Event ServerSession::chunk_ended(Instant now) {
  progressed_ = true;
  if (chunk_last_ && !body_->is_ended()) {
    const BodyReader::Part part = body_->finish();
    if (!part.octets.empty()) return BodyPart{part.octets};
  }
  // RFC 3030 §2: a chunk that is not good ends the transaction; more of it gets 503.
  if (chunk_last_ || body_->how() != BodyEnd::Dot) return body_ended(now);
  state_ = State::Chunks;
  step_deadline_ = now + limits_.command_timeout;
  std::string text;
  append_number(text, chunk_octets_);
  return say(make_reply(250, "2.0.0", text + " octets received"));
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

}  // namespace rockdove::smtp
