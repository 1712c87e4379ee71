#include "mta/outbound/source_chooser.h"

#include <algorithm>
#include <utility>

#include "mta/base/text.h"
#include "mta/outbound/site_traffic.h"
#include "queue/account_name.h"

namespace rockdove::outbound {
namespace {

constexpr std::size_t kUsedUpMax = 50'000;

// 2^64 divided by the golden ratio: points that are this far apart on a circle keep every stretch
// of it as full as any other at all times, so that even few turns are shared out by weight.
constexpr std::uint64_t kGoldenStep = 0x9E37'79B9'7F4A'7C15;

using Candidate = SourcePool::Member;

// The one in whose stretch of the circle this turn falls.
const Candidate& in_turn(const std::vector<Candidate>& candidates, std::uint64_t point) {
  std::uint64_t total = 0;
  for (const Candidate& one : candidates) total += one.weight;
  // point / 2^64 * total; the sum of all weights fits into 32 bits.
  std::uint64_t place = ((point >> 32) * total) >> 32;
  for (const Candidate& one : candidates) {
    if (place < one.weight) return one;
    place -= one.weight;
  }
  return candidates.back();
}

std::vector<Candidate> without(std::vector<Candidate> candidates, std::string_view address) {
  std::erase_if(candidates, [address](const Candidate& one) {
    return base::format_ip_address(one.source->address) == address;
  });
  return candidates;
}

bool reaches(const Source& source, const Site& site) {
  return std::any_of(site.hosts.begin(), site.hosts.end(), [&source](const HostAddress& host) {
    return host.address.ip.is_v4() == source.address.is_v4();
  });
}

std::string account_from(const Site& site, const Source& source) {
  return queue::account_from(site.account->name, base::format_ip_address(source.address));
}

// Null: no profile has a section for it.
const traffic::Knobs* knobs_of(const Site& site, const base::IpAddress& source) {
  if (site.traffic.profiles == nullptr) return nullptr;
  const std::vector<traffic::SourceSection>& sections = site.traffic.profiles->sources();
  const auto found = std::find_if(sections.begin(), sections.end(), [&source](const auto& section) {
    return section.address == source;
  });
  return found == sections.end() ? nullptr : &found->knobs;
}

}  // namespace

std::shared_ptr<const Site> seen_from(const Site& site,
                                      const std::shared_ptr<const Source>& source) {
  if (!reaches(*source, site)) return nullptr;
  const traffic::Knobs* const knobs = knobs_of(site, source->address);
  auto seen = std::make_shared<Site>(site);
  if (knobs != nullptr) use_knobs(*seen, *knobs);
  const bool is_v4 = source->address.is_v4();
  seen->hosts.clear();
  std::size_t equals = 0;
  for (std::size_t i = 0; i < site.hosts.size(); ++i) {
    if (site.hosts[i].address.ip.is_v4() != is_v4) continue;
    seen->hosts.push_back(site.hosts[i]);
    if (i < site.equals) ++equals;
  }
  seen->equals = std::max<std::size_t>(1, equals);
  auto account = std::make_shared<queue::AccountSpec>(*seen->account);
  account->name = account_from(site, *source);
  seen->account = std::move(account);
  seen->source = source;
  seen->source_address = base::format_ip_address(source->address);
  return seen;
}

std::string_view account_of_all_sources(const Site& site) {
  return site.source == nullptr ? site.account->name : queue::without_source(site.account->name);
}

const SourcePool* pool_of(const OutboundSettings& settings, std::string_view tenant) {
  const SourcePool* of_others = nullptr;
  for (const SourcePool& pool : settings.pools) {
    if (pool.tenants.empty()) of_others = &pool;
    const bool is_its_own =
        !tenant.empty() &&
        std::any_of(pool.tenants.begin(), pool.tenants.end(), [tenant](const std::string& pattern) {
          return base::matches_pattern(pattern, tenant);
        });
    if (is_its_own) return &pool;
  }
  return of_others;
}

bool has_companions(const OutboundSettings& settings, const Source& source,
                    std::string_view tenant) {
  const SourcePool* const its = pool_of(settings, tenant);
  return its != nullptr && std::any_of(its->members.begin(), its->members.end(),
                                       [&source](const SourcePool::Member& member) {
                                         return member.source->address != source.address;
                                       });
}

SourceChooser::SourceChooser(const OutboundSettings& settings) : settings_(settings) {}

void SourceChooser::settings_replaced() {
  used_up_.clear();  // whoever owns an account that is says so again
}

void SourceChooser::take_nothing(const std::string& account, base::Instant until) {
  if (used_up_.size() >= kUsedUpMax) used_up_.clear();
  used_up_[account] = until;
}

base::Instant SourceChooser::free_at(const Site& site, std::string_view tenant,
                                     base::Instant now) const {
  const SourcePool* const pool = pool_for(site, tenant);
  if (pool == nullptr) return free_at(site.account->name, now);
  base::Instant first = base::kNever;
  for (const SourcePool::Member& member : pool->members)
    first = std::min(first, free_at(account_from(site, *member.source), now));
  return first;
}

struct SourceChooser::Candidates {
  std::vector<Candidate> all;            // those that are free first
  base::Instant free_at = base::kNever;  // theirs
  None none = None::OtherFamily;         // of the others, what could change soonest
};

// What is on this machine or beside it, a mailbox, does not look at addresses; nor does an upstream
// that counts what an account sends.
const SourcePool* SourceChooser::pool_for(const Site& site, std::string_view tenant) const {
  const bool is_mailbox = !site.maildir.empty() || site.manner.speaks == ToHosts::Speaks::Lmtp;
  return is_mailbox || site.has_budget ? nullptr : pool_of(settings_, tenant);
}

std::vector<SourceChooser::Share> SourceChooser::shares(const std::shared_ptr<const Site>& site,
                                                        const queue::Pauses* pauses,
                                                        base::Instant now) const {
  const SourcePool* const pool = pool_for(*site, "");
  if (pool == nullptr) return {{site, 1}};
  const Candidates found = candidates_of(*pool, *site, pauses, now);
  double total = 0;
  for (const Candidate& one : found.all) total += one.weight;
  std::vector<Share> all;
  for (const Candidate& one : found.all)
    all.push_back({seen_from(*site, one.source), one.weight / total});
  return all;
}

std::vector<std::shared_ptr<const Site>> SourceChooser::ways(
    const std::shared_ptr<const Site>& site, std::string_view tenant) const {
  const SourcePool* const pool = pool_for(*site, tenant);
  if (pool == nullptr) return {site};
  std::vector<std::shared_ptr<const Site>> all;
  for (const SourcePool::Member& member : pool->members) {
    if (auto seen = seen_from(*site, member.source)) all.push_back(std::move(seen));
  }
  return all;
}

base::Instant SourceChooser::free_at(const std::string& account, base::Instant now) const {
  const auto found = used_up_.find(account);
  return found == used_up_.end() ? now : std::max(now, found->second);
}

SourceChooser::Candidates SourceChooser::candidates_of(const SourcePool& pool, const Site& site,
                                                       const queue::Pauses* pauses,
                                                       base::Instant now) const {
  Candidates found;
  for (const SourcePool::Member& member : pool.members) {
    if (!reaches(*member.source, site)) continue;
    if (absent_ != nullptr && absent_->contains(member.source->address)) {
      if (found.none == None::OtherFamily) found.none = None::Absent;
      continue;
    }
    const std::string account = account_from(site, *member.source);
    if (pauses != nullptr && pauses->on_site(site.name, account) != nullptr) {
      found.none = None::Paused;
      continue;
    }
    const base::Instant free = free_at(account, now);
    if (free > found.free_at) continue;
    if (free < found.free_at) found.all.clear();
    found.free_at = free;
    found.all.push_back(member);
  }
  return found;
}

SourceChooser::Choice SourceChooser::choose(const std::shared_ptr<const Site>& site,
                                            std::string_view tenant, Turns& turns,
                                            const queue::Pauses* pauses, base::Instant now,
                                            std::string_view avoided) {
  const SourcePool* const pool = pool_for(*site, tenant);
  if (pool == nullptr) {
    const base::Instant free = free_at(site->account->name, now);
    if (free > now) return {nullptr, None::UsedUp, "", free};
    return {site};
  }
  const Candidates found = candidates_of(*pool, *site, pauses, now);
  const std::string none = "no source address of the pool " + pool->name + " can be used: ";
  if (!found.all.empty() && found.free_at > now) {
    return {nullptr, None::UsedUp, "", found.free_at};
  }
  if (!found.all.empty()) {
    turns.point += kGoldenStep;
    const std::vector<Candidate> others = without(found.all, avoided);
    const Candidate& chosen = in_turn(others.empty() ? found.all : others, turns.point);
    const auto [known, is_new] = turns.sites.try_emplace(chosen.source->name);
    if (is_new) known->second = seen_from(*site, chosen.source);
    return {known->second};
  }
  if (found.none == None::Paused) return {nullptr, None::Paused, none + "they are paused"};
  if (found.none == None::Absent) {
    return {nullptr, None::Absent, none + "they are not on this machine"};
  }
  return {nullptr, None::OtherFamily,
          none + "they and the addresses of " + site->hosts.front().host +
              " are not of one family, IPv4 or IPv6"};
}

}  // namespace rockdove::outbound
