// Which delivery goes next, on which connection: the accounts that one loop owns. An account is
// what shares a sending budget: a site (a set of MX hosts), or a smarthost. Windows, pauses and
// fairness are plain variables here; no other loop touches them.
//
// Tell it what is offered, what finished and what closed; then call next() until it is nullopt. No
// timers: wake_at() says when to call next() again. It decides only; connections live in
// outbound::Pool, on any loop.
//
// Fairness: accounts take turns, and within one account its queues (destination, tenant, priority).
// Window: a site without a success in kProvenFor gets one connection; each success doubles it, up
// to the site's limit; trouble halves it. A site whose only connection fails is paused. The window
// bounds the sessions at work; those beyond it stay idle until they close.
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

#include "mta/base/random.h"
#include "mta/base/time.h"
#include "queue/budget.h"
#include "queue/failure.h"
#include "queue/settings.h"
#include "queue/types.h"

namespace rockdove::queue {

// Deliveries of one message that go to one queue together: one transaction, if the next hop agrees.
struct Job {
  MessagePointer message;
  std::vector<Delivery> deliveries;
  QueueName queue;
};

[[nodiscard]] bool has(const Job& job, DeliveryId delivery);

// Recipients in one transaction; RFC 5321 §4.5.3.1.8 makes every server take 100.
inline constexpr std::size_t kJobDeliveriesMax = 100;

// What the scheduler needs to know of where a job goes. outbound::Site adds the hosts.
struct SiteSpec {
  virtual ~SiteSpec() = default;
  std::string account;
  std::uint32_t connections_max = 10;
};

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

  // Open a connection to the site and give it the job.
  struct Open {
    SessionId session;
    SitePointer site;
    Job job;
  };

  // Give the job to a session that waits for work.
  struct Start {
    SessionId session;
    SitePointer site;
    Job job;
  };

  // Close an idle session, because another account needs the connection. closed() must follow.
  struct Quit {
    SessionId session;
  };

  // This session has kept a connection that others wait for, longer than kPatience, without a
  // success: end its attempt, unless its final dot has left (then only the peer knows what became
  // of it).
  struct GiveUp {
    SessionId session;
  };

  using Command = std::variant<Open, Start, Quit, GiveUp>;

  // How a job came back.
  enum class Finish : std::uint8_t {
    Success,     // the site took at least one recipient
    Refused,     // it answered, and refused for reasons of the message or its recipients
    SiteFailed,  // nothing could be done there
    NotTried,    // the connection was gone before anything was said
  };
  enum class SessionAfter : std::uint8_t { Idle, Gone };

  // What an account does at the moment, for people and for what depends on it.
  struct Standing {
    bool proven = false;
    std::uint32_t window = 1;
    base::Instant paused_until{};
    std::string pause_reason;  // set while paused
    std::uint32_t sessions = 0;
    std::size_t jobs = 0;
    std::uint32_t connections_max = 0;  // its site's own limit
  };

  // Why a job that waits here has not started.
  enum class Gate : std::uint8_t {
    Open,     // its turn comes in a moment
    Paused,   // its site failed
    Budget,   // there is no connection left of those that the process may have
    Window,   // all connections that its site may have at the moment are at work
    Backoff,  // a further connection failed just now while others work
  };

  struct Place {
    std::string account;
    Standing standing;
    Gate gate = Gate::Open;
    std::size_t before = 0;  // deliveries of its queue that go first
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
  // A session without a job closed.
  void closed(SessionId session, base::Now now);

  // Call until nullopt. With `recording` No nothing starts, because its result could not be kept.
  enum class Recording : std::uint8_t { Possible, No };
  [[nodiscard]] std::optional<Command> next(Recording recording, base::Now now);
  // When next() may have more to say though nothing happened; kNever: only when something happens.
  [[nodiscard]] base::Instant wake_at() const;

  // nullopt: no such account at the moment.
  [[nodiscard]] std::optional<Standing> standing(std::string_view account, base::Now now) const;
  // How many deliveries of one queue of this account are worth holding in memory: 4 × its window
  // and never under 16; many where it is proven, since they leave at once.
  [[nodiscard]] std::uint32_t room(std::string_view account, base::Now now) const;

  // Ends the pause of an account, because a person said so.
  void end_pause(std::string_view account);
  // Takes out what has not started, because a person acts on it: of the accounts and queues that
  // fulfil the first condition, those jobs that fulfil the second.
  [[nodiscard]] std::vector<Job> take_waiting(
      const std::function<bool(std::string_view account, const QueueName&)>& where,
      const std::function<bool(const Job&)>& condition);

  // Likewise of one queue of this account, those jobs that fulfil the condition.
  [[nodiscard]] std::vector<Job> take_waiting(std::string_view account, const QueueName& queue,
                                              const std::function<bool(const Job&)>& condition);

  struct Paused {
    Job job;
    base::Instant until;
  };

  // Takes out what waits for a pause to end, because there is no memory to keep it in.
  [[nodiscard]] std::vector<Paused> take_paused(base::Now now);

  // Takes out everything that has not started, because the settings have changed.
  [[nodiscard]] std::vector<Job> take_all_waiting();

  [[nodiscard]] std::size_t sessions() const { return sessions_.size(); }

 private:
  struct Account;
  struct Session;

  [[nodiscard]] static Standing standing_of(const Account& account, base::Now now);
  [[nodiscard]] static Gate gate_of(const Account& account, base::Now now);
  Account& account_of(const SitePointer& site);
  void make_ready(Account& account);
  void unblock();
  void unblock(Account& account);
  std::optional<Command> start_one(Account& account, base::Now now);
  std::optional<Command> quit_an_idle_one(ConnectionBudget::Standing needed);
  Job take_job(Account& account);
  static void take_waiting(Account& account, const QueueName& queue,
                           const std::function<bool(const Job&)>& condition,
                           std::vector<Job>& taken);
  void put_job(Account& account, Job job, bool front);
  void succeeded(Account& account, Session& session, base::Now now);
  void prove(Session& session);
  void site_failed(Account& account, std::string_view reason, base::Now now);
  void end_pause(Account& account);
  void begin_trial(SessionId id, Session& session, base::Now now);
  void end_trial(Session& session);
  void set_next_look(base::Now now);
  void look_for_patience_spent(base::Now now);
  void forget_session(SessionId id, base::Now now);
  void forget_if_idle(Account& account, base::Now now);
  [[nodiscard]] static bool is_proven(const Account& account, base::Now now);
  [[nodiscard]] static std::uint32_t window(const Account& account, base::Now now);

  const QueueSettings& settings_;
  ConnectionBudget& budget_;
  base::Random& random_;
  std::unordered_map<std::string, std::unique_ptr<Account>> accounts_;
  std::unordered_map<std::uint64_t, Session> sessions_;
  std::deque<Account*> ready_;  // has jobs and, as far as known, room for one more
  // Has jobs and a window, but the budget had no connection of that standing; by standing, because
  // those that are unproven must not stand in the way of the others.
  std::array<std::list<Account*>, 2> blocked_;
  ConnectionBudget::Standing unblock_first_ = ConnectionBudget::Standing::Proven;
  std::multimap<base::Instant, Account*> paused_;
  // All accounts' idle sessions by the standing they count with, the longest idle first.
  std::array<std::list<SessionId>, 2> idle_;
  std::list<SessionId> trials_;       // unproven sessions with a job, the longest first
  std::deque<SessionId> to_give_up_;  // to be said by next()
  unsigned unproven_turns_ = 0;       // decides which of the blocked and unproven is next
  std::uint64_t next_session_ = 1;
  std::uint64_t idle_count_ = 0;
  base::Instant look_at_ = base::kNever;  // for connections that other loops gave back, or want
};

}  // namespace rockdove::queue
