// Mailings to thousands of sites, on the real scheduler and limiters and a virtual clock, with
// providers that are made up: quick ones, ones with rates over seconds, minutes and hours, alone
// and shared by many sites, ones that break, are dead for hours, say nothing, or push back above a
// limit that nobody is told. The other half of the relay (disk, DNS, SMTP) is played in a few
// lines, so that a million deliveries take seconds.
//
// Its findings are what must hold whatever happens: each delivery is taken exactly once, no window
// holds more than its rate, no tenant and no lane waits longer than its share lets it, a site that
// could send does, and at the end nothing is remembered.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "mta/base/random.h"
#include "mta/traffic/backoff.h"
#include "queue/scheduler.h"

namespace rockdove::sim {

class Crowd {
 public:
  // About 100 deliveries for each of so many sites; `sites` is at least 100.
  Crowd(std::uint64_t seed, std::size_t sites);
  ~Crowd();

  // To the end of the last delivery, and until all is forgotten. Sentences about what is wrong;
  // empty: nothing is.
  [[nodiscard]] std::vector<std::string> run();

  [[nodiscard]] std::uint64_t deliveries() const { return jobs_.size(); }

  // "1000 sites, 100103 deliveries in 5h: …", for people.
  [[nodiscard]] std::string summary() const;

 private:
  enum class Kind : std::uint8_t { Plain, Breaks, Dead, Silent, PushesBack };

  // The times of the last messages of what has a rate, as many as its windows need.
  struct Windows {
    std::vector<traffic::Rate> rates;
    std::deque<base::Instant> sent;
  };

  struct Account {
    std::shared_ptr<const queue::AccountSpec> spec;
    Kind kind = Kind::Plain;
    Windows windows;
    std::optional<traffic::Backoff> backoff;
    std::deque<base::Instant> taken;  // by a provider that pushes back
    std::uint64_t jobs = 0;
    std::uint64_t done = 0;
    base::Instant last{};  // delivery
    std::size_t sites = 0;
  };

  // How long a tenant has waited in a lane, in jobs of its site that others had.
  struct Share {
    std::uint32_t waiting = 0;
    std::uint64_t since = 0;
  };

  struct Site {
    queue::SitePointer spec;
    Account* account = nullptr;
    std::uint32_t first = 0;  // of its jobs
    std::uint32_t jobs = 0;
    std::uint32_t offered = 0;                                    // of them, at least once
    std::uint32_t out = 0;                                        // that the scheduler has
    std::uint64_t turns = 0;                                      // jobs that it took
    std::map<std::pair<std::size_t, queue::Lane>, Share> shares;  // by tenant
  };

  struct Work {
    queue::Job job;
    std::uint32_t site = 0;
    bool is_paced = false;
    std::optional<base::Instant> valid_until;
    base::Instant sent{};
    bool is_asked_to_end = false;
  };

  struct Session {
    bool is_open = false;
    std::uint64_t turn = 0;  // how often it has been idle
    std::optional<Work> work;
  };

  // What happens at a time: to a session, or to a job that comes back.
  struct Event {
    enum class What : std::uint8_t { Begins, Connected, Answered, IdleOver, Closed, Again };
    base::Instant at;
    std::uint64_t order;
    What what;
    std::uint64_t subject;
    std::uint64_t turn;

    bool operator>(const Event& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };

  void make_sites(std::size_t sites);
  void make_account(std::size_t index);
  [[nodiscard]] queue::Job job(std::uint32_t number) const;
  [[nodiscard]] std::uint32_t site_of(std::uint32_t number) const;
  void load(Site& site);
  void offer(std::uint32_t number);
  void later(base::Duration wait, Event::What what, std::uint64_t subject, std::uint64_t turn = 0);
  void run_commands();
  void take_turn(Site& site, const queue::Job& job);
  void happen(const Event& event);
  void begins(queue::SessionId id, Session& session);
  void connected(queue::SessionId id, Session& session);
  void transact(queue::SessionId id, Session& session);
  void answered(queue::SessionId id, Session& session);
  void not_ready(queue::SessionId id, Session& session);
  void give_back(Work work);
  void go_idle(queue::SessionId id, Session& session);
  void failed(queue::SessionId id, const Work& work);
  void finish(queue::SessionId id, Work work, queue::Scheduler::Finish how);
  // What the provider says to this transaction.
  [[nodiscard]] bool is_pushed_back(Account& account);
  void count(Windows& windows);
  void done(std::uint32_t number);
  void check_work_was_conserved();
  void check_all_is_forgotten();
  void wrong(std::string what);

  base::Random random_;
  queue::QueueSettings settings_;
  queue::ConnectionBudget budget_;
  base::Random scheduler_random_;
  queue::Scheduler scheduler_;
  base::Now now_;
  base::Instant start_;
  std::vector<std::unique_ptr<Account>> accounts_;
  std::vector<Site> sites_;
  queue::MessagePointer message_;
  std::vector<bool> jobs_;  // done
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t order_ = 0;
  std::unordered_map<std::uint64_t, Session> sessions_;
  std::uint64_t done_ = 0;
  std::uint64_t deferred_ = 0;
  std::uint64_t pushed_back_ = 0;
  std::uint64_t failed_ = 0;
  std::size_t out_ = 0;
  std::size_t out_most_ = 0;
  std::size_t sessions_most_ = 0;
  base::Instant finished_{};
  std::vector<std::string> wrong_;
};

}  // namespace rockdove::sim
