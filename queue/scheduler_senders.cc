// Limits of senders, which a scheduler only looks at: it passes over whoever is at his limit, so
// that no connection is taken up for him. That nobody exceeds it is SenderLimits::take()'s to see
// to, where MAIL is sent.
#include <utility>

#include "queue/scheduler.h"
#include "queue/scheduler_parts.h"

namespace rockdove::queue {
namespace {

// Mail of a campaign that comes back a little early keeps all of its tenant's for so long at most.
constexpr base::Duration kMoment = std::chrono::milliseconds(100);
// Who must wait for so long does so on disk.
constexpr base::Duration kOnDiskFrom = std::chrono::minutes(1);

}  // namespace

bool Scheduler::keep_sender_back(Account& account, base::Now now) {
  if (senders_ == nullptr || !senders_->is_limited()) return false;
  const Job& job = account.jobs.front();
  const std::string tenant = job.queue.tenant;
  const auto wait = senders_->wait(tenant, job.message->campaign, now);
  if (!wait) return false;
  if (wait->of == SenderLimits::Of::Campaign && wait->until - now.instant > kMoment) {
    // The rest of its tenant's mail goes on.
    Site& site = static_cast<Site&>(*account.jobs.next());
    const base::Instant until = senders_->come_back_at(tenant, job.message->campaign, now);
    over_limit_.push_back({account.jobs.take(), wait->of, until});
    look_soon(site);
    return true;
  }
  account.jobs.close_tenant(tenant);
  closed_tenants_.emplace(wait->until, std::pair(account.name, tenant));
  if (wait->until - now.instant < kOnDiskFrom) return true;
  std::vector<Job> taken;
  std::vector<QueueName> queues;
  for (auto& [name, site] : account.sites) {
    queues.clear();
    for (const auto& [queue, jobs] : site.jobs()) {
      if (queue.tenant == tenant) queues.push_back(queue);
    }
    for (const QueueName& queue : queues)
      account.jobs.take_out(
          site, queue, [](const Job&) { return true; }, taken);
    if (!queues.empty()) look_soon(site);
  }
  for (Job& one : taken) over_limit_.push_back({std::move(one), wait->of, wait->until});
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
