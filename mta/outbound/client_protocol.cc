#include "mta/outbound/client_protocol.h"

#include <algorithm>

#include "mta/base/counters.h"
#include "mta/base/working.h"

namespace rockdove::outbound {
namespace {

// Notes the delivery that the session is at, if any, for as long as this lives.
class WorkingOnJob {
 public:
  explicit WorkingOnJob(const Session* session) {
    if (session == nullptr) return;
    if (const std::optional<base::DeliveryId> id = session->working_on()) working_.emplace(*id);
  }

 private:
  std::optional<base::WorkingOn> working_;
};

}  // namespace

ClientProtocol::~ClientProtocol() = default;

void ClientProtocol::connected(net::Wire& wire, const net::ConnectionInfo& info, base::Now now) {
  static_cast<void>(info);
  base::count(base::Counter::ConnectionsOut);
  const WorkingOnJob working(session_);
  wire_ = &wire;
  if (session_ == nullptr) {
    dropped_ = true;  // given up while the handshake was under way
    return;
  }
  limit_until_ = now.instant + Session::kGreetingTimeMax;
  if (plan_.implicit) {
    limit_until_ = now.instant + options_->timeouts.start_tls;
    return start_tls();
  }
  smtp_.emplace(*options_, now.instant, plan_.terms);
  after_change(now);
}

void ClientProtocol::start_tls() {
  handshake_began_ = true;
  wire_->start_tls(*plan_.tls);
}

void ClientProtocol::tls_started(const net::TlsInfo& info, base::Now now) {
  const WorkingOnJob working(session_);
  tls_ = net::describe(info);
  if (dropped_) return;  // while the handshake was under way
  if (smtp_) {
    smtp_->tls_started(now.instant);
  } else if (session_ != nullptr) {
    limit_until_ = now.instant + Session::kGreetingTimeMax;
    smtp_.emplace(*options_, now.instant, plan_.terms);
  }
  after_change(now);
}

TlsState ClientProtocol::tls_state() const {
  TlsState state;
  state.was_tried = handshake_began_;
  state.is_inside = !tls_.empty();
  state.peer_offers_tls = smtp_ && smtp_->peer().starttls;
  state.loss = loss_;
  return state;
}

void ClientProtocol::receive(std::string_view bytes, base::Now now) {
  const WorkingOnJob working(session_);
  smtp_->receive(bytes, now.instant);
  after_change(now);
}

void ClientProtocol::peer_closed(base::Now now) {
  const WorkingOnJob working(session_);
  if (smtp_) smtp_->peer_closed(now.instant);
  after_change(now);
}

void ClientProtocol::lost(const net::Loss& loss, base::Now now) {
  const WorkingOnJob working(session_);
  dropped_ = true;
  loss_ = loss;
  if (!smtp_) {
    if (wire_ == nullptr) base::count(base::Counter::ConnectionsOutFailed);
    if (session_ == nullptr) return;
    if (handshake_began_) return session_->handshake_failed(smtp::FailKind::Lost, now);
    return session_->on_not_connected(loss, now);
  }
  smtp_->lost(now.instant);
  after_change(now);
}

void ClientProtocol::deadline_reached(base::Now now) {
  const WorkingOnJob working(session_);
  if (idle_until_ <= now.instant) {
    idle_until_ = base::kNever;
    if (session_ != nullptr) return session_->idle_too_long(now);
  }
  if (limit_until_ <= now.instant) {
    limit_until_ = base::kNever;
    if (session_ != nullptr) return session_->took_too_long(now);
    dropped_ = true;
  }
  if (smtp_ && smtp_->deadline() <= now.instant) smtp_->deadline_reached(now.instant);
  after_change(now);
}

void ClientProtocol::turn(base::Now now) {
  const WorkingOnJob working(session_);
  after_change(now);
}

std::string_view ClientProtocol::output() const {
  return smtp_ && !dropped_ ? smtp_->output() : std::string_view();
}

void ClientProtocol::output_sent(std::size_t octets, base::Now now) {
  const WorkingOnJob working(session_);
  smtp_->output_sent(octets, now.instant);
  after_change(now);
}

base::Instant ClientProtocol::deadline() const {
  const base::Instant next = std::min(idle_until_, limit_until_);
  return smtp_ ? std::min(smtp_->deadline(), next) : next;
}

bool ClientProtocol::wants_input() const {
  return smtp_ ? smtp_->wants_input() : handshake_began_;
}

bool ClientProtocol::is_over() const {
  return dropped_ || (smtp_ && smtp_->is_over());
}

void ClientProtocol::want_turn() {
  if (wire_ != nullptr) wire_->want_turn();
}

void ClientProtocol::drop(base::Now now) {
  session_ = nullptr;
  dropped_ = true;
  if (smtp_ && !smtp_->is_over()) smtp_->abandon(now.instant);
  want_turn();
}

void ClientProtocol::after_change(base::Now now) {
  if (session_ != nullptr) {
    if (smtp_) session_->pump(now);
    return;
  }
  while (smtp_ && smtp_->next_event(now.instant)) {
    // Nobody is interested any more.
  }
}

}  // namespace rockdove::outbound
