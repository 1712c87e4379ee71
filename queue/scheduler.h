// Which delivery goes next, on which connection: the accounts that one loop owns. An account is
// what shares a sending budget: a provider with many sites, or a single site (a set of MX hosts, a
// smarthost). Windows, pauses, rates and fairness are plain variables here; no other loop touches
// them.
//
// Tell it what is offered, what finished and what closed; then call next() until it is nullopt. No
// timers: wake_at() says when to call next() again. It decides only; connections live in
// outbound::Session, on any loop.
//
// Fairness: accounts take turns; within one account queue/job_queue.h says whose turn it is.
// Window: a site without a success in kProvenFor gets one connection; each success doubles it, up
// to the site's limit; trouble halves it. A site whose only connection fails is paused. The window
// bounds the sessions at work; those beyond it stay idle until they close.
// Rates: where an account, a site or both have rates or a pace, no MAIL goes without a grant of
// their limiters for its job, its recipients and its octets (mta/traffic/limiter.h), which comes
// with Start and is good for a moment only. A session there opens with a job, so that a failure is
// that job's; once it is ready for MAIL it hands the job back (came_ready()) and is given the one
// whose turn it is then.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "mta/base/assert.h"
#include "mta/base/random.h"
#include "mta/base/time.h"
#include "mta/traffic/limiter.h"
#include "mta/traffic/rate.h"
#include "queue/budget.h"
#include "queue/failure.h"
#include "queue/job_queue.h"
#include "queue/sender_limits.h"
#include "queue/settings.h"
#include "queue/types.h"

namespace rockdove::queue {

// Recipients in one transaction; RFC 5321 §4.5.3.1.8 makes every server take 100.
inline constexpr std::size_t kJobDeliveriesMax = 100;

// What an account may do, all its sites together.
struct AccountSpec {
  std::string name;                              // "provider:NAME", or the name of its only site
  std::vector<traffic::Rate> rates;              // messages; as traffic::parse_rates() makes them
  std::vector<traffic::Rate> connection_rates;   // sessions begun, whatever hosts one tries
  std::uint32_t connections_max = 0;             // at once; 0: none but those of its sites
  std::vector<traffic::Rate> recipient_rates{};  // of all transactions that are begun
  std::vector<traffic::Rate> octet_rates{};      // of messages, in units of traffic::kOctetsUnit

  bool operator==(const AccountSpec&) const = default;
};

// What the scheduler needs to know of where a job goes. outbound::Site adds the hosts.
struct SiteSpec {
  virtual ~SiteSpec() = default;
  std::string name;                            // "mx:HOSTS", "route:NAME": one in its account
  std::shared_ptr<const AccountSpec> account;  // never null
  std::uint32_t connections_max = 10;
  // Limits of this site alone, beside those of its account.
  std::vector<traffic::Rate> rates;
  std::vector<traffic::Rate> connection_rates;
  std::vector<traffic::Rate> recipient_rates;
  std::vector<traffic::Rate> octet_rates;
  std::string source_address;  // that its connections leave from; "": the system's choice
  std::uint32_t source_connections_max = 0;  // at once from there to everywhere; 0: no limit
};

// What limits are of: messages (a transaction each), connections begun, and of each transaction its
// recipients, also those that are refused, and its octets.
enum class LimitKind : std::uint8_t { Messages, Connections, Recipients, Octets };
inline constexpr std::array kLimitKinds = {LimitKind::Messages, LimitKind::Connections,
                                           LimitKind::Recipients, LimitKind::Octets};

// Those rates of an AccountSpec or SiteSpec.
template <typename Spec>
[[nodiscard]] const std::vector<traffic::Rate>& rates_of(const Spec& spec, LimitKind kind) {
  switch (kind) {
    case LimitKind::Messages:
      return spec.rates;
    case LimitKind::Connections:
      return spec.connection_rates;
    case LimitKind::Recipients:
      return spec.recipient_rates;
    case LimitKind::Octets:
      return spec.octet_rates;
  }
  MTA_ASSERT(false);
}

// "30/min", "recipients 10000/day", "octets 100M/min": such rates, for people.
[[nodiscard]] std::string describe_rates(LimitKind kind, const std::vector<traffic::Rate>& rates);

// The account of the name of limits, as Scheduler::Keep has it.
[[nodiscard]] std::string_view account_of_limits(std::string_view name);

using SitePointer = std::shared_ptr<const SiteSpec>;

struct SessionId {
  std::uint64_t value = 0;
  auto operator<=>(const SessionId&) const = default;
};

class Scheduler {
 public:
  static constexpr base::Duration kProvenFor = std::chrono::minutes(10);
  // While sites wait for a connection, an unproven one has so long to show that it works; twice as
  // long after each failure in a row, so that a slow one gets its time in the end. Without others
  // waiting, the time-outs of RFC 5321 §4.5.3.2 hold alone.
  static constexpr base::Duration kPatience = std::chrono::seconds(5);
  static constexpr base::Duration kPatienceMax = std::chrono::minutes(5);

  // Open a connection to the site and give it the job. `is_paced`: it may send no MAIL for it, but
  // hands it back when it could. With `valid_until` it may begin before then only (connection
  // rates); after that not_opened() must follow.
  struct Open {
    SessionId session;
    SitePointer site;
    Job job;
    bool is_paced = false;
    std::optional<base::Instant> valid_until{};
  };

  // Give the job to a session that waits for work. With `valid_until` its MAIL goes before then, or
  // not at all: then came_ready() must follow.
  struct Start {
    SessionId session;
    SitePointer site;
    Job job;
    std::optional<base::Instant> valid_until{};
  };

  // Close an idle session, because another site needs the connection. closed() must follow.
  struct Quit {
    SessionId session;
  };

  // This session has kept a connection that others wait for, longer than kPatience, without a
  // success: end its attempt, unless its final dot has left (then only the peer knows what became
  // of it).
  struct GiveUp {
    SessionId session;
  };

  // Make durable what a limiter has granted, and what it may grant before the next time, and say
  // kept(). Rates over an hour and more grant nothing else.
  struct Keep {
    std::uint64_t number = 0;
    LimitKind kind = LimitKind::Messages;
    std::string name;  // of the limits; for restore()
    traffic::LimiterState state;
  };

  using Command = std::variant<Open, Start, Quit, GiveUp, Keep>;

  // How a job came back.
  enum class Finish : std::uint8_t {
    Success,     // the site took at least one recipient
    Refused,     // it answered, and refused for reasons of the message or its recipients
    SiteFailed,  // nothing could be done there
    NotTried,    // the connection was gone before anything was said
  };
  enum class SessionAfter : std::uint8_t { Idle, Gone };

  // What a site does at the moment, for people and for what depends on it.
  struct Standing {
    bool proven = false;
    std::uint32_t window = 1;
    base::Instant paused_until{};  // the site, or its account
    std::string pause_reason;      // set while paused
    std::uint32_t sessions = 0;
    std::size_t jobs = 0;
    std::uint32_t connections_max = 0;  // its site's own limit
    // Of its account.
    std::string account;
    std::uint32_t account_sessions = 0;
    std::uint32_t account_connections_max = 0;  // 0: none
    // What messages are held to: "50/min", "a pace of 3 a second", several joined by "; "; "":
    // none.
    std::string rates;
    base::Instant next_grant{};  // with rates: when the next message may go
    // A budget of an hour or more that has no room for it now: "10000 recipients a day"; "": all
    // have. And when it has.
    std::string used_up{};
    base::Instant used_up_until{};
  };

  // Why a job that waits here has not started.
  enum class Gate : std::uint8_t {
    Open,     // its turn comes in a moment
    Paused,   // its site failed, or a rule has paused it or its account
    Budget,   // there is no connection left of those that the process may have
    Source,   // nor of those that may leave from its source address
    Window,   // all connections that its site may have at the moment are at work
    Backoff,  // a further connection failed just now while others work
    Rate,     // the rate of its site or account lets nothing go before Standing::next_grant
    Account,  // its account may have, or begin, no further connection at the moment
  };

  struct Place {
    std::string site;
    Standing standing;
    Gate gate = Gate::Open;
    std::size_t before = 0;  // deliveries of its queue that go first
    SitePointer spec;        // of `site`
    // Jobs that go first by the order of turns, about: those of higher lanes, and of others in its
    // own lane as many as their turns are. Of its account, and of these those of its site.
    std::uint64_t ahead = 0;
    std::uint64_t ahead_at_site = 0;
  };

  // Where this delivery of this queue waits; nullopt: not here. Goes over all accounts.
  [[nodiscard]] std::optional<Place> find(DeliveryId delivery, const QueueName& queue,
                                          base::Now now) const;

  Scheduler(const QueueSettings& settings, ConnectionBudget& budget, base::Random& random);
  ~Scheduler();

  void offer(Job job, SitePointer site, base::Now now);
  // The job of this session is over; the session waits for another, or is gone.
  // `reason` is what people are told while the site is paused.
  void finished(SessionId session, Finish finish, SessionAfter after, std::string_view reason,
                base::Now now);
  // Takes back a job that was not tried; it goes to the front of its queue.
  void give_back(Job job, SitePointer site, base::Now now);
  // A session that was to give up has sent its final dot: its site took a whole message, so it no
  // longer counts among the unproven, however long it takes to answer; where a quarter of all
  // connections stand so already, it goes on counting, and is asked again later.
  void took_content(SessionId session, base::Now now);
  // Used: MAIL was said for its job, over a connection that broke off then.
  enum class Grant : std::uint8_t { Unused, Used };

  // The session is ready for MAIL, but has no grant that is still good: its job comes back by
  // give_back(), and it is idle or gone.
  void came_ready(SessionId session, SessionAfter after, Grant grant, base::Now now);
  // A session without a job closed.
  void closed(SessionId session, base::Now now);
  // Open came too late: nothing was begun, and the job comes back by give_back().
  void not_opened(SessionId session, base::Now now);

  enum class Durable : std::uint8_t { No, Yes };
  void kept(const Keep& keep, Durable durable);
  // What was kept in an earlier run. Before anything is offered.
  void restore(LimitKind kind, std::string_view name, traffic::LimiterState state);
  // What to make durable when nothing more will start: what was granted, and nothing ahead.
  [[nodiscard]] std::vector<Keep> last_states(base::Now now);

  // A pace for all messages of an account, below its rates (traffic/backoff.h's), in messages a
  // second; nullopt: none. Remembered for a day after the account's last use.
  void set_pace(std::string_view account, std::optional<double> per_second, base::Now now);
  // What a rule says: nothing starts there before `until`, whatever succeeds meanwhile; a later
  // end replaces an earlier one. `reason` is what people are told. A site that is known keeps its
  // limits, whatever `site` says of them.
  void pause_account(std::string_view account, base::Instant until, std::string_view reason,
                     base::Now now);
  void pause_site(const SitePointer& site, base::Instant until, std::string_view reason,
                  base::Now now);

  // A site that is known has these limits from now on; what offer() brings says so, too.
  void renew(const SitePointer& site, base::Now now);

  // From now on tenants have so many jobs in a turn; an empty function gives each 1.
  void set_weights(TenantWeight weight) { weight_ = std::move(weight); }

  // Call until nullopt. With `recording` No nothing starts, because its result could not be kept.
  enum class Recording : std::uint8_t { Possible, No };
  [[nodiscard]] std::optional<Command> next(Recording recording, base::Now now);
  // When next() may have more to say though nothing happened; kNever: only when something happens.
  [[nodiscard]] base::Instant wake_at() const;

  // The sites of this account that are known, as the newest answers have them.
  [[nodiscard]] std::vector<SitePointer> sites_of(std::string_view account) const;
  // Jobs that wait here for any site of this account.
  [[nodiscard]] std::size_t waiting(const std::string& account) const;
  // nullopt: no such site at the moment.
  [[nodiscard]] std::optional<Standing> standing(const SiteSpec& site, base::Now now) const;
  // How many deliveries of one queue of this site are worth holding in memory: 4 × its window and
  // never under 16; many where it is proven, since they leave at once.
  [[nodiscard]] std::uint32_t room(const SiteSpec& site, base::Now now) const;

  // Jobs that wait, wherever they do.
  struct Backlog {
    std::uint64_t of_account = 0;               // those of all its sites
    std::uint64_t of_site = 0;                  // of these, those of the site that is asked about
    std::uint32_t messages_per_connection = 0;  // jobs, before a session ends; 0: any number
    std::uint64_t octets_of_account = 0;        // of those jobs; 0: not known
    std::uint64_t octets_of_site = 0;
  };

  // When the last of a backlog will have been answered, if nothing changes: from pauses, rates and
  // pace as they are, and what jobs there have taken lately.
  struct Outlook {
    enum class Unknown : std::uint8_t {
      Nothing,  // it is known
      Untried,  // nothing has been taken there in this run, or not lately
      Failing,  // the site failed last, and takes nothing at the moment
    };
    Unknown unknown = Unknown::Nothing;
    base::Instant at{};          // where it is known
    base::Instant held_until{};  // by a rule or a failure; in the past: it is not
    // As Standing has it, of the account or the site.
    std::string used_up{};
    base::Instant used_up_until{};
  };

  [[nodiscard]] Outlook outlook(const SiteSpec& site, const Backlog& backlog, base::Now now) const;

  // A budget of an hour or more has no room for the message whose turn it is.
  struct UsedUp {
    SitePointer site;
    std::string budget;   // as Standing::used_up
    base::Instant until;  // then it has
  };

  // Those that were met since the last call, the newest of each account.
  [[nodiscard]] std::vector<UsedUp> take_used_up();

  // Ends the pauses of a site and of its account, because a person said so.
  void end_pause(const SiteSpec& site, base::Now now);
  // Takes out what has not started, because a person acts on it: of the sites and queues that
  // fulfil the first condition, those jobs that fulfil the second.
  [[nodiscard]] std::vector<Job> take_waiting(
      const std::function<bool(const SitePointer& site, const QueueName&)>& where,
      const std::function<bool(const Job&)>& condition);

  // Likewise of one account all jobs of those queues.
  [[nodiscard]] std::vector<Job> take_waiting(
      std::string_view account, const std::function<bool(const QueueName&)>& condition);

  // Likewise of one queue of this site, those jobs that fulfil the condition.
  [[nodiscard]] std::vector<Job> take_waiting(const SiteSpec& site, const QueueName& queue,
                                              const std::function<bool(const Job&)>& condition);

  struct Paused {
    Job job;
    base::Instant until;
  };

  // Takes out what waits for a pause to end, because there is no memory to keep it in.
  [[nodiscard]] std::vector<Paused> take_paused(base::Now now);

  // Mail of senders that are at their limit is kept back from now on (queue/sender_limits.h): that
  // of a tenant for a short while is passed over, all other is for take_over_limit(). `senders`
  // outlives the scheduler.
  void use_senders(SenderLimits& senders) { senders_ = &senders; }

  // Those limits have changed: nobody is passed over any more before he is looked at again.
  void sender_limits_changed();

  struct OverLimit {
    Job job;
    SenderLimits::Of of;  // all jobs of a tenant, or this one, which is a campaign's
    base::Instant until;  // when it is to be offered again
  };

  // Takes out what the limits of senders keep for longer. After next(), whenever that was called.
  [[nodiscard]] std::vector<OverLimit> take_over_limit();

  // Takes out everything that has not started, because the settings have changed.
  [[nodiscard]] std::vector<Job> take_all_waiting();

  [[nodiscard]] std::size_t sessions() const { return sessions_.size(); }

 private:
  // In queue/scheduler_parts.h.
  struct Account;
  struct Limits;
  struct Session;
  struct Site;

  // What a job takes of the limits of each kind.
  using Costs = std::array<std::uint32_t, kLimitKinds.size()>;

  [[nodiscard]] static Costs costs_of(const Job& job);
  [[nodiscard]] static Standing standing_of(const Site& site, const Costs& costs, base::Now now);
  [[nodiscard]] static Gate gate_of(const Site& site, const Costs& costs, base::Now now);
  void count_ahead(Place& place, const Account& account, const QueueName& queue,
                   std::uint64_t jobs_before) const;
  Account& account_named(std::string_view name);
  Site& site_of(const SitePointer& spec, base::Now now);
  void put(Job job, const SitePointer& spec, JobQueue::End end, base::Now now);
  [[nodiscard]] Site* find_site(const SiteSpec& spec) const;
  void make_ready(Site& site);
  void make_ready(Account& account);
  // Takes the site out of whichever list of those that wait it is in.
  void take_from_place(Site& site);
  void wait_until(Site& site, base::Instant until);
  void wait_until(Account& account, base::Instant until);
  void wake_sites(base::Now now);
  void wake_accounts(base::Now now);
  void unblock();
  void unblock(Site& site);
  // The first of those that want one has the account's next connection.
  void let_open(Account& account);
  [[nodiscard]] static bool lets_open(const Account& account, base::Now now);
  [[nodiscard]] static bool is_full(const Account& account);
  void look_again(Account& account);
  std::optional<Command> next_to_keep();
  std::optional<Command> start_of(Account& account, base::Now now);
  std::optional<Command> start_one(Site& site, base::Now now);
  enum class Wants : std::uint8_t { Mail, Connection };

  // The next job's sender is at his limit, and it is out of the way.
  bool keep_sender_back(Account& account, Wants wants, base::Now now);
  void wake_tenants(base::Now now);
  std::optional<Command> start_paced(Site& site, base::Now now);
  Command start_idle(Site& site, std::optional<base::Instant> valid_until, base::Now now);
  std::optional<Command> open_one(Site& site, base::Now now);
  void note_used_up(const Site& site, const Costs& costs, base::Now now);
  std::optional<Command> wait_to_open(Site& site, base::Now now);
  [[nodiscard]] bool is_turn_over(const Site& site) const;
  std::optional<Command> wait_for_source(Site& site, base::Now now);
  void give_back_connection(const Session& session);
  std::optional<Command> block(Site& site, ConnectionBudget::Standing standing, bool must_wait,
                               base::Now now);
  std::optional<Command> quit_unneeded(const Account& account, base::Now now);
  std::optional<Command> quit_an_idle_one(ConnectionBudget::Standing needed);
  Command quit(SessionId id);
  void begin_idle(SessionId id, Session& session);
  void end_idle(SessionId id, Session& session);
  // The session no longer counts among those that are not ready for MAIL yet.
  void end_connecting(Session& session);
  void ended(SessionId id, Session& session, SessionAfter after, base::Now now);
  void succeeded(Site& site, Session& session, base::Now now);
  void prove(Session& session);
  static void learn_setup(const Session& session, base::Now now);
  static void note_job_time(Account& account, std::chrono::nanoseconds time);
  void site_failed(Site& site, std::string_view reason, base::Now now);
  void end_pause(Site& site);
  void begin_trial(SessionId id, Session& session, base::Now now);
  void end_trial(Session& session);
  void set_next_look(base::Now now);

  [[nodiscard]] bool any_blocked() const {
    return !blocked_[0].empty() || !blocked_[1].empty() || !source_full_.empty();
  }

  void look_for_patience_spent(base::Now now);
  void forget_session(SessionId id, base::Now now);
  // Nothing may be left to do for it: the next call of next() looks.
  void look_soon(Site& site);
  // Jobs of it were taken out.
  void look_past(Site& site);
  void take_out(Site& site, const std::function<bool(const QueueName&)>& where,
                const std::function<bool(const Job&)>& condition, std::vector<Job>& taken);
  void forget_if_idle(Site& site, base::Now now);
  void forget_if_idle(Account& account, base::Now now);
  [[nodiscard]] static bool is_proven(const Site& site, base::Now now);
  [[nodiscard]] static std::uint32_t window(const Site& site, base::Now now);
  [[nodiscard]] static bool is_paced(const Site& site);
  // Until when a message may go, if it may; nullopt: not yet.
  [[nodiscard]] std::optional<base::Instant> take_grant(Site& site, const Costs& costs,
                                                        base::Now now);
  // The same for a connection that may be begun; nullopt: nothing limits it.
  [[nodiscard]] std::optional<base::Instant> take_connection_grant(Session& session, base::Now now);
  [[nodiscard]] static std::string name_of_limits(const Site& site);
  // Has the limiter's next slice made durable, if it is time; at least of what waits.
  void keep(Limits& limits, LimitKind kind, std::uint32_t cost, base::Now now);
  // It grants nothing before its next slice is durable, which is on its way.
  [[nodiscard]] bool must_keep_first(Limits& limits, LimitKind kind, std::uint32_t cost,
                                     base::Now now);
  // The site, or its account, waits for that.
  [[nodiscard]] bool waits_for_keep(Site& site, LimitKind kind, std::uint32_t cost, base::Now now);
  static void return_grant(Session& session, base::Now now);
  static void return_connection_grant(Session& session, base::Now now);

  const QueueSettings& settings_;
  ConnectionBudget& budget_;
  base::Random& random_;
  TenantWeight weight_;
  SenderLimits* senders_ = nullptr;  // null: nobody is limited
  // Tenants that are passed over, by the end of that: with the account's name.
  std::multimap<base::Instant, std::pair<std::string, std::string>> closed_tenants_;
  std::vector<OverLimit> over_limit_;
  // By kinds, not used yet.
  std::array<std::unordered_map<std::string, traffic::LimiterState>, kLimitKinds.size()> restored_;
  std::map<std::string, UsedUp> used_up_;  // to be told, by account
  std::optional<base::Instant> began_;     // before then nobody knows what was sent
  std::deque<Keep> to_keep_;
  std::uint64_t keeps_ = 0;
  std::unordered_map<std::string, std::unique_ptr<Account>> accounts_;
  std::unordered_map<std::uint64_t, Session> sessions_;
  std::deque<Account*> ready_;  // has a site with jobs and, as far as known, room for one more
  // Has jobs and a window, but the budget had no connection of that standing; by standing, because
  // those that are unproven must not stand in the way of the others.
  std::array<std::list<Site*>, 2> blocked_;
  // Those that wait for a connection from their source, by that; no list is empty.
  std::map<const SourceConnections*, std::list<Site*>> source_full_;
  ConnectionBudget::Standing unblock_first_ = ConnectionBudget::Standing::Proven;
  std::multimap<base::Instant, Site*> paused_;      // also those that wait for a rate
  std::multimap<base::Instant, Account*> waiting_;  // for a rate, the end of a pause, or oblivion
  std::multimap<base::Instant, Account*> opening_;  // for the next connection that a rate allows
  // All sites' idle sessions by the standing they count with, the longest idle first.
  std::array<std::list<SessionId>, 2> idle_;
  std::list<SessionId> trials_;       // unproven sessions with a job, the longest first
  std::deque<SessionId> to_give_up_;  // to be said by next()
  unsigned unproven_turns_ = 0;       // decides which of the blocked and unproven is next
  std::uint64_t next_session_ = 1;
  std::uint64_t idle_count_ = 0;
  base::Instant look_at_ = base::kNever;  // for connections that other loops gave back, or want
};

}  // namespace rockdove::queue
