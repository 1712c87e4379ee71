// A scheduler whose sessions take their time, on loops that hear of commands late, on a virtual
// clock; and what they sent. For tests of rates.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "queue/scheduler.h"
#include "tests/unit/queue/scheduler_world.h"

namespace rockdove::queue::test {

struct World {
  struct Sent {
    base::Instant at;
    std::string site;
    QueueName queue;
    std::size_t recipients = 1;
    std::uint64_t octets = 0;
  };

  std::shared_ptr<AccountSpec> account(std::string name, std::string_view rates = "off") {
    auto spec = std::make_shared<AccountSpec>();
    spec->name = std::move(name);
    spec->rates = *traffic::parse_rates(rates);
    return spec;
  }

  std::shared_ptr<SiteSpec> site(std::string name, std::shared_ptr<const AccountSpec> of) {
    auto spec = std::make_shared<SiteSpec>();
    spec->name = std::move(name);
    spec->account = std::move(of);
    return spec;
  }

  void offer(const SitePointer& where, int count, const std::string& tenant = "",
             int priority = 0) {
    for (int i = 0; i < count; ++i) {
      Job job = bench.job(where->name);
      job.queue.tenant = tenant;
      job.queue.priority = stored_priority(priority);
      scheduler().offer(std::move(job), where, bench.now);
    }
  }

  Scheduler& scheduler() { return bench.scheduler; }

  void later(base::Duration wait, std::function<void()> what) {
    agenda.emplace(bench.now.instant + wait, std::move(what));
  }

  base::Duration lateness() {
    return late_most == base::Duration::zero()
               ? late_most
               : base::Duration(static_cast<std::int64_t>(
                     random.below(static_cast<std::uint64_t>(late_most.count()) + 1)));
  }

  void go_idle(SessionId id) {
    const std::uint64_t turn = ++idle[id];
    later(idle_time, [this, id, turn] {
      const auto found = idle.find(id);
      if (found == idle.end() || found->second != turn || busy.contains(id)) return;
      idle.erase(found);
      scheduler().closed(id, bench.now);
    });
  }

  void back(SessionId id, Job job, const SitePointer& where) {
    busy.erase(id);
    scheduler().came_ready(id, SessionAfter::Idle, Scheduler::Grant::Unused, bench.now);
    scheduler().give_back(std::move(job), where, bench.now);
    go_idle(id);
  }

  void transact(SessionId id, const Job& job, const SitePointer& where) {
    sent.push_back({bench.now.instant, where->name, job.queue, job.deliveries.size(),
                    job.message->body_octets});
    later(transaction, [this, id] {
      busy.erase(id);
      go_idle(id);
      scheduler().finished(id, Finish::Success, SessionAfter::Idle, "", bench.now);
    });
  }

  void open(Scheduler::Open& open) {
    ++opened;
    most_sessions = std::max(most_sessions, scheduler().sessions());
    busy.insert(open.session);
    const auto shared = std::make_shared<Scheduler::Open>(std::move(open));
    later(lateness(), [this, shared] {
      if (shared->valid_until && bench.now.instant >= *shared->valid_until) {
        busy.erase(shared->session);
        scheduler().not_opened(shared->session, bench.now);
        return scheduler().give_back(std::move(shared->job), shared->site, bench.now);
      }
      begun.push_back(bench.now.instant);
      later(connecting, [this, shared] {
        if (shared->is_paced) return back(shared->session, std::move(shared->job), shared->site);
        transact(shared->session, shared->job, shared->site);
      });
    });
  }

  void start(Scheduler::Start& start) {
    busy.insert(start.session);
    REQUIRE(idle.contains(start.session));
    const auto shared = std::make_shared<Scheduler::Start>(std::move(start));
    later(lateness(), [this, shared] {
      if (shared->valid_until && bench.now.instant >= *shared->valid_until) {
        ++late;
        return back(shared->session, std::move(shared->job), shared->site);
      }
      transact(shared->session, shared->job, shared->site);
    });
  }

  void run_commands() {
    while (std::optional<Command> command = scheduler().next(Recording::Possible, bench.now)) {
      if (auto* opens = std::get_if<Scheduler::Open>(&*command)) {
        open(*opens);
      } else if (auto* starts = std::get_if<Scheduler::Start>(&*command)) {
        start(*starts);
      } else if (const auto* quit = std::get_if<Scheduler::Quit>(&*command)) {
        ++quits;
        idle.erase(quit->session);
        later(1ms, [this, id = quit->session] { scheduler().closed(id, bench.now); });
      } else if (auto* keep = std::get_if<Scheduler::Keep>(&*command)) {
        ++keeps;
        if (durable == Scheduler::Durable::Yes) notes[{keep->kind, keep->name}] = keep->state;
        later(5ms, [this, kept = std::move(*keep), answer = durable] {
          scheduler().kept(kept, answer);
        });
      }
    }
  }

  void run_for(base::Duration time) {
    const base::Instant end = bench.now.instant + time;
    std::size_t steps = 0;
    run_commands();
    while (true) {
      base::Instant next = scheduler().wake_at();
      if (!agenda.empty()) next = std::min(next, agenda.begin()->first);
      if (next > end) break;
      if (next > bench.now.instant) {
        bench.now.wall += std::chrono::duration_cast<base::Duration>(next - bench.now.instant);
        bench.now.instant = next;
        steps = 0;
      }
      REQUIRE(++steps < 10'000);  // nobody spins
      while (!agenda.empty() && agenda.begin()->first <= bench.now.instant) {
        const std::function<void()> what = std::move(agenda.begin()->second);
        agenda.erase(agenda.begin());
        what();
      }
      run_commands();
    }
    bench.now.instant = end;
  }

  std::size_t sent_to(const std::string& name) const {
    return static_cast<std::size_t>(std::count_if(
        sent.begin(), sent.end(), [&name](const Sent& one) { return one.site == name; }));
  }

  Bench bench;
  base::Random random{7};
  std::multimap<base::Instant, std::function<void()>> agenda;
  std::map<SessionId, std::uint64_t> idle;  // that have been idle, how often
  std::set<SessionId> busy;
  base::Duration late_most{0};  // of commands on their way to another loop
  base::Duration connecting{40};
  base::Duration transaction{100};
  base::Duration idle_time{5000};
  std::vector<Sent> sent;
  std::vector<base::Instant> begun;  // connections
  int opened = 0;
  int late = 0;
  int quits = 0;
  int keeps = 0;
  Scheduler::Durable durable = Scheduler::Durable::Yes;  // what is to be kept
  std::map<std::pair<LimitKind, std::string>, traffic::LimiterState> notes;
  std::size_t most_sessions = 0;
};

// The most that any half-open window of this time holds.
inline std::size_t fullest_window(const std::vector<base::Instant>& times, base::Duration per) {
  std::size_t most = 0;
  for (std::size_t first = 0, end = 0; first < times.size(); ++first) {
    while (end < times.size() && times[end] < times[first] + per) ++end;
    most = std::max(most, end - first);
  }
  return most;
}

inline std::vector<base::Instant> times_of(const World& world, const std::string& site = "") {
  std::vector<base::Instant> times;
  for (const World::Sent& sent : world.sent) {
    if (site.empty() || sent.site == site) times.push_back(sent.at);
  }
  std::sort(times.begin(), times.end());
  return times;
}

}  // namespace rockdove::queue::test
