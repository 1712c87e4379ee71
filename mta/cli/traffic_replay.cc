#include "mta/cli/traffic_replay.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "mta/base/text.h"
#include "mta/traffic/reply_pattern.h"

namespace rockdove::cli {

using traffic::Profiles;
using traffic::Rule;

namespace {

constexpr std::size_t kKnownMax = 20'000;

// The text of a reply as patterns see it. Where it came in several lines the history has "; "
// between them, which may also be the server's own: either way counts.
class ReplyText {
 public:
  explicit ReplyText(std::string_view text)
      : as_it_is_(text.substr(0, traffic::kMatchedOctetsMax)) {
    if (as_it_is_.find("; ") == std::string_view::npos) return;
    for (std::size_t at = 0; at < as_it_is_.size(); ++at) {
      if (as_it_is_.substr(at, 2) != "; ") joined_ += as_it_is_[at];
    }
  }

  // Patterns of both sets of profiles are mostly the same.
  [[nodiscard]] bool matches(const traffic::ReplyPattern& pattern) {
    const auto [known, is_new] = known_.emplace(pattern.text(), false);
    if (is_new) {
      known->second = pattern.matches(as_it_is_) || (!joined_.empty() && pattern.matches(joined_));
    }
    return known->second;
  }

 private:
  std::string_view as_it_is_;
  std::string joined_;
  std::unordered_map<std::string_view, bool> known_;
};

bool is_refusal(std::string_view text) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return text.size() >= 3 && (text[0] == '4' || text[0] == '5') && is_digit(text[1]) &&
         is_digit(text[2]) && (text.size() == 3 || text[3] == ' ');
}

Treatment treatment_of(const Profiles& profiles, const PastReply& past, ReplyText& text) {
  const std::string host = base::lower_case(past.host.substr(0, past.host.find('[')));
  std::vector<traffic::MxHost> hosts;
  if (!host.empty()) hosts.push_back({host, 0});
  Treatment treatment;
  treatment.provider = profiles.provider_of(past.domain, hosts);
  for (const traffic::Section* section :
       {static_cast<const traffic::Section*>(profiles.find_domain(past.domain)),
        static_cast<const traffic::Section*>(treatment.provider), &profiles.defaults()}) {
    if (section == nullptr) continue;
    for (const Rule& rule : section->rules) {
      if (!text.matches(*rule.reply)) continue;
      treatment.rule = &rule;
      return treatment;
    }
  }
  return treatment;
}

// What the rule does is all that counts, wherever it stands.
bool does_the_same(const Rule& a, const Rule& b) {
  return traffic::describe(a.actions) == traffic::describe(b.actions) && a.stages == b.stages &&
         traffic::format_threshold(a.after) == traffic::format_threshold(b.after);
}

std::optional<TrafficReplay::Difference> difference_of(const Treatment& in_use,
                                                       const Treatment& changed) {
  using Difference = TrafficReplay::Difference;
  if (in_use.rule == nullptr && changed.rule != nullptr) return Difference::Caught;
  if (in_use.rule != nullptr && changed.rule == nullptr) return Difference::Lost;
  if (in_use.rule != nullptr) {
    if (!does_the_same(*in_use.rule, *changed.rule)) return Difference::OtherAction;
    if (in_use.rule->reply->text() != changed.rule->reply->text()) return Difference::OtherRule;
  }
  const auto name = [](const traffic::Provider* provider) {
    return provider == nullptr ? std::string_view() : std::string_view(provider->name);
  };
  if (name(in_use.provider) != name(changed.provider)) return Difference::OtherProvider;
  return std::nullopt;
}

bool is_returned(const Rule* rule, bool is_permanent) {
  if (rule == nullptr) return is_permanent;
  if (rule->actions.bounce) return true;
  return is_permanent && !rule->actions.defer && !rule->actions.retry_in;
}

void count(bool before, bool after, TrafficReplay::Turned& turned) {
  if (!before && after) ++turned.begins;
  if (before && !after) ++turned.ends;
}

}  // namespace

TrafficReplay::TrafficReplay(const Profiles& in_use, const Profiles& changed)
    : in_use_(in_use), changed_(changed) {}

void TrafficReplay::add(const PastReply& reply) {
  if (!is_refusal(reply.reply)) {
    ++totals_.other_texts;
    return;
  }
  ++totals_.replies;
  const Outcome& outcome = outcome_of(reply);
  const std::optional<Difference> difference = difference_of(outcome.in_use, outcome.changed);
  if (!difference) return;
  const bool is_permanent = reply.reply.front() == '5';
  ++totals_.by_difference[static_cast<std::size_t>(*difference)];
  count_consequences(outcome, is_permanent);
  const GroupName name{outcome.in_use, outcome.changed, is_permanent};
  Group& group =
      groups_
          .try_emplace(name,
                       Group{*difference, outcome.in_use, outcome.changed, is_permanent, 0, {}})
          .first->second;
  ++group.replies;
  if (group.samples.size() < kSamplesMax) group.samples.push_back(reply);
}

const TrafficReplay::Outcome& TrafficReplay::outcome_of(const PastReply& reply) {
  std::string name = reply.domain + '\n' + reply.host + '\n' + reply.reply;
  if (const auto known = known_.find(name); known != known_.end()) return known->second;
  if (known_.size() == kKnownMax) known_.clear();
  ReplyText text(reply.reply);
  const Outcome outcome{treatment_of(in_use_, reply, text), treatment_of(changed_, reply, text)};
  return known_.emplace(std::move(name), outcome).first->second;
}

void TrafficReplay::count_consequences(const Outcome& outcome, bool is_permanent) {
  const Rule* const before = outcome.in_use.rule;
  const Rule* const after = outcome.changed.rule;
  count(is_returned(before, is_permanent), is_returned(after, is_permanent), totals_.returned);
  count(before != nullptr && before->actions.pause, after != nullptr && after->actions.pause,
        totals_.paused);
  count(before != nullptr && before->actions.backoff, after != nullptr && after->actions.backoff,
        totals_.slowed);
}

std::vector<TrafficReplay::Group> TrafficReplay::groups() const {
  std::vector<Group> sorted;
  sorted.reserve(groups_.size());
  for (const auto& [name, group] : groups_) sorted.push_back(group);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Group& a, const Group& b) {
    if (a.difference != b.difference) return a.difference < b.difference;
    if (a.replies != b.replies) return a.replies > b.replies;
    return a.samples.front().id < b.samples.front().id;
  });
  return sorted;
}

std::string_view name_of(TrafficReplay::Difference difference) {
  switch (difference) {
    case TrafficReplay::Difference::Caught:
      return "caught";
    case TrafficReplay::Difference::Lost:
      return "lost";
    case TrafficReplay::Difference::OtherAction:
      return "action";
    case TrafficReplay::Difference::OtherRule:
      return "rule";
    case TrafficReplay::Difference::OtherProvider:
      return "provider";
  }
  return "";
}

}  // namespace rockdove::cli
