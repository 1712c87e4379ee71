#include "mta/admin/queue_counter.h"

#include <algorithm>
#include <utility>

namespace rockdove::admin {
namespace {

constexpr base::Duration kUsedAtLeast = std::chrono::seconds(10);
constexpr int kUsedTimes = 20;
constexpr std::size_t kWaitingMax = 4;  // each is a request that runs

}  // namespace

void QueueCounter::ask(Done done) {
  const base::Instant now = loop_.now().instant;
  if (last_ && (now < again_ || is_counting_)) return done(last_);
  if (waiting_.size() >= kWaitingMax) return done(std::nullopt);
  waiting_.push_back(std::move(done));
  if (is_counting_) return;
  is_counting_ = true;
  store_.summarise(
      loop_, {loop_.now().wall},
      [this, now](base::Result<queue::QueueSummary> summary) { counted(now, std::move(summary)); });
}

void QueueCounter::counted(base::Instant begun, base::Result<queue::QueueSummary> summary) {
  const base::Now now = loop_.now();
  const auto took = std::chrono::duration_cast<base::Duration>(now.instant - begun);
  again_ = now.instant + std::max(kUsedAtLeast, took * kUsedTimes);
  is_counting_ = false;
  last_.reset();
  if (summary) last_ = count_queue(*summary, now.wall);
  for (Done& done : std::exchange(waiting_, {})) done(last_);
}

}  // namespace rockdove::admin
