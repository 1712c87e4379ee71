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
  part_length_ = (nanoseconds(rate.per) + guard) / (kParts - 1) + nanoseconds(1);
  // What an earlier run granted has parts of its own, before those of this one.
  origin_ = now - part_length_ * (kParts - 1);
  current_ = kParts - 1;
  if (!is_durable()) reserved_up_to_ = UINT64_MAX;
}

std::int64_t RollingWindow::part_of(Instant time) const {
  return (time - origin_) / part_length_;
}

std::uint64_t& RollingWindow::slot(std::int64_t part) {
  return counts_[static_cast<std::size_t>(part % kParts)];
}

void RollingWindow::roll(Instant now) {
  const std::int64_t part = part_of(now);
  const std::int64_t passed = std::min(part - current_, kParts);
  for (std::int64_t i = 1; i <= passed; ++i) {
    std::uint64_t& oldest = slot(part - passed + i);
    sum_ -= oldest;
    oldest = 0;
  }
  current_ = std::max(current_, part);
}

Instant RollingWindow::next_at(std::uint64_t n, Instant now) {
  roll(now);
  std::uint64_t still = sum_ + std::min(n, most());  // counted then, if nothing had left the window
  if (still <= most()) return now;
  for (std::int64_t part = current_ - kParts + 1; part <= current_; ++part) {
    still -= slot(part);
    if (still <= most()) return origin_ + part_length_ * (part + kParts);
  }
  return now + part_length_ * kParts;
}

Instant RollingWindow::round_after(Instant first, std::uint64_t rounds, Instant now) const {
  const nanoseconds into_part = now - (origin_ + part_length_ * part_of(now));
  return first + part_length_ * kParts * static_cast<std::int64_t>(rounds) - into_part;
}

std::uint64_t RollingWindow::left(Instant now) {
  roll(now);
  return sum_ < most() ? most() - sum_ : 0;
}

bool RollingWindow::wants_slice(std::uint32_t cost, Instant now) {
  if (reserved() < cost && next_at(cost, now) <= now) return true;
  return reserved() <= slice_of(rate_.count) / 2 && left(now) > reserved();
}

std::uint64_t RollingWindow::slice_size(std::uint32_t cost, Instant now) {
  const std::uint64_t slice = std::max(reserved(), std::min(slice_of(rate_.count), left(now)));
  return next_at(cost, now) <= now ? std::max(slice, std::uint64_t{cost}) : slice;
}

void RollingWindow::take(std::uint32_t cost, Instant now) {
  roll(now);
  MTA_ASSERT(sum_ + std::min(std::uint64_t{cost}, most()) <= most() && reserved() >= cost);
  slot(current_) += cost;
  sum_ += cost;
  used_ += cost;
}

void RollingWindow::give_back(Instant given, std::uint32_t cost, Instant now) {
  roll(now);
  const std::int64_t part = part_of(given);
  if (part <= current_ - kParts || part > current_) return;
  // It stays used of its slice: what is stored has it in its old part, and must not miss a new one.
  const std::uint64_t back = std::min(slot(part), std::uint64_t{cost});
  slot(part) -= back;
  sum_ -= back;
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
    const auto count = static_cast<std::uint32_t>(std::min(slot(part), std::uint64_t{UINT32_MAX}));
    all.push_back({std::min(origin_ + part_length_ * (part + 1), now), count});
  }
  return all;
}

}  // namespace rockdove::traffic
