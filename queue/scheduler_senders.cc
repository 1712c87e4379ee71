// Limits of senders, which a scheduler only looks at: it passes over whoever is at his limit, so
// that no connection is taken up for him. That nobody exceeds it is SenderLimits::take()'s to see
// to, where MAIL is sent.
#include <algorithm>
#include <utility>

#include "queue/scheduler.h"
#include "queue/scheduler_parts.h"

namespace rockdove::queue {
namespace {

// Mail of a campaign that comes back a little early keeps all of its tenant's for so long at most.
constexpr base::Duration kMoment = std::chrono::milliseconds(100);
// So long after its time it has just come back.
constexpr base::Duration kJustNow = std::chrono::seconds(1);
// Who must wait for so long does so on disk.
constexpr base::Duration kOnDiskFrom = std::chrono::minutes(1);
// A reload may have raised what a tenant may send; and what came for him meanwhile is in memory.
constexpr base::Duration kLookAgain = std::chrono::minutes(10);

bool has_just_come_back(const Job& job, base::WallTime now) {
  const WallTime due = job.deliveries.front().due;
  return due > job.message->accepted && due > now - kJustNow;
}

}  // namespace

bool Scheduler::keep_sender_back(Account& account, Wants wants, base::Now now) {
  if (senders_ == nullptr || !senders_->is_limited()) return false;
  const Job& job = account.jobs.front();
  const std::string tenant = job.queue.tenant;
  const std::string& campaign = job.message->campaign;
  const auto wait = wants == Wants::Mail ? senders_->wait(tenant, campaign, now)
                                         : senders_->wait_to_connect(tenant, campaign, now);
  if (!wait) return false;
  const bool is_moment = wait->until - now.instant <= kMoment && has_just_come_back(job, now.wall);
  if (wait->of == SenderLimits::Of::Campaign && !is_moment) {
    // The rest of its tenant's mail goes on.
    Site& site = static_cast<Site&>(*account.jobs.next());
    const base::Instant until = senders_->come_back_at(tenant, campaign, now);
    over_limit_.push_back({account.jobs.take(), wait->of, until});
    look_soon(site);
    return true;
  }
  account.jobs.close_tenant(tenant);
  const base::Instant until = std::min<base::Instant>(wait->until, now.instant + kLookAgain);
  closed_tenants_.emplace(until, std::pair(account.name, tenant));
  if (wait->until - now.instant < kOnDiskFrom) return true;
  const auto is_theirs = [&tenant](const QueueName& queue) { return queue.tenant == tenant; };
  for (Job& one : take_waiting(account.name, is_theirs))
    over_limit_.push_back({std::move(one), wait->of, until});
  return true;
}

void Scheduler::wake_tenants(base::Now now) {
  while (!closed_tenants_.empty() && closed_tenants_.begin()->first <= now.instant) {
    const auto [account_name, tenant] = std::move(closed_tenants_.begin()->second);
    closed_tenants_.erase(closed_tenants_.begin());
    const auto account = accounts_.find(account_name);
    if (account == accounts_.end()) continue;
    account->second->jobs.open_tenant(tenant);
    make_ready(*account->second);
  }
}

void Scheduler::sender_limits_changed() {
  for (const auto& [until, closed] : closed_tenants_) {
    const auto account = accounts_.find(closed.first);
    if (account == accounts_.end()) continue;
    account->second->jobs.open_tenant(closed.second);
    make_ready(*account->second);
  }
  closed_tenants_.clear();
}

std::vector<Scheduler::OverLimit> Scheduler::take_over_limit() {
  return std::exchange(over_limit_, {});
}

}  // namespace rockdove::queue
