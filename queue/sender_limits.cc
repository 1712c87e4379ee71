#include "queue/sender_limits.h"

#include <algorithm>

#include "mta/base/text.h"

namespace rockdove::queue {
namespace {

using traffic::Limiter;

// A slice that is not durable yet is on its way to the disk.
constexpr base::Duration kStoreWait = std::chrono::milliseconds(20);
constexpr base::Duration kStoppedWait = std::chrono::seconds(1);
constexpr base::Duration kComeBackMax = std::chrono::minutes(10);
constexpr int kComeBackSpread = 1'000;
// So much of what may go comes back in its time: a little less, so that what is a moment late does
// not find the next one's grant gone.
constexpr double kComeBackShare = 0.98;
constexpr base::Duration kForgetEvery = std::chrono::minutes(1);
// Connections that are begun for one grant: some sites do not answer.
constexpr int kConnectionsPerGrant = 2;
constexpr int kConnectionsAtOnce = 50;
constexpr base::Duration kAskAgainMax = std::chrono::seconds(30);

base::Duration longest_window(const std::vector<traffic::Rate>& rates) {
  base::Duration longest(0);
  for (const traffic::Rate& rate : rates) longest = std::max(longest, rate.per);
  return longest;
}

// From one grant to the next, by the rates that are spaced; 0: none is.
std::chrono::nanoseconds spacing_of(const std::vector<traffic::Rate>& rates) {
  std::chrono::nanoseconds longest(0);
  for (const traffic::Rate& rate : rates) {
    if (!rate.is_counted())
      longest = std::max(longest, std::chrono::nanoseconds(rate.per) / rate.count);
  }
  return longest;
}

}  // namespace

const SenderSettings* settings_of(const std::vector<SenderSettings>& settings,
                                  std::string_view name) {
  if (name.empty()) return nullptr;
  const auto found = std::find_if(
      settings.begin(), settings.end(),
      [name](const SenderSettings& each) { return base::matches_pattern(each.name, name); });
  return found == settings.end() ? nullptr : &*found;
}

// Tenants have no blanks. In any case they are one, as for the patterns of the settings.
std::string SenderLimits::name_of(Of of, const std::string& tenant, const std::string& campaign) {
  return of == Of::Tenant ? "tenant " + tenant
                          : "campaign " + tenant + " " + base::lower_case(campaign);
}

// No limiter is ever told an earlier time than before.
base::Now SenderLimits::latest(base::Now& latest, base::Now now) {
  if (now.instant > latest.instant) latest = now;
  return latest;
}

void SenderLimits::use(const QueueSettings& settings, base::Now now) {
  const std::scoped_lock lock(mutex_);
  now = latest(latest_, now);
  tenants_ = settings.tenants;
  campaigns_ = settings.campaigns;
  const auto has_rates = [](const SenderSettings& each) { return !each.rates.empty(); };
  is_limited_ = std::any_of(tenants_.begin(), tenants_.end(), has_rates) ||
                std::any_of(campaigns_.begin(), campaigns_.end(), has_rates);
  for (auto sender = senders_.begin(); sender != senders_.end();) {
    Sender& known = sender->second;
    const SenderSettings* rule = known.of == Of::Tenant ? settings_of(tenants_, known.tenant)
                                                        : settings_of(campaigns_, known.campaign);
    if (rule == nullptr || rule->rates.empty()) {
      store({0, sender->first, std::nullopt});
      sender = senders_.erase(sender);
      continue;
    }
    if (rule->rates != known.rates) {
      known.rates = rule->rates;
      known.limiter->set_rates(known.rates, now);
      known.come_back = {};
    }
    ++sender;
  }
}

SenderLimits::Sender* SenderLimits::find(Of of, const std::string& tenant,
                                         const std::string& campaign, base::Now now) {
  const bool is_tenant = of == Of::Tenant;
  const SenderSettings* rule =
      settings_of(is_tenant ? tenants_ : campaigns_, is_tenant ? tenant : campaign);
  if (rule == nullptr || rule->rates.empty()) return nullptr;
  std::string name = name_of(of, tenant, campaign);
  auto found = senders_.find(name);
  const std::string shared_name = shared_name_of(of, *rule);
  if (found == senders_.end()) {
    if (senders_.size() >= kNamesMax) forget_some(now);
    if (senders_.size() >= kNamesMax) found = senders_.find(name = shared_name);
  }
  if (found != senders_.end()) {
    found->second.last_use = now.instant;
    return &found->second;
  }
  Sender& sender = senders_[name];
  sender.of = of;
  const bool is_shared = name == shared_name;
  sender.tenant = is_tenant ? (is_shared ? rule->name : tenant) : (is_shared ? "" : tenant);
  sender.campaign = is_tenant ? "" : (is_shared ? rule->name : campaign);
  sender.rates = rule->rates;
  sender.last_use = now.instant;
  const auto before = restored_.find(name);
  const auto shared = senders_.find(shared_name);
  if (before != restored_.end()) {
    sender.limiter = std::make_unique<Limiter>(rule->rates, before->second, now);
    restored_.erase(before);
  } else if (shared != senders_.end() && !is_shared) {
    sender.limiter =
        std::make_unique<Limiter>(rule->rates, shared->second.limiter->last_state(now), now);
  } else {
    sender.limiter = std::make_unique<Limiter>(rule->rates, now);
  }
  return &sender;
}

std::string SenderLimits::shared_name_of(Of of, const SenderSettings& rule) {
  return of == Of::Tenant ? name_of(of, rule.name, "") : name_of(of, "", rule.name);
}

std::pair<SenderLimits::Sender*, SenderLimits::Sender*> SenderLimits::find(
    const std::string& tenant, const std::string& campaign, base::Now now) {
  Sender* const of_tenant = find(Of::Tenant, tenant, "", now);
  return {of_tenant, find(Of::Campaign, tenant, campaign, now)};
}

void SenderLimits::forget_some(base::Now now) {
  if (now.instant < forget_at_) return;
  forget_at_ = now.instant + kForgetEvery;
  for (auto sender = senders_.begin(); sender != senders_.end();) {
    const bool is_over =
        sender->second.last_use + longest_window(sender->second.rates) < now.instant;
    if (is_over) store({0, sender->first, std::nullopt});
    sender = is_over ? senders_.erase(sender) : std::next(sender);
  }
}

void SenderLimits::keep(const std::string& name, Sender& sender, base::Now now) {
  std::optional<traffic::LimiterState> state = sender.limiter->state_to_store(now);
  if (!state) return;
  sender.keeping = ++keeps_;
  store({keeps_, name, std::move(state)});
}

void SenderLimits::store(Keep keep) {
  to_store_.push_back(std::move(keep));
  has_to_store_ = true;
}

base::Instant SenderLimits::next_at(const std::string& name, Sender& sender, base::Now now) {
  const base::Instant at = sender.limiter->next_at(now);
  if (at > now.instant || !sender.limiter->needs_store(now)) return at;
  keep(name, sender, now);
  return now.instant + kStoreWait;
}

std::optional<SenderLimits::Wait> SenderLimits::wait(const std::string& tenant,
                                                     const std::string& campaign, base::Now now) {
  if (!is_limited()) return std::nullopt;
  const std::scoped_lock lock(mutex_);
  if (is_stopped_) return Wait{Of::Tenant, now.instant + kStoppedWait};
  now = latest(latest_, now);
  const auto [of_tenant, of_campaign] = find(tenant, campaign, now);
  for (Sender* sender : {of_tenant, of_campaign}) {
    if (sender == nullptr) continue;
    const std::string name = name_of(sender->of, sender->tenant, sender->campaign);
    const base::Instant at = next_at(name, *sender, now);
    if (at > now.instant) return Wait{sender->of, at};
  }
  return std::nullopt;
}

std::optional<SenderLimits::Wait> SenderLimits::wait_to_connect(const std::string& tenant,
                                                                const std::string& campaign,
                                                                base::Now now) {
  if (!is_limited()) return std::nullopt;
  const std::scoped_lock lock(mutex_);
  now = latest(latest_, now);
  const auto [of_tenant, of_campaign] = find(tenant, campaign, now);
  for (Sender* sender : {of_tenant, of_campaign}) {
    if (sender == nullptr || sender->next_connection <= now.instant) continue;
    // Each at another moment, so that not all ask whenever one may.
    const auto step = spacing_of(sender->rates) / kConnectionsPerGrant;
    sender->ask_again = std::min<base::Instant>(
        std::max(sender->ask_again + step, sender->next_connection), now.instant + kAskAgainMax);
    return Wait{sender->of, sender->ask_again};
  }
  return std::nullopt;
}

void SenderLimits::connects(const std::string& tenant, const std::string& campaign, base::Now now) {
  if (!is_limited()) return;
  const std::scoped_lock lock(mutex_);
  now = latest(latest_, now);
  const auto [of_tenant, of_campaign] = find(tenant, campaign, now);
  for (Sender* sender : {of_tenant, of_campaign}) {
    if (sender == nullptr) continue;
    const auto step = spacing_of(sender->rates) / kConnectionsPerGrant;
    sender->next_connection =
        std::max(sender->next_connection, now.instant - (kConnectionsAtOnce - 1) * step) + step;
  }
}

bool SenderLimits::take(const std::string& tenant, const std::string& campaign, base::Now now) {
  if (!is_limited()) return true;
  const std::scoped_lock lock(mutex_);
  if (is_stopped_) return false;
  now = latest(latest_, now);
  const auto [of_tenant, of_campaign] = find(tenant, campaign, now);
  Sender* taken = nullptr;
  for (Sender* sender : {of_tenant, of_campaign}) {
    if (sender == nullptr) continue;
    const Limiter::Answer::Kind answer = sender->limiter->take(now).kind;
    if (answer == Limiter::Answer::Kind::Go) {
      taken = sender;
      continue;
    }
    if (answer == Limiter::Answer::Kind::Store)
      keep(name_of(sender->of, sender->tenant, sender->campaign), *sender, now);
    if (taken != nullptr && taken != sender) taken->limiter->unused(now.instant, now);
    return false;
  }
  for (Sender* sender : {of_tenant, of_campaign}) {
    if (sender != nullptr)
      keep(name_of(sender->of, sender->tenant, sender->campaign), *sender, now);
  }
  return true;
}

base::Instant SenderLimits::come_back_at(const std::string& tenant, const std::string& campaign,
                                         base::Now now) {
  const std::scoped_lock lock(mutex_);
  now = latest(latest_, now);
  Sender* const sender = find(Of::Campaign, tenant, campaign, now);
  if (sender == nullptr) return now.instant;
  double per_second = sender->rates.front().per_second();
  for (const traffic::Rate& rate : sender->rates)
    per_second = std::min(per_second, rate.per_second());
  const auto step = std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(1 / (kComeBackShare * per_second)));
  const base::Instant first = std::max(sender->limiter->next_at(now), sender->come_back + step);
  if (first <= now.instant + kComeBackMax / 2) return sender->come_back = first;
  // Not all of a large mailing in the same moment.
  sender->spread = (sender->spread + 1) % kComeBackSpread;
  return now.instant + kComeBackMax / 2 + kComeBackMax / 2 * sender->spread / kComeBackSpread;
}

std::optional<SenderLimits::Held> SenderLimits::held(const std::string& tenant,
                                                     const std::string& campaign, base::Now now) {
  const std::optional<Wait> waits = wait(tenant, campaign, now);
  if (!waits) return std::nullopt;
  const std::scoped_lock lock(mutex_);
  const Sender* const sender = find(waits->of, tenant, campaign, now);
  if (sender == nullptr) return std::nullopt;
  const bool is_tenant = waits->of == Of::Tenant;
  return Held{(is_tenant ? "tenant " + sender->tenant : "campaign " + sender->campaign) + " (" +
                  traffic::format_rates(sender->rates) + ")",
              waits->until};
}

std::vector<SenderLimits::Keep> SenderLimits::take_to_store() {
  if (!has_to_store_.load(std::memory_order_relaxed)) return {};
  const std::scoped_lock lock(mutex_);
  has_to_store_ = false;
  return std::exchange(to_store_, {});
}

void SenderLimits::stored(const Keep& keep, bool is_durable) {
  const std::scoped_lock lock(mutex_);
  const auto found = senders_.find(keep.name);
  if (found == senders_.end() || found->second.keeping != keep.number) return;
  if (is_durable) {
    found->second.limiter->stored();
  } else {
    found->second.limiter->not_stored();
  }
}

void SenderLimits::restore(const std::string& name, traffic::LimiterState state) {
  const std::scoped_lock lock(mutex_);
  restored_.insert_or_assign(name, std::move(state));
}

std::vector<SenderLimits::Keep> SenderLimits::stop(base::Now now) {
  const std::scoped_lock lock(mutex_);
  is_stopped_ = true;
  now = latest(latest_, now);
  std::vector<Keep> last = std::exchange(to_store_, {});
  std::erase_if(last, [](const Keep& keep) { return keep.state.has_value(); });
  for (auto& [name, sender] : senders_) {
    traffic::LimiterState state = sender.limiter->last_state(now);
    if (!state.windows.empty()) last.push_back({0, name, std::move(state)});
  }
  return last;
}

}  // namespace rockdove::queue
