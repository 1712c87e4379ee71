#include "mta/daemon/why_report.h"

#include <utility>

#include "mta/outbound/dispatcher.h"
#include "mta/outbound/site_traffic.h"

namespace rockdove::daemon {
namespace {

using admin::Whereabouts;

Whereabouts::Gate gate_of(queue::Scheduler::Gate gate) {
  switch (gate) {
    case queue::Scheduler::Gate::Open:
      return Whereabouts::Gate::Open;
    case queue::Scheduler::Gate::Paused:
      return Whereabouts::Gate::Paused;
    case queue::Scheduler::Gate::Budget:
      return Whereabouts::Gate::Budget;
    case queue::Scheduler::Gate::Source:
      return Whereabouts::Gate::Source;
    case queue::Scheduler::Gate::Window:
      return Whereabouts::Gate::Window;
    case queue::Scheduler::Gate::Backoff:
      return Whereabouts::Gate::Backoff;
    case queue::Scheduler::Gate::Rate:
      return Whereabouts::Gate::Rate;
    case queue::Scheduler::Gate::Account:
      return Whereabouts::Gate::Account;
  }
  MTA_ASSERT(false);
}

base::WallTime wall_of(base::Instant instant, base::Now now) {
  return now.wall + std::chrono::duration_cast<base::Duration>(instant - now.instant);
}

void take_site(Whereabouts& where, const queue::Scheduler::Standing& standing, base::Now now) {
  where.connections = standing.sessions;
  where.window = standing.window;
  where.connections_max = standing.connections_max;
  where.is_proven = standing.proven;
  where.account = standing.account;
  where.account_connections = standing.account_sessions;
  where.account_connections_max = standing.account_connections_max;
  where.rates = standing.rates;
  where.next_grant = wall_of(standing.next_grant, now);
  if (standing.used_up_until > now.instant) {
    where.used_up = standing.used_up;
    where.used_up_until = wall_of(standing.used_up_until, now);
  }
  if (standing.paused_until <= now.instant) return;
  where.site_paused_until = wall_of(standing.paused_until, now);
  where.site_pause_reason = standing.pause_reason;
}

// When the job at this place will have been answered.
queue::Scheduler::Outlook outlook_of(const queue::Scheduler::Place& place,
                                     const outbound::Dispatcher& dispatcher, base::Now now) {
  const auto& site = static_cast<const outbound::Site&>(*place.spec);
  queue::Scheduler::Backlog backlog;
  backlog.of_account = place.ahead + 1;
  backlog.of_site = place.ahead_at_site + 1;
  backlog.messages_per_connection =
      outbound::messages_per_connection(site, dispatcher.environment().queue);
  return dispatcher.scheduler().outlook(site, backlog, now);
}

}  // namespace

void Locator::locate(queue::QueueName queue, base::DeliveryId delivery, std::string user,
                     std::string campaign, admin::QueueExplainer::Done done) {
  const std::uint64_t number = next_++;
  const unsigned home = queue::home_loop(queue.destination, env_.loop_count());
  Look& look = looks_[number];
  look.queue = std::move(queue);
  look.delivery = delivery;
  look.user = std::move(user);
  look.campaign = std::move(campaign);
  look.done = std::move(done);
  look.where.place = Whereabouts::Place::Silent;
  look.where.readiness = env_.store.readiness();
  look.timer = env_.loop.make_timer([this, number] { finish(number, looks_.at(number)); });
  look.timer->set(env_.now().instant + kPatience);
  ask(home, number, [this, number, queue = look.queue, delivery](outbound::Dispatcher& dispatcher) {
    return [this, number, home_says = dispatcher.home().standing(queue, delivery)](Look& asked) {
      home_said(number, asked, home_says);
    };
  });
}

// Posted even to ourselves: nothing is answered within the call that asked.
void Locator::ask(unsigned loop, std::uint64_t number,
                  std::function<std::function<void(Look&)>(outbound::Dispatcher&)> question) {
  env_.loops[loop]->post(
      [this, number, question = std::move(question), dispatcher = env_.peers[loop]] {
        env_.loop.post([this, number, answer = question(*dispatcher)] {
          const auto found = looks_.find(number);
          if (found != looks_.end() && !found->second.is_finished) answer(found->second);
        });
      });
}

void Locator::home_said(std::uint64_t number, Look& look, const outbound::Home::Standing& home) {
  Whereabouts& where = look.where;
  where.is_stopping = home.is_stopping;
  where.is_memory_short = home.is_memory_short;
  where.out = home.queue.out;
  where.room = home.queue.room;
  where.asked_again = home.queue.held_back_until;
  if (home.site != nullptr) {
    where.site = home.site->name;
    where.account = home.site->account->name;
    where.overflow = home.site->overflow;
    where.has_sources = home.has_sources;
    if (const base::Now now = env_.now(); home.used_up_until > now.instant)
      where.used_up_until = wall_of(home.used_up_until, now);
  }
  if (home.pauses != nullptr) {
    where.pauses = home.pauses->about(look.queue.destination, where.site, where.account, look.user,
                                      look.queue.tenant);
  }
  const base::Now now = env_.now();
  if (const auto held = env_.senders.held(look.queue.tenant, look.campaign, now)) {
    where.sender_limit = held->what;
    where.sender_limit_until = wall_of(held->until, now);
  }
  if (home.is_resolving) {
    where.place = Whereabouts::Place::Resolving;
    return finish(number, look);
  }
  where.place = home.is_out ? Whereabouts::Place::OnItsWay : Whereabouts::Place::OnDisk;
  ask_all(number, look, home.site);
}

void Locator::ask_all(std::uint64_t number, const Look& look,
                      const std::shared_ptr<const outbound::Site>& site) {
  const unsigned loops = env_.loop_count();
  looks_.at(number).missing = loops;
  for (unsigned loop = 0; loop < loops; ++loop) {
    ask(loop, number,
        [this, number, queue = look.queue, delivery = look.delivery,
         site](outbound::Dispatcher& dispatcher) {
          Word word;
          word.now = dispatcher.now();
          word.session = dispatcher.session_with(delivery);
          word.place = dispatcher.scheduler().find(delivery, queue, word.now);
          if (word.place) word.outlook = outlook_of(*word.place, dispatcher, word.now);
          if (site != nullptr) {
            word.site = dispatcher.scheduler().standing(*site, word.now);
            const outbound::RulePauses& pauses = dispatcher.teaching().pauses();
            word.tenant_pause = pauses.of_tenant(site->account->name, queue.tenant);
            word.source_pause = pauses.of_sources(site->account->name);
          }
          return [this, number, word = std::move(word)](Look& asked) {
            take(asked, word);
            if (--asked.missing == 0) finish(number, asked);
          };
        });
  }
}

void Locator::take(Look& look, const Word& word) {
  Whereabouts& where = look.where;
  if (word.session) {
    where.place = Whereabouts::Place::BeingSent;
    where.host = word.session->host;
    where.stage = word.session->stage;
    where.since = wall_of(word.session->since, word.now);
    where.past_final_dot = word.session->past_final_dot;
  } else if (word.place && where.place != Whereabouts::Place::BeingSent) {
    where.place = Whereabouts::Place::InMemory;
    where.site = word.place->site;
    where.gate = gate_of(word.place->gate);
    where.before = word.place->before;
    if (word.outlook && word.outlook->unknown == queue::Scheduler::Outlook::Unknown::Nothing)
      where.goes = {wall_of(word.outlook->at, word.now), word.place->ahead};
  }
  if (const auto& pause = word.tenant_pause) {
    const base::WallTime until = wall_of(pause->until, word.now);
    if (until > where.tenant_paused_until) {
      where.tenant_paused_until = until;
      where.tenant_pause_reason = pause->reason;
    }
  }
  if (word.source_pause) where.source_pause_reason = word.source_pause->reason;
  if (word.place) {
    take_site(where, word.place->standing, word.now);
  } else if (word.site) {
    take_site(where, *word.site, word.now);
  }
}

// When all was said, or the patience is over.
void Locator::finish(std::uint64_t number, Look& look) {
  look.is_finished = true;
  look.timer->set(base::kNever);
  if (look.missing > 0 && look.where.place == Whereabouts::Place::OnItsWay) {
    look.where.place = Whereabouts::Place::Silent;
  }
  // Later, because this may be the timer's own call, and the look owns the timer.
  env_.loop.post([this, number] {
    auto finished = looks_.extract(number);
    finished.mapped().done(std::move(finished.mapped().where));
  });
}

}  // namespace rockdove::daemon
