#include "mta/net/deadline_heap.h"

#include <algorithm>

namespace rockdove::net {

Deadline::~Deadline() {
  if (place_ != kOutside) heap_.remove(*this);
}

void Deadline::set(base::Instant at) {
  wanted_ = at;
  if (place_ != kOutside && at >= armed_) return;  // looked at again when the old time comes
  if (at == base::kNever) return;
  // While due deadlines are being run, a time that has passed would be due at once, and again.
  armed_ = std::max(at, heap_.running_until_);
  if (place_ == kOutside) return heap_.insert(*this);
  heap_.move_up(place_);
}

void DeadlineHeap::run_due(base::Instant now) {
  running_until_ = now + std::chrono::nanoseconds(1);
  while (!entries_.empty() && entries_.front()->armed_ <= now) {
    Deadline& first = *entries_.front();
    if (first.wanted_ == base::kNever) {
      remove(first);
    } else if (first.wanted_ > now) {
      first.armed_ = first.wanted_;
      move_down(0);
    } else {
      remove(first);
      first.wanted_ = base::kNever;
      first.callback_(first.owner_);
    }
  }
  running_until_ = base::Instant::min();
}

void DeadlineHeap::insert(Deadline& entry) {
  entries_.push_back(&entry);
  entry.place_ = entries_.size() - 1;
  move_up(entry.place_);
}

void DeadlineHeap::remove(Deadline& entry) {
  const std::size_t place = entry.place_;
  entry.place_ = Deadline::kOutside;
  Deadline* last = entries_.back();
  entries_.pop_back();
  if (last == &entry) return;
  put(last, place);
  move_up(place);
  move_down(last->place_);
}

void DeadlineHeap::move_up(std::size_t place) {
  Deadline* moving = entries_[place];
  while (place > 0) {
    const std::size_t parent = (place - 1) / 2;
    if (entries_[parent]->armed_ <= moving->armed_) break;
    put(entries_[parent], place);
    place = parent;
  }
  put(moving, place);
}

void DeadlineHeap::move_down(std::size_t place) {
  Deadline* moving = entries_[place];
  for (std::size_t child = 2 * place + 1; child < entries_.size(); child = 2 * place + 1) {
    if (child + 1 < entries_.size() && entries_[child + 1]->armed_ < entries_[child]->armed_)
      ++child;
    if (moving->armed_ <= entries_[child]->armed_) break;
    put(entries_[child], place);
    place = child;
  }
  put(moving, place);
}

void DeadlineHeap::put(Deadline* entry, std::size_t place) {
  entries_[place] = entry;
  entry->place_ = place;
}

}  // namespace rockdove::net
