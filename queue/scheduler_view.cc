// What people and the loaders of mail ask of a scheduler, and what they take out of it.
#include <algorithm>
#include <cstdio>
#include <map>
#include <utility>

#include "mta/base/quantity.h"
#include "mta/traffic/knobs.h"
#include "queue/scheduler.h"
#include "queue/scheduler_parts.h"

namespace rockdove::queue {
namespace {

constexpr std::uint32_t kRoomMin = 16;
constexpr std::uint32_t kRoomProven = 2000;
// Where a rate holds mail back, so much of it is held in memory as goes in this time.
constexpr double kRoomSeconds = 60;

// Of a message of which nothing is known.
constexpr std::array<std::uint32_t, kLimitKinds.size()> kLeast = {1, 1, 1, 1};

std::string pace_text(double pace) {
  char text[64];
  std::snprintf(text, sizeof text, "a pace of %.3g/s", pace);
  return text;
}

// "10000 recipients a day".
std::string budget_text(LimitKind kind, const traffic::Rate& rate) {
  std::string text;
  switch (kind) {
    case LimitKind::Messages:
      text = std::to_string(rate.count) + " messages";
      break;
    case LimitKind::Connections:
      text = std::to_string(rate.count) + " connections";
      break;
    case LimitKind::Recipients:
      text = std::to_string(rate.count) + " recipients";
      break;
    case LimitKind::Octets:
      text = base::format_size(rate.count * traffic::kOctetsUnit) + " octets";
      break;
  }
  return text + (rate.per == std::chrono::hours(1) ? " an hour" : " a day");
}

}  // namespace

std::string describe_rates(LimitKind kind, const std::vector<traffic::Rate>& rates) {
  switch (kind) {
    case LimitKind::Messages:
      return traffic::format_rates(rates);
    case LimitKind::Connections:
      return "connections " + traffic::format_rates(rates);
    case LimitKind::Recipients:
      return "recipients " + traffic::format_rates(rates);
    case LimitKind::Octets:
      break;
  }
  std::string text;
  for (const traffic::Rate& rate : rates) {
    text += text.empty() ? "octets " : ", ";
    text += traffic::format_octet_rate({rate.count * traffic::kOctetsUnit, rate.per});
  }
  return text;
}

std::string Scheduler::Limits::describe() const {
  std::string text;
  const auto add = [&text](const std::string& more) { text += (text.empty() ? "" : "; ") + more; };
  for (const LimitKind kind : kMessageKinds) {
    if (!of(kind).rates.empty()) add(describe_rates(kind, of(kind).rates));
    if (kind == LimitKind::Messages && pace) add(pace_text(*pace));
  }
  return text;
}

void Scheduler::Limits::tell_used_up(Standing& standing, const Costs& costs, base::Now now) const {
  for (const LimitKind kind : kMessageKinds) {
    if (of(kind).limiter == nullptr) continue;
    const auto used_up = of(kind).limiter->used_up(now, costs[index_of(kind)]);
    if (!used_up || used_up->until <= standing.used_up_until) continue;
    standing.used_up = budget_text(kind, used_up->rate);
    standing.used_up_until = used_up->until;
  }
}

std::vector<SitePointer> Scheduler::sites_of(std::string_view name) const {
  std::vector<SitePointer> sites;
  const auto account = accounts_.find(std::string(name));
  if (account == accounts_.end()) return sites;
  for (const auto& [site_name, site] : account->second->sites) sites.push_back(site.spec);
  return sites;
}

std::size_t Scheduler::waiting(const std::string& name) const {
  const auto account = accounts_.find(name);
  return account == accounts_.end() ? 0 : account->second->jobs.size();
}

std::optional<Scheduler::Standing> Scheduler::standing(const SiteSpec& spec, base::Now now) const {
  const Site* site = find_site(spec);
  if (site == nullptr) return std::nullopt;
  return standing_of(*site, kLeast, now);
}

Scheduler::Standing Scheduler::standing_of(const Site& site, const Costs& costs, base::Now now) {
  const Account& account = *site.account;
  Standing standing;
  standing.proven = is_proven(site, now);
  standing.window = window(site, now);
  standing.sessions = site.sessions;
  standing.jobs = site.size();
  standing.connections_max = site.spec->connections_max;
  standing.account = account.name;
  standing.account_sessions = account.sessions;
  standing.account_connections_max = account.spec->connections_max;
  // The longest pause is the one that is told of.
  standing.paused_until = site.paused_until;
  standing.pause_reason = site.pause_reason;
  if (site.held_until > standing.paused_until) {
    standing.paused_until = site.held_until;
    standing.pause_reason = site.hold_reason;
  }
  if (account.held_until > standing.paused_until) {
    standing.paused_until = account.held_until;
    standing.pause_reason = account.hold_reason;
  }
  if (standing.paused_until <= now.instant) standing.pause_reason.clear();
  for (const Limits* limits : {&account.limits, &site.limits}) {
    const std::string text = limits->describe();
    if (!text.empty()) standing.rates += (standing.rates.empty() ? "" : "; ") + text;
    limits->tell_used_up(standing, costs, now);
  }
  if (is_paced(site)) {
    standing.next_grant =
        std::max(account.limits.next_message(costs, now), site.limits.next_message(costs, now));
  }
  return standing;
}

Scheduler::Gate Scheduler::gate_of(const Site& site, const Costs& costs, base::Now now) {
  const Account& account = *site.account;
  if (std::max({site.paused_until, site.held_until, account.held_until}) > now.instant) {
    return Gate::Paused;
  }
  if (site.place == Site::Place::Blocked) return Gate::Budget;
  if (site.place == Site::Place::SourceFull) return Gate::Source;
  if (site.sessions - site.idle.size() >= window(site, now)) return Gate::Window;
  if (is_paced(site) && std::max(account.limits.next_message(costs, now),
                                 site.limits.next_message(costs, now)) > now.instant) {
    return Gate::Rate;
  }
  if (site.place == Site::Place::Opening || site.place == Site::Place::Paused) {
    return Gate::Account;
  }
  if (site.no_open_until > now.instant && site.idle.empty()) return Gate::Backoff;
  return Gate::Open;
}

std::optional<Scheduler::Place> Scheduler::find(DeliveryId delivery, const QueueName& queue,
                                                base::Now now) const {
  for (const auto& [account_name, account] : accounts_) {
    for (const auto& [name, site] : account->sites) {
      const auto jobs = site.jobs().find(queue);
      if (jobs == site.jobs().end()) continue;
      std::size_t before = 0;
      std::uint64_t jobs_before = 0;
      for (const Job& job : jobs->second) {
        if (has(job, delivery)) {
          const Costs costs = costs_of(job);
          Place place{name, standing_of(site, costs, now), gate_of(site, costs, now), before,
                      site.spec};
          count_ahead(place, *account, queue, jobs_before);
          return place;
        }
        before += job.deliveries.size();
        ++jobs_before;
      }
    }
  }
  return std::nullopt;
}

// By the turns of queue/job_queue.h: queues of a site, sites of a tenant, tenants of a lane.
void Scheduler::count_ahead(Place& place, const Account& account, const QueueName& queue,
                            std::uint64_t jobs_before) const {
  const Lane lane = lane_of(queue.priority);
  std::map<std::string, std::uint64_t> of_site;  // of its tenant
  std::map<std::string, std::uint64_t> of_tenant;
  std::uint64_t first = 0;  // of higher lanes
  std::uint64_t first_at_site = 0;
  place.ahead_at_site = jobs_before;
  for (const auto& [name, site] : account.sites) {
    for (const auto& [other, jobs] : site.jobs()) {
      if (lane_of(other.priority) < lane) {
        first += jobs.size();
        if (name == place.site) first_at_site += jobs.size();
      }
      if (lane_of(other.priority) != lane || other == queue) continue;
      if (other.tenant != queue.tenant) {
        of_tenant[other.tenant] += jobs.size();
      } else if (name != place.site) {
        of_site[name] += jobs.size();
      } else {
        place.ahead_at_site += std::min<std::uint64_t>(jobs.size(), jobs_before + 1);
      }
    }
  }
  place.ahead = place.ahead_at_site;
  for (const auto& [name, jobs] : of_site) place.ahead += std::min(jobs, place.ahead_at_site + 1);
  const auto weight_of = [this](const std::string& tenant) -> std::uint64_t {
    return weight_ == nullptr ? 1 : std::max(weight_(tenant), 1U);
  };
  const std::uint64_t own_turns = place.ahead / weight_of(queue.tenant) + 1;
  for (const auto& [tenant, jobs] : of_tenant)
    place.ahead += std::min(jobs, own_turns * weight_of(tenant));
  place.ahead += first;
  place.ahead_at_site += first_at_site;
}

std::uint32_t Scheduler::room(const SiteSpec& spec, base::Now now) const {
  const Site* site = find_site(spec);
  if (site == nullptr || !is_proven(*site, now)) return kRoomMin;
  const std::uint32_t room = std::max(kRoomProven, 4 * window(*site, now));
  if (!is_paced(*site)) return room;
  double best = room / kRoomSeconds;
  best = std::min(best, site->account->limits.per_second().value_or(best));
  best = std::min(best, site->limits.per_second().value_or(best));
  return std::max(kRoomMin, static_cast<std::uint32_t>(best * kRoomSeconds));
}

Scheduler::Outlook Scheduler::outlook(const SiteSpec& spec, const Backlog& backlog,
                                      base::Now now) const {
  Outlook outlook;
  const Site* site = find_site(spec);
  if (site == nullptr) {
    outlook.unknown = Outlook::Unknown::Untried;
    return outlook;
  }
  const Account& account = *site->account;
  const Standing standing = standing_of(*site, kLeast, now);
  outlook.used_up = standing.used_up;
  outlook.used_up_until = standing.used_up_until;
  outlook.held_until = std::max({site->paused_until, site->held_until, account.held_until});
  if (site->failures > 0 || !account.job_time) {
    outlook.unknown = site->failures > 0 ? Outlook::Unknown::Failing : Outlook::Unknown::Untried;
    return outlook;
  }
  const base::Duration wait =
      std::max(base::Duration::zero(),
               std::chrono::duration_cast<base::Duration>(outlook.held_until - now.instant));
  const base::Now begin{now.instant + wait, now.wall + wait};
  const std::uint64_t of_account = std::max<std::uint64_t>(backlog.of_account, 1);
  const std::uint64_t of_site = std::max<std::uint64_t>(backlog.of_site, 1);
  outlook.at = std::max(account.limits.nth_message(of_account, backlog.octets_of_account, begin),
                        site->limits.nth_message(of_site, backlog.octets_of_site, begin));
  // `jobs` over so many connections at once, the last one not counted.
  const auto working = [&](std::uint64_t jobs, std::uint32_t connections) {
    outlook.at = std::max<base::Instant>(
        outlook.at, begin.instant + (jobs - 1) / std::max(connections, 1U) * *account.job_time);
  };
  working(of_site, site->spec->connections_max);
  if (account.spec->connections_max > 0) working(of_account, account.spec->connections_max);
  const auto connecting = [&](const Limits& limits, std::uint64_t jobs, std::uint32_t open) {
    const std::uint64_t each = std::max(backlog.messages_per_connection, 1U);
    const std::uint64_t wanted =
        backlog.messages_per_connection == 0 ? 1 : (jobs + each - 1) / each;
    if (wanted > open)
      outlook.at = std::max(outlook.at, limits.nth_connection(wanted - open, begin));
  };
  connecting(account.limits, of_account, account.sessions);
  connecting(site->limits, of_site, site->sessions);
  outlook.at += *account.job_time;
  return outlook;
}

std::vector<Job> Scheduler::take_waiting(
    const std::function<bool(const SitePointer&, const QueueName&)>& where,
    const std::function<bool(const Job&)>& condition) {
  std::vector<Job> taken;
  for (auto& [account_name, account] : accounts_) {
    for (auto& [name, site] : account->sites) {
      const auto is_there = [&where, spec = site.spec](const QueueName& queue) {
        return where(spec, queue);
      };
      take_out(site, is_there, condition, taken);
    }
  }
  return taken;
}

std::vector<Job> Scheduler::take_waiting(std::string_view name,
                                         const std::function<bool(const QueueName&)>& condition) {
  std::vector<Job> taken;
  const auto account = accounts_.find(std::string(name));
  if (account == accounts_.end()) return taken;
  for (auto& [site_name, site] : account->second->sites)
    take_out(
        site, condition, [](const Job&) { return true; }, taken);
  return taken;
}

void Scheduler::take_out(Site& site, const std::function<bool(const QueueName&)>& where,
                         const std::function<bool(const Job&)>& condition,
                         std::vector<Job>& taken) {
  std::vector<QueueName> queues;
  for (const auto& [queue, jobs] : site.jobs()) {
    if (where(queue)) queues.push_back(queue);
  }
  for (const QueueName& queue : queues) site.account->jobs.take_out(site, queue, condition, taken);
  if (!queues.empty()) look_past(site);
}

std::vector<Job> Scheduler::take_waiting(const SiteSpec& spec, const QueueName& queue,
                                         const std::function<bool(const Job&)>& condition) {
  std::vector<Job> taken;
  Site* site = find_site(spec);
  if (site == nullptr) return taken;
  site->account->jobs.take_out(*site, queue, condition, taken);
  look_past(*site);
  return taken;
}

std::vector<Scheduler::Paused> Scheduler::take_paused(base::Now now) {
  std::vector<Paused> taken;
  std::vector<Job> jobs;
  const auto take = [&](Site& site, base::Instant until) {
    if (until <= now.instant) return;
    site.account->jobs.take_all(site, jobs);
    for (Job& job : jobs) taken.push_back({std::move(job), until});
    jobs.clear();
  };
  for (auto& [until, site] : paused_) take(*site, std::max(site->paused_until, site->held_until));
  for (auto& [until, account] : waiting_) {
    for (auto& [name, site] : account->sites) {
      take(site, account->held_until);
      look_soon(site);
    }
  }
  return taken;
}

std::vector<Job> Scheduler::take_all_waiting() {
  std::vector<Job> taken;
  for (auto& [account_name, account] : accounts_) {
    for (auto& [name, site] : account->sites) {
      account->jobs.take_all(site, taken);
      look_soon(site);
    }
  }
  return taken;
}

}  // namespace rockdove::queue
