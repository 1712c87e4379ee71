// The part of a dispatcher that knows of ways which mail may go beside others: what a source that
// is gone, paused or used up has not started goes back to its home, which chooses another one; so
// does that of a route whose budget is used up and that has an overflow.
#include <algorithm>
#include <string>

#include "mta/base/counters.h"
#include "mta/outbound/dispatcher.h"

namespace rockdove::outbound {
namespace {

constexpr std::size_t kToldRoomMax = 50'000;
constexpr std::size_t kToldUsedUpMax = 50'000;
// Mail waits so long for its source before it goes from another one.
constexpr base::Duration kSourceWaits = std::chrono::minutes(5);
constexpr base::Duration kTellUsedUpEvery = std::chrono::hours(1);

}  // namespace

void Dispatcher::tell_room(const queue::QueueName& queue, const Site& site) {
  const std::uint32_t room = scheduler_.room(site, env_.now());
  // What waits at one of several ways must not take the room of the others.
  std::string source = site.source == nullptr ? "" : site.source->name;
  if (!site.overflow.empty() || is_overflow(queue, site)) source += " " + site.name;
  if (source.empty()) {
    if (told_room_.size() > kToldRoomMax) told_room_.clear();
    std::uint32_t& told = told_room_[queue];
    if (told == room) return;
    told = room;
  }
  env_.on_loop(queue::home_loop(queue.destination, env_.loop_count()),
               [queue, source, room](Dispatcher& dispatcher) {
                 dispatcher.home_.set_room(queue, source, room);
               });
}

bool Dispatcher::may_go_elsewhere(const queue::Pauses& pauses, const queue::QueueName& queue,
                                  const Site& site) {
  if (is_overflow(queue, site)) return pauses.on_queue(queue) == nullptr;
  return site.source != nullptr && pauses.on_destination(queue.destination) == nullptr &&
         pauses.on_site(site.name, account_of_all_sources(site)) == nullptr;
}

void Dispatcher::use_absent(const std::shared_ptr<const AbsentAddresses>& absent) {
  home_.use_absent(absent);
  want_pass();
  if (absent->empty()) return;
  const auto is_absent = [&absent](const queue::SitePointer& site, const queue::QueueName&) {
    const Source* const source = static_cast<const Site&>(*site).source.get();
    return source != nullptr && absent->contains(source->address);
  };
  for (const queue::Job& job :
       scheduler_.take_waiting(is_absent, [](const queue::Job&) { return true; })) {
    give_home(job);
  }
}

std::optional<base::Instant> Dispatcher::used_up_until(const Site& site) const {
  if (site.source == nullptr && site.overflow.empty()) return std::nullopt;
  const auto found = used_up_.find(site.account->name);
  if (found == used_up_.end()) return std::nullopt;
  const base::Instant until = found->second.until();
  return until > env_.now().instant ? std::optional(until) : std::nullopt;
}

void Dispatcher::give_home_used_up(const queue::Job& job, const Site& site, base::Instant until) {
  env_.on_loop(queue::home_loop(job.queue.destination, env_.loop_count()),
               [job, account = site.account->name, until](Dispatcher& dispatcher) {
                 dispatcher.home_.take_back_used_up(job, account, until);
                 dispatcher.want_pass();
               });
}

void Dispatcher::keep_source_back(const Site& site, const JobReport& report) {
  if (site.source == nullptr) return;
  const base::Instant now = env_.now().instant;
  base::Instant until = now;
  for (const DeliveryResult& result : report.results) {
    if (result.rule == nullptr || !result.has_rule_acted) continue;
    const std::optional<traffic::Pause>& pause = result.rule->actions.pause;
    if (pause && pause->of == traffic::Pause::Of::Source)
      until = std::max(until, now + pause->time);
  }
  until = std::max(until, teaching_.warm_ups().stopped_until(site).value_or(now));
  if (until > now) use_up(site, {.paused_until = until});
}

void Dispatcher::use_up(const Site& site, const UsedUp& found) {
  const base::Instant now = env_.now().instant;
  if (used_up_swept_.is_due(now))
    std::erase_if(used_up_, [now](const auto& entry) { return entry.second.until() <= now; });
  const bool has_ways = site.source != nullptr || !site.overflow.empty();
  const base::Instant until = (has_ways ? used_up_[site.account->name].add(found) : found).until();
  // What came from another route may go by that one again, sooner.
  const auto has_another = [&](const queue::QueueName& queue) {
    return has_ways || is_overflow(queue, site);
  };
  for (const queue::Job& job : scheduler_.take_waiting(site.account->name, has_another))
    give_home_used_up(job, site, until);
}

void Dispatcher::see_used_up() {
  for (const queue::Scheduler::UsedUp& found : scheduler_.take_used_up()) {
    const Site& site = static_cast<const Site&>(*found.site);
    const base::Duration after = site.source == nullptr ? site.overflow_after : kSourceWaits;
    const bool is_long = found.until > env_.now().instant + after;
    tell_used_up(found, is_long);
    if (is_long) use_up(site, {.budget_until = found.until});
  }
}

void Dispatcher::forget_budgets() {
  for (auto& [account, used_up] : used_up_) used_up.budget_until = {};
}

// A window that is used up has a little room again and again: that is said once in a while.
void Dispatcher::tell_used_up(const queue::Scheduler::UsedUp& found, bool is_long) {
  const base::Now now = env_.now();
  const std::string& account = found.site->account->name;
  if (told_used_up_.size() > kToldUsedUpMax) told_used_up_.clear();
  const auto [told, is_new] = told_used_up_.try_emplace(account, now.instant);
  if (!is_new && now.instant < told->second + kTellUsedUpEvery) return;
  told->second = now.instant;
  base::count(base::Counter::BudgetsUsedUp);
  base::LogLine line = env_.log.line(base::Level::Warning, "a budget is used up");
  line.field("account", account)
      .field("budget", found.budget)
      .field("until", now.wall + std::chrono::ceil<base::Duration>(found.until - now.instant));
  const Site& site = static_cast<const Site&>(*found.site);
  if (is_long && !site.overflow.empty()) {
    line.field("mail", "goes by route:" + site.overflow);
  } else if (is_long && site.source != nullptr) {
    line.field("mail", "goes from other sources of its pool, if there are any");
  } else {
    line.field("mail", "waits");
  }
}

}  // namespace rockdove::outbound
