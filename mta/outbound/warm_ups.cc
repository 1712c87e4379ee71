#include "mta/outbound/warm_ups.h"

#include <algorithm>
#include <utility>

#include "queue/account_name.h"
#include "queue/change.h"
#include "queue/learned.h"

namespace rockdove::outbound {
namespace {

using Kind = DeliveryResult::Kind;

constexpr base::Duration kDay = std::chrono::hours(24);
// Counts of a day are written at most so often.
constexpr base::Duration kStoreEach = std::chrono::seconds(30);

// Beside the account's own rates; of two for a day the smaller one holds.
void add_daily(std::vector<traffic::Rate>& rates, std::uint32_t count) {
  const auto same = std::find_if(rates.begin(), rates.end(),
                                 [](const traffic::Rate& rate) { return rate.per == kDay; });
  if (same != rates.end()) {
    same->count = std::min(same->count, count);
  } else {
    rates.push_back({count, kDay, 1});
  }
}

// A rule has it that we send too much there, or are not wanted from here.
bool is_push_back(const DeliveryResult& result) {
  if (!result.is_answer || result.kind == Kind::Delivered || result.rule == nullptr) return false;
  const traffic::Actions& actions = result.rule->actions;
  return actions.backoff || actions.pause || actions.next_source;
}

bool is_same(const traffic::WarmUpState& one, const traffic::WarmUpState& other) {
  return one.steps == other.steps && one.day == other.day && one.accepted == other.accepted &&
         one.pushed_back == other.pushed_back;
}

// Nothing of it would be missed.
bool is_empty(const traffic::WarmUpState& state) {
  return state.steps == 0 && state.pushed_back == 0 && state.accepted == 0;
}

}  // namespace

const WarmUpOrder* find_warm_up(const OutboundSettings& settings, const Source& source,
                                std::string_view account) {
  const std::string_view provider = queue::provider_of_account(account);
  const WarmUpOrder* general = nullptr;
  for (const WarmUpOrder& order : settings.warm_ups) {
    const auto is_it = [&source](const std::shared_ptr<const Source>& one) {
      return one->address == source.address;
    };
    if (std::none_of(order.sources.begin(), order.sources.end(), is_it)) continue;
    if (order.provider.empty()) {
      if (general == nullptr) general = &order;
    } else if (order.provider == provider) {
      return &order;
    }
  }
  return general;
}

void WarmUps::restore(std::string_view name, std::string_view value) {
  const base::Result<traffic::WarmUpState> state = queue::decode_warm_up(value);
  if (!state) {
    env_.log
        .line(base::Level::Warning,
              "how far the warm-up of a source has come cannot be read: it begins anew")
        .field("account", name);
    return;
  }
  traffic::WarmUp warm_up({}, *state);  // its plan comes with the first site (account_of())
  if (warm_up.is_cold(env_.now().wall)) return drop_row(name);
  accounts_.insert_or_assign(std::string(name), Account{std::move(warm_up), *state});
}

void WarmUps::drop_row(std::string_view name) {
  env_.store.commit(env_.loop, queue::noted(queue::kWarmUpNotes, name, ""),
                    [](const base::Result<void>&) {});
}

void WarmUps::forget_some() {
  std::erase_if(accounts_, [this, now = env_.now().wall](const auto& entry) {
    const auto& [name, account] = entry;
    if (!is_empty(account.warm_up.last_state()) && !account.warm_up.is_cold(now)) return false;
    if (!is_empty(account.stored)) drop_row(name);
    return true;
  });
}

WarmUps::Account* WarmUps::account_of(const Site& site) {
  if (site.source == nullptr || env_.outbound.warm_ups.empty()) return nullptr;
  const WarmUpOrder* const order = find_warm_up(env_.outbound, *site.source, site.account->name);
  if (order == nullptr) return nullptr;
  if (accounts_.size() > kAccountsKept && swept_.is_due(env_.now().instant)) forget_some();
  const auto [found, is_new] =
      accounts_.try_emplace(site.account->name, Account{traffic::WarmUp({}, {})});
  found->second.warm_up.set(order->plan);
  return &found->second;
}

std::shared_ptr<const Site> WarmUps::as_planned(const std::shared_ptr<const Site>& site) {
  Account* const account = account_of(*site);
  if (account == nullptr) return site;
  const std::optional<std::uint32_t> allowance = account->warm_up.allowance(env_.now().wall);
  if (!allowance) return site;
  if (account->asked == site && account->allowance == *allowance) return account->planned;
  auto planned = std::make_shared<Site>(*site);
  if (planned->as_routed == nullptr) planned->as_routed = site;
  auto spec = std::make_shared<queue::AccountSpec>(*site->account);
  add_daily(spec->rates, *allowance);
  planned->account = std::move(spec);
  account->asked = site;
  account->allowance = *allowance;
  account->planned = std::move(planned);
  return account->planned;
}

void WarmUps::learn(const JobReport& report, const Site& site) {
  Account* const account = account_of(site);
  if (account == nullptr) return;
  const auto is_taken = [](const DeliveryResult& result) { return result.kind == Kind::Delivered; };
  const bool accepted = std::any_of(report.results.begin(), report.results.end(), is_taken);
  const bool pushed_back = std::any_of(report.results.begin(), report.results.end(), is_push_back);
  if (!accepted && !pushed_back) return;
  const base::Now now = env_.now();
  const bool was_stopped = account->warm_up.stopped_until(now.wall).has_value();
  account->warm_up.answered(!accepted, now.wall);
  const bool is_stopped = account->warm_up.stopped_until(now.wall).has_value();
  if (is_stopped && !was_stopped) {
    env_.log.line(base::Level::Warning, "a warm-up stops for today: too much is pushed back")
        .field("account", site.account->name)
        .field("plan", describe(site));
  }
  const bool is_due = account->stored_at == base::Instant() ||
                      now.instant - account->stored_at >= kStoreEach ||
                      account->warm_up.state(now.wall).steps != account->stored.steps;
  if (is_due) store(site.account->name, *account);
}

std::optional<base::Instant> WarmUps::stopped_until(const Site& site) {
  Account* const account = account_of(site);
  if (account == nullptr) return std::nullopt;
  const base::Now now = env_.now();
  const std::optional<base::WallTime> until = account->warm_up.stopped_until(now.wall);
  if (!until) return std::nullopt;
  return now.instant + (*until - now.wall);
}

std::string WarmUps::describe(const Site& site) const {
  if (site.source == nullptr) return {};
  const WarmUpOrder* const order = find_warm_up(env_.outbound, *site.source, site.account->name);
  if (order == nullptr) return {};
  const auto found = accounts_.find(site.account->name);
  traffic::WarmUp warm_up =
      found == accounts_.end() ? traffic::WarmUp(order->plan, {}) : found->second.warm_up;
  warm_up.set(order->plan);
  const base::WallTime now = env_.now().wall;
  const std::optional<std::uint32_t> allowance = warm_up.allowance(now);
  if (!allowance) return "warm-up done: no limit from it any more";
  const traffic::WarmUpState& state = warm_up.state(now);
  std::string text = "warm-up day " + std::to_string(state.steps + 1) + " of " +
                     std::to_string(order->plan.daily.size()) + ": " + std::to_string(*allowance) +
                     " messages; today " + std::to_string(state.accepted) + " accepted, " +
                     std::to_string(state.pushed_back) + " pushed back";
  if (warm_up.stopped_until(now)) return text + ": too many, nothing more goes today";
  if (warm_up.pushed_back_share() > order->plan.hold_above)
    text += ": too many, tomorrow's number stays the same";
  return text;
}

void WarmUps::store(const std::string& name, Account& account) {
  const base::Now now = env_.now();
  account.stored = account.warm_up.last_state();
  account.stored_at = now.instant;
  env_.store.commit(env_.loop,
                    queue::noted(queue::kWarmUpNotes, name, queue::encode_warm_up(account.stored)),
                    [](const base::Result<void>&) {});
}

void WarmUps::store_all() {
  for (auto& [name, account] : accounts_) {
    const traffic::WarmUpState& state = account.warm_up.last_state();
    if (!is_empty(state) && !is_same(state, account.stored)) store(name, account);
  }
}

}  // namespace rockdove::outbound
