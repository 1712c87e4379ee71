// What a scheduler knows of accounts, sites and sessions; for the files of queue/scheduler.h only.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mta/traffic/limiter.h"
#include "queue/scheduler.h"

namespace rockdove::queue {

[[nodiscard]] constexpr std::size_t index_of(ConnectionBudget::Standing standing) {
  return static_cast<std::size_t>(standing);
}

[[nodiscard]] constexpr std::size_t index_of(LimitKind kind) {
  return static_cast<std::size_t>(kind);
}

// Those that a message needs a grant of.
inline constexpr std::array kMessageKinds = {LimitKind::Messages, LimitKind::Recipients,
                                             LimitKind::Octets};

// Another loop's sessions may have given connections back: looked at this often while blocked.
inline constexpr base::Duration kUnblockEvery = std::chrono::milliseconds(50);

// The limiters of an account, or of a site alone; null where nothing is limited.
struct Scheduler::Limits {
  struct Limit {
    std::vector<traffic::Rate> rates;
    std::unique_ptr<traffic::Limiter> limiter;  // null: nothing is limited
    std::uint64_t keeping = 0;                  // the newest Keep
  };

  using Restored =
      std::array<std::unordered_map<std::string, traffic::LimiterState>, kLimitKinds.size()>;

  std::string name;  // of what is kept: the account's, and the site's behind it if they are its own
  std::array<Limit, kLimitKinds.size()> by_kind;
  std::optional<double> pace;  // messages a second
  bool has_been_used = false;
  base::Instant last_use{};

  [[nodiscard]] Limit& of(LimitKind kind) { return by_kind[index_of(kind)]; }

  [[nodiscard]] const Limit& of(LimitKind kind) const { return by_kind[index_of(kind)]; }

  // The rates of the kind. What is used of `restored` is taken out; what was sent before `began` is
  // not known.
  void use(LimitKind kind, const std::vector<traffic::Rate>& rates, Restored& restored,
           base::Instant began, base::Now now);
  void use_pace(std::optional<double> per_second, base::Now now);
  // Whether messages are limited at all, and whether by more than their number.
  [[nodiscard]] bool has_rates() const;
  [[nodiscard]] bool has_costs() const;
  // When the next one is granted, as far as these limits go; `now` if at once.
  [[nodiscard]] base::Instant next_message(const Costs& costs, base::Now now) const;
  [[nodiscard]] base::Instant next_connection(base::Now now) const;
  // How many messages they allow a second at most; nullopt: nothing is limited.
  [[nodiscard]] std::optional<double> per_second() const;
  // For people, as in Standing::rates; "" for none.
  [[nodiscard]] std::string describe() const;
  // Tells of the budget that has no room for such a message for longest, if that is longer than
  // what is told already.
  void tell_used_up(Standing& standing, const Costs& costs, base::Now now) const;
  // When the n-th from now on is granted, as far as these limits go; n is not 0. `octets`: of all
  // of them; 0: not known.
  [[nodiscard]] base::Instant nth_message(std::uint64_t n, std::uint64_t octets,
                                          base::Now now) const;
  [[nodiscard]] base::Instant nth_connection(std::uint64_t n, base::Now now) const;
  // Until when what was granted matters, and is remembered.
  [[nodiscard]] base::Instant matter_until() const;
};

struct Scheduler::Site : JobQueue::Line {
  enum class Place : std::uint8_t {
    Nowhere,     // open in its account's JobQueue, or closed until a session ends or is idle; all
                 // others are closed
    Blocked,     // in blocked_
    SourceFull,  // in source_full_
    Opening,     // in its account's wants_open
    Paused,      // in paused_, until the pause ends or the rate allows more
    Remembered,  // in paused_, until what was learned is forgotten
  };

  Account* account = nullptr;
  SitePointer spec;
  Place place = Place::Nowhere;
  std::uint32_t sessions = 0;
  std::vector<SessionId> idle;
  std::uint32_t window = 1;
  std::optional<base::Instant> last_success;
  std::uint32_t failures = 0;  // in a row
  base::Instant paused_until{};
  std::string pause_reason;
  base::Instant held_until{};  // by a rule
  std::string hold_reason;
  base::Instant no_open_until{};
  std::multimap<base::Instant, Site*>::iterator pause;
  bool has_waited = false;  // for a connection, since it had one
  ConnectionBudget::Standing blocked_as = ConnectionBudget::Standing::Unproven;
  std::list<Site*>::iterator listed;        // in blocked_, source_full_ or wants_open
  std::shared_ptr<SourceConnections> from;  // where SiteSpec limits those from its source
  Limits limits;
};

struct Scheduler::Account {
  enum class Place : std::uint8_t {
    Nowhere,
    Ready,       // in ready_
    Waiting,     // in waiting_, until a rate allows more, or a pause ends
    Remembered,  // in waiting_, until its limits are forgotten
  };

  Account(std::string_view name_of_it, const TenantWeight& weight)
      : name(name_of_it), jobs(weight) {}

  std::string name;
  std::shared_ptr<const AccountSpec> spec;  // null: only a rule has spoken of it
  JobQueue jobs;                            // outlives the sites
  std::map<std::string, Site, std::less<>> sites;
  Place place = Place::Nowhere;
  std::multimap<base::Instant, Account*>::iterator wait;
  std::uint32_t sessions = 0;
  std::uint32_t connecting = 0;         // paced ones that are not ready for MAIL yet
  std::optional<base::Duration> setup;  // how long that takes of late
  std::uint32_t quitting = 0;
  std::list<SessionId> idle;    // of all its sites, the longest idle first
  std::list<Site*> wants_open;  // want a further connection, which its limits do not let them have
  Site* let = nullptr;          // out of wants_open: the next connection is this one's
  std::optional<std::multimap<base::Instant, Account*>::iterator> opening;
  base::Instant held_until{};  // by a rule
  std::string hold_reason;
  Limits limits;
  std::optional<base::Duration> job_time;  // what jobs that are taken take, smoothed
};

struct Scheduler::Session {
  Site* site = nullptr;
  ConnectionBudget::Standing standing = ConnectionBudget::Standing::Unproven;
  std::optional<std::list<SessionId>::iterator> idle;  // set: waits for work
  std::list<SessionId>::iterator idle_in_account;      // likewise
  std::uint64_t idle_since = 0;                        // counts, for their order
  std::shared_ptr<SourceConnections> from;             // counted there
  bool quitting = false;
  bool connecting = false;  // counted so in its account
  base::Instant opened{};
  unsigned jobs_in_turn = 0;             // while other sites of its account wanted a connection
  base::Instant began{};                 // the job that it works on, or worked on last
  std::optional<base::Instant> granted;  // when, for the job that it works on
  Costs costs{};                         // of that grant
  std::optional<base::Instant> connection_granted;
  std::optional<std::list<SessionId>::iterator> trial;  // set: works, and is unproven
  base::Instant trial_since{};
};

}  // namespace rockdove::queue
