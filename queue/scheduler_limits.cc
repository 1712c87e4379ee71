// Rates and paces: what an account and a site may send, and when.
#include <algorithm>
#include <cmath>
#include <utility>

#include "mta/traffic/knobs.h"
#include "queue/scheduler.h"
#include "queue/scheduler_parts.h"

namespace rockdove::queue {
namespace {

// Where a site has no connection, one is opened so long before the next message may go.
constexpr base::Duration kConnectAhead = std::chrono::seconds(1);
// Where a limiter grants nothing though its time has come, because the clocks were set.
constexpr base::Duration kAskAgain = std::chrono::milliseconds(10);
// How long a pace is remembered that nobody has set again.
constexpr base::Duration kPaceMatters = std::chrono::hours(24);

using traffic::Limiter;

// What is kept grants no more before it is durable, which takes no longer; if that fails it is
// tried again then.
constexpr base::Duration kKeepAgain = std::chrono::seconds(1);

// Where the job is not known.
constexpr std::uint32_t kLeast = 1;

base::Instant next_of(const std::unique_ptr<Limiter>& limiter, std::uint32_t cost, base::Now now) {
  return limiter == nullptr ? now.instant : limiter->next_at(now, cost);
}

base::Instant nth_of(const std::unique_ptr<Limiter>& limiter, std::uint64_t n, base::Now now) {
  return limiter == nullptr ? now.instant : limiter->nth_at(n, now);
}

struct Wanted {
  Limiter* limiter;
  std::uint32_t cost;
};

// Grants of all of them, or of none: nullopt. They are good until then.
std::optional<base::Instant> take_all(const std::vector<Wanted>& all, base::Now now) {
  base::Instant until = base::kNever;
  for (auto one = all.begin(); one != all.end(); ++one) {
    const Limiter::Answer answer = one->limiter->take(now, one->cost);
    if (answer.kind == Limiter::Answer::Kind::Go) {
      until = std::min(until, answer.at);
      continue;
    }
    for (auto taken = all.begin(); taken != one; ++taken)
      taken->limiter->unused(now.instant, now, taken->cost);
    return std::nullopt;
  }
  return until;
}

}  // namespace

Scheduler::Costs Scheduler::costs_of(const Job& job) {
  const std::uint64_t units =
      traffic::units_of(job.message->header_block.size() + job.message->body_octets);
  Costs costs;
  costs.fill(kLeast);
  costs[index_of(LimitKind::Recipients)] =
      std::max(static_cast<std::uint32_t>(job.deliveries.size()), kLeast);
  costs[index_of(LimitKind::Octets)] =
      static_cast<std::uint32_t>(std::clamp<std::uint64_t>(units, kLeast, traffic::kCostMax));
  return costs;
}

void Scheduler::Limits::use(LimitKind kind, const std::vector<traffic::Rate>& rates,
                            Restored& restored, base::Instant began, base::Now now) {
  Limit& limit = of(kind);
  // Without limits of this kind there was nothing to count.
  const base::Instant unknown_until = has_been_used ? now.instant : began;
  if (kind == kLimitKinds.back()) has_been_used = true;
  last_use = now.instant;
  if (rates == limit.rates) return;
  limit.rates = rates;
  const bool is_paced = kind == LimitKind::Messages && pace.has_value();
  if (rates.empty() && !is_paced) return limit.limiter.reset();
  std::optional<Limiter::Costs> costs;
  if (kind == LimitKind::Recipients || kind == LimitKind::Octets)
    costs = Limiter::Costs{unknown_until};
  const auto is_counted = [](const traffic::Rate& rate) { return rate.is_counted(); };
  auto& states = restored[index_of(kind)];
  const auto before = states.find(name);
  if (before != states.end() && std::any_of(rates.begin(), rates.end(), is_counted)) {
    limit.limiter = std::make_unique<Limiter>(rates, before->second, now, costs);
    states.erase(before);
  } else if (limit.limiter == nullptr) {
    limit.limiter = std::make_unique<Limiter>(rates, now, costs);
  } else {
    limit.limiter->set_rates(rates, now);
  }
  if (is_paced) limit.limiter->set_pace(pace, now);
}

void Scheduler::Limits::use_pace(std::optional<double> per_second, base::Now now) {
  pace = per_second;
  last_use = now.instant;
  Limit& messages = of(LimitKind::Messages);
  if (messages.rates.empty() && !pace) messages.limiter.reset();
  if (messages.limiter == nullptr && pace)
    messages.limiter = std::make_unique<Limiter>(messages.rates, now);
  if (messages.limiter != nullptr) messages.limiter->set_pace(pace, now);
}

bool Scheduler::Limits::has_costs() const {
  return of(LimitKind::Recipients).limiter != nullptr || of(LimitKind::Octets).limiter != nullptr;
}

bool Scheduler::Limits::has_rates() const {
  return of(LimitKind::Messages).limiter != nullptr || has_costs();
}

base::Instant Scheduler::Limits::next_message(const Costs& costs, base::Now now) const {
  base::Instant next = now.instant;
  for (const LimitKind kind : kMessageKinds)
    next = std::max(next, next_of(of(kind).limiter, costs[index_of(kind)], now));
  return next;
}

base::Instant Scheduler::Limits::next_connection(base::Now now) const {
  return next_of(of(LimitKind::Connections).limiter, kLeast, now);
}

// Each message has a recipient and an octet at least.
std::optional<double> Scheduler::Limits::per_second() const {
  std::optional<double> least = pace;
  for (const LimitKind kind : kMessageKinds) {
    for (const traffic::Rate& rate : of(kind).rates)
      least = std::min(least.value_or(rate.per_second()), rate.per_second());
  }
  return least;
}

base::Instant Scheduler::Limits::nth_message(std::uint64_t n, std::uint64_t octets,
                                             base::Now now) const {
  return std::max(
      {nth_of(of(LimitKind::Messages).limiter, n, now),
       nth_of(of(LimitKind::Recipients).limiter, n, now),
       nth_of(of(LimitKind::Octets).limiter, std::max(traffic::units_of(octets), n), now)});
}

base::Instant Scheduler::Limits::nth_connection(std::uint64_t n, base::Now now) const {
  return nth_of(of(LimitKind::Connections).limiter, n, now);
}

base::Instant Scheduler::Limits::matter_until() const {
  base::Duration longest(0);
  for (const Limit& limit : by_kind) {
    for (const traffic::Rate& rate : limit.rates) longest = std::max(longest, rate.per);
  }
  if (pace) longest = std::max(longest, kPaceMatters);
  return longest == base::Duration::zero() ? base::Instant{} : last_use + longest;
}

bool Scheduler::is_paced(const Site& site) {
  return site.limits.has_rates() || site.account->limits.has_rates();
}

// Whoever waits for MAIL with a connection that is not ready yet is to find a grant when it is, so
// there are no more of these than messages may go meanwhile; where only sites have rates, than
// those at work.
bool Scheduler::lets_open(const Account& account, base::Now now) {
  if (is_full(account) || account.limits.next_connection(now) > now.instant) return false;
  if (account.connecting == 0) return true;
  if (const std::optional<double> rate = account.limits.per_second()) {
    const std::chrono::duration<double> setup = account.setup.value_or(base::Duration::zero());
    return account.connecting <= std::floor(*rate * setup.count());
  }
  const auto others = static_cast<std::uint32_t>(account.connecting + account.idle.size());
  return account.connecting < account.sessions - std::min(account.sessions, others);
}

// With an idle session it starts when there is a grant. Without one it opens a connection where a
// grant waits for it; its first one a little earlier.
std::optional<Scheduler::Command> Scheduler::start_paced(Site& site, base::Now now) {
  Account& account = *site.account;
  const bool opens_first = site.sessions == 0;
  const base::Duration ahead = opens_first ? kConnectAhead : base::Duration::zero();
  const Costs costs = costs_of(account.jobs.front());
  const base::Instant account_from = account.limits.next_message(costs, now) - ahead;
  if (account_from > now.instant) {
    note_used_up(site, costs, now);
    wait_until(account, account_from);
    return std::nullopt;
  }
  const base::Instant site_from = site.limits.next_message(costs, now) - ahead;
  if (site_from > now.instant) {
    note_used_up(site, costs, now);
    wait_until(site, site_from);
    return std::nullopt;
  }
  if (site.idle.empty()) return open_one(site, now);
  for (const LimitKind kind : kMessageKinds) {
    if (waits_for_keep(site, kind, costs[index_of(kind)], now)) return std::nullopt;
  }
  const std::optional<base::Instant> valid_until = take_grant(site, costs, now);
  if (!valid_until) {
    wait_until(site, now.instant + kAskAgain);
    return std::nullopt;
  }
  return start_idle(site, valid_until, now);
}

void Scheduler::note_used_up(const Site& site, const Costs& costs, base::Now now) {
  Standing told;
  site.account->limits.tell_used_up(told, costs, now);
  site.limits.tell_used_up(told, costs, now);
  if (told.used_up.empty()) return;
  used_up_.insert_or_assign(site.account->name,
                            UsedUp{site.spec, std::move(told.used_up), told.used_up_until});
}

std::vector<Scheduler::UsedUp> Scheduler::take_used_up() {
  std::vector<UsedUp> all;
  for (auto& [account, used_up] : std::exchange(used_up_, {})) all.push_back(std::move(used_up));
  return all;
}

bool Scheduler::waits_for_keep(Site& site, LimitKind kind, std::uint32_t cost, base::Now now) {
  if (must_keep_first(site.account->limits, kind, cost, now)) {
    wait_until(*site.account, now.instant + kKeepAgain);
    return true;
  }
  if (!must_keep_first(site.limits, kind, cost, now)) return false;
  wait_until(site, now.instant + kKeepAgain);
  return true;
}

std::optional<base::Instant> Scheduler::take_grant(Site& site, const Costs& costs, base::Now now) {
  std::vector<Wanted> all;
  for (Limits* limits : {&site.account->limits, &site.limits}) {
    limits->last_use = now.instant;
    for (const LimitKind kind : kMessageKinds) {
      if (Limiter* const limiter = limits->of(kind).limiter.get())
        all.push_back({limiter, costs[index_of(kind)]});
    }
  }
  const auto until = take_all(all, now);
  for (Limits* limits : {&site.account->limits, &site.limits}) {
    for (const LimitKind kind : kMessageKinds) keep(*limits, kind, kLeast, now);
  }
  return until;
}

std::optional<base::Instant> Scheduler::take_connection_grant(Session& session, base::Now now) {
  const std::array both = {&session.site->account->limits, &session.site->limits};
  std::vector<Wanted> all;
  for (Limits* limits : both) {
    if (Limiter* const limiter = limits->of(LimitKind::Connections).limiter.get())
      all.push_back({limiter, kLeast});
  }
  if (all.empty()) return std::nullopt;
  session.connection_granted = now.instant;
  const auto until = take_all(all, now);
  for (Limits* limits : both) {
    limits->last_use = now.instant;
    keep(*limits, LimitKind::Connections, kLeast, now);
  }
  return until;
}

void Scheduler::return_grant(Session& session, base::Now now) {
  const std::optional<base::Instant> given = std::exchange(session.granted, std::nullopt);
  if (!given) return;
  for (const Limits* limits : {&session.site->limits, &session.site->account->limits}) {
    for (const LimitKind kind : kMessageKinds) {
      if (limits->of(kind).limiter != nullptr)
        limits->of(kind).limiter->unused(*given, now, session.costs[index_of(kind)]);
    }
  }
}

void Scheduler::return_connection_grant(Session& session, base::Now now) {
  const std::optional<base::Instant> given =
      std::exchange(session.connection_granted, std::nullopt);
  if (!given) return;
  for (const Limits* limits : {&session.site->limits, &session.site->account->limits}) {
    const Limits::Limit& limit = limits->of(LimitKind::Connections);
    if (limit.limiter != nullptr) limit.limiter->unused(*given, now);
  }
}

void Scheduler::set_pace(std::string_view name, std::optional<double> per_second, base::Now now) {
  Account& account = account_named(name);
  account.limits.use_pace(per_second, now);
  look_again(account);
  forget_if_idle(account, now);
}

void Scheduler::pause_account(std::string_view name, base::Instant until, std::string_view reason,
                              base::Now now) {
  Account& account = account_named(name);
  if (until > account.held_until) {
    account.held_until = until;
    account.hold_reason = reason;
  }
  look_again(account);
  forget_if_idle(account, now);
}

void Scheduler::pause_site(const SitePointer& spec, base::Instant until, std::string_view reason,
                           base::Now now) {
  // This says nothing of limits: those that are known stay.
  Site* const known = find_site(*spec);
  Site& site = known != nullptr ? *known : site_of(spec, now);
  if (until > site.held_until) {
    site.held_until = until;
    site.hold_reason = reason;
  }
  take_from_place(site);  // what it waits for comes after this
  make_ready(site);
  forget_if_idle(site, now);
}

}  // namespace rockdove::queue
