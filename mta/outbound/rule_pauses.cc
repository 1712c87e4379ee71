#include "mta/outbound/rule_pauses.h"

#include <algorithm>

#include "queue/account_name.h"
#include "queue/change.h"
#include "queue/learned.h"

namespace rockdove::outbound {
namespace {

using Of = traffic::Pause::Of;

// No rule pauses for longer; a row that says so was written before the clock was set.
constexpr base::Duration kPauseMax = std::chrono::hours(30 * 24);

// Behind the account's name, as queue::account_of_limits() has it.
constexpr std::string_view kProviderFollows = "\nprovider";
constexpr std::string_view kSourceFollows = "\nsource";
constexpr std::string_view kSiteFollows = "\nsite ";
constexpr std::string_view kTenantFollows = "\ntenant ";

std::string name_of(Of of, std::string_view account, std::string_view site,
                    std::string_view tenant) {
  std::string name(account);
  switch (of) {
    case Of::Provider:
      return name.append(kProviderFollows);
    case Of::Source:
      return name.append(kSourceFollows);
    case Of::Site:
      return name.append(kSiteFollows).append(site);
    case Of::Tenant:
      return name.append(kTenantFollows).append(tenant);
  }
  return name;
}

}  // namespace

RulePauses::RulePauses(const Environment& environment, queue::Scheduler& scheduler)
    : env_(environment), scheduler_(scheduler) {}

RulePauses::Begun RulePauses::begin(const traffic::Pause& pause,
                                    const std::shared_ptr<const Site>& site,
                                    const std::string& tenant, const std::string& reason) {
  forget_over();
  const base::Now now = env_.now();
  const base::Instant until = now.instant + pause.time;
  const std::string& account = site->account->name;
  Begun begun;
  switch (pause.of) {
    case Of::Site:
      begun.what = site->name;
      scheduler_.pause_site(site, until, reason, now);
      break;
    case Of::Provider:
    case Of::Source:  // an account is one of a source address
      begun.what = account;
      scheduler_.pause_account(account, until, reason, now);
      break;
    case Of::Tenant:
      begun.what = "tenant " + tenant;
      break;
  }
  const std::string name = name_of(pause.of, account, site->name, tenant);
  const auto found = pauses_.find(name);
  begun.is_new = found == pauses_.end();
  if (!begun.is_new && found->second.until >= until) return begun;
  keep(name, {until, reason});
  const queue::RulePause row{now.wall + pause.time, reason};
  env_.store.commit(env_.loop,
                    queue::noted(queue::kRulePauseNotes, name, queue::encode_rule_pause(row)),
                    [](const base::Result<void>&) {});
  return begun;
}

std::optional<RulePauses::Source> RulePauses::restore(std::string_view name,
                                                      std::string_view value) {
  const base::Now now = env_.now();
  const base::Result<queue::RulePause> row = queue::decode_rule_pause(value);
  if (!row || row->until <= now.wall) {
    env_.store.commit(env_.loop, queue::noted(queue::kRulePauseNotes, name, ""),
                      [](const base::Result<void>&) {});
    return std::nullopt;
  }
  const base::Instant until =
      now.instant + std::min<base::Duration>(row->until - now.wall, kPauseMax);
  const std::string account(queue::account_of_limits(name));
  const std::string_view what = name.substr(account.size());
  keep(std::string(name), {until, row->reason, !what.starts_with(kSiteFollows)});
  const bool is_of_source = what == kSourceFollows;
  if (is_of_source || what == kProviderFollows)
    scheduler_.pause_account(account, until, row->reason, now);
  return is_of_source ? std::optional(Source{account, until}) : std::nullopt;
}

void RulePauses::offered(const std::shared_ptr<const Site>& site) {
  if (pauses_.empty()) return;
  forget_over();
  const auto found = pauses_.find(name_of(Of::Site, site->account->name, site->name, ""));
  if (found == pauses_.end() || found->second.is_told) return;
  found->second.is_told = true;
  scheduler_.pause_site(site, found->second.until, found->second.reason, env_.now());
}

std::optional<base::Instant> RulePauses::tenant_until(std::string_view account,
                                                      std::string_view tenant) const {
  if (pauses_.empty()) return std::nullopt;
  const auto found = pauses_.find(name_of(Of::Tenant, account, "", tenant));
  if (found == pauses_.end() || found->second.until <= env_.now().instant) return std::nullopt;
  return found->second.until;
}

std::optional<RulePauses::Told> RulePauses::of_tenant(std::string_view account,
                                                      std::string_view tenant) const {
  return longest(account, name_of(Of::Tenant, "", "", tenant));
}

std::optional<RulePauses::Told> RulePauses::of_sources(std::string_view account) const {
  return longest(account, kSourceFollows);
}

std::optional<RulePauses::Told> RulePauses::longest(std::string_view account,
                                                    std::string_view follows) const {
  std::optional<Told> last;
  const auto begin = pauses_.lower_bound(account);
  for (auto found = begin; found != pauses_.end() && found->first.starts_with(account); ++found) {
    const auto& [name, pause] = *found;
    const std::string_view whole = queue::account_of_limits(name);
    if (queue::without_source(whole) != account || name.substr(whole.size()) != follows) continue;
    if (pause.until > env_.now().instant && (!last || pause.until > last->until))
      last = {pause.until, pause.reason};
  }
  return last;
}

void RulePauses::end(const queue::SiteSpec& site, std::string_view tenant) {
  for (const Of of : {Of::Provider, Of::Site, Of::Tenant}) {
    const auto found = pauses_.find(name_of(of, site.account->name, site.name, tenant));
    if (found != pauses_.end()) forget(found);
  }
}

void RulePauses::keep(const std::string& name, One pause) {
  const auto [found, is_new] = pauses_.try_emplace(name);
  if (!is_new) ends_.erase({found->second.until, name});
  ends_.emplace(pause.until, name);
  found->second = std::move(pause);
}

void RulePauses::forget(Pauses::iterator pause) {
  env_.store.commit(env_.loop, queue::noted(queue::kRulePauseNotes, pause->first, ""),
                    [](const base::Result<void>&) {});
  ends_.erase({pause->second.until, pause->first});
  pauses_.erase(pause);
}

void RulePauses::forget_over() {
  while (!ends_.empty() && ends_.begin()->first <= env_.now().instant)
    forget(pauses_.find(ends_.begin()->second));
}

}  // namespace rockdove::outbound
