#include "policy/signing_table.h"

#include <algorithm>
#include <utility>

#include "mta/base/assert.h"
#include "mta/base/text.h"

namespace rockdove::policy {
namespace {

// Whether all conditions but `from` hold.
bool hold(const SigningConditions& conditions, const SigningFacts& facts) {
  const std::string_view sender = facts.sender.empty() ? std::string_view("<>") : facts.sender;
  if (!conditions.sender.empty() && !base::matches_pattern(conditions.sender, sender)) return false;
  if (!conditions.listener.empty() && conditions.listener != facts.listener) return false;
  if (!conditions.user.empty() && !base::matches_pattern(conditions.user, facts.user)) return false;
  if (!conditions.tenant.empty() && !base::matches_pattern(conditions.tenant, facts.tenant))
    return false;
  return conditions.client.empty() ||
         std::any_of(
             conditions.client.begin(), conditions.client.end(),
             [&facts](const base::IpNetwork& network) { return network.contains(facts.client); });
}

// Whether it is clear who the authors are: one field, of addresses with domains.
bool is_clear(Authors::Form form) {
  switch (form) {
    case Authors::Form::Single:
    case Authors::Form::SeveralDomains:
      return true;
    case Authors::Form::Missing:
    case Authors::Form::NoAddress:
    case Authors::Form::NoDomain:
    case Authors::Form::SeveralFields:
    case Authors::Form::Unreadable:
    case Authors::Form::TooMany:
      return false;
  }
  return false;
}

}  // namespace

bool exclude_each_other(const SigningRule& a, const SigningRule& b) {
  return a.identity->domain == b.identity->domain &&
         a.identity->key->kind() == b.identity->key->kind() && a.conditions == b.conditions;
}

SigningTable::SigningTable(std::vector<SigningRule> rules) : rules_(std::move(rules)) {
  std::unordered_map<std::string, std::vector<std::size_t>> groups_by_domain;
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    SigningRule& rule = rules_[i];
    MTA_ASSERT(rule.identity != nullptr && rule.identity->key != nullptr);
    if (rule.conditions.from.empty()) rule.conditions.from.push_back(rule.identity->domain);
    std::vector<std::size_t>& known = groups_by_domain[rule.identity->domain];
    const auto same = std::find_if(known.begin(), known.end(), [&](std::size_t group) {
      return exclude_each_other(rules_[groups_[group].front()], rule);
    });
    if (same != known.end()) {
      groups_[*same].push_back(i);
      continue;
    }
    known.push_back(groups_.size());
    for (const std::string& from : rule.conditions.from)
      groups_by_from_[from].push_back(groups_.size());
    groups_.push_back({i});
  }
  for (std::vector<std::size_t>& group : groups_) {
    std::stable_sort(group.begin(), group.end(), [this](std::size_t a, std::size_t b) {
      return rules_[a].active_from > rules_[b].active_from;
    });
  }
}

std::vector<std::size_t> SigningTable::groups_of(const std::vector<std::string>& domains) const {
  std::vector<std::size_t> groups;
  const auto add = [&](const std::string& from) {
    const auto found = groups_by_from_.find(from);
    if (found != groups_by_from_.end())
      groups.insert(groups.end(), found->second.begin(), found->second.end());
  };
  for (const std::string& domain : domains) {
    add(domain);
    for (std::size_t dot = domain.find('.'); dot != std::string::npos;
         dot = domain.find('.', dot + 1)) {
      add("*" + domain.substr(dot));
    }
  }
  add("*");
  std::sort(groups.begin(), groups.end());
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  return groups;
}

const SigningRule* SigningTable::rule_of(const std::vector<std::size_t>& group,
                                         base::WallTime now) const {
  for (const std::size_t i : group) {
    if (rules_[i].active_from <= now) return &rules_[i];
  }
  return nullptr;
}

std::vector<std::shared_ptr<const DkimIdentity>> SigningTable::choose(const SigningFacts& facts,
                                                                      base::WallTime now) const {
  std::vector<std::shared_ptr<const DkimIdentity>> chosen;
  if (!is_clear(facts.authors.form)) return chosen;
  for (const std::size_t group : groups_of(facts.authors.domains)) {
    const SigningRule* const rule = rule_of(groups_[group], now);
    if (rule == nullptr || !hold(rule->conditions, facts)) continue;
    const auto is_same = [rule](const std::shared_ptr<const DkimIdentity>& other) {
      return other->domain == rule->identity->domain && other->selector == rule->identity->selector;
    };
    if (std::any_of(chosen.begin(), chosen.end(), is_same)) continue;
    chosen.push_back(rule->identity);
    if (chosen.size() == kSignaturesMax) break;
  }
  return chosen;
}

}  // namespace rockdove::policy
