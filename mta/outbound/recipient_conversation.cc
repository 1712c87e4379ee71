#include "mta/outbound/recipient_conversation.h"

#include <cerrno>
#include <utility>

namespace rockdove::outbound {
namespace {

using How = AskedServer::How;

bool is_no_route(const net::Loss& loss) {
  return loss.how == net::Loss::How::ConnectFailed &&
         (loss.code == ENETUNREACH || loss.code == EADDRNOTAVAIL || loss.code == EAFNOSUPPORT);
}

std::string detail_of(const smtp::SessionFailed& failed) {
  const std::string at = " (stage: " + std::string(smtp::stage_name(failed.stage)) + ")";
  switch (failed.kind) {
    case smtp::FailKind::Refused:
      return "it said: " + smtp::one_line(failed.reply.value_or(smtp::Reply()), 160) + at;
    case smtp::FailKind::TimedOut:
      return "it did not answer in time" + at;
    case smtp::FailKind::Malformed:
      return "it did not answer as a mail server does: " + failed.detail + at;
    case smtp::FailKind::Lost:
    case smtp::FailKind::Abandoned:
    case smtp::FailKind::BadBody:
      return "it closed the connection" + at;
  }
  MTA_ASSERT(false);
}

}  // namespace

RecipientConversation::RecipientConversation(Asker& asker, std::uint64_t question,
                                             std::string address,
                                             const smtp::ClientOptions& options,
                                             ConnectionPlan plan)
    : asker_(&asker),
      question_(question),
      address_(std::move(address)),
      options_(options),
      plan_(std::move(plan)) {}

RecipientConversation::~RecipientConversation() {
  if (asker_ != nullptr) asker_->ended(*this);
}

void RecipientConversation::connected(net::Wire& wire, const net::ConnectionInfo& info,
                                      base::Now now) {
  static_cast<void>(info);
  wire_ = &wire;
  if (dropped_) return;  // given up meanwhile
  if (plan_.implicit) {
    handshake_until_ = now.instant + options_.timeouts.start_tls;
    return start_tls();
  }
  smtp_.emplace(options_, now.instant, plan_.terms);
}

void RecipientConversation::start_tls() {
  handshake_began_ = true;
  wire_->start_tls(*plan_.tls);
}

void RecipientConversation::tls_started(const net::TlsInfo& info, base::Now now) {
  static_cast<void>(info);
  is_inside_ = true;
  if (dropped_) return;
  if (smtp_) {
    smtp_->tls_started(now.instant);
    return pump(now);
  }
  smtp_.emplace(options_, now.instant, plan_.terms);
}

void RecipientConversation::handshake_failed(smtp::FailKind kind, base::Now now) {
  smtp::SessionFailed failed;
  failed.stage = smtp::Stage::StartTls;
  failed.kind = kind;
  dropped_ = true;
  tell({How::TlsFailed, failed.stage, {}, tls_failure_text(failed, tls_state())}, now);
}

TlsState RecipientConversation::tls_state() const {
  TlsState state;
  state.was_tried = handshake_began_;
  state.is_inside = is_inside_;
  state.peer_offers_tls = smtp_ && smtp_->peer().starttls;
  state.loss = loss_;
  return state;
}

void RecipientConversation::receive(std::string_view bytes, base::Now now) {
  if (!smtp_) return;
  smtp_->receive(bytes, now.instant);
  pump(now);
}

void RecipientConversation::peer_closed(base::Now now) {
  if (!smtp_) return;
  smtp_->peer_closed(now.instant);
  pump(now);
}

void RecipientConversation::lost(const net::Loss& loss, base::Now now) {
  dropped_ = true;
  loss_ = loss;
  if (smtp_) {
    smtp_->lost(now.instant);
    return pump(now);
  }
  if (handshake_began_) return handshake_failed(smtp::FailKind::Lost, now);
  tell({is_no_route(loss) ? How::NoRoute : How::NotConnected,
        smtp::Stage::Connect,
        {},
        net::describe(loss)},
       now);
}

void RecipientConversation::deadline_reached(base::Now now) {
  if (!smtp_) return handshake_failed(smtp::FailKind::TimedOut, now);
  smtp_->deadline_reached(now.instant);
  pump(now);
}

void RecipientConversation::turn(base::Now now) {
  if (smtp_) pump(now);
}

std::string_view RecipientConversation::output() const {
  return smtp_ && !dropped_ ? smtp_->output() : std::string_view();
}

void RecipientConversation::output_sent(std::size_t octets, base::Now now) {
  smtp_->output_sent(octets, now.instant);
}

base::Instant RecipientConversation::deadline() const {
  return smtp_ ? smtp_->deadline() : handshake_until_;
}

bool RecipientConversation::wants_input() const {
  return smtp_ ? smtp_->wants_input() : handshake_began_;
}

bool RecipientConversation::is_over() const {
  return dropped_ || (smtp_ && smtp_->is_over());
}

void RecipientConversation::drop(base::Now now) {
  told_ = true;
  dropped_ = true;
  if (smtp_ && !smtp_->is_over()) smtp_->abandon(now.instant);
  if (wire_ != nullptr) wire_->want_turn();
}

void RecipientConversation::let_go(base::Now now) {
  asker_ = nullptr;
  drop(now);
}

void RecipientConversation::pump(base::Now now) {
  while (std::optional<smtp::ClientEvent> event = smtp_->next_event(now.instant)) {
    if (std::holds_alternative<smtp::TlsWanted>(*event)) {
      if (smtp_->wants_tls() && !dropped_) start_tls();
    } else if (std::holds_alternative<smtp::Greeted>(*event)) {
      smtp::OutgoingMessage nothing;
      nothing.recipients.push_back({address_});
      nothing.extent = smtp::Extent::RecipientsOnly;
      smtp_->start(nothing, now.instant);
    } else if (auto* ended = std::get_if<smtp::TransactionEnded>(&*event)) {
      smtp::RecipientResult& result = ended->results.front();
      smtp_->quit(now.instant);  // ends the transaction too (RFC 5321 §4.1.1.10)
      tell({How::Answered, result.stage, std::move(result.reply), {}}, now);
    } else if (const auto* failed = std::get_if<smtp::SessionFailed>(&*event)) {
      if (is_tls_failure(*failed, tls_state(), plan_)) {
        tell({How::TlsFailed, failed->stage, {}, tls_failure_text(*failed, tls_state())}, now);
        continue;
      }
      tell({How::Failed, failed->stage, {}, detail_of(*failed)}, now);
    } else {
      tell({How::Failed, smtp::Stage::Idle, {}, "it closed the connection"}, now);
    }
  }
}

void RecipientConversation::tell(AskedServer result, base::Now now) {
  if (!std::exchange(told_, true)) asker_->asked(question_, std::move(result), now);
}

}  // namespace rockdove::outbound
