#include "mta/outbound/home.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "mta/base/counters.h"
#include "mta/outbound/dispatcher.h"
#include "mta/outbound/reporting.h"
#include "queue/quarantine.h"
#include "queue/steering.h"

namespace rockdove::outbound {
namespace {

constexpr base::Duration kLoadRetry = std::chrono::seconds(2);
// Between looks at a store that cannot say what waits in it; doubles each time.
constexpr base::Duration kLookAgainMin = std::chrono::seconds(1);
constexpr base::Duration kLookAgainMax = std::chrono::minutes(1);
constexpr std::size_t kDestinationsKept = 20'000;
constexpr std::uint32_t kSweepStep = 64;
constexpr std::uint32_t kDelayedSweptMax = 1'024;  // rows, for each failure of their site
constexpr std::size_t kDelayMarksMax = 1'000;
constexpr std::size_t kExpiringMax = 10'000;
// How often it is looked whether there is memory again to load mail into.
constexpr base::Duration kMemoryRetry = std::chrono::seconds(1);
// Octets of header blocks in one load while memory is short.
constexpr std::size_t kHeadersWhenShort = 32 * 1024;

}  // namespace

unsigned owner_loop(std::string_view account, unsigned loops) {
  return queue::home_loop(account, loops);
}

Home::Home(const Environment& environment, Settler& settler)
    : env_(environment),
      settler_(settler),
      router_(environment.outbound, environment.queue, environment.ourselves,
              environment.hosts_file, environment.resolver, environment.random),
      sources_(environment.outbound),
      directory_(environment.queue,
                 [this](const queue::QueueName& queue) { return is_paused(queue); }),
      look_again_in_(kLookAgainMin),
      look_again_timer_(env_.loop.make_timer([this] {
        if (!stopping_) find_queues();
      })) {}

void Home::find_queues() {
  env_.store.find_queues(env_.loop, env_.loop_count(),
                         [this](base::Result<std::vector<queue::FoundQueue>> found) {
                           if (!found) return look_again(found.error());
                           look_again_in_ = kLookAgainMin;
                           for (const queue::FoundQueue& queue : *found)
                             directory_.found(queue.name, queue.earliest, env_.now().wall);
                           env_.peers[env_.loop.index()]->want_pass();
                         });
}

// While the store is being replaced the next look fails at once, too; behind that we are called,
// and what is found twice does no harm.
void Home::look_again(const base::Error& why) {
  env_.log.line(base::Level::Error, "the queue cannot be read")
      .field("error", why.text())
      .field("again_in", base::format_duration(look_again_in_));
  if (stopping_) return;
  look_again_timer_->set(env_.now().instant + look_again_in_);
  look_again_in_ = std::min(2 * look_again_in_, kLookAgainMax);
}

void Home::fresh(const queue::QueueName& queue, const queue::MessagePointer& message,
                 std::vector<queue::Delivery> deliveries) {
  const bool has_room =
      env_.memory.has_room_to_keep() && !stopping_ && !is_paused(queue) &&
      pauses_->on_mail(*message) == nullptr &&
      (message->body != nullptr || message->body_octets == 0 || message->body_chunks > 1);
  std::vector<queue::Delivery> start = directory_.fresh(
      queue, message->id, std::move(deliveries),
      has_room ? queue::Directory::Memory::HasRoom : queue::Directory::Memory::Full,
      env_.now().wall);
  // An alias in the place of which others stand (queue::Ending::Expanded) is only to be reported.
  const auto ended = std::stable_partition(
      start.begin(), start.end(),
      [](const queue::Delivery& delivery) { return delivery.final_status.empty(); });
  if (ended != start.end()) {
    std::vector<EndedDelivery> to_report;
    for (auto one = ended; one != start.end(); ++one) to_report.push_back({*one, *one});
    start.erase(ended, start.end());
    settler_.reports().ended(message, std::move(to_report));
  }
  while (!start.empty()) {
    const std::size_t count = std::min(start.size(), queue::kJobDeliveriesMax);
    queue::Job job{message, {}, queue};
    if (count == start.size()) {
      job.deliveries = std::exchange(start, {});
    } else {
      std::move(start.begin(), start.begin() + static_cast<std::ptrdiff_t>(count),
                std::back_inserter(job.deliveries));
      start.erase(start.begin(), start.begin() + static_cast<std::ptrdiff_t>(count));
    }
    dispatch(std::move(job));
  }
}

void Home::released(const queue::QueueName& queue, const std::vector<Release>& releases) {
  for (const Release& release : releases) directory_.released(queue, release.delivery, release.due);
}

void Home::take_back(const queue::Job& job) {
  for (const queue::Delivery& delivery : job.deliveries) {
    directory_.released(job.queue, {job.message->id, delivery.number}, delivery.due);
  }
}

void Home::take_back_for(const queue::Job& job, base::Duration wait) {
  take_back(job);
  directory_.hold_back(job.queue, env_.now().wall + wait);
}

void Home::pump() {
  const base::Now now = env_.now();
  if (stopping_ || pauses_ == nullptr || env_.store.readiness() == queue::Readiness::Failed) return;
  while (may_load()) {
    std::optional<queue::LoadRequest> request = directory_.next_load(now.wall);
    if (!request) return;
    load(std::move(*request));
  }
}

std::shared_ptr<const Site> Home::site_of(const std::string& destination) const {
  const auto found = destinations_.find(destination);
  const bool is_known =
      found != destinations_.end() && found->second.state == Destination::State::Known;
  return is_known ? found->second.site : nullptr;
}

Home::Standing Home::standing(const queue::QueueName& queue, base::DeliveryId delivery) const {
  Standing standing;
  standing.is_out = directory_.is_out(queue, delivery);
  standing.is_memory_short = !may_load();
  standing.is_stopping = stopping_;
  standing.queue = directory_.standing(queue);
  standing.pauses = pauses_;
  standing.site = site_of(queue.destination);
  if (standing.site != nullptr) {
    standing.used_up_until = sources_.free_at(*standing.site, queue.tenant, env_.now().instant);
    standing.has_sources = !env_.outbound.pools.empty();
  }
  const auto found = destinations_.find(queue.destination);
  if (found == destinations_.end()) return standing;
  const Destination& destination = found->second;
  standing.is_resolving =
      std::any_of(destination.waiting.begin(), destination.waiting.end(),
                  [delivery](const queue::Job& job) { return queue::has(job, delivery); });
  return standing;
}

// Header blocks of what is out are in memory, up to 256 KiB each: when they fill it, what is out
// goes first. One is always let through.
bool Home::may_load() const {
  return env_.memory.has_room_to_load() || directory_.is_idle();
}

base::WallTime Home::wake_at() const {
  if (pauses_ == nullptr || env_.store.readiness() == queue::Readiness::Failed) {
    return base::kNeverWall;
  }
  const base::WallTime wake = directory_.wake_at();
  return may_load() ? wake : std::max(wake, env_.now().wall + kMemoryRetry);
}

void Home::load(queue::LoadRequest request) {
  const queue::QueueName name = request.queue;
  if (!env_.memory.has_room_to_keep()) {
    request.octets_max = 0;  // bodies are read when they are sent
    request.header_octets_max = kHeadersWhenShort;
  }
  env_.store.load(env_.loop, std::move(request),
                  [this, name](base::Result<queue::LoadedQueue> rows) {
                    if (rows) {
                      take_loaded(name, std::move(*rows));
                    } else {
                      env_.log.line(base::Level::Error, "the queue cannot be read")
                          .field("destination", name.destination)
                          .field("error", rows.error().text());
                      directory_.load_failed(name, env_.now().wall + kLoadRetry);
                    }
                    env_.peers[env_.loop.index()]->want_pass();
                  });
}

void Home::take_loaded(const queue::QueueName& name, queue::LoadedQueue rows) {
  // The pause may have begun while they were read.
  const bool is_paused_now = is_paused(name);
  for (queue::MessageWithDeliveries& loaded : directory_.loaded(name, std::move(rows))) {
    const queue::MessagePointer message = queue::counted(std::move(loaded.message), env_.memory);
    if (is_paused_now) {
      take_back_paused({message, std::move(loaded.deliveries), name}, pauses_);
      continue;
    }
    const queue::Pause* const pause = pauses_->on_mail(*message);
    std::vector<EndedDelivery> ended;
    std::vector<queue::Delivery> to_hold;
    queue::Job job{message, {}, name};
    queue::Job elsewhere{message, {}, name};
    for (queue::Delivery& delivery : loaded.deliveries) {
      if (!delivery.final_status.empty()) {
        ended.push_back({delivery, delivery});  // it only waited for its report
        continue;
      }
      if (delivery.is_expired) expires_some(name);
      if (pause != nullptr) {
        to_hold.push_back(std::move(delivery));
        continue;
      }
      if (is_routed_elsewhere(*message, delivery)) {
        elsewhere.deliveries.push_back(std::move(delivery));
        continue;
      }
      job.deliveries.push_back(std::move(delivery));
      if (job.deliveries.size() == queue::kJobDeliveriesMax) {
        dispatch(std::exchange(job, queue::Job{message, {}, name}));
      }
    }
    if (!ended.empty()) settler_.reports().ended(message, std::move(ended));
    if (!to_hold.empty()) hold(*message, name, std::move(to_hold), *pause);
    if (!elsewhere.deliveries.empty()) reroute(std::move(elsewhere));
    if (!job.deliveries.empty()) dispatch(std::move(job));
  }
}

// The routes may have changed since it was accepted, by a reload or a start.
bool Home::is_routed_elsewhere(const queue::Message& message,
                               const queue::Delivery& delivery) const {
  const queue::Client& client = message.client;
  return destination_of(env_.outbound, {delivery.recipient, message.sender, client.listener,
                                        client.address, client.user, delivery.route_to}) !=
         delivery.destination;
}

void Home::settings_replaced() {
  sources_.settings_replaced();
  rooms_.clear();
  for (auto& [name, destination] : destinations_) {
    for (const queue::Job& job : std::exchange(destination.waiting, {})) take_back(job);
    destination.is_stale = destination.state == Destination::State::Resolving;
  }
  std::erase_if(destinations_, [](const auto& entry) { return !entry.second.is_stale; });
  directory_.pauses_changed();  // what the pause of a site keeps may have another site now
}

void Home::dispatch(queue::Job job) {
  const std::string name = job.queue.destination;
  dispatch_to(name, std::move(job));
}

void Home::dispatch_to(const std::string& name, queue::Job job) {
  const base::Now now = env_.now();
  Destination& destination = destinations_[name];
  if (destination.state == Destination::State::Known && destination.expires > now.instant) {
    return to_owner(std::move(job), destination);
  }
  destination.waiting.push_back(std::move(job));
  if (destination.state == Destination::State::Resolving) return;
  destination.state = Destination::State::Resolving;
  resolve(name);
}

void Home::resolve(const std::string& destination) {
  router_.resolve(destination, [this, destination](Resolution resolution) {
    resolved(destination, std::move(resolution));
    env_.peers[env_.loop.index()]->want_pass();
  });
}

void Home::resolved(const std::string& name, Resolution resolution) {
  const base::Now now = env_.now();
  Destination& destination = destinations_[name];
  if (std::exchange(destination.is_stale, false)) return resolve(name);  // it is still Resolving
  destination.state = Destination::State::Unknown;
  std::vector<queue::Job> jobs = std::exchange(destination.waiting, {});
  if (auto* known = std::get_if<Resolved>(&resolution)) {
    destination.state = Destination::State::Known;
    destination.site = std::move(known->site);
    destination.expires = now.instant + known->keep_for;
    destination.failures = 0;
    destination.turns = {env_.random.below(std::numeric_limits<std::uint64_t>::max()), {}};
    for (queue::Job& job : jobs) to_owner(std::move(job), destination);
    forget_destinations();
    return;
  }
  if (const auto* failure = std::get_if<NotResolved>(&resolution)) {
    ++destination.failures;
    for (queue::Job& job : jobs) not_resolved(destination, std::move(job), failure->failure);
    // The next one asks anew; only what will be asked again has failures to remember.
    if (queue::judge(failure->failure).action != queue::Action::Defer) destinations_.erase(name);
    forget_destinations();
    return;
  }
  for (queue::Job& job : jobs) {
    if (std::holds_alternative<Discard>(resolution)) {
      settler_.discard(job);
    } else {
      reroute(std::move(job));
    }
  }
  destinations_.erase(name);
}

void Home::forget_destinations() {
  const base::Instant now = env_.now().instant;
  if (destinations_.size() <= kDestinationsKept || !destinations_swept_.is_due(now)) return;
  std::erase_if(destinations_, [now](const auto& entry) {
    const Destination& destination = entry.second;
    return destination.state == Destination::State::Unknown ||
           (destination.state == Destination::State::Known && destination.expires <= now);
  });
}

void Home::not_resolved(Destination& destination, queue::Job job, const queue::Failure& failure) {
  const base::Now now = env_.now();
  const queue::Judgement judgement = queue::judge(failure);
  JobReport report{
      job.message, job.queue, {}, "", now.instant, queue::Scheduler::Finish::SiteFailed, {}};
  for (queue::Delivery& delivery : job.deliveries) {
    report.results.push_back({std::move(delivery),
                              judgement.action == queue::Action::Bounce
                                  ? DeliveryResult::Kind::Bounce
                                  : DeliveryResult::Kind::Defer,
                              judgement.status, smtp::Stage::Resolve,
                              smtp::one_line(failure.reply, queue::kReplyOctetsKept), true});
  }
  if (judgement.action == queue::Action::Defer) {
    // The rest of the queue would ask the same question: it waits, and each asks in its turn.
    const base::Duration wait = queue::retry_wait(env_.queue, destination.failures, env_.random);
    directory_.hold_back(job.queue, now.wall + wait);
    const std::string reply = smtp::one_line(failure.reply, queue::kReplyOctetsKept);
    sweep_over_age(job.queue, {}, now.wall, "", reply);
    sweep_delayed(job.queue, {now.wall, "", reply}, kDelayedSweptMax);
  }
  static_cast<void>(settler_.settle(std::move(report), env_.queue.retry));
}

void Home::reroute(queue::Job job) {
  for (const queue::Delivery& delivery : job.deliveries) {
    const queue::Client& client = job.message->client;
    queue::Delivery after = delivery;
    after.destination =
        destination_of(env_.outbound, {delivery.recipient, job.message->sender, client.listener,
                                       client.address, client.user, delivery.route_to});
    after.due = env_.now().wall;
    const base::DeliveryId id{job.message->id, delivery.number};
    env_.log.line(base::Level::Info, "rerouted")
        .id(id)
        .path("to", delivery.recipient)
        .field("was", delivery.destination)
        .field("now", after.destination);
    const queue::QueueName next = queue::queue_of(after);
    env_.store.commit(
        env_.loop, queue::moved(*job.message, delivery, after, std::nullopt),
        [this, old = job.queue, next, id, due = after.due](base::Result<void> result) {
          MTA_ASSERT(result.is_ok());
          released(old, {{id, std::nullopt}});
          env_.on_loop(queue::home_loop(next.destination, env_.loop_count()),
                       [next, due](Dispatcher& dispatcher) { dispatcher.found_row(next, due); });
        });
  }
}

void Home::found_row(const queue::QueueName& queue, base::WallTime due) {
  directory_.found(queue, due, env_.now().wall);
}

void Home::site_failed(const queue::QueueName& queue, const std::string& host,
                       const std::string& reply) {
  const base::WallTime now = env_.now().wall;
  sweep_over_age(queue, {}, now, host, reply);
  sweep_delayed(queue, {now, host, reply}, kDelayedSweptMax);
}

// Rows behind a dead site are not tried one by one; the attempt that just failed was theirs as
// well.
void Home::sweep_over_age(const queue::QueueName& name, queue::WaitingMark from,
                          base::WallTime failed_at, const std::string& host,
                          const std::string& reply) {
  // What a person has ended the lifetime of is looked for whatever its age.
  const bool is_expiring = expiring_.contains(name);
  if (stopping_ || (!is_expiring && !env_.clocks.may_expire(env_.now()))) return;
  if (!sweeping_.insert(name).second) return;  // one at a time; the next failure sweeps again
  queue::LoadRequest request;
  request.queue = name;
  request.from = from;
  request.due_until = failed_at;
  request.deliveries_max = kSweepStep;
  request.octets_max = 0;
  if (!is_expiring) request.accepted_before = failed_at - env_.queue.lifetime;
  env_.store.load(env_.loop, std::move(request),
                  [this, name, failed_at, host, reply,
                   seen = directory_.last_release(name)](base::Result<queue::LoadedQueue> rows) {
                    sweeping_.erase(name);
                    // Rows that moved while they were read may not be ended by what was read.
                    if (!rows || directory_.last_release(name) != seen) return;
                    for (const queue::MessageWithDeliveries& loaded : rows->messages) {
                      end_over_age(loaded, name, failed_at, host, reply);
                    }
                    if (rows->more) {
                      sweep_over_age(name, rows->reached, failed_at, host, reply);
                    } else {
                      expiring_.erase(name);
                    }
                  });
}

void Home::end_over_age(const queue::MessageWithDeliveries& loaded, const queue::QueueName& name,
                        base::WallTime failed_at, const std::string& host,
                        const std::string& reply) {
  // The id, by which they were chosen, may be older, and the clock may have been set meanwhile.
  const bool may_judge_age = env_.clocks.may_expire(env_.now());
  std::vector<EndedDelivery> failed;
  for (const queue::Delivery& delivery : loaded.deliveries) {
    const bool is_over_age =
        may_judge_age &&
        queue::is_over_age(env_.queue, queue::alive_since(*loaded.message, delivery), failed_at);
    if (!delivery.final_status.empty() || !(is_over_age || delivery.is_expired)) continue;
    if (!directory_.claim(name, {loaded.message->id, delivery.number})) continue;
    queue::Delivery after = delivery;
    after.last = {failed_at, host, reply};
    after.final_status = "4.4.7";  // RFC 3463 §3.5: delivery time expired
    failed.push_back({std::move(after), delivery});
  }
  if (!failed.empty())
    settler_.reports().ended(queue::counted(loaded.message, env_.memory), std::move(failed));
}

// Likewise the failure counts for all that wait behind it, where their senders are to hear of it.
void Home::sweep_delayed(const queue::QueueName& name, const queue::LastAttempt& failed,
                         std::uint32_t rows_left) {
  if (told_up_to_.size() > kDelayMarksMax) told_up_to_.clear();
  const bool is_off = env_.queue.delay_notice <= base::Duration::zero();
  if (is_off || stopping_ || !env_.clocks.may_expire(env_.now())) return;
  if (!telling_.insert(name).second) return;
  queue::LoadRequest request;
  request.queue = name;
  if (const auto mark = told_up_to_.find(name); mark != told_up_to_.end()) {
    request.from = mark->second;
  }
  request.due_until = base::kNeverWall;  // its own attempt may be hours away
  request.deliveries_max = kSweepStep;
  request.octets_max = 0;
  request.accepted_before = failed.at - env_.queue.delay_notice;
  env_.store.load(env_.loop, std::move(request),
                  [this, name, failed, rows_left](base::Result<queue::LoadedQueue> rows) {
                    telling_.erase(name);
                    told_up_to_.erase(name);
                    if (!rows) return;
                    for (const queue::MessageWithDeliveries& loaded : rows->messages) {
                      tell_delayed(loaded, name, failed);
                    }
                    if (!rows->more) return;
                    told_up_to_[name] = rows->reached;
                    if (rows_left <= kSweepStep) return;
                    sweep_delayed(name, failed, rows_left - kSweepStep);
                  });
}

void Home::tell_delayed(const queue::MessageWithDeliveries& loaded, const queue::QueueName& name,
                        const queue::LastAttempt& failed) {
  const base::MessageId id = loaded.message->id;
  const auto wants_notice = [this, failed_at = failed.at](const queue::Message& message,
                                                          const queue::Delivery& delivery) {
    return delivery.final_status.empty() && delivery.state == queue::DeliveryState::Waiting &&
           wants_delay_notice(env_.queue, message, delivery, failed_at);
  };
  std::vector<std::uint32_t> numbers;
  for (const queue::Delivery& delivery : loaded.deliveries) {
    if (!wants_notice(*loaded.message, delivery)) continue;
    if (directory_.claim(name, {id, delivery.number})) numbers.push_back(delivery.number);
  }
  if (numbers.empty()) return;
  // They may have moved since they were read: as they stand now, nobody else moves them.
  env_.store.view(
      env_.loop, id,
      [this, id, name, failed, wants_notice,
       numbers = std::move(numbers)](base::Result<queue::MessageView> view) {
        std::vector<DelayNotices::Deferral> deferrals;
        for (const std::uint32_t number : numbers) {
          if (!view) {  // its row is still there, nobody knows where: look from the front
            directory_.released(name, {id, number}, base::WallTime{});
            continue;
          }
          const auto row = std::find_if(
              view->deliveries.begin(), view->deliveries.end(),
              [number](const queue::Delivery& delivery) { return delivery.number == number; });
          if (row == view->deliveries.end() || queue::queue_of(*row) != name) {
            directory_.released(name, {id, number}, std::nullopt);
          } else if (!wants_notice(*view->message, *row)) {
            directory_.released(name, {id, number}, row->due);
          } else {
            queue::Delivery after = *row;
            after.last = failed;
            deferrals.push_back({*row, std::move(after), std::nullopt});
          }
        }
        env_.peers[env_.loop.index()]->want_pass();
        if (deferrals.empty()) return;
        settler_.delays().defer(queue::counted(view->message, env_.memory), std::move(deferrals));
      });
}

void Home::claim_ended(std::vector<QueuedRelease>& rows) {
  std::erase_if(rows, [this](const QueuedRelease& row) {
    return stopping_ || !directory_.claim(row.queue, row.release.delivery);
  });
}

std::vector<queue::Job> Home::take_resolving(
    const std::function<bool(const queue::Job&)>& condition) {
  std::vector<queue::Job> taken;
  for (auto& [name, destination] : destinations_) {
    std::vector<queue::Job>& jobs = destination.waiting;
    const auto kept = std::stable_partition(jobs.begin(), jobs.end(),
                                            [&](const queue::Job& job) { return !condition(job); });
    std::move(kept, jobs.end(), std::back_inserter(taken));
    jobs.erase(kept, jobs.end());
  }
  return taken;
}

void Home::try_now(const queue::QueueName& queue) {
  directory_.hold_back(queue, {});
  const auto found = destinations_.find(queue.destination);
  if (found == destinations_.end()) return;
  found->second.failures = 0;
  if (found->second.state != Destination::State::Known) return;
  for (const auto& way : sources_.ways(found->second.site, queue.tenant)) {
    env_.on_loop(owner_loop(way->account->name, env_.loop_count()),
                 [way, tenant = queue.tenant](Dispatcher& dispatcher) {
                   dispatcher.end_pause_of(*way, tenant);
                 });
  }
}

void Home::expires_some(const queue::QueueName& queue) {
  if (expiring_.size() < kExpiringMax) expiring_.insert(queue);
}

void Home::use_pauses(std::shared_ptr<const queue::Pauses> pauses) {
  pauses_ = std::move(pauses);
  directory_.pauses_changed();
}

bool Home::is_paused(const queue::QueueName& queue) const {
  if (pauses_ == nullptr) return true;
  if (pauses_->is_empty()) return false;
  if (pauses_->on_queue(queue) != nullptr) return true;
  if (!pauses_->has_sites()) return false;
  const auto found = destinations_.find(queue.destination);
  if (found == destinations_.end() || found->second.state != Destination::State::Known)
    return false;
  const Site& site = *found->second.site;
  return pauses_->on_site(site.name, site.account->name) != nullptr;
}

void Home::take_back_paused(const queue::Job& job, const std::shared_ptr<const queue::Pauses>& by) {
  take_back(job);
  if (by == pauses_) directory_.pause(job.queue);  // else whoever sent it is about to hear of ours
}

void Home::hold(const queue::Message& message, const queue::QueueName& name,
                std::vector<queue::Delivery> deliveries, const queue::Pause& pause) {
  const queue::Order order{queue::Act::Hold, queue::hold_reason_of(pause), "", pause.by};
  const base::WallTime now = env_.now().wall;
  std::vector<Release> releases;
  std::optional<queue::Change> change;
  for (const queue::Delivery& delivery : deliveries) {
    const queue::Decision decision = queue::decide(order, delivery, now, env_.queue.undo_time);
    MTA_ASSERT(decision.kind == queue::Decision::Kind::Move);
    releases.push_back({{message.id, delivery.number}, std::nullopt});
    queue::Attempt step = queue::step_of(order, now);
    step.is_kept = env_.queue.history.is_kept;
    queue::Change next = queue::moved(message, delivery, decision.after, step);
    if (change) {
      change->join(std::move(next));
    } else {
      change = std::move(next);
    }
  }
  settler_.commit(std::move(*change), name, std::move(releases));
}

}  // namespace rockdove::outbound
