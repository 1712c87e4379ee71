// The part of a dispatcher that hands jobs to its scheduler, and what may not go now to their
// homes.
#include <utility>
#include <vector>

#include "mta/outbound/dispatcher.h"

namespace rockdove::outbound {

void Dispatcher::offer(queue::Job job, const std::shared_ptr<const Site>& site) {
  // One that was routed by settings that have been replaced is on its way back at once.
  if (is_stale(*site)) return give_home(job);
  if (give_paused_home(job, *site)) return;
  if (const auto until = used_up_until(*site)) return give_home_used_up(job, *site, *until);
  if (const auto until = teaching_.tenant_paused_until(*site, job.queue.tenant))
    return give_home_until(std::move(job), *until);
  const std::shared_ptr<const Site> set = teaching_.as_set(site);
  for (queue::Job& part : queue::in_parts(std::move(job), set->recipients_per_transaction))
    scheduler_.offer(std::move(part), set, env_.now());
  teaching_.offered(site);
  want_pass();
}

void Dispatcher::give_back(queue::Job job, const std::shared_ptr<const Site>& site) {
  if (is_stale(*site)) return give_home(job);
  if (give_paused_home(job, *site)) return;
  if (const auto until = used_up_until(*site)) return give_home_used_up(job, *site, *until);
  const std::shared_ptr<const Site> set = teaching_.as_set(site);
  std::vector<queue::Job> parts = queue::in_parts(std::move(job), set->recipients_per_transaction);
  // Each goes to the front.
  for (auto part = parts.rbegin(); part != parts.rend(); ++part)
    scheduler_.give_back(std::move(*part), set, env_.now());
  want_pass();
}

void Dispatcher::give_home(const queue::Job& job) {
  env_.on_loop(queue::home_loop(job.queue.destination, env_.loop_count()),
               [job](Dispatcher& dispatcher) {
                 dispatcher.home_.take_back(job);
                 dispatcher.want_pass();
               });
  want_pass();
}

void Dispatcher::give_home_until(queue::Job job, base::Instant until) {
  const auto wait = std::chrono::duration_cast<base::Duration>(until - env_.now().instant);
  // Asked before the job is moved: arguments of one call have no order.
  const unsigned home = queue::home_loop(job.queue.destination, env_.loop_count());
  env_.on_loop(home, [job = std::move(job), wait](Dispatcher& dispatcher) {
    dispatcher.home_.take_back_for(job, wait);
    dispatcher.want_pass();
  });
}

void Dispatcher::give_back_paused() {
  for (queue::Scheduler::Paused& paused : scheduler_.take_paused(env_.now()))
    give_home_until(std::move(paused.job), paused.until);
}

// A rule has paused the mail of this tenant to the account of the site.
void Dispatcher::keep_tenant_back(const Site& site, const std::string& tenant) {
  const std::optional<base::Instant> until = teaching_.tenant_paused_until(site, tenant);
  if (!until) return;
  const auto is_theirs = [&tenant](const queue::QueueName& queue) {
    return queue.tenant == tenant;
  };
  for (queue::Job& job : scheduler_.take_waiting(site.account->name, is_theirs))
    give_home_until(std::move(job), *until);
}

}  // namespace rockdove::outbound
