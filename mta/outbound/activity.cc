#include "mta/outbound/activity.h"

#include <algorithm>

namespace rockdove::outbound {

void AttemptCounts::add(const AttemptCounts& other) {
  delivered += other.delivered;
  deferred += other.deferred;
  bounced += other.bounced;
  slowest = std::max(slowest, other.slowest);
}

std::int64_t Activity::number_of(base::Instant now) {
  return std::chrono::duration_cast<base::Duration>(now.time_since_epoch()) / kSlice;
}

Activity::Slice& Activity::slice_at(base::Instant now) {
  const std::int64_t number = number_of(now);
  Slice& slice = slices_[static_cast<std::size_t>(number) % slices_.size()];
  if (slice.number != number) {
    slice.number = number;
    slice.destinations.clear();
    slice.deferrals.fill(0);
    slice.slowest.clear();
  }
  return slice;
}

// One a destination; the least slow one gives way.
void Activity::note_slow(Slice& slice, std::string_view destination, std::string_view host,
                         base::Duration took) {
  const auto same = std::find_if(
      slice.slowest.begin(), slice.slowest.end(),
      [destination](const SlowAttempt& one) { return one.destination == destination; });
  if (same != slice.slowest.end()) {
    if (took > same->took) *same = {std::string(destination), std::string(host), took};
    return;
  }
  if (slice.slowest.size() < kSlowestMax) {
    slice.slowest.push_back({std::string(destination), std::string(host), took});
    return;
  }
  const auto least =
      std::min_element(slice.slowest.begin(), slice.slowest.end(),
                       [](const SlowAttempt& a, const SlowAttempt& b) { return a.took < b.took; });
  if (took > least->took) *least = {std::string(destination), std::string(host), took};
}

void Activity::attempted(std::string_view destination, std::string_view host,
                         const AttemptCounts& counts, base::Instant now) {
  Slice& slice = slice_at(now);
  note_slow(slice, destination, host, counts.slowest);
  std::string name(destination);
  const auto found = slice.destinations.find(name);
  if (found != slice.destinations.end()) {
    found->second.counts.add(counts);
    found->second.weight += counts.total();
    return;
  }
  std::uint64_t inherited = 0;
  if (slice.destinations.size() >= kDestinationsMax) {
    const auto least = std::min_element(
        slice.destinations.begin(), slice.destinations.end(),
        [](const auto& a, const auto& b) { return a.second.weight < b.second.weight; });
    inherited = least->second.weight;
    slice.destinations.erase(least);
  }
  slice.destinations.emplace(std::move(name), Counted{counts, inherited + counts.total()});
}

void Activity::deferred(queue::Reason reason, base::Instant now) {
  ++slice_at(now).deferrals[static_cast<std::size_t>(reason)];
}

Activity::Seen Activity::last_minute(base::Instant now) const {
  Seen seen;
  const std::int64_t number = number_of(now);
  for (const Slice& slice : slices_) {
    if (slice.number < 0 || number - slice.number > static_cast<std::int64_t>(kSlices)) continue;
    for (const auto& [name, counted] : slice.destinations) {
      seen.destinations[name].add(counted.counts);
    }
    for (std::size_t i = 0; i < seen.deferrals.size(); ++i) seen.deferrals[i] += slice.deferrals[i];
    seen.slowest.insert(seen.slowest.end(), slice.slowest.begin(), slice.slowest.end());
  }
  return seen;
}

}  // namespace rockdove::outbound
