// At most n in any window of an hour or more, used up at any speed. A part of traffic::Limiter.
//
// Grants are counted in parts, each a sixtieth of (window + guard) long. Whoever has a grant sends
// within the guard, so the grants of all that is sent in one half-open window lie within less than
// sixty parts' length, which touches 61 parts: these together never hold more than n. Time is the
// monotonic clock's; moments of an earlier run come in through add().
//
// Grants may be used only as far as they are reserved, which means: durably counted as used. What
// is reserved and not used when the process ends is lost, never granted twice. A window below an
// hour (which grants of several places need beside their spacing) is not durable, and has all
// reserved.
//
// A grant may cost several places. One that costs more than the window holds goes alone: as soon as
// nothing else is in the window, and then nothing follows until it has left it.
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

  // `guard` is the longest time for which a grant may be used. `serial` tells this window from
  // others of the same length.
  RollingWindow(const Rate& rate, std::chrono::nanoseconds guard, std::uint64_t serial,
                base::Instant now);

  [[nodiscard]] const Rate& rate() const { return rate_; }

  [[nodiscard]] std::uint64_t serial() const { return serial_; }

  // Whether it holds over a restart.
  [[nodiscard]] bool is_durable() const { return rate_.is_counted(); }

  // The most that it holds; one grant alone may be more.
  [[nodiscard]] std::uint64_t most() const { return rate_.most_in_window(); }

  // Another rate for the same time.
  void set_rate(const Rate& rate) { rate_ = rate; }

  // When `n` more may be, reserved or not, at once or one by one as soon as each may; as one that
  // goes alone where that is more than most(). `now` if at once.
  [[nodiscard]] base::Instant next_at(std::uint64_t n, base::Instant now);
  // What may go at `first` in the round that begins now may go then in the `rounds`-th behind it.
  [[nodiscard]] base::Instant round_after(base::Instant first, std::uint64_t rounds,
                                          base::Instant now) const;
  // How many may be granted now, reserved or not.
  [[nodiscard]] std::uint64_t left(base::Instant now);

  // How many of them are reserved.
  [[nodiscard]] std::uint64_t reserved() const { return reserved_up_to_ - used_; }

  // Whether more should be reserved: half of a slice (1 %, at least one) or less is left and there
  // is something to reserve, or less than the `cost` of what waits.
  [[nodiscard]] bool wants_slice(std::uint32_t cost, base::Instant now);
  // How many would be reserved then, with what is left of the slice before.
  [[nodiscard]] std::uint64_t slice_size(std::uint32_t cost, base::Instant now);

  // Grants of this object so far, also those given back.
  [[nodiscard]] std::uint64_t used() const { return used_; }

  // From now on the grants up to that number are reserved, counted as used() counts.
  void reserve_up_to(std::uint64_t number) { reserved_up_to_ = std::max(reserved_up_to_, number); }

  // What was reserved is so no more, since what was stored cannot be relied upon.
  void forget_reserved() {
    if (is_durable()) reserved_up_to_ = used_;
  }

  // One grant of this cost. Only when next_at() <= now and reserved() is as much.
  void take(std::uint32_t cost, base::Instant now);
  // A grant of the moment `given` was not used, and will not be.
  void give_back(base::Instant given, std::uint32_t cost, base::Instant now);

  // Counts what was granted before: in an earlier run, or under another limit. `latest` <= now.
  void add(const Counted& counted, base::Instant now);
  // What is counted now, oldest first.
  [[nodiscard]] std::vector<Counted> counted(base::Instant now);

 private:
  static constexpr std::int64_t kParts = 61;

  [[nodiscard]] std::int64_t part_of(base::Instant time) const;
  [[nodiscard]] std::uint64_t& slot(std::int64_t part);
  void roll(base::Instant now);

  Rate rate_;
  std::uint64_t serial_;
  std::chrono::nanoseconds part_length_;
  base::Instant origin_;      // beginning of part 0
  std::int64_t current_ = 0;  // the latest part that was looked at
  std::uint64_t sum_ = 0;     // of all slots
  std::uint64_t used_ = 0;
  std::uint64_t reserved_up_to_ = 0;            // never below used_
  std::array<std::uint64_t, kParts> counts_{};  // part p is in slot p modulo 61
};

}  // namespace rockdove::traffic
