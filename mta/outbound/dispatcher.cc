#include "mta/outbound/dispatcher.h"

#include <algorithm>
#include <set>
#include <utility>

#include "mta/outbound/reporting.h"
#include "queue/quarantine.h"

namespace rockdove::outbound {
namespace {

std::shared_ptr<const smtp::ClientOptions> client_options(const OutboundSettings& settings) {
  return std::make_shared<const smtp::ClientOptions>(smtp::ClientOptions{settings.hostname, {}});
}

}  // namespace

Dispatcher::Dispatcher(const Environment& environment)
    : env_(environment),
      files_(env_.loop),
      context_{env_.loop,
               env_.network,
               env_.store,
               env_.log,
               files_,
               client_options(env_.outbound),
               env_.queue.messages_per_connection},
      settler_(env_),
      home_(env_, settler_),
      steering_(env_, home_, settler_),
      deleted_(env_, steering_, queue::Overdue::Deleted),
      quarantined_(env_, steering_, queue::Overdue::Quarantined),
      scheduler_(env_.queue, env_.connections, env_.random),
      teaching_(env_, scheduler_),
      next_loop_(env_.loop.index()),
      timer_(env_.loop.make_timer([this] { pass(); })) {
  context_.senders = &env_.senders;
  scheduler_.use_senders(env_.senders);
  scheduler_.set_weights([this](std::string_view tenant) { return weight_of(tenant); });
}

Dispatcher::~Dispatcher() = default;

void Dispatcher::hand_in(const queue::MessagePointer& message,
                         std::vector<queue::Delivery> deliveries) {
  const auto held = std::stable_partition(
      deliveries.begin(), deliveries.end(),
      [](const queue::Delivery& delivery) { return !queue::is_quarantined(delivery); });
  if (held != deliveries.end()) {
    note_quarantined(*message, std::span(held, deliveries.end()));
    deliveries.erase(held, deliveries.end());
  }
  // Mostly one queue, so the common case moves everything at once.
  while (!deliveries.empty()) {
    const queue::QueueName queue = queue::queue_of(deliveries.front());
    const auto rest = std::stable_partition(
        deliveries.begin(), deliveries.end(),
        [&queue](const queue::Delivery& delivery) { return queue::queue_of(delivery) == queue; });
    std::vector<queue::Delivery> others(std::make_move_iterator(rest),
                                        std::make_move_iterator(deliveries.end()));
    deliveries.erase(rest, deliveries.end());
    env_.on_loop(queue::home_loop(queue.destination, env_.loop_count()),
                 [queue, message, same = std::move(deliveries)](Dispatcher& dispatcher) mutable {
                   dispatcher.home_.fresh(queue, message, std::move(same));
                   dispatcher.want_pass();
                 });
    deliveries = std::move(others);
  }
}

// Nothing is done for it before a person or the graveyard does.
void Dispatcher::note_quarantined(const queue::Message& message,
                                  std::span<const queue::Delivery> held) {
  const queue::Delivery& first = held.front();
  env_.log.line(base::Level::Info, "quarantined")
      .id(message.id)
      .path("from", message.sender)
      .path("to", first.recipient)
      .field("recipients", held.size())
      .field("expires", first.expires)
      .field("reason", first.hold_detail);
  if (!env_.queue.history.is_kept) return;
  queue::Attempt step{message.accepted, {}, "", first.hold_detail};
  step.deed = queue::Deed::Quarantined;
  std::optional<queue::Change> steps;
  for (const queue::Delivery& delivery : held) {
    queue::Change next = queue::recorded(message.id, delivery, step);
    if (steps) {
      steps->join(std::move(next));
    } else {
      steps = std::move(next);
    }
  }
  env_.store.commit(env_.loop, std::move(*steps), [](const base::Result<void>&) {});
}

std::optional<Session::Standing> Dispatcher::session_with(base::DeliveryId delivery) const {
  for (const auto& [key, session] : sessions_) {
    if (std::optional<Session::Standing> standing = session->standing_of(delivery)) return standing;
  }
  return std::nullopt;
}

std::vector<Session::Standing> Dispatcher::longest_at_work(std::size_t count) const {
  std::map<std::string, Session::Standing> longest;  // by destination
  for (const auto& [key, session] : sessions_) {
    std::optional<Session::Standing> standing = session->standing();
    if (!standing) continue;
    const auto [found, is_new] = longest.try_emplace(standing->destination, *standing);
    if (!is_new && standing->since < found->second.since) found->second = *std::move(standing);
  }
  std::vector<Session::Standing> sorted;
  for (auto& [destination, standing] : longest) sorted.push_back(std::move(standing));
  std::sort(sorted.begin(), sorted.end(),
            [](const auto& a, const auto& b) { return a.since < b.since; });
  if (sorted.size() > count) sorted.resize(count);
  return sorted;
}

void Dispatcher::released(const queue::QueueName& queue, const std::vector<Release>& releases) {
  home_.released(queue, releases);
  steering_.released(releases);
  want_pass();
}

void Dispatcher::found_row(const queue::QueueName& queue, base::WallTime due) {
  home_.found_row(queue, due);
  want_pass();
}

void Dispatcher::want_pass() {
  if (std::exchange(pass_wanted_, true)) return;
  env_.loop.at_turn_end([this] { pass(); });
}

void Dispatcher::pass() {
  pass_wanted_ = false;
  finished_.clear();
  const base::Now now = env_.now();
  if (const base::Duration jump = env_.clocks.observe(now); jump != base::Duration::zero()) {
    env_.log
        .line(base::Level::Warning,
              "the wall clock was set; nothing is bounced for age for a while")
        .field("by", base::format_duration(jump));
  }
  const auto recording = stopping_ || env_.store.readiness() == queue::Readiness::Failed
                             ? queue::Scheduler::Recording::No
                             : queue::Scheduler::Recording::Possible;
  teaching_.end_sets();
  while (std::optional<queue::Scheduler::Command> command = scheduler_.next(recording, now)) {
    run(std::move(*command));
  }
  see_used_up();
  keep_senders_back();
  if (!env_.memory.has_room_to_load()) give_back_paused();
  home_.pump();
  set_wake();
}

void Dispatcher::set_wake() {
  const base::Now now = env_.now();
  base::Instant wake =
      stopping_ ? base::kNever : std::min(scheduler_.wake_at(), teaching_.next_end());
  const base::WallTime load = home_.wake_at();
  if (load != base::kNeverWall && !stopping_) {
    // Looked at again at least each minute: the wall clock may be set while we wait.
    const base::Duration wait =
        std::clamp<base::Duration>(load - now.wall, base::Duration(1), std::chrono::minutes(1));
    wake = std::min<base::Instant>(wake, now.instant + wait);
  }
  timer_->set(wake);
}

void Dispatcher::run(queue::Scheduler::Command command) {
  const unsigned self = env_.loop.index();
  if (auto* open = std::get_if<queue::Scheduler::Open>(&command)) {
    const unsigned loop = next_loop_++ % env_.loop_count();
    placed_[open->session.value] = loop;
    if (!open->is_paced) teaching_.sent(static_cast<const Site&>(*open->site));
    env_.on_loop(loop, [self, open = std::move(*open)](Dispatcher& dispatcher) mutable {
      dispatcher.open(self, std::move(open));
    });
  } else if (auto* start = std::get_if<queue::Scheduler::Start>(&command)) {
    teaching_.sent(static_cast<const Site&>(*start->site));
    env_.on_loop(placed_.at(start->session.value),
                 [self, start = std::move(*start)](Dispatcher& dispatcher) mutable {
                   dispatcher.start(self, std::move(start));
                 });
  } else if (auto* give_up = std::get_if<queue::Scheduler::GiveUp>(&command)) {
    env_.on_loop(placed_.at(give_up->session.value),
                 [key = SessionKey{self, give_up->session}](Dispatcher& dispatcher) {
                   dispatcher.give_up(key);
                 });
  } else if (auto* quit = std::get_if<queue::Scheduler::Quit>(&command)) {
    env_.on_loop(
        placed_.at(quit->session.value),
        [key = SessionKey{self, quit->session}](Dispatcher& dispatcher) { dispatcher.quit(key); });
  } else {
    store(std::move(std::get<queue::Scheduler::Keep>(command)));
  }
}

void Dispatcher::open(unsigned owner, queue::Scheduler::Open open) {
  const SessionKey key{owner, open.session};
  auto site = std::static_pointer_cast<const Site>(std::move(open.site));
  if (open.valid_until && env_.now().instant >= *open.valid_until) {
    return env_.on_loop(owner, [key, site = std::move(site),
                                job = std::move(open.job)](Dispatcher& dispatcher) mutable {
      dispatcher.owner_not_opened(key, site, std::move(job));
    });
  }
  auto session = std::make_unique<Session>(key, std::move(site), context_, *this);
  Session& started = *session;
  sessions_[key] = std::move(session);
  started.start(std::move(open.job), env_.now(), open.is_paced ? base::Instant{} : base::kNever);
}

void Dispatcher::start(unsigned owner, queue::Scheduler::Start start) {
  const SessionKey key{owner, start.session};
  auto site = std::static_pointer_cast<const Site>(std::move(start.site));
  const auto found = sessions_.find(key);
  // The owner may have had a reload that this loop has yet to see: the connection is then one of
  // the old settings, which perhaps asked for less TLS.
  if (found != sessions_.end() &&
      found->second->site()->manner.generation < site->manner.generation) {
    quit(key);
  } else if (found != sessions_.end()) {
    return found->second->start(std::move(start.job), env_.now(),
                                start.valid_until.value_or(base::kNever));
  }
  // It closed while the owner's word was on its way; that it is gone the owner hears in its turn.
  env_.on_loop(
      owner, [job = std::move(start.job), site = std::move(site)](Dispatcher& dispatcher) mutable {
        dispatcher.give_back(std::move(job), site);
      });
}

void Dispatcher::give_up(SessionKey key) {
  const auto found = sessions_.find(key);
  if (found == sessions_.end() || found->second->give_up(env_.now())) return;
  env_.on_loop(key.owner, [key](Dispatcher& dispatcher) {
    dispatcher.scheduler_.took_content(key.id, dispatcher.env_.now());
    dispatcher.want_pass();
  });
}

void Dispatcher::quit(SessionKey key) {
  const auto found = sessions_.find(key);
  if (found == sessions_.end()) return;
  found->second->quit(env_.now());
  session_gone(*found->second);
}

void Dispatcher::job_done(Session& session, JobReport report,
                          queue::Scheduler::SessionAfter after) {
  const SessionKey key = session.key();
  const std::shared_ptr<const Site> site = session.site();
  if (after == queue::Scheduler::SessionAfter::Idle && (stopping_ || is_stale(*site))) {
    session.quit(env_.now());  // its next job would be another configuration's, or another run's
    after = queue::Scheduler::SessionAfter::Gone;
  }
  if (after == queue::Scheduler::SessionAfter::Gone) forget(key);
  env_.on_loop(key.owner,
               [key, site, report = std::move(report), after](Dispatcher& dispatcher) mutable {
                 dispatcher.owner_job_done(key, site, std::move(report), after);
               });
}

void Dispatcher::session_gone(Session& session) {
  const SessionKey key = session.key();
  forget(key);
  env_.on_loop(key.owner, [key](Dispatcher& dispatcher) { dispatcher.owner_session_gone(key); });
}

void Dispatcher::came_ready(Session& session, queue::Job job, queue::Scheduler::Grant grant) {
  const SessionKey key = session.key();
  const std::shared_ptr<const Site> site = session.site();
  auto after = queue::Scheduler::SessionAfter::Idle;
  const bool has_connection = site->maildir.empty();
  if (stopping_ || is_stale(*site) || !has_connection) {
    session.quit(env_.now());
    forget(key);
    after = queue::Scheduler::SessionAfter::Gone;
  }
  env_.on_loop(key.owner,
               [key, site, job = std::move(job), after, grant](Dispatcher& dispatcher) mutable {
                 dispatcher.owner_came_ready(key, site, std::move(job), after, grant);
               });
}

void Dispatcher::forget(SessionKey key) {
  const auto found = sessions_.find(key);
  MTA_ASSERT(found != sessions_.end());
  finished_.push_back(std::move(found->second));
  sessions_.erase(found);
  want_pass();
}

void Dispatcher::owner_job_done(SessionKey key, const std::shared_ptr<const Site>& site,
                                JobReport report, queue::Scheduler::SessionAfter after) {
  const base::Now now = env_.now();
  teaching_.learn(report, site);
  const queue::Scheduler::Finish finish = report.finish;
  const std::string reason = report.reason;
  const std::string host = report.host;
  const queue::QueueName queue = report.queue;
  const queue::MessagePointer message = report.message;
  if (stopping_) {
    // What our own stop cut off was no attempt: its row stands as it was.
    std::erase_if(report.results, [](const DeliveryResult& result) {
      return result.kind == DeliveryResult::Kind::Defer ||
             result.kind == DeliveryResult::Kind::TryAgainNow;
    });
  }
  keep_source_back(*site, report);
  std::vector<queue::Delivery> again =
      settler_.settle(std::move(report), site->retry.empty() ? env_.queue.retry : site->retry);
  scheduler_.finished(key.id, finish, after, reason, now);
  if (after == queue::Scheduler::SessionAfter::Gone) placed_.erase(key.id.value);
  keep_tenant_back(*site, queue.tenant);
  if (!again.empty()) give_back({message, std::move(again), queue}, site);
  tell_room(queue, *site);
  if (finish == queue::Scheduler::Finish::SiteFailed) {
    end_expired(queue, *site, {now.wall, host, reason});
    tell_delayed(queue, *site, {now.wall, host, reason});
    env_.on_loop(queue::home_loop(queue.destination, env_.loop_count()),
                 [queue, host, reason](Dispatcher& dispatcher) {
                   dispatcher.home_.site_failed(queue, host, reason);
                 });
  }
  want_pass();
}

// An attempt that failed was the last one of all that waits in memory behind it and whose lifetime
// a person has ended. Home::site_failed() does so for what is on disk.
void Dispatcher::end_expired(const queue::QueueName& queue, const Site& site,
                             const queue::LastAttempt& failed) {
  const auto has_expired = [](const queue::Job& job) {
    return std::any_of(job.deliveries.begin(), job.deliveries.end(),
                       [](const queue::Delivery& one) { return one.is_expired; });
  };
  for (queue::Job& job : scheduler_.take_waiting(site, queue, has_expired)) {
    std::vector<EndedDelivery> ended;
    queue::Job rest{job.message, {}, job.queue};
    for (queue::Delivery& delivery : job.deliveries) {
      if (!delivery.is_expired) {
        rest.deliveries.push_back(std::move(delivery));
        continue;
      }
      queue::Delivery after = delivery;
      after.last = failed;
      after.final_status = "4.4.7";  // RFC 3463 §3.5: delivery time expired
      after.ending = queue::Ending::Failed;
      ended.push_back({std::move(after), std::move(delivery)});
    }
    settler_.reports().ended(job.message, std::move(ended));
    if (!rest.deliveries.empty()) give_home(rest);
  }
}

// What waits in memory behind an attempt that failed has been tried with it: senders hear of it
// now, not at its own turn, which may be days away. Home::site_failed() does so for what is on
// disk.
void Dispatcher::tell_delayed(const queue::QueueName& queue, const Site& site,
                              const queue::LastAttempt& failed) {
  const base::Duration delay_notice = env_.queue.delay_notice;
  if (delay_notice <= base::Duration::zero() || stopping_ || !env_.clocks.may_expire(env_.now())) {
    return;
  }
  const auto wants_notice = [this, &failed](const queue::Message& message,
                                            const queue::Delivery& delivery) {
    return wants_delay_notice(env_.queue, message, delivery, failed.at);
  };
  const auto is_late = [&](const queue::Job& job) {
    if (failed.at - job.message->accepted < delay_notice) return false;
    return std::any_of(job.deliveries.begin(), job.deliveries.end(),
                       [&](const queue::Delivery& one) { return wants_notice(*job.message, one); });
  };
  for (queue::Job& job : scheduler_.take_waiting(site, queue, is_late)) {
    std::vector<DelayNotices::Deferral> deferrals;
    queue::Job rest{job.message, {}, job.queue};
    for (queue::Delivery& delivery : job.deliveries) {
      if (!wants_notice(*job.message, delivery)) {
        rest.deliveries.push_back(std::move(delivery));
        continue;
      }
      queue::Delivery after = delivery;
      after.last = failed;
      deferrals.push_back({std::move(delivery), std::move(after), std::nullopt});
    }
    settler_.delays().defer(job.message, std::move(deferrals));
    if (!rest.deliveries.empty()) give_home(rest);
  }
}

void Dispatcher::owner_session_gone(SessionKey key) {
  scheduler_.closed(key.id, env_.now());
  placed_.erase(key.id.value);
  want_pass();
}

void Dispatcher::owner_came_ready(SessionKey key, const std::shared_ptr<const Site>& site,
                                  queue::Job job, queue::Scheduler::SessionAfter after,
                                  queue::Scheduler::Grant grant) {
  scheduler_.came_ready(key.id, after, grant, env_.now());
  if (after == queue::Scheduler::SessionAfter::Gone) placed_.erase(key.id.value);
  give_back(std::move(job), site);
  want_pass();
}

void Dispatcher::owner_not_opened(SessionKey key, const std::shared_ptr<const Site>& site,
                                  queue::Job job) {
  scheduler_.not_opened(key.id, env_.now());
  placed_.erase(key.id.value);
  give_back(std::move(job), site);
  want_pass();
}

void Dispatcher::steer(std::shared_ptr<const queue::Order> order,
                       std::vector<queue::Selected> targets, Steering::Done done) {
  steering_.act(std::move(order), std::move(targets), std::move(done));
  want_pass();
}

void Dispatcher::surrender(const Wanted& wanted, bool ends_pauses, unsigned asker,
                           std::function<void(Surrendered)> done) {
  std::set<std::pair<queue::SitePointer, std::string>> paused;  // with the tenant
  Surrendered found;
  found.jobs = scheduler_.take_waiting(
      [&](const queue::SitePointer& site, const queue::QueueName& queue) {
        if (!wanted.queues.contains(queue)) return false;
        if (ends_pauses) paused.emplace(site, queue.tenant);
        return true;
      },
      [&wanted](const queue::Job& job) { return wanted.is_in(job); });
  for (const auto& [site, tenant] : paused) end_pause_of(*site, tenant);
  for (const auto& [key, session] : sessions_) {
    const queue::Job* const job = session->job();
    if (job == nullptr || !wanted.queues.contains(job->queue)) continue;
    for (const queue::Delivery& delivery : job->deliveries) {
      const base::DeliveryId id{job->message->id, delivery.number};
      if (wanted.deliveries.contains(id)) found.being_sent.push_back(id);
    }
  }
  env_.on_loop(asker, [done = std::move(done), found = std::move(found)](Dispatcher&) mutable {
    done(std::move(found));
  });
}

void Dispatcher::end_pause_of(const queue::SiteSpec& site, std::string_view tenant) {
  scheduler_.end_pause(site, env_.now());
  teaching_.pauses().end(site, tenant);
  want_pass();
}

bool Dispatcher::give_paused_home(const queue::Job& job, const Site& site) {
  const std::shared_ptr<const queue::Pauses>& pauses = home_.pauses();
  const bool is_paused = pauses == nullptr || pauses->on_queue(job.queue) != nullptr ||
                         pauses->on_site(site.name, site.account->name) != nullptr;
  const bool is_held = !is_paused && pauses->on_mail(*job.message) != nullptr;
  // And goes on hold there; or by another way, if this one alone is paused.
  const bool is_homes = is_held || (is_paused && may_go_elsewhere(*pauses, job.queue, site));
  if (is_homes) give_home(job);
  if (!is_paused || is_homes) return is_homes;
  env_.on_loop(queue::home_loop(job.queue.destination, env_.loop_count()),
               [job, pauses](Dispatcher& dispatcher) {
                 dispatcher.home_.take_back_paused(job, pauses);
                 dispatcher.want_pass();
               });
  return true;
}

void Dispatcher::use_pauses(const std::shared_ptr<const queue::Pauses>& pauses) {
  home_.use_pauses(pauses);
  want_pass();
  if (pauses->is_empty()) return;
  const auto is_source_paused = [&](const queue::SitePointer& site, const queue::QueueName& queue) {
    return pauses->on_site(site->name, site->account->name) != nullptr &&
           may_go_elsewhere(*pauses, queue, static_cast<const Site&>(*site));
  };
  for (const queue::Job& job :
       scheduler_.take_waiting(is_source_paused, [](const queue::Job&) { return true; })) {
    give_home(job);
  }
  const auto is_site_paused = [&](const queue::SitePointer& site, const queue::QueueName& queue) {
    return pauses->on_queue(queue) != nullptr ||
           pauses->on_site(site->name, site->account->name) != nullptr;
  };
  for (const queue::Job& job :
       scheduler_.take_waiting(is_site_paused, [](const queue::Job&) { return true; })) {
    env_.on_loop(queue::home_loop(job.queue.destination, env_.loop_count()),
                 [job, pauses](Dispatcher& dispatcher) {
                   dispatcher.home_.take_back_paused(job, pauses);
                   dispatcher.want_pass();
                 });
  }
  if (!pauses->hold_mail()) return;
  const auto is_held = [&](const queue::Job& job) {
    return pauses->on_mail(*job.message) != nullptr;
  };
  for (const queue::Job& job : scheduler_.take_waiting(
           [](const queue::SitePointer&, const queue::QueueName&) { return true; }, is_held)) {
    give_home(job);
  }
}

void Dispatcher::find_queues() {
  home_.find_queues();
  deleted_.start();
  quarantined_.start();
}

bool Dispatcher::is_stale(const Site& site) const {
  return site.manner.generation < env_.outbound.generation;
}

void Dispatcher::settings_replaced() {
  context_.options = client_options(env_.outbound);
  context_.messages_per_connection = env_.queue.messages_per_connection;
  home_.settings_replaced();
  forget_budgets();
  for (const queue::Job& job : scheduler_.take_all_waiting()) give_home(job);
  scheduler_.sender_limits_changed();
  quit_idle();
  want_pass();
}

void Dispatcher::stop() {
  stopping_ = true;
  home_.stop();
  deleted_.stop();
  quarantined_.stop();
  store_last();
  quit_idle();
  want_pass();
}

void Dispatcher::quit_idle() {
  std::vector<SessionKey> idle;
  for (const auto& [key, session] : sessions_) {
    if (session->is_idle()) idle.push_back(key);
  }
  for (const SessionKey& key : idle) quit(key);
}

}  // namespace rockdove::outbound
