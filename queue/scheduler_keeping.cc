// What counted windows (an hour and more) have granted, kept over a restart: a slice of it is made
// durable before it is used.
#include <utility>

#include "queue/scheduler.h"
#include "queue/scheduler_parts.h"

namespace rockdove::queue {
namespace {

// Between the account and the site of limits that are a site's alone; in no name of theirs.
constexpr char kSiteFollows = '\n';

}  // namespace

std::string_view account_of_limits(std::string_view name) {
  return name.substr(0, name.find(kSiteFollows));
}

std::string Scheduler::name_of_limits(const Site& site) {
  return site.account->name + kSiteFollows + site.spec->name;
}

void Scheduler::restore(LimitKind kind, std::string_view name, traffic::LimiterState state) {
  restored_[index_of(kind)].insert_or_assign(std::string(name), std::move(state));
}

void Scheduler::keep(Limits& limits, LimitKind kind, std::uint32_t cost, base::Now now) {
  Limits::Limit& limit = limits.of(kind);
  if (limit.limiter == nullptr) return;
  std::optional<traffic::LimiterState> state = limit.limiter->state_to_store(now, cost);
  if (!state) return;
  limit.keeping = ++keeps_;
  to_keep_.push_back({keeps_, kind, limits.name, std::move(*state)});
}

bool Scheduler::must_keep_first(Limits& limits, LimitKind kind, std::uint32_t cost, base::Now now) {
  const std::unique_ptr<traffic::Limiter>& limiter = limits.of(kind).limiter;
  if (limiter == nullptr || !limiter->needs_store(now, cost)) return false;
  keep(limits, kind, cost, now);
  return true;
}

void Scheduler::kept(const Keep& keep, Durable durable) {
  const auto account = accounts_.find(std::string(account_of_limits(keep.name)));
  if (account == accounts_.end()) return;
  Account& of = *account->second;
  Site* site = nullptr;
  if (of.name.size() < keep.name.size()) {
    const auto found = of.sites.find(keep.name.substr(of.name.size() + 1));
    if (found == of.sites.end()) return;
    site = &found->second;
  }
  Limits& limits = site == nullptr ? of.limits : site->limits;
  const std::unique_ptr<traffic::Limiter>& limiter = limits.of(keep.kind).limiter;
  if (limiter == nullptr || limits.of(keep.kind).keeping != keep.number) return;
  // What waits for it asks again in a moment; at once where it may go now.
  if (durable == Durable::No) return limiter->not_stored();
  limiter->stored();
  if (site == nullptr) return look_again(of);
  if (site->place == Site::Place::Paused) take_from_place(*site);
  make_ready(*site);
}

std::vector<Scheduler::Keep> Scheduler::last_states(base::Now now) {
  std::vector<Keep> all;
  const auto add = [&](Limits& limits) {
    for (const LimitKind kind : kLimitKinds) {
      const std::unique_ptr<traffic::Limiter>& limiter = limits.of(kind).limiter;
      if (limiter == nullptr) continue;
      traffic::LimiterState state = limiter->last_state(now);
      if (!state.windows.empty()) all.push_back({0, kind, limits.name, std::move(state)});
    }
  };
  for (auto& [name, account] : accounts_) {
    add(account->limits);
    for (auto& [site_name, site] : account->sites) add(site.limits);
  }
  return all;
}

}  // namespace rockdove::queue
