// The outbound side of one loop: the home of its destinations, the scheduler of the accounts that
// it owns, and the sessions that run on it, whoever owns them. Everything between two loops is a
// posted call to the other loop's dispatcher.
//
//   hand_in ─▶ home(destination) ─▶ owner(account) ─▶ session on any loop ─▶ owner ─▶ store ─▶ home
//
// Passes of the scheduler and of the loader happen once a turn, however much arrived in it.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "mta/base/seldom.h"
#include "mta/outbound/environment.h"
#include "mta/outbound/graveyard.h"
#include "mta/outbound/home.h"
#include "mta/outbound/session.h"
#include "mta/outbound/settler.h"
#include "mta/outbound/steering.h"
#include "mta/outbound/teaching.h"
#include "queue/scheduler.h"

namespace rockdove::outbound {

class Dispatcher final : public SessionListener {
 public:
  // The environment and all it refers to outlive the dispatcher.
  explicit Dispatcher(const Environment& environment);
  ~Dispatcher() override;

  // Looks into the store for what waits there. Also after the store was reopened.
  void find_queues();

  // A message was accepted and is durable; what of it is in quarantine stays there. From this loop.
  void hand_in(const queue::MessagePointer& message, std::vector<queue::Delivery> deliveries);

  // The settings that the environment refers to were replaced. What has not started goes back to
  // its home and is routed anew; what is being sent ends under the settings it began with, and its
  // connection is not used again.
  void settings_replaced();

  // Ends in order: nothing new starts, idle connections say QUIT; what is being sent goes on.
  void stop();

  // Nothing of ours is being sent any more.
  [[nodiscard]] bool is_drained() const { return sessions_.empty(); }

  [[nodiscard]] std::size_t sessions() const { return sessions_.size(); }

  // From other loops' dispatchers, on this one's loop.
  void offer(queue::Job job, const std::shared_ptr<const Site>& site);
  void open(unsigned owner, queue::Scheduler::Open open);
  void start(unsigned owner, queue::Scheduler::Start start);
  void give_up(SessionKey key);
  void quit(SessionKey key);
  void owner_job_done(SessionKey key, const std::shared_ptr<const Site>& site, JobReport report,
                      queue::Scheduler::SessionAfter after);
  void owner_session_gone(SessionKey key);
  void owner_came_ready(SessionKey key, const std::shared_ptr<const Site>& site, queue::Job job,
                        queue::Scheduler::SessionAfter after, queue::Scheduler::Grant grant);
  void owner_not_opened(SessionKey key, const std::shared_ptr<const Site>& site, queue::Job job);
  void released(const queue::QueueName& queue, const std::vector<Release>& releases);
  void found_row(const queue::QueueName& queue, base::WallTime due);

  // A person acts on deliveries whose queues have their home here.
  void steer(std::shared_ptr<const queue::Order> order, std::vector<queue::Selected> targets,
             Steering::Done done);

  // What people have paused from now on; what has not started of it goes back to its home. Nothing
  // is sent before this was called for the first time.
  void use_pauses(const std::shared_ptr<const queue::Pauses>& pauses);

  // What a former run knew of an account that this loop owns (Teaching); before use_pauses().
  void restore_learned(std::string_view kind, std::string_view name, std::string_view value);

  // Sources are set aside from now on that are not on this machine; what has not started from them
  // goes back to its home.
  void use_absent(const std::shared_ptr<const AbsentAddresses>& absent);

  [[nodiscard]] Settler& settler() { return settler_; }

  [[nodiscard]] Home& home() { return home_; }

  [[nodiscard]] Steering& steering() { return steering_; }

  // Of the session of this loop that works on it; nullopt: none does.
  [[nodiscard]] std::optional<Session::Standing> session_with(base::DeliveryId delivery) const;
  // Those of its sessions that have been at work on their job for longest, the longest first; at
  // most `count`, and each destination once.
  [[nodiscard]] std::vector<Session::Standing> longest_at_work(std::size_t count) const;

  [[nodiscard]] const queue::Scheduler& scheduler() const { return scheduler_; }

  [[nodiscard]] const Teaching& teaching() const { return teaching_; }

  // Until when an account of a source, or with an overflow, takes nothing, because a budget is used
  // up, a rule has paused it or its warm-up is stopped; nullopt: it takes jobs. Of other accounts
  // their jobs wait in the scheduler.
  [[nodiscard]] std::optional<base::Instant> used_up_until(const Site& site) const;

  // What its sessions have learned: whose TLS is broken, whether there is IPv6.
  [[nodiscard]] const SessionContext& learned() const { return context_; }

  [[nodiscard]] const Environment& environment() const { return env_; }

  [[nodiscard]] base::Now now() const { return env_.now(); }

  // A person wants the mail of this tenant there tried now.
  void end_pause_of(const queue::SiteSpec& site, std::string_view tenant);
  // A person acts on deliveries: what there is of them here goes to `done`, which runs on the loop
  // `asker`. `ends_pauses`: where it waits for a failed site, that is tried again now.
  void surrender(const Wanted& wanted, bool ends_pauses, unsigned asker,
                 std::function<void(Surrendered)> done);

  // Asks for a pass at the end of this turn.
  void want_pass();

  // SessionListener.
  void job_done(Session& session, JobReport report, queue::Scheduler::SessionAfter after) override;
  void session_gone(Session& session) override;
  void came_ready(Session& session, queue::Job job, queue::Scheduler::Grant grant) override;

 private:
  void note_quarantined(const queue::Message& message, std::span<const queue::Delivery> held);
  [[nodiscard]] bool is_stale(const Site& site) const;
  // To the scheduler, or home when its site is stale.
  void give_back(queue::Job job, const std::shared_ptr<const Site>& site);
  void give_home(const queue::Job& job);
  // What pauses this is about the site as seen from its source, or about a route that this mail has
  // been handed on to: it may go by another way.
  [[nodiscard]] static bool may_go_elsewhere(const queue::Pauses& pauses,
                                             const queue::QueueName& queue, const Site& site);
  // The account of the site, which has a source or an overflow, takes nothing before then.
  void give_home_used_up(const queue::Job& job, const Site& site, base::Instant until);
  // A rule has paused what leaves from this source to this account.
  void keep_source_back(const Site& site, const JobReport& report);

  // Why an account takes nothing, and until when; in the past: it does.
  struct UsedUp {
    base::Instant budget_until{};
    base::Instant paused_until{};  // by a rule, or because its warm-up is stopped

    [[nodiscard]] base::Instant until() const { return std::max(budget_until, paused_until); }

    // Of a budget the newest answer counts, of pauses the one that lasts longest.
    UsedUp& add(const UsedUp& found) {
      if (found.budget_until != base::Instant()) budget_until = found.budget_until;
      paused_until = std::max(paused_until, found.paused_until);
      return *this;
    }
  };

  // Takes nothing of this site's account before then; what waits there and has another way to go
  // goes home.
  void use_up(const Site& site, const UsedUp& found);
  // The settings have changed, and with them perhaps the budgets: they are used up when they are
  // met so again.
  void forget_budgets();
  // Budgets that were met used up: people hear of it, and where an overflow is, the mail goes
  // there.
  void see_used_up();
  void tell_used_up(const queue::Scheduler::UsedUp& found, bool is_long);
  // And nothing of its queue is loaded before then.
  void give_home_until(queue::Job job, base::Instant until);
  void keep_tenant_back(const Site& site, const std::string& tenant);
  // Of the configuration.
  [[nodiscard]] std::uint32_t weight_of(std::string_view tenant) const;
  // What the limits of senders keep for longer goes home; what they have granted becomes durable.
  void keep_senders_back();
  void put_off(const queue::Job& job, base::Instant until);
  void quit_idle();
  // What a person has paused goes home; true: it did.
  [[nodiscard]] bool give_paused_home(const queue::Job& job, const Site& site);
  void pass();
  void run(queue::Scheduler::Command command);
  // What a limiter has granted becomes durable.
  void store(queue::Scheduler::Keep keep);
  void store_last();
  void set_wake();
  // What waits for a paused site goes back to disk while memory is short.
  void give_back_paused();
  void tell_room(const queue::QueueName& queue, const Site& site);
  void end_expired(const queue::QueueName& queue, const Site& site,
                   const queue::LastAttempt& failed);
  void tell_delayed(const queue::QueueName& queue, const Site& site,
                    const queue::LastAttempt& failed);
  void forget(SessionKey key);

  const Environment& env_;
  FileThreads files_;
  SessionContext context_;
  Settler settler_;
  Home home_;
  Steering steering_;
  Graveyard deleted_;
  Graveyard quarantined_;
  queue::Scheduler scheduler_;
  Teaching teaching_;
  std::map<SessionKey, std::unique_ptr<Session>> sessions_;
  std::vector<std::unique_ptr<Session>>
      finished_;  // freed at the turn's end, never within their own calls
  std::unordered_map<std::uint64_t, unsigned> placed_;  // by our session ids: the loop it runs on
  std::unordered_map<queue::QueueName, std::uint32_t> told_room_;
  unsigned next_loop_;
  bool pass_wanted_ = false;
  bool stopping_ = false;
  std::unordered_map<std::string, UsedUp> used_up_;  // accounts of sources, or with an overflow
  base::Seldom used_up_swept_;
  std::unordered_map<std::string, base::Instant> told_used_up_;  // when, by account
  std::unique_ptr<base::Timer> timer_;
};

}  // namespace rockdove::outbound
