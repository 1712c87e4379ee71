// What must be known of a client address in the same turn, on whichever loop it connects: how many
// connections it has, and how many messages it has sent lately. One table of counters with a lock a
// stripe: the only state that loops share. An IPv6 client is its /64, because that is what one
// customer gets.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "mta/base/ip_address.h"
#include "mta/base/quantity.h"
#include "mta/base/time.h"

namespace rockdove::base {

class ClientTable {
 public:
  // false: it has that many already; nothing was counted.
  [[nodiscard]] bool try_connect(const IpAddress& client, std::uint32_t connections_max,
                                 Instant now);
  // Once for each success of try_connect().
  void disconnect(const IpAddress& client, Instant now);

  // Takes one message off what `rate` allows; false: there is none left. A rate of 0 is no limit.
  [[nodiscard]] bool try_message(const IpAddress& client, const Rate& rate, Instant now);

  [[nodiscard]] std::size_t size() const;

 private:
  static constexpr std::size_t kStripes = 64;
  static constexpr std::size_t kEntriesPerStripeMax = 4096;

  struct Entry {
    std::uint32_t connections = 0;
    double tokens = 0;
    Instant refilled{};    // zero: the bucket is full
    Instant full_again{};  // when it will be full without another message
  };

  struct Stripe {
    mutable std::mutex mutex;
    std::unordered_map<IpAddress, Entry> entries;
  };

  Stripe& stripe_of(const IpAddress& key);
  static void make_room(Stripe& stripe, Instant now);

  std::array<Stripe, kStripes> stripes_;
};

// The address that counts for a client: itself, or the /64 of an IPv6 address.
[[nodiscard]] IpAddress client_key(const IpAddress& client);

}  // namespace rockdove::base
