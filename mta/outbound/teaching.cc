#include "mta/outbound/teaching.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "mta/base/counters.h"
#include "mta/outbound/site_traffic.h"
#include "mta/outbound/source_chooser.h"
#include "queue/change.h"
#include "queue/learned.h"

namespace rockdove::outbound {
namespace {

using Kind = DeliveryResult::Kind;

// A message that was pushed back goes again behind about so many others.
constexpr double kTurnsUntilAgain = 32;
// When a message tries another source.
constexpr base::Duration kElsewhereAfter = std::chrono::seconds(30);
// Without a rule's own: a message in ten minutes (traffic/rule.h).
constexpr double kFloor = 1.0 / 600;
// What was learned is written at most so often, but for a cut, and when it has moved so far.
constexpr base::Duration kStoreEach = std::chrono::seconds(30);
constexpr base::Duration kStoreCutEach = std::chrono::seconds(2);
constexpr double kStoreMoved = 0.1;
// Accounts that taught nothing are forgotten when there are so many, and nothing was heard so long.
constexpr std::size_t kAccountsKept = 20'000;
constexpr base::Duration kForgetAfter = std::chrono::minutes(30);
constexpr std::size_t kSetSitesKept = 1000;
// As long as nobody has said which site an account is of.
constexpr traffic::Backoff::Settings kAnySettings{traffic::Backoff::kNoCeiling, kFloor};

constexpr base::Duration kDay = std::chrono::hours(24);

// What may go in a day says nothing about the speed.
traffic::Backoff::Settings settings_of(const queue::AccountSpec& account) {
  double ceiling = traffic::Backoff::kNoCeiling;
  for (const traffic::Rate& rate : account.rates) {
    if (rate.per < kDay) ceiling = std::min(ceiling, rate.per_second());
  }
  return {ceiling, std::min(kFloor, ceiling)};
}

mail::EnhancedCode as_class(mail::EnhancedCode code, std::uint8_t status_class) {
  code.status_class = status_class;
  return code;
}

void count_for_metrics(const traffic::Actions& actions) {
  if (actions.backoff) base::count(base::Counter::RuleBackoff);
  if (actions.pause) base::count(base::Counter::RulePause);
  if (actions.set) base::count(base::Counter::RuleSet);
  if (actions.bounce) base::count(base::Counter::RuleBounce);
  if (actions.defer || actions.retry_in || actions.next_source)
    base::count(base::Counter::RuleDefer);
}

}  // namespace

struct Teaching::Account {
  // How often a rule matched, and how it acts.
  struct Counted {
    std::shared_ptr<const traffic::Rule> rule;
    std::deque<base::Instant> times;  // of those that count towards Rule::after
    TaughtRule taught;
  };

  struct SetFor {
    std::shared_ptr<const traffic::Rule> rule;  // its actions have `set`
    base::Instant until;
  };

  Account(std::string account_name, const traffic::Backoff::Settings& settings)
      : name(std::move(account_name)), backoff(settings) {}

  std::string name;
  traffic::Backoff backoff;
  std::optional<double> told;  // the pace that the scheduler knows
  std::deque<Counted> rules;   // the last to act first
  std::vector<SetFor> sets;
  base::Instant first_end = base::kNever;  // of them; in ends_
  std::unordered_map<const Site*,
                     std::pair<std::shared_ptr<const Site>, std::shared_ptr<const Site>>>
      set_sites;  // of each, kept alive by the first, as `sets` have it
  base::Instant last_heard{};
  base::Instant stored_at{};
  double stored_rate = 0;
  std::uint64_t stored_cuts = 0;
  traffic::Uptake uptake;
  base::Instant uptake_stored_at{};
  base::Duration uptake_stored{0};  // how much time of it
};

// What the replies of one transaction say about the account's rate; the worst counts.
struct Teaching::Answers {
  bool accepted = false;
  bool refused = false;   // or something that is not about our rate
  bool deferred = false;  // by a reply that no rule knows
  std::optional<traffic::BackoffAction> cut;
};

Teaching::Teaching(const Environment& environment, queue::Scheduler& scheduler)
    : env_(environment),
      scheduler_(scheduler),
      pauses_(environment, scheduler),
      warm_ups_(environment) {}

Teaching::~Teaching() = default;

// Of what is over, or cannot be read, nothing was learned.
void Teaching::restore_backoff(std::string_view name, std::string_view value) {
  const base::Result<traffic::BackoffState> state = queue::decode_backoff(value);
  const traffic::Backoff backoff(kAnySettings, state ? *state : traffic::BackoffState(),
                                 env_.now().wall);
  if (!backoff.mark()) return drop_row(queue::kBackoffNotes, name);
  Account& account = account_named(name);
  account.backoff = backoff;
  account.stored_rate = backoff.state().rate;
}

void Teaching::restore_uptake(std::string_view name, std::string_view value) {
  const base::Result<traffic::UptakeState> state = queue::decode_uptake(value);
  const traffic::Uptake uptake(state ? *state : traffic::UptakeState(), env_.now());
  if (!uptake.mean()) return drop_row(queue::kUptakeNotes, name);
  Account& account = account_named(name);
  account.uptake = uptake;
  account.uptake_stored = uptake.state(env_.now()).busy;
}

void Teaching::drop_row(std::string_view kind, std::string_view account) {
  env_.store.commit(env_.loop, queue::noted(kind, account, ""), [](const base::Result<void>&) {});
}

Teaching::Account& Teaching::account_named(std::string_view name) {
  std::unique_ptr<Account>& account = accounts_[std::string(name)];
  if (account == nullptr) account = std::make_unique<Account>(std::string(name), kAnySettings);
  account->last_heard = env_.now().instant;
  return *account;
}

Teaching::Account& Teaching::account_of(const Site& site) {
  Account& account = account_named(site.account->name);
  account.backoff.set(settings_of(*site.account));
  return account;
}

std::shared_ptr<const Site> Teaching::as_set(const std::shared_ptr<const Site>& seen) {
  return warm_ups_.as_planned(with_sets(seen));
}

std::shared_ptr<const Site> Teaching::with_sets(const std::shared_ptr<const Site>& seen) {
  const std::shared_ptr<const Site>& site = seen->as_routed != nullptr ? seen->as_routed : seen;
  const auto found = accounts_.find(site->account->name);
  if (found == accounts_.end() || found->second->sets.empty()) return site;
  Account& account = *found->second;
  if (account.set_sites.size() > kSetSitesKept) account.set_sites.clear();
  auto& [original, changed] = account.set_sites[site.get()];
  if (changed == nullptr) {
    traffic::Knobs knobs;
    for (const Account::SetFor& set : account.sets)
      traffic::lay_over(knobs, set.rule->actions.set->knobs);
    original = site;
    changed = with_knobs(site, knobs);
  }
  return changed;
}

void Teaching::offered(const std::shared_ptr<const Site>& seen) {
  pauses_.offered(seen);
  const Site& site = *seen;
  const auto found = accounts_.find(site.account->name);
  if (found == accounts_.end()) return;
  found->second->backoff.set(settings_of(*site.account));
  if (scheduler_.waiting(found->first) == 1) found->second->uptake.began();
  if (const std::optional<double> pace = found->second->backoff.pace()) {
    found->second->told = pace;
    scheduler_.set_pace(found->first, pace, env_.now());
  }
}

void Teaching::sent(const Site& site) {
  if (site.traffic.profiles == nullptr) return;
  account_of(site).backoff.sent(env_.now().instant);
}

void Teaching::learn(JobReport& report, const std::shared_ptr<const Site>& site) {
  warm_ups_.learn(report, *site);
  if (site->traffic.profiles == nullptr) return;
  const base::Now now = env_.now();
  Account& account = account_of(*site);
  Answers answers;
  bool acted = false;
  for (DeliveryResult& result : report.results) {
    if (result.kind == Kind::Delivered) {
      answers.accepted = true;
    } else if (result.rule != nullptr) {
      if (count(account, result, now)) {
        acted = true;
        act(account, *result.rule, result, report, site, answers);
      } else {
        answers.refused = true;
      }
    } else if (result.is_answer) {
      (result.kind == Kind::Bounce ? answers.refused : answers.deferred) = true;
    }
  }
  // The rule says what follows; the site has answered, and is not a broken one.
  if (acted && report.finish == queue::Scheduler::Finish::SiteFailed)
    report.finish = queue::Scheduler::Finish::Refused;
  tell_backoff(account, answers, report.started + report.setup, now);
  if (answers.cut) {
    const double pace = account.backoff.pace().value_or(settings_of(*site->account).ceiling);
    const auto again = std::chrono::duration<double>(kTurnsUntilAgain / pace);
    for (DeliveryResult& result : report.results) {
      if (result.rule != nullptr && result.rule->actions.backoff && !result.retry_in)
        result.retry_at_most = std::min(result.retry_at_most.value_or(base::Duration::max()),
                                        std::chrono::duration_cast<base::Duration>(again));
    }
  }
  account.uptake.answered(answers.accepted, scheduler_.waiting(account.name) > 0, now.instant);
  store(account, now);
  store_uptake(account, now);
  if (accounts_.size() > kAccountsKept && swept_.is_due(now.instant)) forget_some(now);
}

bool Teaching::count(Account& account, const DeliveryResult& result, base::Now now) {
  const auto is_same = [&result](const Account::Counted& counted) {
    return counted.rule->origin == result.rule->origin;
  };
  auto found = std::find_if(account.rules.begin(), account.rules.end(), is_same);
  if (found == account.rules.end()) {
    if (account.rules.size() == kRulesKept) account.rules.pop_back();
    account.rules.push_front({result.rule, {}, {}});
    found = account.rules.begin();
    found->taught.rule = traffic::format_origin(result.rule->origin);
    found->taught.acts = traffic::describe(result.rule->actions);
  }
  found->rule = result.rule;  // of the profiles in use
  found->taught.reply = result.reply;
  found->taught.last = now.wall;
  ++found->taught.replies;
  const traffic::Threshold& after = result.rule->after;
  if (after.count > 1) {
    found->times.push_back(now.instant);
    while (now.instant - found->times.front() > after.within) found->times.pop_front();
    if (found->times.size() < after.count) return false;
    found->times.clear();
  }
  ++found->taught.acted;
  std::rotate(account.rules.begin(), found, found + 1);
  return true;
}

void Teaching::act(Account& account, const traffic::Rule& rule, DeliveryResult& result,
                   const JobReport& report, const std::shared_ptr<const Site>& site,
                   Answers& answers) {
  const traffic::Actions& actions = rule.actions;
  result.has_rule_acted = true;
  count_for_metrics(actions);
  const bool is_deferred = result.kind == Kind::Defer || result.kind == Kind::DeferUncertain;
  if (actions.bounce && is_deferred) {
    result.kind = Kind::Bounce;
    result.status = as_class(result.status, 5);
  } else if ((actions.defer || actions.retry_in || actions.next_source) &&
             result.kind == Kind::Bounce) {
    result.kind = Kind::Defer;
    result.status = as_class(result.status, 4);
  }
  if (actions.retry_in) result.retry_in = actions.retry_in;
  if (actions.next_source) go_elsewhere(result, *site, report.queue.tenant);
  if (actions.pause) pause(account, rule, result, report, site);
  if (actions.set) set(account, rule, env_.now());
  if (actions.backoff && (!answers.cut || actions.backoff->factor < answers.cut->factor)) {
    answers.cut = actions.backoff;
  } else if (!actions.backoff) {
    answers.refused = true;
  }
}

// Another source has its chance at once, but only one: where that one meets such a rule, too, the
// schedule holds.
void Teaching::go_elsewhere(DeliveryResult& result, const Site& site,
                            std::string_view tenant) const {
  if (site.source == nullptr) return;
  result.wants_other_source = true;
  if (!result.delivery.last.wants_other_source &&
      has_companions(env_.outbound, *site.source, tenant))
    result.retry_at_most = kElsewhereAfter;
}

void Teaching::pause(Account& account, const traffic::Rule& rule, const DeliveryResult& result,
                     const JobReport& report, const std::shared_ptr<const Site>& site) {
  const traffic::Pause& pause = *rule.actions.pause;
  const std::string reason = result.reply + " (rule " + traffic::format_origin(rule.origin) + ")";
  const RulePauses::Begun begun = pauses_.begin(pause, site, report.queue.tenant, reason);
  if (!begun.is_new) return;  // what was under way when it began says the same
  env_.log.line(base::Level::Warning, "a traffic rule pauses mail")
      .field("account", account.name)
      .field("pauses", begun.what)
      .field("for", base::format_duration(pause.time))
      .field("rule", traffic::format_origin(rule.origin))
      .field("reply", result.reply);
}

std::optional<base::Instant> Teaching::tenant_paused_until(const Site& site,
                                                           const std::string& tenant) const {
  return pauses_.tenant_until(site.account->name, tenant);
}

void Teaching::set(Account& account, const traffic::Rule& rule, base::Now now) {
  const auto same =
      std::find_if(account.sets.begin(), account.sets.end(),
                   [&rule](const Account::SetFor& set) { return set.rule->origin == rule.origin; });
  const base::Instant until = now.instant + rule.actions.set->time;
  if (same != account.sets.end()) {
    same->until = until;
    return plan_end(account);
  }
  if (account.sets.size() == kSetsMax) account.sets.erase(account.sets.begin());
  account.sets.push_back({account.rules.front().rule, until});
  sets_changed(account);
  base::LogLine line = env_.log.line(base::Level::Info, "a traffic rule sets something");
  line.field("account", account.name);
  for (const traffic::ShownKnob& knob : traffic::list_knobs(rule.actions.set->knobs))
    line.field("sets", std::string(knob.name) + " = " + knob.value);
  line.field("for", base::format_duration(rule.actions.set->time))
      .field("rule", traffic::format_origin(rule.origin))
      .field("reply", account.rules.front().taught.reply);
}

// A site that was routed by settings that have been replaced says what held before: the next offer
// brings what holds now.
void Teaching::sets_changed(Account& account) {
  account.set_sites.clear();
  plan_end(account);
  for (const queue::SitePointer& known : scheduler_.sites_of(account.name)) {
    const auto site = std::static_pointer_cast<const Site>(known);
    if (site->manner.generation == env_.outbound.generation)
      scheduler_.renew(as_set(site), env_.now());
  }
}

void Teaching::plan_end(Account& account) {
  base::Instant first = base::kNever;
  for (const Account::SetFor& set : account.sets) first = std::min(first, set.until);
  if (first == account.first_end) return;
  ends_.erase({account.first_end, account.name});
  if (first != base::kNever) ends_.emplace(first, account.name);
  account.first_end = first;
}

void Teaching::end_sets() {
  const base::Instant now = env_.now().instant;
  while (!ends_.empty() && ends_.begin()->first <= now) {
    Account& account = *accounts_.at(ends_.begin()->second);
    std::erase_if(account.sets, [now](const Account::SetFor& set) { return set.until <= now; });
    sets_changed(account);
  }
}

base::Instant Teaching::next_end() const {
  return ends_.empty() ? base::kNever : ends_.begin()->first;
}

void Teaching::tell_backoff(Account& account, const Answers& answers, base::Instant sent,
                            base::Now now) {
  traffic::Backoff& backoff = account.backoff;
  bool was_cut = false;
  if (answers.cut) {
    const double floor = answers.cut->floor ? answers.cut->floor->per_second() : 0;
    was_cut = backoff.pushed_back(answers.cut->factor, floor, sent, now);
  } else if (answers.accepted) {
    backoff.accepted(sent, now.instant);
  } else if (answers.deferred) {
    was_cut = backoff.deferred(sent, now);
  } else if (answers.refused) {
    backoff.refused(sent, now.instant);
  }
  const std::optional<double> pace = backoff.pace();
  if (pace != account.told) {
    account.told = pace;
    scheduler_.set_pace(account.name, pace, now);
  }
  if (!was_cut) return;
  base::LogLine line = env_.log.line(base::Level::Info, "sending slower");
  line.field("account", account.name);
  if (pace) line.field("pace", traffic::format_pace(*pace));
  if (!answers.cut) {
    line.field("because", "many more messages are deferred than before");
    return;
  }
  line.field("rule", account.rules.front().taught.rule)
      .field("replies", account.rules.front().taught.replies)
      .field("reply", account.rules.front().taught.reply);
}

void Teaching::store(Account& account, base::Now now) {
  const traffic::BackoffState state = account.backoff.state();
  const base::Duration each =
      account.backoff.cuts() != account.stored_cuts ? kStoreCutEach : kStoreEach;
  if (account.stored_at != base::Instant() && now.instant - account.stored_at < each) return;
  if (std::abs(state.rate - account.stored_rate) <= kStoreMoved * account.stored_rate) return;
  write(account, now);
}

void Teaching::write(Account& account, base::Now now) {
  const traffic::BackoffState state = account.backoff.state();
  account.stored_at = now.instant;
  account.stored_rate = state.rate;
  account.stored_cuts = account.backoff.cuts();
  env_.store.commit(env_.loop,
                    queue::noted(queue::kBackoffNotes, account.name, queue::encode_backoff(state)),
                    [](const base::Result<void>&) {});
}

// An account of which little is known is not written.
void Teaching::store_uptake(Account& account, base::Now now) {
  if (now.instant - account.uptake_stored_at < kStoreEach || !account.uptake.mean()) return;
  const base::Duration busy = account.uptake.state(now).busy;
  if (std::chrono::abs(busy - account.uptake_stored) <= account.uptake_stored / 10) return;
  write_uptake(account, now);
}

void Teaching::write_uptake(Account& account, base::Now now) {
  const traffic::UptakeState state = account.uptake.state(now);
  account.uptake_stored_at = now.instant;
  account.uptake_stored = state.busy;
  env_.store.commit(env_.loop,
                    queue::noted(queue::kUptakeNotes, account.name, queue::encode_uptake(state)),
                    [](const base::Result<void>&) {});
}

void Teaching::store_all() {
  warm_ups_.store_all();
  for (auto& [name, account] : accounts_) {
    if (account->backoff.state().rate != account->stored_rate) write(*account, env_.now());
    if (account->uptake.mean()) write_uptake(*account, env_.now());
  }
}

std::vector<queue::LearnedPace> Teaching::paces() const {
  std::vector<queue::LearnedPace> paces;
  for (const auto& [name, account] : accounts_) {
    queue::LearnedPace one{name, account->backoff.pace(), account->uptake.mean()};
    if (one.planned()) paces.push_back(std::move(one));
  }
  return paces;
}

void Teaching::forget_some(base::Now now) {
  std::erase_if(accounts_, [this, now](const auto& entry) {
    const Account& account = *entry.second;
    const bool is_learned =
        account.backoff.mark() &&
        now.wall - account.backoff.state().pushed_back <= traffic::Backoff::kForgetAfter;
    if (is_learned || !account.sets.empty() || now.instant - account.last_heard <= kForgetAfter)
      return false;
    if (account.stored_rate > 0) drop_row(queue::kBackoffNotes, account.name);
    if (account.uptake_stored > base::Duration(0)) drop_row(queue::kUptakeNotes, account.name);
    return true;
  });
}

std::optional<Learned> Teaching::learned(std::string_view name) const {
  const auto found = accounts_.find(std::string(name));
  if (found == accounts_.end()) return std::nullopt;
  const Account& account = *found->second;
  Learned learned{account.backoff.pace(), account.backoff.mark(), {}, {}, account.uptake.mean()};
  for (const Account::Counted& counted : account.rules) learned.rules.push_back(counted.taught);
  for (const Account::SetFor& set : account.sets) {
    if (set.until <= env_.now().instant) continue;
    for (const traffic::ShownKnob& knob : traffic::list_knobs(set.rule->actions.set->knobs))
      learned.sets.push_back({std::string(knob.name), knob.value, set.until});
  }
  return learned;
}

}  // namespace rockdove::outbound
