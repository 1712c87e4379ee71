#include "mta/inbound/login_throttle.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "mta/base/client_table.h"

namespace rockdove::inbound {

using base::Duration;
using base::Instant;
using base::IpAddress;

Instant LoginThrottle::check_at(std::string_view user, const IpAddress& client, Instant now) {
  if (const Pair* pair = good_pair(user, client, now))
    return pair->failures.blocked_until > now ? base::kNever : now;
  if (const Failures* failures = addresses_.find(base::client_key(client));
      failures != nullptr && failures->blocked_until > now)
    return base::kNever;
  User* known = users_.find(number_of(user, nullptr));
  if (known == nullptr || known->failures.blocked_until <= now) return now;
  const Instant at = std::max(now, known->next_check);
  if (at > now + limits_.delay_max) return base::kNever;
  known->next_check = at + limits_.delay_max;
  return at;
}

unsigned LoginThrottle::checks_max(std::string_view user, const IpAddress& client, Instant now) {
  const Failures* failures = nullptr;
  if (const Pair* pair = good_pair(user, client, now)) {
    failures = &pair->failures;
  } else {
    failures = addresses_.find(base::client_key(client));
  }
  const unsigned count = failures == nullptr ? 0 : current(*failures, now);
  if (count == 0) return limits_.checks_max;
  return count < limits_.failures_max ? limits_.failures_max - count : 1;
}

Duration LoginThrottle::failed(std::string_view user, const IpAddress& client, Instant now) {
  Failures* failures = nullptr;
  if (Pair* pair = good_pair(user, client, now)) {
    failures = &pair->failures;
  } else {
    count(users_.insert(number_of(user, nullptr)).failures, now);
    failures = &addresses_.insert(base::client_key(client));
  }
  count(*failures, now);
  Duration delay = std::chrono::seconds(1);
  for (unsigned i = 1; i < failures->count && delay < limits_.delay_max; ++i) delay *= 2;
  return std::min(delay, limits_.delay_max);
}

void LoginThrottle::succeeded(std::string_view user, const IpAddress& client, Instant now) {
  Pair& pair = pairs_.insert(number_of(user, &client));
  pair.failures = Failures();
  pair.good_until = now + limits_.good_kept;
}

std::uint64_t LoginThrottle::number_of(std::string_view user, const IpAddress* client) const {
  std::string text(user);
  if (client != nullptr) {
    const IpAddress address = base::client_key(*client);
    text += '\0';
    text += address.is_v4() ? '4' : '6';
    text.append(reinterpret_cast<const char*>(address.octets().data()), address.octets().size());
  }
  const crypto::Digest digest = crypto::hmac_sha256(key_, text);
  std::uint64_t number = 0;
  std::memcpy(&number, digest.data(), sizeof(number));
  return number;
}

LoginThrottle::Pair* LoginThrottle::good_pair(std::string_view user, const IpAddress& client,
                                              Instant now) {
  Pair* pair = pairs_.find(number_of(user, &client));
  return pair != nullptr && pair->good_until > now ? pair : nullptr;
}

void LoginThrottle::count(Failures& failures, Instant now) const {
  failures.count = current(failures, now) + 1;
  if (failures.count == 1) failures.since = now;
  if (failures.count >= limits_.failures_max || failures.blocked_until > now)
    failures.blocked_until = now + limits_.block;
}

unsigned LoginThrottle::current(const Failures& failures, Instant now) const {
  return failures.count > 0 && now < failures.since + limits_.window ? failures.count : 0;
}

}  // namespace rockdove::inbound
