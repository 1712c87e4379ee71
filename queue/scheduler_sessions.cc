// What sessions come to: their ends, what sites have learned from them, and how long each is kept.
#include <algorithm>
#include <utility>

#include "queue/retry.h"
#include "queue/scheduler.h"
#include "queue/scheduler_parts.h"

namespace rockdove::queue {
namespace {

using Connections = ConnectionBudget::Standing;

// While unproven sessions are at work: whether sites of other loops wait for their connections.
constexpr base::Duration kLookEvery = std::chrono::seconds(1);
// While some of a site's sessions work and a new one fails, no further one is tried for so long.
constexpr base::Duration kOpenBackoff = std::chrono::seconds(30);
// So many trials end at one look, that is every kUnblockEvery.
constexpr std::size_t kGivenUpAtOnce = 32;
// What one job counts for in what jobs of its account are said to take.
constexpr int kJobTimeShare = 8;
// How long a site that has nothing to do is remembered.
constexpr base::Duration kForgetAfter = std::chrono::minutes(30);

}  // namespace

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
  if (any_blocked() || (!trials_.empty() && budget_.waiting() > 0)) {
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
    const auto doublings = std::min(session.site->failures, 6U);
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
  Site& site = *found->second.site;
  end_trial(found->second);
  // A grant of a job that came to something counts as used; a session that was still to become
  // ready for MAIL had none.
  found->second.granted.reset();
  switch (finish) {
    case Finish::Success:
      succeeded(site, found->second, now);
      break;
    case Finish::Refused:
      site.failures = 0;  // a 550 for one mailbox says nothing about the host, but it answers
      break;
    case Finish::SiteFailed:
      site_failed(site, reason, now);
      break;
    case Finish::NotTried:
      break;
  }
  ended(id, found->second, after, now);
}

void Scheduler::came_ready(SessionId id, SessionAfter after, Grant grant, base::Now now) {
  const auto found = sessions_.find(id.value);
  MTA_ASSERT(found != sessions_.end() && !found->second.idle);
  end_trial(found->second);
  if (grant == Grant::Used) found->second.granted.reset();
  return_grant(found->second, now);
  if (found->second.connecting) learn_setup(found->second, now);
  ended(id, found->second, after, now);
}

void Scheduler::learn_setup(const Session& session, base::Now now) {
  constexpr int kWeight = 8;  // of what was known before, beside 1
  std::optional<base::Duration>& setup = session.site->account->setup;
  const base::Duration took =
      std::chrono::duration_cast<base::Duration>(now.instant - session.opened);
  setup = setup ? (*setup * kWeight + took) / (kWeight + 1) : took;
}

void Scheduler::not_opened(SessionId id, base::Now now) {
  const auto found = sessions_.find(id.value);
  MTA_ASSERT(found != sessions_.end() && !found->second.idle);
  return_connection_grant(found->second, now);
  forget_session(id, now);
}

void Scheduler::ended(SessionId id, Session& session, SessionAfter after, base::Now now) {
  if (after == SessionAfter::Gone) return forget_session(id, now);
  end_connecting(session);
  // It has answered, whatever it said.
  if (session.standing == Connections::Owing) prove(session);
  if (!session.quitting) begin_idle(id, session);
  // What waits for a further connection now has one of its own.
  Site& site = *session.site;
  take_from_place(site);
  make_ready(site);
  make_ready(*site.account);
}

void Scheduler::succeeded(Site& site, Session& session, base::Now now) {
  const std::uint32_t limit = std::max(site.spec->connections_max, 1U);
  site.window = is_proven(site, now) ? std::min(site.window * 2, limit) : 2;
  site.last_success = now.instant;
  note_job_time(*site.account, now.instant - session.began);
  site.failures = 0;
  prove(session);
  end_pause(site);
}

void Scheduler::note_job_time(Account& account, std::chrono::nanoseconds time) {
  const auto took = std::chrono::duration_cast<base::Duration>(time);
  account.job_time =
      account.job_time ? *account.job_time + (took - *account.job_time) / kJobTimeShare : took;
}

void Scheduler::prove(Session& session) {
  if (session.standing == Connections::Proven) return;
  budget_.prove(session.standing);
  session.standing = Connections::Proven;
}

void Scheduler::site_failed(Site& site, std::string_view reason, base::Now now) {
  site.window = std::max(site.window / 2, 1U);
  if (site.sessions > 1 && is_proven(site, now)) {
    site.no_open_until = now.instant + kOpenBackoff;  // the others work: too many, or bad luck
    return;
  }
  if (site.paused_until > now.instant) return;  // began before that pause, and is part of it
  ++site.failures;
  site.last_success.reset();
  site.window = 1;
  site.paused_until = now.instant + retry_wait(settings_, site.failures, random_);
  site.pause_reason = reason;
}

void Scheduler::end_pause(Site& site) {
  site.paused_until = {};
  site.pause_reason.clear();
  if (site.place == Site::Place::Paused) take_from_place(site);
}

void Scheduler::end_pause(const SiteSpec& spec, base::Now now) {
  const auto found = accounts_.find(spec.account->name);
  if (found == accounts_.end()) return;
  Account& account = *found->second;
  account.held_until = {};
  account.hold_reason.clear();
  look_again(account);
  Site* site = find_site(spec);
  if (site == nullptr) return forget_if_idle(account, now);
  site->held_until = {};
  site->hold_reason.clear();
  end_pause(*site);
  make_ready(*site);
  look_soon(*site);
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
  Session& session = found->second;
  Site& site = *session.site;
  if (session.idle) end_idle(id, session);
  end_trial(session);
  end_connecting(session);
  return_grant(session, now);  // closed while its Start was on its way
  if (session.quitting) --site.account->quitting;
  give_back_connection(session);
  sessions_.erase(found);
  --site.sessions;
  --site.account->sessions;
  unblock();
  make_ready(*site.account);
  make_ready(site);
  forget_if_idle(site, now);
}

void Scheduler::look_soon(Site& site) {
  if (site.size() > 0 || site.sessions > 0 || site.place != Site::Place::Nowhere) return;
  site.account->jobs.close(site);
  site.place = Site::Place::Remembered;
  site.pause = paused_.emplace(base::Instant{}, &site);
}

// Where messages cost more than one, what is next may fit into what is left of a limit.
void Scheduler::look_past(Site& site) {
  Account& account = *site.account;
  if (account.limits.has_costs() || site.limits.has_costs()) {
    if (site.place == Site::Place::Paused) take_from_place(site);
    make_ready(site);
    look_again(account);
  }
  look_soon(site);
}

void Scheduler::forget_if_idle(Site& site, base::Now now) {
  if (site.size() > 0 || site.sessions > 0 || site.place != Site::Place::Nowhere) return;
  const base::Instant paused_until = std::max(site.paused_until, site.held_until);
  const bool is_paused = paused_until > now.instant;
  base::Instant until = std::max(paused_until, site.limits.matter_until());
  if (!is_paused && site.failures > 0) {  // the next one counts as in a row
    until = std::max(until, site.paused_until + kForgetAfter);
  }
  if (!is_paused && site.last_success) until = std::max(until, *site.last_success + kProvenFor);
  if (until > now.instant) {
    site.account->jobs.close(site);
    site.place = is_paused ? Site::Place::Paused : Site::Place::Remembered;
    site.pause = paused_.emplace(is_paused ? paused_until : until, &site);
    return;
  }
  Account& account = *site.account;
  if (account.let == &site) account.let = nullptr;
  account.sites.erase(account.sites.find(site.spec->name));
  make_ready(account);
  forget_if_idle(account, now);
}

void Scheduler::forget_if_idle(Account& account, base::Now now) {
  if (!account.sites.empty() || account.place != Account::Place::Nowhere) return;
  const base::Instant until = std::max(account.held_until, account.limits.matter_until());
  if (until > now.instant) {
    account.place = Account::Place::Remembered;
    account.wait = waiting_.emplace(until, &account);
    return;
  }
  if (account.opening) opening_.erase(*account.opening);
  accounts_.erase(accounts_.find(account.name));
}

}  // namespace rockdove::queue
