#include "mta/traffic/profiles.h"

#include <algorithm>

#include "mta/base/text.h"

namespace rockdove::traffic {
namespace {

// How much of a name a pattern fixes.
std::size_t weight(std::string_view pattern) {
  return pattern.size() - static_cast<std::size_t>(std::count(pattern.begin(), pattern.end(), '*'));
}

// The weight of the heaviest of the patterns that match; nullopt: none does.
std::optional<std::size_t> best_match(const Knob<std::vector<PlacedText>>& patterns,
                                      std::string_view name) {
  std::optional<std::size_t> best;
  if (!patterns.value) return best;
  for (const PlacedText& pattern : *patterns.value) {
    if (base::matches_pattern(pattern.text, name))
      best = std::max(best.value_or(0), weight(pattern.text));
  }
  return best;
}

template <typename Candidate>
const Provider* heaviest(const std::vector<Provider>& providers, Candidate weigh) {
  const Provider* found = nullptr;
  std::size_t most = 0;
  for (const Provider& provider : providers) {
    const std::optional<std::size_t> weighs = weigh(provider);
    if (weighs && (found == nullptr || *weighs > most)) {
      found = &provider;
      most = *weighs;
    }
  }
  return found;
}

template <typename T>
void lay_one_over(Knob<T>& below, const Knob<T>& above) {
  if (above.value) below = above;
}

// The place of the section like `section`, made where there is none; `same` compares the two.
template <typename T, typename Same>
T& find_or_add(std::vector<T>& sections, const T& section, Same same) {
  for (T& each : sections) {
    if (same(each, section)) return each;
  }
  sections.emplace_back();
  return sections.back();
}

}  // namespace

Profiles::Profiles(const std::vector<ProfileFile>& files) {
  for (const ProfileFile& file : files) add(file);
  std::sort(providers_.begin(), providers_.end(),
            [](const Provider& a, const Provider& b) { return a.name < b.name; });
}

void Profiles::add(const ProfileFile& file) {
  merge(defaults_, file.defaults);
  for (const ProviderSection& from : file.providers) {
    Provider& into = find_or_add(providers_, from,
                                 [](const auto& a, const auto& b) { return a.name == b.name; });
    into.name = from.name;
    for (const PlacedText& name : from.unset) {
      Knob<std::vector<PlacedText>>* const list = name.text == "mx"        ? &into.mx
                                                  : name.text == "domains" ? &into.domains
                                                  : name.text == "samples" ? &into.samples
                                                                           : nullptr;
      if (list == nullptr) continue;
      if (!list->value) useless_unsets_.push_back(name);
      list->value.reset();
    }
    merge(into, from);
    lay_one_over(into.mx, from.mx);
    lay_one_over(into.domains, from.domains);
    lay_one_over(into.samples, from.samples);
  }
  for (const DomainSection& from : file.domains) {
    DomainSection& into = find_or_add(
        domains_, from, [](const auto& a, const auto& b) { return a.pattern == b.pattern; });
    into.pattern = from.pattern;
    merge(into, from);
  }
  for (const SourceSection& from : file.sources) {
    SourceSection& into = find_or_add(
        sources_, from, [](const auto& a, const auto& b) { return a.address == b.address; });
    into.address = from.address;
    merge(into, from);
  }
}

void Profiles::merge(Section& below, const Section& above) {
  for (const PlacedText& name : above.unset) unset(below, name);
  if (above.origin.line > 0) below.origin = above.origin;
  lay_over(below.knobs, above.knobs);
  below.rules.insert(below.rules.begin(), above.rules.begin(), above.rules.end());
}

void Profiles::unset(Section& section, const PlacedText& name) {
  if (name.text == "mx" || name.text == "domains" || name.text == "samples") return;  // see add()
  bool was_set = false;
  if (name.text == "on") {
    was_set = !section.rules.empty();
    section.rules.clear();
  } else {
    was_set = unset_knob(section.knobs, name.text);
  }
  if (!was_set) useless_unsets_.push_back(name);
}

const Provider* Profiles::provider_of(std::string_view domain,
                                      std::span<const MxHost> hosts) const {
  const Provider* const by_domain = heaviest(
      providers_, [&](const Provider& provider) { return best_match(provider.domains, domain); });
  if (by_domain != nullptr || hosts.empty()) return by_domain;
  const auto best = std::min_element(hosts.begin(), hosts.end(), [](const auto& a, const auto& b) {
    return a.preference < b.preference;
  });
  return heaviest(providers_, [&](const Provider& provider) {
    std::optional<std::size_t> weighs;
    for (const MxHost& host : hosts) {
      if (host.preference != best->preference) continue;
      weighs = std::max(weighs, best_match(provider.mx, host.name));
    }
    return weighs;
  });
}

Knobs Profiles::effective(std::string_view domain, const Provider* provider,
                          const std::optional<base::IpAddress>& source) const {
  Knobs knobs = defaults_.knobs;
  if (provider != nullptr) lay_over(knobs, provider->knobs);
  if (const DomainSection* const section = find_domain(domain)) lay_over(knobs, section->knobs);
  if (!source) return knobs;
  for (const SourceSection& section : sources_) {
    if (section.address == *source) lay_over(knobs, section.knobs);
  }
  return knobs;
}

const Rule* Profiles::match(const smtp::Reply& reply, smtp::Stage stage, std::string_view domain,
                            const Provider* provider) const {
  const std::string line = line_of(reply);
  const auto first_of = [&](const Section* section) -> const Rule* {
    if (section == nullptr) return nullptr;
    const auto found = std::find_if(section->rules.begin(), section->rules.end(),
                                    [&](const Rule& rule) { return rule.matches(line, stage); });
    return found == section->rules.end() ? nullptr : &*found;
  };
  if (const Rule* const rule = first_of(find_domain(domain))) return rule;
  if (const Rule* const rule = first_of(provider)) return rule;
  return first_of(&defaults_);
}

const Provider* Profiles::find_provider(std::string_view name) const {
  const auto found = std::find_if(providers_.begin(), providers_.end(),
                                  [&](const Provider& each) { return each.name == name; });
  return found == providers_.end() ? nullptr : &*found;
}

const DomainSection* Profiles::find_domain(std::string_view domain) const {
  const DomainSection* found = nullptr;
  for (const DomainSection& section : domains_) {
    if (base::equals_ignoring_case(section.pattern, domain)) return &section;
    if (!base::matches_pattern(section.pattern, domain)) continue;
    if (found == nullptr || weight(section.pattern) > weight(found->pattern)) found = &section;
  }
  return found;
}

}  // namespace rockdove::traffic
