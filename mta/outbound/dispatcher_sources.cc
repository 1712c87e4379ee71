// The part of a dispatcher that knows of source addresses: what a source that is gone, paused or
// used up has not started goes back to its home, which chooses another one.
#include <algorithm>
#include <string>

#include "mta/outbound/dispatcher.h"

namespace rockdove::outbound {
namespace {

constexpr std::size_t kToldRoomMax = 50'000;

}  // namespace

void Dispatcher::tell_room(const queue::QueueName& queue, const Site& site) {
  const std::uint32_t room = scheduler_.room(site, env_.now());
  const std::string source = site.source == nullptr ? "" : site.source->name;
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

bool Dispatcher::is_of_source_alone(const queue::Pauses& pauses, const queue::QueueName& queue,
                                    const Site& site) {
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

std::optional<base::Instant> Dispatcher::used_up_until(const Site& site) {
  if (site.source == nullptr) return std::nullopt;
  const auto found = used_up_.find(site.account->name);
  if (found == used_up_.end()) return std::nullopt;
  if (found->second > env_.now().instant) return found->second;
  used_up_.erase(found);
  return std::nullopt;
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
  if (until == now) return;
  used_up_[site.account->name] = until;
  const auto is_there = [&site](const queue::SitePointer& other, const queue::QueueName&) {
    return other->account->name == site.account->name;
  };
  for (const queue::Job& job :
       scheduler_.take_waiting(is_there, [](const queue::Job&) { return true; })) {
    give_home_used_up(job, site, until);
  }
}

}  // namespace rockdove::outbound
