// The part of a dispatcher that knows of limits of senders: tenants and campaigns.
#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "mta/outbound/dispatcher.h"
#include "queue/change.h"
#include "queue/learned.h"

namespace rockdove::outbound {
std::uint32_t Dispatcher::weight_of(std::string_view tenant) const {
  const queue::SenderSettings* found = queue::settings_of(env_.queue.tenants, tenant);
  return found == nullptr ? 1 : found->weight;
}

void Dispatcher::keep_senders_back() {
  for (queue::Scheduler::OverLimit& one : scheduler_.take_over_limit()) {
    if (one.of == queue::SenderLimits::Of::Tenant) {
      give_home_until(std::move(one.job), one.until);
    } else {
      put_off(one.job, one.until);
    }
  }
  for (queue::SenderLimits::Keep& keep : env_.senders.take_to_store()) {
    queue::Change change = queue::noted(queue::kSenderNotes, keep.name,
                                        keep.state ? queue::encode_limiter(*keep.state) : "");
    env_.store.commit(env_.loop, std::move(change),
                      [this, keep = std::move(keep)](const base::Result<void>& result) {
                        if (keep.state) env_.senders.stored(keep, result.is_ok());
                        want_pass();
                      });
  }
}

// Other mail of its queue is not to wait with it, so its row says when it comes back.
void Dispatcher::put_off(const queue::Job& job, base::Instant until) {
  const base::Now now = env_.now();
  const base::WallTime due =
      now.wall +
      std::max(std::chrono::duration_cast<base::Duration>(until - now.instant), base::Duration(1));
  std::optional<queue::Change> change;
  std::vector<Release> releases;
  for (const queue::Delivery& delivery : job.deliveries) {
    queue::Delivery after = delivery;
    after.due = due;
    releases.push_back({{job.message->id, delivery.number}, due});
    queue::Change next = queue::moved(*job.message, delivery, after, std::nullopt);
    if (change) {
      change->join(std::move(next));
    } else {
      change = std::move(next);
    }
  }
  settler_.commit(std::move(*change), job.queue, std::move(releases));
}

}  // namespace rockdove::outbound
