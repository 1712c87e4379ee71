#include "tests/sim/sim_client.h"

#include <utility>

#include "mta/base/ids.h"

namespace rockdove::sim {

void SimClient::connected(net::Wire&, const net::ConnectionInfo&, base::Now now) {
  session_.emplace(options_, now.instant);
  pump(now);
}

void SimClient::receive(std::string_view octets, base::Now now) {
  session_->receive(octets, now.instant);
  pump(now);
}

void SimClient::peer_closed(base::Now now) {
  session_->peer_closed(now.instant);
  pump(now);
}

void SimClient::lost(const net::Loss&, base::Now now) {
  lost_ = true;
  if (!session_) return;
  session_->lost(now.instant);
  pump(now);
}

void SimClient::deadline_reached(base::Now now) {
  session_->deadline_reached(now.instant);
  pump(now);
}

void SimClient::turn(base::Now now) {
  pump(now);
}

std::string_view SimClient::output() const {
  return session_ ? session_->output() : std::string_view();
}

void SimClient::output_sent(std::size_t octets, base::Now now) {
  session_->output_sent(octets, now.instant);
  pump(now);
}

base::Instant SimClient::deadline() const {
  return session_ ? session_->deadline() : base::kNever;
}

bool SimClient::wants_input() const {
  return session_ && session_->wants_input();
}

bool SimClient::is_over() const {
  return lost_ || (session_ && session_->is_over());
}

void SimClient::next_message(base::Now now) {
  if (messages_.empty()) return session_->quit(now.instant);
  current_ = messages_.front();
  messages_.pop_front();
  smtp::OutgoingMessage message;
  message.sender = current_->sender;
  for (const std::string& address : current_->recipients) message.recipients.push_back({address});
  message.octets = current_->content.size();
  message.eight_bit = current_->content.find('\xC3') != std::string::npos;
  session_->start(message, now.instant);
}

void SimClient::pump(base::Now now) {
  while (const std::optional<smtp::ClientEvent> event = session_->next_event(now.instant)) {
    if (std::holds_alternative<smtp::Greeted>(*event)) {
      next_message(now);
    } else if (const auto* ended = std::get_if<smtp::TransactionEnded>(&*event)) {
      note(ended->results, ended->uncertain);
      if (session_->is_ready()) next_message(now);
    } else if (const auto* failed = std::get_if<smtp::SessionFailed>(&*event)) {
      if (failed->transaction_open) note(failed->results, failed->past_final_dot);
    }
  }
  if (session_->wants_body()) {
    session_->body(current_->content, smtp::BodyLast::Yes, now.instant);
  }
}

void SimClient::note(const std::vector<smtp::RecipientResult>& results, bool past_final_dot) {
  if (current_ == nullptr) return;
  Submission& submission = *std::exchange(current_, nullptr);
  constexpr std::string_view kQueuedAs = "queued as ";
  bool unclear = false;
  for (const smtp::RecipientResult& result : results) {
    if (result.reply.is_success() && result.stage == smtp::Stage::FinalDot) {
      const std::size_t at = result.reply.text.find(kQueuedAs);
      const auto id = at == std::string::npos
                          ? std::nullopt
                          : base::parse_message_id(result.reply.text.substr(at + kQueuedAs.size()));
      return truth_.accepted(submission, id.value_or(queue::MessageId{}));
    }
    unclear |= result.reply.is_none() && past_final_dot;
    unclear |= result.reply.is_transient() && result.stage == smtp::Stage::FinalDot;
  }
  if (unclear) {
    submission.told = Submission::Told::Unclear;
  } else {
    submission.told = Submission::Told::Refused;
  }
}

}  // namespace rockdove::sim
