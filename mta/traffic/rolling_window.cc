#include "mta/traffic/rolling_window.h"

#include <algorithm>

#include "mta/base/assert.h"

namespace rockdove::traffic {

using base::Instant;
using std::chrono::nanoseconds;

namespace {

std::uint64_t slice_of(std::uint32_t count) {
  return std::max(count / 100, std::uint32_t{1});
}

}  // namespace

RollingWindow::RollingWindow(const Rate& rate, nanoseconds guard, std::uint64_t serial, Instant now)
    : rate_(rate), serial_(serial) {
  MTA_ASSERT(rate.is_counted());
  part_length_ = (nanoseconds(rate.per) + guard) / (kParts - 1) + nanoseconds(1);
  // What an earlier run granted has parts of its own, before those of this one.
  origin_ = now - part_length_ * (kParts - 1);
  current_ = kParts - 1;
}

std::int64_t RollingWindow::part_of(Instant time) const {
  return (time - origin_) / part_length_;
}

std::uint32_t& RollingWindow::slot(std::int64_t part) {
  return counts_[static_cast<std::size_t>(part % kParts)];
}

void RollingWindow::roll(Instant now) {
  const std::int64_t part = part_of(now);
  const std::int64_t passed = std::min(part - current_, kParts);
  for (std::int64_t i = 1; i <= passed; ++i) {
    std::uint32_t& oldest = slot(part - passed + i);
    sum_ -= oldest;
    oldest = 0;
  }
  current_ = std::max(current_, part);
}

Instant RollingWindow::next_at(Instant now) {
  roll(now);
  if (sum_ < rate_.count) return now;
  std::uint64_t still = sum_;
  for (std::int64_t part = current_ - kParts + 1; part <= current_; ++part) {
    still -= slot(part);
    if (still < rate_.count) return origin_ + part_length_ * (part + kParts);
  }
  return now + part_length_ * kParts;
}

Instant RollingWindow::nth_at(std::uint64_t n, Instant now) {
  roll(now);
  std::uint64_t still = sum_ + n;  // counted then, if nothing had left the window
  if (still <= rate_.count) return now;
  for (std::int64_t part = current_ - kParts + 1; part <= current_; ++part) {
    still -= slot(part);
    if (still <= rate_.count) return origin_ + part_length_ * (part + kParts);
  }
  return now + part_length_ * kParts;
}

Instant RollingWindow::round_after(Instant first, std::uint64_t rounds, Instant now) const {
  const nanoseconds into_part = now - (origin_ + part_length_ * part_of(now));
  return first + part_length_ * kParts * static_cast<std::int64_t>(rounds) - into_part;
}

std::uint32_t RollingWindow::left(Instant now) {
  roll(now);
  return sum_ < rate_.count ? static_cast<std::uint32_t>(rate_.count - sum_) : 0;
}

bool RollingWindow::wants_slice(Instant now) {
  return reserved() <= slice_of(rate_.count) / 2 && left(now) > reserved();
}

std::uint64_t RollingWindow::slice_size(Instant now) {
  return std::max(reserved(), std::min(slice_of(rate_.count), std::uint64_t{left(now)}));
}

void RollingWindow::take(Instant now) {
  roll(now);
  MTA_ASSERT(sum_ < rate_.count && reserved() > 0);
  ++slot(current_);
  ++sum_;
  ++used_;
}

void RollingWindow::give_back(Instant given, Instant now) {
  roll(now);
  const std::int64_t part = part_of(given);
  if (part <= current_ - kParts || part > current_ || slot(part) == 0) return;
  // It stays used of its slice: what is stored has it in its old part, and must not miss a new one.
  --slot(part);
  --sum_;
}

void RollingWindow::add(const Counted& counted, Instant now) {
  roll(now);
  if (counted.latest < origin_) return;  // rolled out before this object began
  const std::int64_t part = std::min(part_of(counted.latest), current_);
  if (part <= current_ - kParts) return;
  slot(part) += counted.count;
  sum_ += counted.count;
}

std::vector<RollingWindow::Counted> RollingWindow::counted(Instant now) {
  roll(now);
  std::vector<Counted> all;
  for (std::int64_t part = current_ - kParts + 1; part <= current_; ++part) {
    if (slot(part) == 0) continue;
    all.push_back({std::min(origin_ + part_length_ * (part + 1), now), slot(part)});
  }
  return all;
}

}  // namespace rockdove::traffic
