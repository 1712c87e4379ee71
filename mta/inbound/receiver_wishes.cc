// What a Receiver does with a sender's wishes (inbound/wishes.h, RFC 6710, RFC 4865).
#include <algorithm>

#include "mta/base/text.h"
#include "mta/inbound/local_user.h"
#include "mta/inbound/receiver.h"

namespace rockdove::inbound {

void Receiver::hear_wishes() {
  if (wishes_) return;
  const base::WallTime now = reception_.loop.now().wall;
  // A stranger's are not even read: what is wrong with them is no reason to refuse his mail.
  wishes_ =
      client_may_relay() ? read_wishes(incoming_->header(), now) : base::Result<Wishes>(Wishes());
  if (inspection_ != nullptr) inspection_->set_tenant(tenant());
}

bool Receiver::may_name_tenant() const {
  if (is_local_user()) {
    const std::uint32_t user = info_.credentials->user;
    return inbound::may_name_tenant(
        settings_.submission, user,
        reception_.name_of_user ? reception_.name_of_user(user) : std::string());
  }
  const std::vector<base::IpNetwork>& allowed = listener_.settings->tenant_from;
  return std::any_of(allowed.begin(), allowed.end(), [this](const base::IpNetwork& network) {
    return network.contains(info_.peer.ip);
  });
}

std::string Receiver::tenant() const {
  const bool names_one = wishes_->is_ok() && !(*wishes_)->tenant.empty();
  if (names_one && may_name_tenant()) return (*wishes_)->tenant;
  if (!listener_.settings->tenant.empty()) return listener_.settings->tenant;
  const std::string& account = session_.user();
  return is_tenant_name(account) ? base::lower_case(account) : std::string();
}

// What MAIL asks for counts before what the header does: it is said of this very transaction.
std::optional<base::WallTime> Receiver::send_at(base::WallTime now) const {
  std::optional<base::WallTime> time = (*wishes_)->send_at;
  if (incoming_->hold_until()) time = incoming_->hold_until();
  if (incoming_->hold_for()) time = now + *incoming_->hold_for();
  if (time && *time <= now) return std::nullopt;
  return time;
}

void Receiver::take_wishes(queue::Message& message) const {
  message.tenant = tenant();
  message.campaign = (*wishes_)->campaign;
}

void Receiver::take_wishes(std::vector<queue::Delivery>& deliveries, base::WallTime now) const {
  const std::string whose = tenant();
  const int priority = incoming_->priority().value_or((*wishes_)->priority.value_or(0));
  const std::optional<base::WallTime> time = send_at(now);
  for (queue::Delivery& delivery : deliveries) {
    delivery.tenant = whose;
    delivery.priority = queue::stored_priority(priority);
    // What has come to its end already is only to be reported, which is done at once.
    if (!time || !delivery.final_status.empty()) continue;
    delivery.due = *time;
    delivery.lives_from = *time;
  }
}

}  // namespace rockdove::inbound
