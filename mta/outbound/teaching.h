// What replies teach about the accounts of one loop. Sessions say which rule of the traffic
// profiles a reply matches (Session::make_report); here the rule has its effect: the account's rate
// is cut, it or a site of it pauses, a knob is set for a time, and the mail itself waits or goes
// back as the rule says. All other answers teach, too: what is accepted lets the rate rise again.
//
// Only sites that profiles know are learned about. What back-off has learned, and what accounts
// have taken while mail waited, is kept in the store (family `sites`, kinds queue::kBackoffNotes
// and kUptakeNotes), so that a restart does not begin at full speed; so are pauses
// (outbound/rule_pauses.h).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mta/base/seldom.h"
#include "mta/outbound/environment.h"
#include "mta/outbound/rule_pauses.h"
#include "mta/outbound/session.h"
#include "mta/outbound/site.h"
#include "mta/outbound/warm_ups.h"
#include "mta/traffic/backoff.h"
#include "mta/traffic/uptake.h"
#include "queue/learned.h"
#include "queue/scheduler.h"

namespace rockdove::outbound {

// What one rule did to an account in this run, for people.
struct TaughtRule {
  std::string rule;               // "/usr/share/rockdove/traffic/20-yahoo.toml:27"
  std::vector<std::string> acts;  // as traffic::describe()
  std::string reply;              // the last that it matched, in one line
  std::uint64_t replies = 0;      // that it matched
  std::uint64_t acted = 0;        // of these; fewer where it acts only after several
  base::WallTime last;
};

// How an account stands, for people.
struct Learned {
  std::optional<double> pace;  // messages a second, below the profile's own rate; none: full speed
  std::optional<double> mark;  // where the provider's limit is believed to be
  std::vector<TaughtRule> rules;  // the last to act first

  struct Set {
    std::string knob;
    std::string value;
    base::Instant until;
  };

  std::vector<Set> sets;
  std::optional<double> mean;  // messages a second, taken while mail waited; none: too few
};

class Teaching {
 public:
  static constexpr std::size_t kRulesKept = 16;  // of an account
  static constexpr std::size_t kSetsMax = 16;    // of an account at once

  // Both outlive it.
  Teaching(const Environment& environment, queue::Scheduler& scheduler);
  ~Teaching();

  // What a former run knew of an account of this loop: the values of its two notes.
  void restore_backoff(std::string_view account, std::string_view value);
  void restore_uptake(std::string_view account, std::string_view value);

  // The site as it is at the moment, with the knobs that rules have set for a time, and what the
  // warm-up of its source allows today; mostly the site itself. Tells the scheduler the account's
  // pace, which it forgets when nothing happens there.
  [[nodiscard]] std::shared_ptr<const Site> as_set(const std::shared_ptr<const Site>& seen);
  // What rules have set for a time that is over now ends, and the scheduler hears of it.
  void end_sets();
  // When the next of them does; kNever: none is set.
  [[nodiscard]] base::Instant next_end() const;
  // A job was offered, so that the scheduler knows the account.
  void offered(const std::shared_ptr<const Site>& site);

  // Whether a rule has paused the mail of this tenant to the site's account, and until when.
  [[nodiscard]] std::optional<base::Instant> tenant_paused_until(const Site& site,
                                                                 const std::string& tenant) const;

  [[nodiscard]] RulePauses& pauses() { return pauses_; }

  [[nodiscard]] const RulePauses& pauses() const { return pauses_; }

  [[nodiscard]] WarmUps& warm_ups() { return warm_ups_; }

  [[nodiscard]] const WarmUps& warm_ups() const { return warm_ups_; }

  // A message is sent there now.
  void sent(const Site& site);
  // Before the report is settled.
  void learn(JobReport& report, const std::shared_ptr<const Site>& site);

  // Writes what was learned and not written yet, because the process ends.
  void store_all();

  // nullopt: nothing is known of this account.
  [[nodiscard]] std::optional<Learned> learned(std::string_view account) const;
  // What there is to plan with.
  [[nodiscard]] std::vector<queue::LearnedPace> paces() const;

 private:
  struct Account;
  struct Answers;

  Account& account_of(const Site& site);
  [[nodiscard]] std::shared_ptr<const Site> with_sets(const std::shared_ptr<const Site>& seen);
  Account& account_named(std::string_view name);
  // Whether the rule acts, or waits for more such replies.
  bool count(Account& account, const DeliveryResult& result, base::Now now);
  void act(Account& account, const traffic::Rule& rule, DeliveryResult& result,
           const JobReport& report, const std::shared_ptr<const Site>& site, Answers& answers);
  void go_elsewhere(DeliveryResult& result, const Site& site, std::string_view tenant) const;
  // The mail of a tenant or from a source is for Dispatcher to keep back.
  void pause(Account& account, const traffic::Rule& rule, const DeliveryResult& result,
             const JobReport& report, const std::shared_ptr<const Site>& site);
  void set(Account& account, const traffic::Rule& rule, base::Now now);
  // What is set there has changed.
  void sets_changed(Account& account);
  void plan_end(Account& account);
  void tell_backoff(Account& account, const Answers& answers, base::Instant sent, base::Now now);
  // When it has moved far enough, and not too often.
  void store(Account& account, base::Now now);
  void write(Account& account, base::Now now);
  void store_uptake(Account& account, base::Now now);
  void write_uptake(Account& account, base::Now now);
  void forget_some(base::Now now);
  void drop_row(std::string_view kind, std::string_view account);

  const Environment& env_;
  queue::Scheduler& scheduler_;
  RulePauses pauses_;
  WarmUps warm_ups_;
  std::unordered_map<std::string, std::unique_ptr<Account>> accounts_;
  base::Seldom swept_;
  std::set<std::pair<base::Instant, std::string>> ends_;  // the first of each account's sets
};

}  // namespace rockdove::outbound
