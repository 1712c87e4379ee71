#include "mta/base/client_table.h"

#include <algorithm>

namespace rockdove::base {

IpAddress client_key(const IpAddress& client) {
  if (client.is_v4()) return client;
  std::array<std::uint8_t, 16> octets = client.octets();
  std::fill(octets.begin() + 8, octets.end(), std::uint8_t{0});
  return IpAddress::v6(octets);
}

ClientTable::Stripe& ClientTable::stripe_of(const IpAddress& key) {
  return stripes_[std::hash<IpAddress>()(key) % kStripes];
}

// Entries that say nothing any more go; if a flood of addresses leaves none of those, all without a
// connection go: a rate limit that starts anew is better than memory without bound.
void ClientTable::make_room(Stripe& stripe, Instant now) {
  if (stripe.entries.size() < kEntriesPerStripeMax) return;
  std::erase_if(stripe.entries, [now](const auto& entry) {
    return entry.second.connections == 0 && entry.second.full_again <= now;
  });
  if (stripe.entries.size() < kEntriesPerStripeMax) return;
  std::erase_if(stripe.entries, [](const auto& entry) { return entry.second.connections == 0; });
}

bool ClientTable::try_connect(const IpAddress& client, std::uint32_t connections_max, Instant now) {
  const IpAddress key = client_key(client);
  Stripe& stripe = stripe_of(key);
  const std::lock_guard lock(stripe.mutex);
  make_room(stripe, now);
  Entry& entry = stripe.entries[key];
  if (entry.connections >= connections_max) return false;
  ++entry.connections;
  return true;
}

void ClientTable::disconnect(const IpAddress& client, Instant now) {
  const IpAddress key = client_key(client);
  Stripe& stripe = stripe_of(key);
  const std::lock_guard lock(stripe.mutex);
  const auto found = stripe.entries.find(key);
  MTA_ASSERT(found != stripe.entries.end() && found->second.connections > 0);
  if (--found->second.connections == 0 && found->second.full_again <= now)
    stripe.entries.erase(found);
}

bool ClientTable::try_message(const IpAddress& client, const Rate& rate, Instant now) {
  if (rate.count == 0) return true;
  const IpAddress key = client_key(client);
  const double burst = rate.burst > 0 ? rate.burst : rate.count;
  const double per_millisecond =
      rate.count / static_cast<double>(std::max<std::int64_t>(rate.per.count(), 1));
  Stripe& stripe = stripe_of(key);
  const std::lock_guard lock(stripe.mutex);
  make_room(stripe, now);
  Entry& entry = stripe.entries[key];
  if (entry.refilled == Instant{}) {
    entry.tokens = burst;
  } else {
    const auto passed = std::chrono::duration<double, std::milli>(now - entry.refilled).count();
    entry.tokens = std::min(burst, entry.tokens + passed * per_millisecond);
  }
  entry.refilled = now;
  const bool granted = entry.tokens >= 1;
  if (granted) entry.tokens -= 1;
  entry.full_again =
      now + std::chrono::milliseconds(
                static_cast<std::int64_t>((burst - entry.tokens) / per_millisecond) + 1);
  return granted;
}

std::size_t ClientTable::size() const {
  std::size_t entries = 0;
  for (const Stripe& stripe : stripes_) {
    const std::lock_guard lock(stripe.mutex);
    entries += stripe.entries.size();
  }
  return entries;
}

}  // namespace rockdove::base
