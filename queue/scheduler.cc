#include "queue/scheduler.h"

#include <algorithm>
#include <utility>

#include "queue/scheduler_parts.h"

namespace rockdove::queue {
namespace {

using Connections = ConnectionBudget::Standing;

// While another site of its account wants the connection, a session goes on for so many jobs.
constexpr unsigned kJobsInTurn = 8;

}  // namespace

Scheduler::Scheduler(const QueueSettings& settings, ConnectionBudget& budget, base::Random& random)
    : settings_(settings), budget_(budget), random_(random) {}

Scheduler::~Scheduler() {
  for (const auto& [id, session] : sessions_) give_back_connection(session);
  for (std::size_t i = 0; i < blocked_[index_of(Connections::Unproven)].size(); ++i)
    budget_.ended_wait();
}

bool Scheduler::is_proven(const Site& site, base::Now now) {
  return site.last_success && now.instant - *site.last_success < kProvenFor;
}

std::uint32_t Scheduler::window(const Site& site, base::Now now) {
  if (!is_proven(site, now)) return 1;
  return std::clamp(site.spec->connections_max, 1U, site.window);
}

Scheduler::Account& Scheduler::account_named(std::string_view name) {
  std::unique_ptr<Account>& account = accounts_[std::string(name)];
  if (account == nullptr) {
    account = std::make_unique<Account>(name, weight_);
    account->limits.name = name;
  }
  return *account;
}

Scheduler::Site& Scheduler::site_of(const SitePointer& spec, base::Now now) {
  if (!began_) began_ = now.instant;
  Account& account = account_named(spec->account->name);
  // Sites of one account come with specs of their own, which mostly say the same.
  if (account.spec == nullptr || *account.spec != *spec->account) {
    account.spec = spec->account;  // the newest answer counts
    for (const LimitKind kind : kLimitKinds)
      account.limits.use(kind, rates_of(*account.spec, kind), restored_, *began_, now);
    look_again(account);
  }
  Site& site = account.sites[spec->name];
  if (site.spec != spec) {
    if (site.place == Site::Place::SourceFull) unblock(site);
    site.account = &account;
    site.spec = spec;
    site.from = spec->source_connections_max > 0 ? budget_.from(spec->source_address) : nullptr;
    site.limits.name = name_of_limits(site);
    for (const LimitKind kind : kLimitKinds)
      site.limits.use(kind, rates_of(*spec, kind), restored_, *began_, now);
  }
  return site;
}

Scheduler::Site* Scheduler::find_site(const SiteSpec& spec) const {
  const auto account = accounts_.find(spec.account->name);
  if (account == accounts_.end()) return nullptr;
  const auto site = account->second->sites.find(spec.name);
  return site == account->second->sites.end() ? nullptr : &site->second;
}

void Scheduler::make_ready(Site& site) {
  if (site.size() == 0) return;
  if (site.place == Site::Place::Remembered) take_from_place(site);
  if (site.place != Site::Place::Nowhere) return;
  site.account->jobs.open(site);
  make_ready(*site.account);
}

void Scheduler::make_ready(Account& account) {
  if (!account.jobs.has_next() && account.wants_open.empty()) return;
  if (account.place == Account::Place::Remembered) {
    waiting_.erase(account.wait);
    account.place = Account::Place::Nowhere;
  }
  if (account.place != Account::Place::Nowhere) return;
  account.place = Account::Place::Ready;
  ready_.push_back(&account);
}

// What it waits for may have changed.
void Scheduler::look_again(Account& account) {
  if (account.place == Account::Place::Waiting || account.place == Account::Place::Remembered) {
    waiting_.erase(account.wait);
    account.place = Account::Place::Nowhere;
  }
  make_ready(account);
}

void Scheduler::take_from_place(Site& site) {
  switch (site.place) {
    case Site::Place::Nowhere:
      return;
    case Site::Place::Blocked:
      blocked_[index_of(site.blocked_as)].erase(site.listed);
      if (site.blocked_as == Connections::Unproven) budget_.ended_wait();
      break;
    case Site::Place::SourceFull:
      if (const auto full = source_full_.find(site.from.get()); full->second.size() == 1) {
        source_full_.erase(full);
      } else {
        full->second.erase(site.listed);
      }
      break;
    case Site::Place::Opening:
      site.account->wants_open.erase(site.listed);
      break;
    case Site::Place::Paused:
    case Site::Place::Remembered:
      paused_.erase(site.pause);
      break;
  }
  site.place = Site::Place::Nowhere;
}

void Scheduler::wait_until(Site& site, base::Instant until) {
  MTA_ASSERT(site.place == Site::Place::Nowhere);
  site.account->jobs.close(site);
  site.place = Site::Place::Paused;
  site.pause = paused_.emplace(until, &site);
}

void Scheduler::wait_until(Account& account, base::Instant until) {
  MTA_ASSERT(account.place == Account::Place::Nowhere);
  account.place = Account::Place::Waiting;
  account.wait = waiting_.emplace(until, &account);
}

void Scheduler::renew(const SitePointer& site, base::Now now) {
  if (find_site(*site) == nullptr) return;
  Site& known = site_of(site, now);
  if (known.place == Site::Place::Paused) take_from_place(known);  // its time may come sooner
  make_ready(known);
  forget_if_idle(known, now);
}

void Scheduler::offer(Job job, SitePointer site, base::Now now) {
  put(std::move(job), site, JobQueue::End::Back, now);
}

void Scheduler::give_back(Job job, SitePointer site, base::Now now) {
  put(std::move(job), site, JobQueue::End::Front, now);
}

void Scheduler::put(Job job, const SitePointer& spec, JobQueue::End end, base::Now now) {
  Site& site = site_of(spec, now);
  Account& account = *site.account;
  // What is waited with may have been taken out; or this is the next one, and costs less.
  const bool looks_at_account = account.jobs.size() == 0 || account.limits.has_costs();
  const bool looks_at_site = site.size() == 0 || site.limits.has_costs();
  account.jobs.put(site, std::move(job), end);
  if (looks_at_account) look_again(account);
  if (looks_at_site && site.place == Site::Place::Paused) take_from_place(site);
  make_ready(site);
}

void Scheduler::wake_sites(base::Now now) {
  while (!paused_.empty() && paused_.begin()->first <= now.instant) {
    Site& site = *paused_.begin()->second;
    take_from_place(site);
    if (site.paused_until <= now.instant) site.pause_reason.clear();
    make_ready(site);
    forget_if_idle(site, now);
  }
}

void Scheduler::wake_accounts(base::Now now) {
  while (!opening_.empty() && opening_.begin()->first <= now.instant) {
    Account& account = *opening_.begin()->second;
    opening_.erase(opening_.begin());
    account.opening.reset();
    make_ready(account);
  }
  while (!waiting_.empty() && waiting_.begin()->first <= now.instant) {
    Account& account = *waiting_.begin()->second;
    look_again(account);
    forget_if_idle(account, now);
  }
}

std::optional<Scheduler::Command> Scheduler::next(Recording recording, base::Now now) {
  wake_sites(now);
  wake_accounts(now);
  wake_tenants(now);
  if (now.instant >= look_at_) {
    set_next_look(now);
    if (recording == Recording::Possible) look_for_patience_spent(now);
    unblock();
  }
  if (!to_give_up_.empty()) {
    const SessionId id = to_give_up_.front();
    to_give_up_.pop_front();
    return GiveUp{id};
  }
  if (recording == Recording::No) return std::nullopt;
  if (std::optional<Command> command = next_to_keep()) return command;
  while (!ready_.empty()) {
    Account& account = *ready_.front();
    ready_.pop_front();
    account.place = Account::Place::Nowhere;
    if (std::optional<Command> command = start_of(account, now)) {
      make_ready(account);  // at the end: the other accounts come first
      return command;
    }
    forget_if_idle(account, now);
  }
  return next_to_keep();
}

std::optional<Scheduler::Command> Scheduler::next_to_keep() {
  if (to_keep_.empty()) return std::nullopt;
  Command command = std::move(to_keep_.front());
  to_keep_.pop_front();
  return command;
}

std::optional<Scheduler::Command> Scheduler::start_of(Account& account, base::Now now) {
  if (account.held_until > now.instant) {
    wait_until(account, account.held_until);
    return std::nullopt;
  }
  account.hold_reason.clear();
  while (true) {
    // Its jobs may have been taken out since, or be of tenants that are at their limits.
    if (account.let != nullptr && (!account.let->is_open() || !JobQueue::has_turn(*account.let)))
      account.let = nullptr;
    while (account.let == nullptr && !account.wants_open.empty() && lets_open(account, now))
      let_open(account);
    JobQueue::Line* line = account.jobs.next();
    if (line == nullptr) break;
    if (keep_sender_back(account, Wants::Mail, now)) continue;
    Site& site = static_cast<Site&>(*line);
    std::optional<Command> command = start_one(site, now);
    const bool has_its_turn_yet = !command && account.place == Account::Place::Waiting;
    if (account.let == &site && !has_its_turn_yet) account.let = nullptr;
    if (command || has_its_turn_yet) return command;
  }
  if (std::optional<Command> command = quit_unneeded(account, now)) return command;
  // Ends of sessions have this looked at again; the moment of the next connection must, too.
  if (account.opening) opening_.erase(*account.opening);
  account.opening.reset();
  const base::Instant at = account.limits.next_connection(now);
  if (!account.wants_open.empty() && at > now.instant) {
    account.opening = opening_.emplace(at, &account);
  }
  return std::nullopt;
}

// Without a command the site is closed, or its account waits, or the tenant does.
std::optional<Scheduler::Command> Scheduler::start_one(Site& site, base::Now now) {
  const base::Instant paused_until = std::max(site.paused_until, site.held_until);
  if (paused_until > now.instant) {
    wait_until(site, paused_until);
    return std::nullopt;
  }
  // Whatever ends below the window, or closes, makes the site ready again.
  if (site.sessions - site.idle.size() >= window(site, now)) {
    site.account->jobs.close(site);
    return std::nullopt;
  }
  if (!site.idle.empty() && is_turn_over(site)) return quit(site.idle.back());
  if (is_paced(site)) return start_paced(site, now);
  if (!site.idle.empty()) return start_idle(site, std::nullopt, now);
  return open_one(site, now);
}

// Where the account has all its connections and another site wants one, none is kept for ever.
bool Scheduler::is_turn_over(const Site& site) const {
  if (site.account->wants_open.empty() || !is_full(*site.account)) return false;
  return sessions_.at(site.idle.back().value).jobs_in_turn >= kJobsInTurn;
}

Scheduler::Command Scheduler::start_idle(Site& site, std::optional<base::Instant> valid_until,
                                         base::Now now) {
  const SessionId id = site.idle.back();  // the one used last is the least likely to be closed
  Session& session = sessions_.at(id.value);
  end_idle(id, session);
  begin_trial(id, session, now);
  session.began = now.instant;
  if (valid_until) {
    session.granted = now.instant;
    session.costs = costs_of(site.account->jobs.front());
  }
  if (!site.account->wants_open.empty()) ++session.jobs_in_turn;
  return Start{id, site.spec, site.account->jobs.take(), valid_until};
}

std::optional<Scheduler::Command> Scheduler::open_one(Site& site, base::Now now) {
  Account& account = *site.account;
  if (site.no_open_until > now.instant && site.sessions > 0) {
    account.jobs.close(site);
    return std::nullopt;
  }
  const bool others_first = account.let != nullptr || !account.wants_open.empty();
  if (!lets_open(account, now) || (account.let != &site && others_first)) {
    return wait_to_open(site, now);
  }
  if (const base::Instant at = site.limits.next_connection(now); at > now.instant) {
    wait_until(site, at);
    return std::nullopt;
  }
  if (waits_for_keep(site, LimitKind::Connections, 1, now)) return std::nullopt;
  if (keep_sender_back(account, Wants::Connection, now)) return std::nullopt;
  const Connections standing = is_proven(site, now) ? Connections::Proven : Connections::Unproven;
  const bool must_wait =
      standing == Connections::Unproven && site.has_waited && budget_.is_unproven_crowded();
  if (must_wait || !budget_.try_take(standing)) return block(site, standing, must_wait, now);
  if (site.from != nullptr && !site.from->try_take(site.spec->source_connections_max)) {
    budget_.give_back(standing);
    return wait_for_source(site, now);
  }
  site.has_waited = false;
  Open open{SessionId{next_session_++}, site.spec, account.jobs.take(), is_paced(site), {}};
  if (senders_ != nullptr)
    senders_->connects(open.job.queue.tenant, open.job.message->campaign, now);
  Session& session = sessions_[open.session.value];
  session.site = &site;
  session.standing = standing;
  session.from = site.from;
  session.began = now.instant;
  open.valid_until = take_connection_grant(session, now);
  session.connecting = open.is_paced;
  session.opened = now.instant;
  if (session.connecting) ++account.connecting;
  begin_trial(open.session, session, now);
  ++site.sessions;
  ++account.sessions;
  unblock_first_ = standing == Connections::Proven ? Connections::Unproven : Connections::Proven;
  unblock();  // where one connection was free there may be more; ends with the first that is not
  return open;
}

std::optional<Scheduler::Command> Scheduler::block(Site& site, Connections standing, bool must_wait,
                                                   base::Now now) {
  site.account->jobs.close(site);
  site.has_waited = true;
  site.place = Site::Place::Blocked;
  site.blocked_as = standing;
  std::list<Site*>& blocked = blocked_[index_of(standing)];
  site.listed = blocked.insert(blocked.end(), &site);
  if (standing == Connections::Unproven) budget_.began_to_wait();
  look_at_ = std::min(look_at_, now.instant + kUnblockEvery);
  return must_wait ? std::nullopt : quit_an_idle_one(standing);
}

// It looks again as the blocked do; an idle session from the same source makes room.
std::optional<Scheduler::Command> Scheduler::wait_for_source(Site& site, base::Now now) {
  site.account->jobs.close(site);
  site.place = Site::Place::SourceFull;
  std::list<Site*>& full = source_full_[site.from.get()];
  site.listed = full.insert(full.end(), &site);
  look_at_ = std::min(look_at_, now.instant + kUnblockEvery);
  for (const std::list<SessionId>& idle : idle_) {
    const auto same = std::find_if(idle.begin(), idle.end(), [this, &site](SessionId id) {
      return sessions_.at(id.value).from == site.from;
    });
    if (same != idle.end()) return quit(*same);
  }
  return std::nullopt;
}

void Scheduler::give_back_connection(const Session& session) {
  budget_.give_back(session.standing);
  if (session.from != nullptr) session.from->give_back();
}

bool Scheduler::is_full(const Account& account) {
  const std::uint32_t limit = account.spec->connections_max;
  return limit > 0 && account.sessions >= limit;
}

// It goes on when the account lets it, or when a session of its own is idle.
std::optional<Scheduler::Command> Scheduler::wait_to_open(Site& site, base::Now now) {
  Account& account = *site.account;
  account.jobs.close(site);
  site.place = Site::Place::Opening;
  site.listed = account.wants_open.insert(account.wants_open.end(), &site);
  const base::Instant at = account.limits.next_connection(now);
  if (at > now.instant && !account.opening) account.opening = opening_.emplace(at, &account);
  return quit_unneeded(account, now);
}

// Where an account has all its connections, one that waits for a site without work is in the way of
// those that want one.
std::optional<Scheduler::Command> Scheduler::quit_unneeded(const Account& account, base::Now now) {
  if (account.quitting >= account.wants_open.size() || !is_full(account)) return std::nullopt;
  const auto unneeded =
      std::find_if(account.idle.begin(), account.idle.end(), [this, now](SessionId id) {
        const Site& site = *sessions_.at(id.value).site;
        return site.size() == 0 || std::max(site.paused_until, site.held_until) > now.instant;
      });
  if (unneeded == account.idle.end()) return std::nullopt;
  return quit(*unneeded);
}

void Scheduler::let_open(Account& account) {
  Site& site = *account.wants_open.front();
  take_from_place(site);
  if (site.size() == 0) return look_soon(site);
  account.jobs.open(site);
  // One whose tenants are at their limits asks again when it has its turn.
  if (JobQueue::has_turn(site)) account.let = &site;
}

// An idle session is given up only where that helps: while the unproven have their half, one more
// of them waits for an end among them.
std::optional<Scheduler::Command> Scheduler::quit_an_idle_one(Connections needed) {
  const std::list<SessionId>& unproven = idle_[index_of(Connections::Unproven)];
  const std::list<SessionId>& proven = idle_[index_of(Connections::Proven)];
  const bool any_helps = needed == Connections::Proven || !budget_.is_unproven_full();
  const std::list<SessionId>* from = &unproven;
  if (any_helps && !proven.empty() &&
      (unproven.empty() || sessions_.at(proven.front().value).idle_since <
                               sessions_.at(unproven.front().value).idle_since)) {
    from = &proven;
  }
  if (from->empty()) return std::nullopt;
  return quit(from->front());
}

Scheduler::Command Scheduler::quit(SessionId id) {
  Session& session = sessions_.at(id.value);
  end_idle(id, session);
  session.quitting = true;
  ++session.site->account->quitting;
  return Quit{id};
}

void Scheduler::begin_idle(SessionId id, Session& session) {
  std::list<SessionId>& idle = idle_[index_of(session.standing)];
  session.idle = idle.insert(idle.end(), id);
  session.idle_since = ++idle_count_;
  session.site->idle.push_back(id);
  std::list<SessionId>& of_account = session.site->account->idle;
  session.idle_in_account = of_account.insert(of_account.end(), id);
}

void Scheduler::end_idle(SessionId id, Session& session) {
  idle_[index_of(session.standing)].erase(*session.idle);
  session.idle.reset();
  session.site->account->idle.erase(session.idle_in_account);
  std::erase(session.site->idle, id);
}

void Scheduler::end_connecting(Session& session) {
  if (!std::exchange(session.connecting, false)) return;
  --session.site->account->connecting;
  make_ready(*session.site->account);
}

void Scheduler::unblock(Site& site) {
  MTA_ASSERT(site.place == Site::Place::Blocked || site.place == Site::Place::SourceFull);
  take_from_place(site);
  if (site.size() == 0) return look_soon(site);
  make_ready(site);
}

// One of each standing, and of each source, asks again: that one kind gets nothing says nothing
// about the others. Standings take turns at being first, since there may be only one connection.
void Scheduler::unblock() {
  for (auto full = source_full_.begin(); full != source_full_.end();)
    unblock(*(full++)->second.front());
  const Connections second =
      unblock_first_ == Connections::Proven ? Connections::Unproven : Connections::Proven;
  for (const Connections standing : {unblock_first_, second}) {
    const std::list<Site*>& blocked = blocked_[index_of(standing)];
    if (blocked.empty()) continue;
    // A newcomer among the unproven is more likely to work than those that have waited because all
    // before them did not: three times of four the newest is first.
    const bool newest = standing == Connections::Unproven && ++unproven_turns_ % 4 != 0;
    unblock(newest ? *blocked.back() : *blocked.front());
  }
}

base::Instant Scheduler::wake_at() const {
  base::Instant wake = paused_.empty() ? base::kNever : paused_.begin()->first;
  if (!waiting_.empty()) wake = std::min(wake, waiting_.begin()->first);
  if (!opening_.empty()) wake = std::min(wake, opening_.begin()->first);
  if (!closed_tenants_.empty()) wake = std::min(wake, closed_tenants_.begin()->first);
  const bool looks = any_blocked() || !trials_.empty();
  return looks ? std::min(wake, look_at_) : wake;
}

}  // namespace rockdove::queue
