// The part of a home that hands jobs on to the owners of their accounts, each from one of our
// source addresses where such are configured.
#include <algorithm>
#include <utility>

#include "mta/outbound/dispatcher.h"
#include "mta/outbound/home.h"

namespace rockdove::outbound {
namespace {

constexpr std::size_t kRoomsMax = 50'000;  // queues
// Mail that waits for a budget is looked at again so soon: a reload may have brought another way.
constexpr base::Duration kUsedUpLookEach = std::chrono::minutes(10);

// The address that a rule does not want it to leave from again; "": any may be used.
std::string_view avoided_source(const queue::Job& job) {
  for (const queue::Delivery& delivery : job.deliveries) {
    if (delivery.last.wants_other_source) return delivery.last.source;
  }
  return {};
}

std::string route_destination(const std::string& route) {
  return "route:" + route;
}

}  // namespace

void Home::to_owner(queue::Job job, Destination& destination) {
  const SourceChooser::Choice choice =
      sources_.choose(destination.site, job.queue.tenant, destination.turns, pauses_.get(),
                      env_.now().instant, avoided_source(job));
  if (choice.site == nullptr) {
    const bool is_used_up = choice.none == SourceChooser::None::UsedUp;
    if (is_used_up && went_on(job, *destination.site)) return;
    return no_source(std::move(job), choice);
  }
  env_.on_loop(owner_loop(choice.site->account->name, env_.loop_count()),
               [job = std::move(job), site = choice.site](Dispatcher& dispatcher) mutable {
                 dispatcher.offer(std::move(job), site);
               });
}

std::vector<SourceChooser::Share> Home::shares_of(const std::string& destination) {
  const auto found = destinations_.find(destination);
  if (found == destinations_.end() || found->second.state != Destination::State::Known) return {};
  return sources_.shares(found->second.site, pauses_.get(), env_.now().instant);
}

bool Home::went_on(queue::Job& job, const Site& used_up) {
  if (used_up.overflow.empty()) return false;
  const std::string next = route_destination(used_up.overflow);
  if (pauses_->on_destination(next) != nullptr || pauses_->on_site(next, next) != nullptr)
    return false;
  dispatch_to(next, std::move(job));
  return true;
}

base::Instant Home::free_at(const queue::Job& job, base::Instant last) const {
  const base::Instant now = env_.now().instant;
  base::Instant first = last;
  std::shared_ptr<const Site> site = site_of(job.queue.destination);
  for (std::size_t i = 0; site != nullptr && i < env_.outbound.routes.size(); ++i) {
    const base::Instant free = sources_.free_at(site->account->name, now);
    if (free > now) first = std::min(first, free);
    site = site->overflow.empty() ? nullptr : site_of(route_destination(site->overflow));
  }
  return first;
}

void Home::no_source(queue::Job job, const SourceChooser::Choice& choice) {
  const base::Now now = env_.now();
  if (choice.none == SourceChooser::None::Paused) return take_back_paused(job, pauses_);
  if (choice.none == SourceChooser::None::UsedUp) {
    const base::Instant free = free_at(job, choice.free_at);
    const auto wait = std::chrono::ceil<base::Duration>(free - now.instant);
    return take_back_for(job, std::min(wait, kUsedUpLookEach));
  }
  const smtp::Reply reply = smtp::make_reply(451, "4.4.1", choice.problem);
  JobReport report{
      job.message, job.queue, {}, "", now.instant, queue::Scheduler::Finish::SiteFailed, {}};
  for (queue::Delivery& delivery : job.deliveries) {
    report.results.push_back({std::move(delivery), DeliveryResult::Kind::Defer,
                              mail::EnhancedCode{4, 4, 1}, smtp::Stage::Connect,
                              smtp::one_line(reply, queue::kReplyOctetsKept),
                              /*counted=*/choice.none != SourceChooser::None::Absent});
  }
  // The rest of its queue would end like this, too.
  const std::vector<base::Duration>& retry = env_.queue.retry;
  directory_.hold_back(job.queue, now.wall + queue::retry_wait(retry, 1, env_.random));
  static_cast<void>(settler_.settle(std::move(report), retry));
}

// What waits at a source that is slow or paused must not take the room of the others.
void Home::set_room(const queue::QueueName& queue, const std::string& source,
                    std::uint32_t deliveries) {
  if (source.empty()) return directory_.set_room(queue, deliveries);
  if (rooms_.size() > kRoomsMax) rooms_.clear();
  std::unordered_map<std::string, std::uint32_t>& rooms = rooms_[queue];
  rooms[source] = deliveries;
  std::uint32_t sum = 0;
  for (const auto& [name, room] : rooms) sum += room;
  directory_.set_room(queue, sum);
}

void Home::use_absent(std::shared_ptr<const AbsentAddresses> absent) {
  sources_.use_absent(std::move(absent));
  directory_.pauses_changed();  // what waits because all others are paused may go from these
}

void Home::take_back_used_up(const queue::Job& job, const std::string& account,
                             base::Instant until) {
  sources_.take_nothing(account, until);
  take_back(job);
}

}  // namespace rockdove::outbound
