// At most n in any window of an hour or more, used up at any speed. A part of traffic::Limiter.
//
// Grants are counted in parts, each a sixtieth of (window + guard) long. Whoever has a grant sends
// within the guard, so the grants of all that is sent in one half-open window lie within less than
// sixty parts' length, which touches 61 parts: these together never hold more than n. Time is the
// monotonic clock's; moments of an earlier run come in through add().
//
// Grants may be used only as far as they are reserved, which means: durably counted as used. What
// is reserved and not used when the process ends is lost, never granted twice.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "mta/base/time.h"
#include "mta/traffic/rate.h"

namespace rockdove::traffic {

class RollingWindow {
 public:
  // So many grants at `latest` or before.
  struct Counted {
    base::Instant latest;
    std::uint32_t count = 0;
  };

  // `rate` is a counted one; `guard` is the longest time for which a grant may be used. `serial`
  // tells this window from others of the same length.
  RollingWindow(const Rate& rate, std::chrono::nanoseconds guard, std::uint64_t serial,
                base::Instant now);

  [[nodiscard]] const Rate& rate() const { return rate_; }

  [[nodiscard]] std::uint64_t serial() const { return serial_; }

  // Another count for the same time.
  void set_count(std::uint32_t count) { rate_.count = count; }

  // When a grant may be, for all that is counted; `now` if at once.
  [[nodiscard]] base::Instant next_at(base::Instant now);
  // When the n-th from now on may be, n from 1 to the rate's count, reserved or not.
  [[nodiscard]] base::Instant nth_at(std::uint64_t n, base::Instant now);
  // What may go at `first` in the round that begins now may go then in the `rounds`-th behind it.
  [[nodiscard]] base::Instant round_after(base::Instant first, std::uint64_t rounds,
                                          base::Instant now) const;
  // How many may be granted now, reserved or not.
  [[nodiscard]] std::uint32_t left(base::Instant now);

  // How many of them are reserved.
  [[nodiscard]] std::uint64_t reserved() const { return reserved_up_to_ - used_; }

  // Whether more should be reserved: half of a slice (1 %, at least one) or less is left, and there
  // is something to reserve.
  [[nodiscard]] bool wants_slice(base::Instant now);
  // How many would be reserved then, with what is left of the slice before.
  [[nodiscard]] std::uint64_t slice_size(base::Instant now);

  // Grants of this object so far, also those given back.
  [[nodiscard]] std::uint64_t used() const { return used_; }

  // From now on the grants up to that number are reserved, counted as used() counts.
  void reserve_up_to(std::uint64_t number) { reserved_up_to_ = std::max(reserved_up_to_, number); }

  // What was reserved is so no more, since what was stored cannot be relied upon.
  void forget_reserved() { reserved_up_to_ = used_; }

  // One is granted. Only when next_at() <= now and reserved() > 0.
  void take(base::Instant now);
  // A grant of the moment `given` was not used, and will not be.
  void give_back(base::Instant given, base::Instant now);

  // Counts what was granted before: in an earlier run, or under another limit. `latest` <= now.
  void add(const Counted& counted, base::Instant now);
  // What is counted now, oldest first.
  [[nodiscard]] std::vector<Counted> counted(base::Instant now);

 private:
  static constexpr std::int64_t kParts = 61;

  [[nodiscard]] std::int64_t part_of(base::Instant time) const;
  [[nodiscard]] std::uint32_t& slot(std::int64_t part);
  void roll(base::Instant now);

  Rate rate_;
  std::uint64_t serial_;
  std::chrono::nanoseconds part_length_;
  base::Instant origin_;      // beginning of part 0
  std::int64_t current_ = 0;  // the latest part that was looked at
  std::uint64_t sum_ = 0;     // of all slots
  std::uint64_t used_ = 0;
  std::uint64_t reserved_up_to_ = 0;            // never below used_
  std::array<std::uint32_t, kParts> counts_{};  // part p is in slot p modulo 61
};

}  // namespace rockdove::traffic
