#include "queue/scheduler.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "queue/retry.h"

namespace rockdove::queue {
namespace {

using Connections = ConnectionBudget::Standing;

constexpr std::size_t index_of(Connections standing) {
  return static_cast<std::size_t>(standing);
}

// Another loop's sessions may have given connections back: looked at this often while blocked.
constexpr base::Duration kUnblockEvery = std::chrono::milliseconds(50);
// While unproven sessions are at work: whether sites of other loops wait for their connections.
constexpr base::Duration kLookEvery = std::chrono::seconds(1);
// While some of an account's sessions work and a new one fails, no further one is tried for so
// long.
constexpr base::Duration kOpenBackoff = std::chrono::seconds(30);
// So many trials end at one look, that is every kUnblockEvery.
constexpr std::size_t kGivenUpAtOnce = 32;
constexpr std::uint32_t kRoomMin = 16;
constexpr std::uint32_t kRoomProven = 2000;
// How long an account that has nothing to do is remembered.
constexpr base::Duration kForgetAfter = std::chrono::minutes(30);

}  // namespace

struct Scheduler::Account {
  enum class Place : std::uint8_t {
    Nowhere,
    Ready,       // in ready_
    Blocked,     // in blocked_
    Paused,      // in paused_, until the pause ends
    Remembered,  // in paused_, until what was learned is forgotten
  };

  std::string name;
  SitePointer site;
  Place place = Place::Nowhere;
  std::unordered_map<QueueName, std::deque<Job>> jobs;
  std::deque<QueueName> turns;  // the queues that have jobs, the next one first
  std::size_t job_count = 0;
  std::uint32_t sessions = 0;
  std::vector<SessionId> idle;
  std::uint32_t window = 1;
  std::optional<base::Instant> last_success;
  std::uint32_t failures = 0;  // in a row, of the site
  base::Instant paused_until{};
  base::Instant no_open_until{};
  std::string pause_reason;
  std::multimap<base::Instant, Account*>::iterator pause;
  bool has_waited = false;  // for a connection, since it had one
  ConnectionBudget::Standing blocked_as = ConnectionBudget::Standing::Unproven;
  std::list<Account*>::iterator blocked;
};

struct Scheduler::Session {
  Account* account = nullptr;
  ConnectionBudget::Standing standing = ConnectionBudget::Standing::Unproven;
  std::optional<std::list<SessionId>::iterator> idle;  // set: waits for work
  std::uint64_t idle_since = 0;                        // counts, for their order
  bool quitting = false;
  std::optional<std::list<SessionId>::iterator> trial;  // set: works, and is unproven
  base::Instant trial_since{};
};

Scheduler::Scheduler(const QueueSettings& settings, ConnectionBudget& budget, base::Random& random)
    : settings_(settings), budget_(budget), random_(random) {}

Scheduler::~Scheduler() {
  for (const auto& [id, session] : sessions_) budget_.give_back(session.standing);
  for (std::size_t i = 0; i < blocked_[index_of(Connections::Unproven)].size(); ++i)
    budget_.ended_wait();
}

bool Scheduler::is_proven(const Account& account, base::Now now) {
  return account.last_success && now.instant - *account.last_success < kProvenFor;
}

std::uint32_t Scheduler::window(const Account& account, base::Now now) {
  if (!is_proven(account, now)) return 1;
  return std::clamp(account.site->connections_max, 1U, account.window);
}

Scheduler::Account& Scheduler::account_of(const SitePointer& site) {
  std::unique_ptr<Account>& account = accounts_[site->account];
  if (account == nullptr) {
    account = std::make_unique<Account>();
    account->name = site->account;
  }
  account->site = site;  // the newest answer of the DNS counts
  return *account;
}

void Scheduler::make_ready(Account& account) {
  if (account.job_count == 0) return;
  if (account.place == Account::Place::Remembered) {
    paused_.erase(account.pause);
    account.place = Account::Place::Nowhere;
  }
  if (account.place != Account::Place::Nowhere) return;
  account.place = Account::Place::Ready;
  ready_.push_back(&account);
}

void Scheduler::put_job(Account& account, Job job, bool front) {
  std::deque<Job>& jobs = account.jobs[job.queue];
  if (jobs.empty()) account.turns.push_back(job.queue);
  ++account.job_count;
  if (front) {
    jobs.push_front(std::move(job));
  } else {
    jobs.push_back(std::move(job));
  }
}

Job Scheduler::take_job(Account& account) {
  MTA_ASSERT(account.job_count > 0 && !account.turns.empty());
  QueueName name = std::move(account.turns.front());
  account.turns.pop_front();
  const auto jobs = account.jobs.find(name);
  MTA_ASSERT(jobs != account.jobs.end() && !jobs->second.empty());
  Job job = std::move(jobs->second.front());
  jobs->second.pop_front();
  --account.job_count;
  if (jobs->second.empty()) {
    account.jobs.erase(jobs);
  } else {
    account.turns.push_back(std::move(name));  // its next turn comes after the others'
  }
  return job;
}

void Scheduler::offer(Job job, SitePointer site, base::Now now) {
  static_cast<void>(now);
  Account& account = account_of(site);
  put_job(account, std::move(job), /*front=*/false);
  make_ready(account);
}

void Scheduler::give_back(Job job, SitePointer site, base::Now now) {
  static_cast<void>(now);
  Account& account = account_of(site);
  put_job(account, std::move(job), /*front=*/true);
  make_ready(account);
}

std::optional<Scheduler::Command> Scheduler::next(Recording recording, base::Now now) {
  while (!paused_.empty() && paused_.begin()->first <= now.instant) {
    Account& account = *paused_.begin()->second;
    paused_.erase(paused_.begin());
    account.place = Account::Place::Nowhere;
    account.pause_reason.clear();
    make_ready(account);
    if (account.job_count == 0) forget_if_idle(account, now);
  }
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
  while (!ready_.empty()) {
    Account& account = *ready_.front();
    ready_.pop_front();
    account.place = Account::Place::Nowhere;
    if (std::optional<Command> command = start_one(account, now)) {
      make_ready(account);  // at the end: the other accounts come first
      return command;
    }
    if (account.job_count == 0) forget_if_idle(account, now);
  }
  return std::nullopt;
}

std::optional<Scheduler::Command> Scheduler::start_one(Account& account, base::Now now) {
  if (account.job_count == 0) return std::nullopt;
  if (account.paused_until > now.instant) {
    account.place = Account::Place::Paused;
    account.pause = paused_.emplace(account.paused_until, &account);
    return std::nullopt;
  }
  // Whatever ends below the window, or closes, makes the account ready again.
  if (account.sessions - account.idle.size() >= window(account, now)) return std::nullopt;
  if (!account.idle.empty()) {
    const SessionId id = account.idle.back();  // the one used last is the least likely to be closed
    account.idle.pop_back();
    Session& session = sessions_.at(id.value);
    idle_[index_of(session.standing)].erase(*session.idle);
    session.idle.reset();
    begin_trial(id, session, now);
    return Start{id, account.site, take_job(account)};
  }
  if (account.no_open_until > now.instant && account.sessions > 0) return std::nullopt;
  const Connections standing =
      is_proven(account, now) ? Connections::Proven : Connections::Unproven;
  const bool must_wait =
      standing == Connections::Unproven && account.has_waited && budget_.is_unproven_crowded();
  if (must_wait || !budget_.try_take(standing)) {
    account.has_waited = true;
    account.place = Account::Place::Blocked;
    account.blocked_as = standing;
    std::list<Account*>& blocked = blocked_[index_of(standing)];
    account.blocked = blocked.insert(blocked.end(), &account);
    if (standing == Connections::Unproven) budget_.began_to_wait();
    look_at_ = std::min(look_at_, now.instant + kUnblockEvery);
    return must_wait ? std::nullopt : quit_an_idle_one(standing);
  }
  account.has_waited = false;
  const SessionId id{next_session_++};
  Session& session = sessions_[id.value];
  session.account = &account;
  session.standing = standing;
  begin_trial(id, session, now);
  ++account.sessions;
  unblock_first_ = standing == Connections::Proven ? Connections::Unproven : Connections::Proven;
  unblock();  // where one connection was free there may be more; ends with the first that is not
  return Open{id, account.site, take_job(account)};
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
  const SessionId id = from->front();
  Session& session = sessions_.at(id.value);
  idle_[index_of(session.standing)].pop_front();
  session.idle.reset();
  session.quitting = true;
  std::erase(session.account->idle, id);
  return Quit{id};
}

void Scheduler::unblock(Account& account) {
  MTA_ASSERT(account.place == Account::Place::Blocked);
  blocked_[index_of(account.blocked_as)].erase(account.blocked);
  if (account.blocked_as == Connections::Unproven) budget_.ended_wait();
  account.place = Account::Place::Nowhere;
  make_ready(account);
}

// One of each standing asks again: that one kind gets nothing says nothing about the other. They
// take turns at being first, since there may be only one connection.
void Scheduler::unblock() {
  const Connections second =
      unblock_first_ == Connections::Proven ? Connections::Unproven : Connections::Proven;
  for (const Connections standing : {unblock_first_, second}) {
    const std::list<Account*>& blocked = blocked_[index_of(standing)];
    if (blocked.empty()) continue;
    // A newcomer among the unproven is more likely to work than those that have waited because all
    // before them did not: three times of four the newest is first.
    const bool newest = standing == Connections::Unproven && ++unproven_turns_ % 4 != 0;
    unblock(newest ? *blocked.back() : *blocked.front());
  }
}

void Scheduler::begin_trial(SessionId id, Session& session, base::Now now) {
  if (session.standing != Connections::Unproven) return;
  session.trial = trials_.insert(trials_.end(), id);
  session.trial_since = now.instant;
  look_at_ = std::min(look_at_, now.instant + kLookEvery);
}

void Scheduler::end_trial(Session& session) {
  if (session.trial) trials_.erase(*session.trial);
  session.trial.reset();
}

void Scheduler::set_next_look(base::Now now) {
  const bool any_blocked = !blocked_[0].empty() || !blocked_[1].empty();
  if (any_blocked || (!trials_.empty() && budget_.waiting() > 0)) {
    look_at_ = now.instant + kUnblockEvery;
  } else {
    look_at_ = trials_.empty() ? base::kNever : now.instant + kLookEvery;
  }
}

// Those that wait may be accounts of other loops: these sessions are all that can make room there.
void Scheduler::look_for_patience_spent(base::Now now) {
  if (!budget_.is_unproven_crowded()) return;
  std::size_t wanted = std::min<std::size_t>(budget_.waiting(), kGivenUpAtOnce);
  for (auto trial = trials_.begin(); trial != trials_.end() && wanted > 0;) {
    const SessionId id = *trial++;
    Session& session = sessions_.at(id.value);
    const auto doublings = std::min(session.account->failures, 6U);
    const base::Duration patience = std::min(kPatience * (1U << doublings), kPatienceMax);
    if (now.instant - session.trial_since < patience) continue;
    end_trial(session);
    --wanted;
    to_give_up_.push_back(id);
  }
}

void Scheduler::finished(SessionId id, Finish finish, SessionAfter after, std::string_view reason,
                         base::Now now) {
  const auto found = sessions_.find(id.value);
  MTA_ASSERT(found != sessions_.end() && !found->second.idle);
  Account& account = *found->second.account;
  end_trial(found->second);
  switch (finish) {
    case Finish::Success:
      succeeded(account, found->second, now);
      break;
    case Finish::Refused:
      account.failures = 0;  // a 550 for one mailbox says nothing about the host, but it answers
      break;
    case Finish::SiteFailed:
      site_failed(account, reason, now);
      break;
    case Finish::NotTried:
      break;
  }
  if (after == SessionAfter::Gone) {
    forget_session(id, now);
    return;
  }
  // It has answered, whatever it said.
  if (found->second.standing == Connections::Owing) prove(found->second);
  if (!found->second.quitting) {
    std::list<SessionId>& idle = idle_[index_of(found->second.standing)];
    account.idle.push_back(id);
    found->second.idle = idle.insert(idle.end(), id);
    found->second.idle_since = ++idle_count_;
  }
  // What waits for a further connection now has one of its own.
  if (account.place == Account::Place::Blocked) unblock(account);
  make_ready(account);
}

void Scheduler::succeeded(Account& account, Session& session, base::Now now) {
  const std::uint32_t limit = std::max(account.site->connections_max, 1U);
  account.window = is_proven(account, now) ? std::min(account.window * 2, limit) : 2;
  account.last_success = now.instant;
  account.failures = 0;
  prove(session);
  end_pause(account);
}

void Scheduler::prove(Session& session) {
  if (session.standing == Connections::Proven) return;
  budget_.prove(session.standing);
  session.standing = Connections::Proven;
}

void Scheduler::site_failed(Account& account, std::string_view reason, base::Now now) {
  account.window = std::max(account.window / 2, 1U);
  if (account.sessions > 1 && is_proven(account, now)) {
    account.no_open_until = now.instant + kOpenBackoff;  // the others work: too many, or bad luck
    return;
  }
  if (account.paused_until > now.instant) return;  // began before that pause, and is part of it
  ++account.failures;
  account.last_success.reset();
  account.window = 1;
  account.paused_until = now.instant + retry_wait(settings_, account.failures, random_);
  account.pause_reason = reason;
}

void Scheduler::took_content(SessionId id, base::Now now) {
  const auto found = sessions_.find(id.value);
  if (found == sessions_.end() || found->second.standing != Connections::Unproven) return;
  Session& session = found->second;
  end_trial(session);
  if (!budget_.try_owe()) return begin_trial(id, session, now);
  session.standing = Connections::Owing;
  unblock();
}

void Scheduler::closed(SessionId id, base::Now now) {
  if (sessions_.contains(id.value)) forget_session(id, now);
}

void Scheduler::forget_session(SessionId id, base::Now now) {
  const auto found = sessions_.find(id.value);
  MTA_ASSERT(found != sessions_.end());
  Account& account = *found->second.account;
  if (found->second.idle) {
    idle_[index_of(found->second.standing)].erase(*found->second.idle);
    std::erase(account.idle, id);
  }
  end_trial(found->second);
  budget_.give_back(found->second.standing);
  sessions_.erase(found);
  --account.sessions;
  unblock();
  make_ready(account);
  forget_if_idle(account, now);
}

void Scheduler::forget_if_idle(Account& account, base::Now now) {
  if (account.job_count > 0 || account.sessions > 0 || account.place != Account::Place::Nowhere)
    return;
  const bool is_paused = account.paused_until > now.instant;
  base::Instant until = account.paused_until;
  if (!is_paused && account.failures > 0) until += kForgetAfter;  // the next one counts as in a row
  if (!is_paused && account.last_success)
    until = std::max(until, *account.last_success + kProvenFor);
  if (until > now.instant) {
    account.place = is_paused ? Account::Place::Paused : Account::Place::Remembered;
    account.pause = paused_.emplace(until, &account);
    return;
  }
  accounts_.erase(account.name);
}

base::Instant Scheduler::wake_at() const {
  const base::Instant pause = paused_.empty() ? base::kNever : paused_.begin()->first;
  const bool looks = !blocked_[0].empty() || !blocked_[1].empty() || !trials_.empty();
  return looks ? std::min(pause, look_at_) : pause;
}

std::optional<Scheduler::Standing> Scheduler::standing(std::string_view name, base::Now now) const {
  const auto found = accounts_.find(std::string(name));
  if (found == accounts_.end()) return std::nullopt;
  return standing_of(*found->second, now);
}

Scheduler::Standing Scheduler::standing_of(const Account& account, base::Now now) {
  Standing standing{is_proven(account, now),
                    window(account, now),
                    account.paused_until,
                    {},
                    account.sessions,
                    account.job_count,
                    0};
  if (account.paused_until > now.instant) standing.pause_reason = account.pause_reason;
  if (account.site != nullptr) standing.connections_max = account.site->connections_max;
  return standing;
}

Scheduler::Gate Scheduler::gate_of(const Account& account, base::Now now) {
  if (account.paused_until > now.instant) return Gate::Paused;
  if (account.place == Account::Place::Blocked) return Gate::Budget;
  if (account.sessions - account.idle.size() >= window(account, now)) return Gate::Window;
  if (account.no_open_until > now.instant && account.idle.empty()) return Gate::Backoff;
  return Gate::Open;
}

bool has(const Job& job, DeliveryId delivery) {
  return job.message->id == delivery.message &&
         std::any_of(job.deliveries.begin(), job.deliveries.end(),
                     [delivery](const Delivery& one) { return one.number == delivery.number; });
}

std::optional<Scheduler::Place> Scheduler::find(DeliveryId delivery, const QueueName& queue,
                                                base::Now now) const {
  for (const auto& [name, account] : accounts_) {
    const auto jobs = account->jobs.find(queue);
    if (jobs == account->jobs.end()) continue;
    std::size_t before = 0;
    for (const Job& job : jobs->second) {
      if (has(job, delivery)) {
        return Place{name, standing_of(*account, now), gate_of(*account, now), before};
      }
      before += job.deliveries.size();
    }
  }
  return std::nullopt;
}

std::uint32_t Scheduler::room(std::string_view name, base::Now now) const {
  const auto found = accounts_.find(std::string(name));
  if (found == accounts_.end() || !is_proven(*found->second, now)) return kRoomMin;
  return std::max(kRoomProven, 4 * window(*found->second, now));
}

void Scheduler::end_pause(Account& account) {
  account.paused_until = {};
  account.pause_reason.clear();
  if (account.place == Account::Place::Paused) {
    paused_.erase(account.pause);
    account.place = Account::Place::Nowhere;
  }
}

void Scheduler::end_pause(std::string_view name) {
  const auto found = accounts_.find(std::string(name));
  if (found == accounts_.end() || found->second->place == Account::Place::Remembered) return;
  Account& account = *found->second;
  end_pause(account);
  make_ready(account);
  const bool is_nowhere = account.place == Account::Place::Nowhere;
  if (account.job_count == 0 && account.sessions == 0 && is_nowhere) accounts_.erase(found);
}

void Scheduler::take_waiting(Account& account, const QueueName& queue,
                             const std::function<bool(const Job&)>& condition,
                             std::vector<Job>& taken) {
  const auto found = account.jobs.find(queue);
  if (found == account.jobs.end()) return;
  std::deque<Job>& jobs = found->second;
  // Mostly there is none, and then nothing is to be moved.
  if (std::none_of(jobs.begin(), jobs.end(), condition)) return;
  const auto kept = std::stable_partition(jobs.begin(), jobs.end(),
                                          [&condition](const Job& job) { return !condition(job); });
  account.job_count -= static_cast<std::size_t>(jobs.end() - kept);
  std::move(kept, jobs.end(), std::back_inserter(taken));
  jobs.erase(kept, jobs.end());
  if (!jobs.empty()) return;
  std::erase(account.turns, queue);
  account.jobs.erase(found);
}

std::vector<Job> Scheduler::take_waiting(
    const std::function<bool(std::string_view account, const QueueName&)>& where,
    const std::function<bool(const Job&)>& condition) {
  std::vector<Job> taken;
  std::vector<QueueName> queues;
  for (auto& [name, account] : accounts_) {
    queues.clear();
    for (const auto& [queue, jobs] : account->jobs) {
      if (where(name, queue)) queues.push_back(queue);
    }
    for (const QueueName& queue : queues) take_waiting(*account, queue, condition, taken);
  }
  return taken;
}

std::vector<Job> Scheduler::take_waiting(std::string_view account, const QueueName& queue,
                                         const std::function<bool(const Job&)>& condition) {
  std::vector<Job> taken;
  const auto found = accounts_.find(std::string(account));
  if (found != accounts_.end()) take_waiting(*found->second, queue, condition, taken);
  return taken;
}

std::vector<Scheduler::Paused> Scheduler::take_paused(base::Now now) {
  std::vector<Paused> taken;
  for (auto& [until, account] : paused_) {
    if (account->place != Account::Place::Paused || until <= now.instant) continue;
    for (auto& [name, jobs] : account->jobs) {
      for (Job& job : jobs) taken.push_back({std::move(job), until});
    }
    account->jobs.clear();
    account->turns.clear();
    account->job_count = 0;
  }
  return taken;
}

std::vector<Job> Scheduler::take_all_waiting() {
  std::vector<Job> taken;
  for (auto& [name, account] : accounts_) {
    for (auto& [queue, jobs] : account->jobs)
      std::move(jobs.begin(), jobs.end(), std::back_inserter(taken));
    account->jobs.clear();
    account->turns.clear();
    account->job_count = 0;
  }
  return taken;
}

}  // namespace rockdove::queue
