// Rates and paces: what an account and a site may send, and when.
#include <algorithm>
#include <cmath>
#include <utility>

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

using Restored = std::unordered_map<std::string, traffic::LimiterState>;

void use_rates(std::unique_ptr<Limiter>& limiter, const std::vector<traffic::Rate>& rates,
               bool is_wanted, const std::string& name, Restored& restored, base::Now now) {
  if (!is_wanted) return limiter.reset();
  const auto is_counted = [](const traffic::Rate& rate) { return rate.is_counted(); };
  const auto before = restored.find(name);
  if (before != restored.end() && std::any_of(rates.begin(), rates.end(), is_counted)) {
    limiter = std::make_unique<Limiter>(rates, before->second, now);
    restored.erase(before);
  } else if (limiter == nullptr) {
    limiter = std::make_unique<Limiter>(rates, now);
  } else {
    limiter->set_rates(rates, now);
  }
}

base::Instant next_of(const std::unique_ptr<Limiter>& limiter, base::Now now) {
  return limiter == nullptr ? now.instant : limiter->next_at(now);
}

// A grant of both, or of neither: nullopt.
std::optional<base::Instant> take_of_both(Limiter* first, Limiter* second, base::Now now) {
  base::Instant until = base::kNever;
  if (first != nullptr) {
    const Limiter::Answer answer = first->take(now);
    if (answer.kind != Limiter::Answer::Kind::Go) return std::nullopt;
    until = answer.at;
  }
  if (second != nullptr) {
    const Limiter::Answer answer = second->take(now);
    if (answer.kind != Limiter::Answer::Kind::Go) {
      if (first != nullptr) first->unused(now.instant, now);
      return std::nullopt;
    }
    until = std::min(until, answer.at);
  }
  return until;
}

}  // namespace

void Scheduler::Limits::use(const std::vector<traffic::Rate>& new_rates,
                            const std::vector<traffic::Rate>& new_connection_rates,
                            Restored& restored, base::Now now) {
  if (new_rates != rates) {
    rates = new_rates;
    use_rates(messages, rates, !rates.empty() || pace.has_value(), name,
              restored[index_of(LimitKind::Messages)], now);
    if (messages != nullptr) messages->set_pace(pace, now);
  }
  if (new_connection_rates != connection_rates) {
    connection_rates = new_connection_rates;
    use_rates(connections, connection_rates, !connection_rates.empty(), name,
              restored[index_of(LimitKind::Connections)], now);
  }
  last_use = now.instant;
}

void Scheduler::Limits::use_pace(std::optional<double> per_second, base::Now now) {
  pace = per_second;
  last_use = now.instant;
  if (rates.empty() && !pace) messages.reset();
  if (messages == nullptr && pace) messages = std::make_unique<Limiter>(rates, now);
  if (messages != nullptr) messages->set_pace(pace, now);
}

base::Instant Scheduler::Limits::next_message(base::Now now) const {
  return next_of(messages, now);
}

base::Instant Scheduler::Limits::next_connection(base::Now now) const {
  return next_of(connections, now);
}

std::optional<double> Scheduler::Limits::per_second() const {
  std::optional<double> least = pace;
  for (const traffic::Rate& rate : rates)
    least = std::min(least.value_or(rate.per_second()), rate.per_second());
  return least;
}

base::Instant Scheduler::Limits::nth_message(std::uint64_t n, base::Now now) const {
  return messages == nullptr ? now.instant : messages->nth_at(n, now);
}

base::Instant Scheduler::Limits::nth_connection(std::uint64_t n, base::Now now) const {
  return connections == nullptr ? now.instant : connections->nth_at(n, now);
}

base::Instant Scheduler::Limits::matter_until() const {
  base::Duration longest(0);
  for (const traffic::Rate& rate : rates) longest = std::max(longest, rate.per);
  for (const traffic::Rate& rate : connection_rates) longest = std::max(longest, rate.per);
  if (pace) longest = std::max(longest, kPaceMatters);
  return longest == base::Duration::zero() ? base::Instant{} : last_use + longest;
}

bool Scheduler::is_paced(const Site& site) {
  return site.limits.messages != nullptr || site.account->limits.messages != nullptr;
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
  const base::Instant account_from = account.limits.next_message(now) - ahead;
  if (account_from > now.instant) {
    wait_until(account, account_from);
    return std::nullopt;
  }
  const base::Instant site_from = site.limits.next_message(now) - ahead;
  if (site_from > now.instant) {
    wait_until(site, site_from);
    return std::nullopt;
  }
  if (site.idle.empty()) return open_one(site, now);
  if (waits_for_keep(site, LimitKind::Messages, now)) return std::nullopt;
  const std::optional<base::Instant> valid_until = take_grant(site, now);
  if (!valid_until) {
    wait_until(site, now.instant + kAskAgain);
    return std::nullopt;
  }
  return start_idle(site, valid_until, now);
}

bool Scheduler::waits_for_keep(Site& site, LimitKind kind, base::Now now) {
  if (must_keep_first(site.account->limits, kind, now)) {
    wait_until(*site.account, now.instant + kKeepAgain);
    return true;
  }
  if (!must_keep_first(site.limits, kind, now)) return false;
  wait_until(site, now.instant + kKeepAgain);
  return true;
}

std::optional<base::Instant> Scheduler::take_grant(Site& site, base::Now now) {
  Limits& account = site.account->limits;
  account.last_use = now.instant;
  site.limits.last_use = now.instant;
  const auto until = take_of_both(account.messages.get(), site.limits.messages.get(), now);
  keep(account, LimitKind::Messages, now);
  keep(site.limits, LimitKind::Messages, now);
  return until;
}

std::optional<base::Instant> Scheduler::take_connection_grant(Session& session, base::Now now) {
  Limits& site = session.site->limits;
  Limits& account = session.site->account->limits;
  if (site.connections == nullptr && account.connections == nullptr) return std::nullopt;
  account.last_use = now.instant;
  site.last_use = now.instant;
  session.connection_granted = now.instant;
  const auto until = take_of_both(account.connections.get(), site.connections.get(), now);
  keep(account, LimitKind::Connections, now);
  keep(site, LimitKind::Connections, now);
  return until;
}

void Scheduler::return_grant(Session& session, base::Now now) {
  const std::optional<base::Instant> given = std::exchange(session.granted, std::nullopt);
  if (!given) return;
  for (const Limits* limits : {&session.site->limits, &session.site->account->limits}) {
    if (limits->messages != nullptr) limits->messages->unused(*given, now);
  }
}

void Scheduler::return_connection_grant(Session& session, base::Now now) {
  const std::optional<base::Instant> given =
      std::exchange(session.connection_granted, std::nullopt);
  if (!given) return;
  for (const Limits* limits : {&session.site->limits, &session.site->account->limits}) {
    if (limits->connections != nullptr) limits->connections->unused(*given, now);
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
  Site& site = site_of(spec, now);
  if (until > site.held_until) {
    site.held_until = until;
    site.hold_reason = reason;
  }
  take_from_place(site);  // what it waits for comes after this
  make_ready(site);
  forget_if_idle(site, now);
}

}  // namespace rockdove::queue
