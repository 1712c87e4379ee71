#include "mta/daemon/traffic_section.h"

#include <algorithm>
#include <array>
#include <utility>

#include "mta/base/text.h"
#include "mta/daemon/traffic_file.h"
#include "mta/mail/idna.h"

namespace rockdove::daemon {

using base::Duration;
using traffic::PlacedText;
using traffic::Rule;
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

namespace {

constexpr Bounds<Duration> kTimeOuts{1s, 1h};
constexpr Bounds<Duration> kTimes{1s, 30 * 24h};
constexpr std::size_t kRetriesMax = 50;
constexpr std::uint32_t kCountMax = 1'000'000;
constexpr std::size_t kNameOctetsMax = 253;

constexpr std::array<std::string_view, 14> kRuleKeys = {
    "reply", "stage",    "samples", "after",         "pause",       "pause_of", "bounce",
    "defer", "retry_in", "backoff", "backoff_floor", "next_source", "set",      "set_for"};

std::string quoted(std::string_view text) {
  return "\"" + base::printable(text, 80) + "\"";
}

void read_flag(Value& value, bool& target) {
  if (value.node().type == Node::Type::Boolean) {
    target = value.node().integer != 0;
  } else {
    value.wrong_type("true or false");
  }
}

}  // namespace

bool SectionReader::name_pattern(std::string_view text, Position at, std::string& target) {
  const base::Result<std::string> ascii = mail::to_ascii_pattern(text);
  if (!ascii || text.empty() || ascii->size() > kNameOctetsMax) {
    problems_.error(at, quoted(text) + " is no name of a host or domain" +
                            (ascii ? "" : ": " + ascii.error().text()));
    return false;
  }
  const bool has_blank = std::any_of(ascii->begin(), ascii->end(), [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return octet <= ' ' || octet >= 127 || c == '@';
  });
  if (has_blank) {
    problems_.error(at, quoted(text) +
                            " is no name of a host or domain; `*` stands for any run of "
                            "characters, as in \"*.example.com\"");
    return false;
  }
  target = base::lower_case(*ascii);
  return true;
}

std::vector<std::string_view> SectionReader::own_keys() const {
  std::vector<std::string_view> keys = traffic::knob_names();
  keys.emplace_back("unset");
  if (kind_ != SectionOf::Source) keys.emplace_back("on");
  if (kind_ == SectionOf::Provider) keys.insert(keys.end(), {"mx", "domains", "samples"});
  return keys;
}

void SectionReader::read(const Member& member, traffic::Section& section) {
  section.origin = origin(member.at);
  for (const Member& each : member.value.members) {
    if (!read_common(each, section)) report_unknown(each, "[" + name_ + "]", own_keys());
  }
}

void SectionReader::read(const Member& member, traffic::ProviderSection& section) {
  section.origin = origin(member.at);
  for (const Member& each : member.value.members) {
    if (!read_list(each, section) && !read_common(each, section))
      report_unknown(each, "[" + name_ + "]", own_keys());
  }
}

void SectionReader::report_unknown(const Member& member, std::string_view where,
                                   std::vector<std::string_view> candidates) {
  // TOML takes each dot of a name without quotes for a table in a table.
  const bool is_cut_name = member.value.type == Node::Type::Table &&
                           (kind_ == SectionOf::Domain || kind_ == SectionOf::Source);
  problems_.error(member.at, "unknown key `" + base::printable(member.key, 80) + "` in " +
                                 std::string(where) +
                                 (is_cut_name ? "; a name with dots stands in quotes, as in "
                                                "[domain.\"x.example\"] or [source.\"192.0.2.1\"]"
                                              : did_you_mean(member.key, candidates)));
}

bool SectionReader::read_common(const Member& member, traffic::Section& section) {
  if (member.key == "unset") {
    Value value("unset", member.value, problems_);
    read_unset(value, section.unset);
    return true;
  }
  if (member.key == "on" && kind_ != SectionOf::Source) {
    read_rules(member, section.rules);
    return true;
  }
  return read_knob(member, section.knobs);
}

bool SectionReader::read_list(const Member& member, traffic::ProviderSection& section) {
  traffic::Knob<std::vector<PlacedText>>* const list = member.key == "mx"        ? &section.mx
                                                       : member.key == "domains" ? &section.domains
                                                       : member.key == "samples" ? &section.samples
                                                                                 : nullptr;
  if (list == nullptr) return false;
  const std::string name = name_ + "." + member.key;
  Value value(name, member.value, problems_);
  list->value.emplace();
  list->origin = origin(member.at);
  for (Value& item : value.texts()) {
    if (list->value->size() == kNamePatternsMax) {
      value.error("`" + name + "` has more than " + std::to_string(kNamePatternsMax) + " entries");
      break;
    }
    PlacedText pattern{"", origin(item.at())};
    if (name_pattern(item.node().text, item.at(), pattern.text))
      list->value->push_back(std::move(pattern));
  }
  return true;
}

void SectionReader::read_unset(Value& value, std::vector<PlacedText>& unset) {
  std::vector<std::string_view> known = own_keys();
  std::erase(known, "unset");
  for (Value& item : value.texts()) {
    const std::string& name = item.node().text;
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      item.error("there is no key " + quoted(name) + " in [" + name_ + "]" +
                 did_you_mean(name, known));
    } else {
      unset.push_back({name, origin(item.at())});
    }
  }
}

bool SectionReader::read_knob(const Member& member, traffic::Knobs& knobs) {
  bool is_known = false;
  traffic::for_each_knob([&](std::string_view key, auto pointer) {
    if (key != member.key) return;
    is_known = true;
    const std::string name = name_ + "." + member.key;
    Value value(name, member.value, problems_);
    if (key == "connections_source" && kind_ != SectionOf::Default && kind_ != SectionOf::Source) {
      value.error(
          "`connections_source` counts connections to everywhere; it belongs to [default] "
          "or [source.\"…\"]");
      return;
    }
    auto& knob = knobs.*pointer;
    typename std::decay_t<decltype(knob.value)>::value_type read{};
    if (!read_value(value, read, key)) return;
    knob.value = std::move(read);
    knob.origin = origin(member.at);
  });
  return is_known;
}

bool SectionReader::read_value(Value& value, std::uint32_t& target, std::string_view key) {
  return value.whole_number(target, {1, key == "port" ? 65535 : kCountMax});
}

bool SectionReader::read_value(Value& value, std::vector<traffic::Rate>& target,
                               std::string_view /*key*/) {
  std::vector<std::string_view> texts;
  for (Value& item : value.texts()) texts.emplace_back(item.node().text);
  if (texts.empty()) {
    if (value.node().type == Node::Type::Array)
      value.error("the list is empty; \"off\" is no limit, and `unset` takes a rate away");
    return false;
  }
  base::Result<std::vector<traffic::Rate>> rates = traffic::parse_rates(texts);
  if (!rates) {
    value.error(rates.error().text());
    return false;
  }
  target = *std::move(rates);
  return true;
}

bool SectionReader::read_value(Value& value, traffic::OctetRate& target, std::string_view /*key*/) {
  std::string text;
  if (!value.text(text)) return false;
  const base::Result<traffic::OctetRate> rate = traffic::parse_octet_rate(text);
  if (!rate) {
    value.error(quoted(text) + " is " + rate.error().text());
    return false;
  }
  target = *rate;
  return true;
}

bool SectionReader::read_value(Value& value, traffic::TlsWish& target, std::string_view /*key*/) {
  using traffic::TlsWish;
  constexpr std::array<std::pair<std::string_view, TlsWish>, 4> kChoices = {{
      {"off", TlsWish::Off},
      {"may", TlsWish::May},
      {"require", TlsWish::Require},
      {"verify", TlsWish::Verify},
  }};
  return value.choice<TlsWish>(target, kChoices);
}

bool SectionReader::read_value(Value& value, traffic::IpFamily& target, std::string_view /*key*/) {
  using traffic::IpFamily;
  constexpr std::array<std::pair<std::string_view, IpFamily>, 3> kChoices = {{
      {"any", IpFamily::Any},
      {"v4", IpFamily::V4},
      {"v6", IpFamily::V6},
  }};
  return value.choice<IpFamily>(target, kChoices);
}

bool SectionReader::read_value(Value& value, Duration& target, std::string_view /*key*/) {
  return value.duration(target, kTimeOuts);
}

bool SectionReader::read_value(Value& value, std::vector<Duration>& target,
                               std::string_view /*key*/) {
  std::vector<Duration> times;
  std::vector<Value> items = value.texts();
  for (Value& item : items) {
    Duration time{};
    if (item.duration(time, kTimes)) times.push_back(time);
  }
  if (value.node().type == Node::Type::Array && value.node().items.empty())
    value.error("the list is empty; `unset` takes it away");
  if (times.empty() || times.size() != items.size()) return false;
  if (times.size() > kRetriesMax) {
    value.error("there are more than " + std::to_string(kRetriesMax) + " times");
    return false;
  }
  target = std::move(times);
  return true;
}

void SectionReader::read_rules(const Member& member, std::vector<Rule>& rules) {
  const std::string header = "[[" + name_ + ".on]]";
  if (member.value.type != Node::Type::Array) {
    return problems_.error(member.at, "`on` is a list of sections: write " + header);
  }
  if (member.value.items.size() > kRulesMax) {
    return problems_.error(
        member.at, "there are more than " + std::to_string(kRulesMax) + " rules in a section");
  }
  for (const Node& item : member.value.items) {
    if (item.type == Node::Type::Table) {
      read_rule(item, rules);
    } else {
      problems_.error(item.at, "`on` is a list of sections: write " + header);
    }
  }
}

void SectionReader::read_rule(const Node& table, std::vector<Rule>& rules) {
  Rule rule;
  rule.origin = origin(table.at);
  details_ = {};
  bool has_reply = false;
  for (const Member& member : table.members) {
    const std::string name = name_ + ".on." + member.key;
    Value value(name, member.value, problems_);
    has_reply = has_reply || member.key == "reply";
    if (!read_rule_key(value, member.key, rule) && !read_action_key(value, member.key, rule)) {
      report_unknown(member, "[[" + name_ + ".on]]", {kRuleKeys.begin(), kRuleKeys.end()});
    }
  }
  if (!has_reply) {
    problems_.error(table.at,
                    "the rule has no `reply`: write the pattern of the replies it is for, "
                    "as in reply = '^421 4\\.7\\.0 '");
  }
  finish_actions(table, rule.actions);
  if (rule.reply) rules.push_back(std::move(rule));
}

bool SectionReader::read_rule_key(Value& value, std::string_view key, Rule& rule) {
  if (key == "reply") {
    std::string text;
    if (!value.text(text)) return true;
    auto pattern = traffic::ReplyPattern::compile(text);
    if (!pattern) {
      value.error(quoted(text) + ": " + pattern.error().text());
    } else {
      rule.reply = *std::move(pattern);
      rule.reply_at = origin(value.at());
    }
  } else if (key == "stage") {
    for (Value& item : value.texts()) {
      const std::optional<smtp::Stage> stage = traffic::parse_stage(item.node().text);
      if (stage) {
        rule.stages.push_back(*stage);
      } else {
        item.error("there is no stage " + quoted(item.node().text) +
                   did_you_mean(item.node().text, traffic::stage_names()));
      }
    }
  } else if (key == "samples") {
    for (Value& item : value.texts()) {
      std::string text;
      if (rule.samples.size() == kSamplesMax) {
        value.error("there are more than " + std::to_string(kSamplesMax) + " samples");
        break;
      }
      if (item.text(text)) rule.samples.push_back({std::move(text), origin(item.at())});
    }
  } else if (key == "after") {
    std::string text;
    if (!value.text(text)) return true;
    const base::Result<traffic::Threshold> after = traffic::parse_threshold(text);
    if (after) {
      rule.after = *after;
    } else {
      value.error(quoted(text) + " is " + after.error().text());
    }
  } else {
    return false;
  }
  return true;
}

bool SectionReader::read_action_key(Value& value, std::string_view key, Rule& rule) {
  traffic::Actions& actions = rule.actions;
  if (key == "pause") {
    Duration time{};
    if (value.duration(time, kTimes)) actions.pause = traffic::Pause{time};
  } else if (key == "pause_of") {
    using Of = traffic::Pause::Of;
    constexpr std::array<std::pair<std::string_view, Of>, 4> kChoices = {{
        {"site", Of::Site},
        {"provider", Of::Provider},
        {"source", Of::Source},
        {"tenant", Of::Tenant},
    }};
    Of of = Of::Provider;
    if (value.choice<Of>(of, kChoices)) details_.pause_of = of;
  } else if (key == "backoff") {
    std::string text;
    if (!value.text(text)) return true;
    const base::Result<double> factor = traffic::parse_factor(text);
    if (factor) {
      actions.backoff = traffic::BackoffAction{*factor, std::nullopt};
    } else {
      value.error(quoted(text) + " is " + factor.error().text());
    }
  } else if (key == "backoff_floor") {
    std::vector<traffic::Rate> rates;
    if (!read_value(value, rates, key)) return true;
    if (rates.size() != 1) {
      value.error("`backoff_floor` wants one rate, as in \"10/min\"");
    } else {
      details_.backoff_floor = rates.front();
    }
  } else if (key == "bounce") {
    read_flag(value, actions.bounce);
  } else if (key == "defer") {
    read_flag(value, actions.defer);
  } else if (key == "retry_in") {
    Duration time{};
    if (value.duration(time, kTimes)) actions.retry_in = time;
  } else if (key == "next_source") {
    read_flag(value, actions.next_source);
  } else if (key == "set") {
    read_set(value);
  } else if (key == "set_for") {
    Duration time{};
    if (value.duration(time, kTimes)) details_.set_for = time;
  } else {
    return false;
  }
  return true;
}

void SectionReader::read_set(Value& value) {
  if (value.node().type != Node::Type::Table) {
    value.wrong_type("settings, as in { rate = \"10/min\" }");
    return;
  }
  if (value.node().members.empty()) return value.error("`set` is empty: name what it sets");
  traffic::Knobs knobs;
  for (const Member& member : value.node().members) {
    if (!read_knob(member, knobs)) report_unknown(member, "`set`", traffic::knob_names());
  }
  details_.set = std::move(knobs);
}

// Gives each detail to its action; says what lacks its other half, or contradicts another.
void SectionReader::finish_actions(const Node& table, traffic::Actions& actions) {
  const auto wrong = [&](std::string text) { problems_.error(table.at, std::move(text)); };
  if (details_.pause_of && !actions.pause) wrong("the rule has `pause_of`, but no `pause`");
  if (details_.pause_of && actions.pause) actions.pause->of = *details_.pause_of;
  if (details_.backoff_floor && !actions.backoff)
    wrong("the rule has `backoff_floor`, but no `backoff`");
  if (actions.backoff) actions.backoff->floor = details_.backoff_floor;
  if (details_.set && !details_.set_for)
    wrong("the rule has `set`, but does not say how long: write set_for = \"1h\"");
  if (details_.set_for && !details_.set) wrong("the rule has `set_for`, but no `set`");
  if (details_.set && details_.set_for)
    actions.set = traffic::Setting{*details_.set, *details_.set_for};
  if (actions.is_empty() && !details_.set) {
    wrong(
        "the rule does nothing: give it one of `pause`, `backoff`, `bounce`, `defer`, `retry_in`, "
        "`next_source` and `set`");
  }
  if (actions.bounce && (actions.defer || actions.retry_in || actions.next_source)) {
    wrong("`bounce` and " +
          std::string(actions.defer      ? "`defer`"
                      : actions.retry_in ? "`retry_in`"
                                         : "`next_source`") +
          " contradict each other");
  }
}

}  // namespace rockdove::daemon
