#include "mta/outbound/client_protocol.h"

#include <algorithm>

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
  const WorkingOnJob working(session_);
  wire_ = &wire;
  smtp_.emplace(*options_, now.instant);
  if (session_ == nullptr) dropped_ = true;  // given up while the handshake was under way
  after_change(now);
}

void ClientProtocol::receive(std::string_view bytes, base::Now now) {
  const WorkingOnJob working(session_);
  smtp_->receive(bytes, now.instant);
  after_change(now);
}

void ClientProtocol::peer_closed(base::Now now) {
  const WorkingOnJob working(session_);
  smtp_->peer_closed(now.instant);
  after_change(now);
}

void ClientProtocol::lost(const net::Loss& loss, base::Now now) {
  const WorkingOnJob working(session_);
  dropped_ = true;
  if (!smtp_) {
    if (session_ != nullptr) session_->on_not_connected(loss, now);
    return;
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
  if (smtp_->deadline() <= now.instant) smtp_->deadline_reached(now.instant);
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
  return smtp_ ? std::min(smtp_->deadline(), idle_until_) : base::kNever;
}

bool ClientProtocol::wants_input() const {
  return smtp_ && smtp_->wants_input();
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
  if (session_ != nullptr) return session_->pump(now);
  while (smtp_ && smtp_->next_event(now.instant)) {
    // Nobody is interested any more.
  }
}

}  // namespace rockdove::outbound
