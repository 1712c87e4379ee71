#include "mta/daemon/config_warm_up.h"

#include <array>
#include <charconv>
#include <map>
#include <utility>

#include "mta/base/text.h"

namespace rockdove::daemon {
namespace {

constexpr std::size_t kWarmUpsMax = 1'000;

WarmUpDraft& last(Draft& draft) {
  return draft.warm_ups.back();
}

void read_daily(Value& value, Draft& draft) {
  constexpr std::string_view kWanted =
      "write the messages of each day, rising, as [50, 100, 200, 500]";
  const Node& node = value.node();
  last(draft).daily_at = value.at();
  if (node.type != Node::Type::Array || node.items.empty()) {
    return value.error("`daily` is a list of numbers: " + std::string(kWanted));
  }
  if (node.items.size() > traffic::kWarmUpStepsMax)
    return value.error("`daily` has at most 366 numbers");
  std::vector<std::uint32_t>& daily = last(draft).order.plan.daily;
  for (const Node& item : node.items) {
    const bool is_count = item.type == Node::Type::Integer && item.integer >= 1 &&
                          item.integer <= traffic::kRateCountMax;
    if (!is_count)
      return value.error("`daily` has numbers from 1 to 10000000: " + std::string(kWanted));
    const auto count = static_cast<std::uint32_t>(item.integer);
    if (!daily.empty() && count < daily.back()) {
      return value.error("`daily` falls from " + std::to_string(daily.back()) + " to " +
                         std::to_string(count) + ": " + std::string(kWanted));
    }
    daily.push_back(count);
  }
}

template <double traffic::WarmUpPlan::*kShare>
void read_share(Value& value, Draft& draft) {
  const std::string& text = value.node().text;
  unsigned percent = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, percent);
  const bool is_share =
      error == std::errc() && rest + 1 == end && *rest == '%' && percent >= 1 && percent <= 100;
  if (!is_share) return value.error("it is \"1%\" to \"100%\" of a day's attempts, as \"5%\"");
  last(draft).order.plan.*kShare = percent / 100.0;
}

constexpr std::array kSections = {
    Section{"warm_up", SectionKind::List,
            "How much new source addresses send to a provider on their first days: see sources.md.",
            [](Draft& draft, Position at) { draft.warm_ups.emplace_back().at = at; }}};

constexpr std::array kKeys = {
    Key{"warm_up", "sources", "list of names", "", "Needed. The `[[source]]`s that are new.",
        [](Value& value, Draft& draft) {
          for (Value& item : value.texts())
            last(draft).sources.emplace_back(item.node().text, item.at());
        }},
    Key{"warm_up", "provider", "name", "",
        "A plan for this provider of the traffic profiles; goes before one without `provider`, "
        "which is for all that have no other: each provider, and each site without one.",
        [](Value& value, Draft& draft) {
          if (value.text(last(draft).order.provider)) last(draft).provider_at = value.at();
        }},
    Key{"warm_up", "daily", "list of whole numbers", "",
        "Needed. Messages in 24 hours to each provider: on the first day, the second, …; behind "
        "the last one there is no limit. A day counts if at least half of its number was "
        "accepted.",
        read_daily},
    Key{"warm_up", "hold_above", "share", "\"5%\"",
        "With a larger share of push-backs a day does not count: the next has the same number.",
        read_share<&traffic::WarmUpPlan::hold_above>},
    Key{"warm_up", "stop_above", "share", "\"25%\"",
        "With a larger share of push-backs, of 20 attempts or more, nothing more goes from there "
        "to that provider before the next day (UTC); other sources of the pool take over.",
        read_share<&traffic::WarmUpPlan::stop_above>},
};

std::string in_ticks(std::string_view text) {
  return "`" + base::printable(text, 80) + "`";
}

using Sources = std::map<std::string_view, std::shared_ptr<const outbound::Source>>;

// Sources that are in no pool are never used, and have their own warning.
Sources all_sources(const Draft& draft) {
  Sources sources;
  for (const outbound::SourcePool& pool : draft.configuration.outbound.pools) {
    for (const outbound::SourcePool::Member& member : pool.members)
      sources.emplace(member.source->name, member.source);
  }
  return sources;
}

void check_provider(const WarmUpDraft& one, const Draft& draft, Problems& problems) {
  if (one.order.provider.empty()) return;
  std::vector<std::string_view> names;
  if (const auto& profiles = draft.configuration.outbound.traffic) {
    for (const traffic::Provider& provider : profiles->providers()) {
      if (provider.name == one.order.provider) return;
      names.emplace_back(provider.name);
    }
  }
  const std::string hint = names.empty() ? ": none of those in use has any (`[traffic] profiles`)"
                                         : did_you_mean(one.order.provider, names);
  problems.error(one.provider_at,
                 "no traffic profile has a provider " + in_ticks(one.order.provider) + hint);
}

// One plan for each source and provider.
void check_unique(const WarmUpDraft& one,
                  std::map<std::pair<std::string, std::string>, unsigned>& lines,
                  Problems& problems) {
  for (const auto& [name, at] : one.sources) {
    const auto [before, is_new] = lines.emplace(std::pair(name, one.order.provider), one.at.line);
    if (is_new) continue;
    problems.error(at, "the source " + in_ticks(name) + " has a plan for " +
                           (one.order.provider.empty() ? "all providers" : one.order.provider) +
                           " already, in line " + std::to_string(before->second));
  }
}

void take_sources(WarmUpDraft& one, const Sources& sources, Problems& problems) {
  for (const auto& [name, at] : one.sources) {
    const auto found = sources.find(name);
    if (found != sources.end()) {
      one.order.sources.push_back(found->second);
      continue;
    }
    std::vector<std::string_view> names;
    for (const auto& [known, source] : sources) names.push_back(known);
    problems.error(
        at, "no [[source]] that is used is called " + in_ticks(name) + did_you_mean(name, names));
  }
}

}  // namespace

std::span<const Section> warm_up_sections() {
  return kSections;
}

std::span<const Key> warm_up_keys() {
  return kKeys;
}

void finish_warm_ups(Draft& draft, Problems& problems) {
  if (draft.warm_ups.size() > kWarmUpsMax)
    return problems.error(draft.warm_ups.back().at, "there are at most 1,000 warm-up plans");
  const Sources sources = all_sources(draft);
  std::map<std::pair<std::string, std::string>, unsigned> lines;
  for (WarmUpDraft& one : draft.warm_ups) {
    if (one.sources.empty()) problems.error(one.at, "the warm-up plan has no `sources`");
    if (one.daily_at.line == 0) problems.error(one.at, "the warm-up plan has no `daily`");
    if (one.order.plan.hold_above > one.order.plan.stop_above) {
      problems.error(
          one.at, "`hold_above` is larger than `stop_above`: a day would stop before it is held");
    }
    check_unique(one, lines, problems);
    check_provider(one, draft, problems);
    take_sources(one, sources, problems);
    draft.configuration.outbound.warm_ups.push_back(std::move(one.order));
  }
}

}  // namespace rockdove::daemon
