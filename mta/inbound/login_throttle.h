// What wrong logins cost whoever makes them. Plain counters that are told the time; no lock, no
// clock.
//
// An address (IPv6: its /64) with 10 failures in 10 minutes is not listened to for 10 minutes, and
// until then waits 1, 2, 4 … 10 s for each refusal. A user who is guessed at from many addresses is
// guessed at once in 10 s at most. An address from which this user has logged in within a day is
// held apart from both: its own failures count for this user alone, so that neither a stranger's
// guesses nor a wrong password in the printer next door lock anybody out.
#pragma once

#include <cstdint>
#include <string_view>

#include "mta/base/ip_address.h"
#include "mta/base/time.h"
#include "mta/crypto/digest.h"
#include "mta/inbound/recent_map.h"

namespace rockdove::inbound {

struct LoginLimits {
  unsigned failures_max = 10;
  base::Duration window = std::chrono::minutes(10);
  base::Duration block = std::chrono::minutes(10);
  base::Duration delay_max = std::chrono::seconds(10);
  base::Duration good_kept = std::chrono::hours(24);
  unsigned checks_max = 16;         // of one address at once, while it has failed at nothing
  std::size_t entries_max = 16384;  // addresses, users, and pairs of them: each
};

class LoginThrottle {
 public:
  // `key` makes users into numbers of this process only.
  LoginThrottle(const LoginLimits& limits, const crypto::Digest& key)
      : limits_(limits),
        key_(key),
        addresses_(limits.entries_max),
        users_(limits.entries_max),
        pairs_(limits.entries_max) {}

  // When a login of `user` from `client` may be checked: now, or up to delay_max later. kNever: not
  // at all, there were too many failures.
  [[nodiscard]] base::Instant check_at(std::string_view user, const base::IpAddress& client,
                                       base::Instant now);
  // So many checks of this client's logins may be under way, so that nobody makes hundreds of
  // guesses before the first one is counted.
  [[nodiscard]] unsigned checks_max(std::string_view user, const base::IpAddress& client,
                                    base::Instant now);
  // The answer to a failure is to be held back for so long.
  [[nodiscard]] base::Duration failed(std::string_view user, const base::IpAddress& client,
                                      base::Instant now);
  void succeeded(std::string_view user, const base::IpAddress& client, base::Instant now);

 private:
  struct Failures {
    unsigned count = 0;
    base::Instant since = base::Instant::min();          // of the first one
    base::Instant blocked_until = base::Instant::min();  // of too many
  };

  struct User {
    Failures failures;
    base::Instant next_check = base::Instant::min();
  };

  struct Pair {
    Failures failures;
    base::Instant good_until = base::Instant::min();
  };

  [[nodiscard]] std::uint64_t number_of(std::string_view user, const base::IpAddress* client) const;
  // Null: the user has not logged in from there lately.
  [[nodiscard]] Pair* good_pair(std::string_view user, const base::IpAddress& client,
                                base::Instant now);
  void count(Failures& failures, base::Instant now) const;
  [[nodiscard]] unsigned current(const Failures& failures, base::Instant now) const;

  const LoginLimits limits_;
  const crypto::Digest key_;
  RecentMap<base::IpAddress, Failures> addresses_;
  RecentMap<std::uint64_t, User> users_;
  RecentMap<std::uint64_t, Pair> pairs_;
};

}  // namespace rockdove::inbound
