#include "mta/cli/traffic_report.h"

#include <algorithm>
#include <utility>

#include "mta/cli/safe_text.h"
#include "mta/daemon/config_problem.h"

namespace rockdove::cli {

using nlohmann::ordered_json;
using traffic::Knobs;
using traffic::MxHost;
using traffic::Origin;
using traffic::Profiles;
using traffic::Provider;
using traffic::Rate;
using traffic::Rule;

namespace {

ordered_json place(const Origin& origin) {
  return {{"file", safe_text(origin.file)}, {"line", origin.line}};
}

std::string joined(const std::vector<std::string>& phrases, std::string_view between) {
  std::string text;
  for (const std::string& phrase : phrases) {
    if (!text.empty()) text += between;
    text += phrase;
  }
  return text;
}

// "at most 54 in any minute": what a window holds with its burst, where that is more than its
// count.
std::string most_of(const traffic::Knob<std::vector<Rate>>& knob) {
  std::vector<std::string> phrases;
  for (const Rate& rate : *knob.value) {
    if (rate.most_in_window() == rate.count) continue;
    phrases.push_back("at most " + std::to_string(rate.most_in_window()) + " in any " +
                      base::format_duration(rate.per));
  }
  return phrases.empty() ? "" : " (" + joined(phrases, ", ") + ")";
}

std::string shown_value(const Knobs& knobs, const traffic::ShownKnob& shown) {
  if (shown.name == "rate") return shown.value + most_of(knobs.rate);
  if (shown.name == "connection_rate") return shown.value + most_of(knobs.connection_rate);
  if (shown.name == "recipient_rate") return shown.value + most_of(knobs.recipient_rate);
  return shown.value;
}

std::vector<std::string> stages_of(const Rule& rule) {
  std::vector<std::string> names;
  for (const smtp::Stage stage : rule.stages) names.emplace_back(traffic::format_stage(stage));
  return names;
}

// "at rcpt, after 3 in 10m"; empty where nothing narrows the rule.
std::string conditions_of(const Rule& rule) {
  std::vector<std::string> phrases;
  if (!rule.stages.empty()) phrases.push_back("at " + joined(stages_of(rule), " or "));
  if (rule.after.count > 1) phrases.push_back("after " + traffic::format_threshold(rule.after));
  return joined(phrases, ", ");
}

ordered_json provider_as_json(const Provider* provider) {
  if (provider == nullptr) return nullptr;
  ordered_json json = {{"name", provider->name}};
  json.update(place(provider->origin));
  return json;
}

std::string column(std::string text, std::size_t width) {
  text.resize(std::max(text.size() + 2, width), ' ');
  return text;
}

}  // namespace

ordered_json rule_as_json(const Rule& rule) {
  ordered_json json = place(rule.origin);
  json["reply"] = safe_text(rule.reply->text());
  json["stages"] = stages_of(rule);
  json["after"] = rule.after.count > 1 ? traffic::format_threshold(rule.after) : "";
  json["does"] = traffic::describe(rule.actions);
  return json;
}

std::string format_finding(const traffic::Finding& finding) {
  return safe_text(daemon::format_problem({daemon::Severity::Error,
                                           finding.at.file,
                                           {finding.at.line, finding.at.column},
                                           finding.text}));
}

ordered_json finding_as_json(const traffic::Finding& finding) {
  return {{"file", safe_text(finding.at.file)},
          {"line", finding.at.line},
          {"column", finding.at.column},
          {"fault", traffic::name_of(finding.fault)},
          {"text", safe_text(finding.text)}};
}

std::vector<std::string> consequences(const smtp::Reply& reply, const Rule* rule) {
  std::vector<std::string> phrases;
  if (rule != nullptr) phrases = traffic::describe(rule->actions);
  const bool decides =
      rule != nullptr && (rule->actions.bounce || rule->actions.defer ||
                          rule->actions.retry_in.has_value() || rule->actions.next_source);
  if (!decides) {
    phrases.emplace_back(reply.is_permanent() ? "the mail goes back to its sender"
                                              : "the mail waits for its next attempt");
  }
  return phrases;
}

std::vector<FiredRule> fired_anywhere(const Profiles& profiles, const smtp::Reply& reply,
                                      smtp::Stage stage) {
  std::vector<FiredRule> fired;
  const Rule* const otherwise = profiles.match(reply, stage, "", nullptr);
  for (const Provider& provider : profiles.providers()) {
    const Rule* const rule = profiles.match(reply, stage, "", &provider);
    if (rule != nullptr && rule != otherwise) fired.push_back({&provider, rule});
  }
  fired.push_back({nullptr, otherwise});
  return fired;
}

std::string format_fired(const smtp::Reply& reply, const FiredRule& fired) {
  std::string text = "reply      " + safe_text(traffic::line_of(reply)) + "\nprovider   ";
  text += fired.provider == nullptr ? "none"
                                    : fired.provider->name + "  " +
                                          safe_text(traffic::format_origin(fired.provider->origin));
  text += "\nrule       ";
  if (fired.rule == nullptr) {
    text += "none";
  } else {
    text += safe_text(traffic::format_origin(fired.rule->origin)) + "  " +
            safe_text(fired.rule->reply->text());
    const std::string conditions = conditions_of(*fired.rule);
    if (!conditions.empty()) text += "\n           " + conditions;
  }
  return text + "\ndoes       " + joined(consequences(reply, fired.rule), "; ") + "\n";
}

ordered_json fired_as_json(const smtp::Reply& reply, const FiredRule& fired) {
  return {{"reply", safe_text(traffic::line_of(reply))},
          {"provider", provider_as_json(fired.provider)},
          {"rule", fired.rule == nullptr ? ordered_json(nullptr) : rule_as_json(*fired.rule)},
          {"does", consequences(reply, fired.rule)}};
}

Applying find_applying(const Profiles& profiles, const std::string& domain,
                       std::vector<MxHost> hosts, const std::optional<base::IpAddress>& source) {
  Applying applying{domain, std::move(hosts), nullptr, nullptr, {}, {}};
  applying.provider = profiles.provider_of(domain, applying.hosts);
  applying.section = profiles.find_domain(domain);
  applying.knobs = profiles.effective(domain, applying.provider, source);
  const auto add = [&](const traffic::Section* section) {
    if (section == nullptr) return;
    for (const Rule& rule : section->rules) applying.rules.push_back(&rule);
  };
  add(applying.section);
  add(applying.provider);
  add(&profiles.defaults());
  return applying;
}

std::string format_applying(const Applying& applying) {
  constexpr std::size_t kNameColumn = 30;
  constexpr std::size_t kValueColumn = 34;
  std::string text = "domain     " + safe_text(applying.domain) + "\nmx         ";
  std::vector<std::string> hosts;
  for (const MxHost& host : applying.hosts) {
    hosts.push_back(safe_text(host.name) + " (" + std::to_string(host.preference) + ")");
  }
  text += hosts.empty() ? "none" : joined(hosts, ", ");
  text += "\nprovider   ";
  text += applying.provider == nullptr
              ? "none"
              : applying.provider->name + "  " +
                    safe_text(traffic::format_origin(applying.provider->origin));
  text += "\n\nlimits and settings\n";
  for (const traffic::ShownKnob& knob : traffic::list_knobs(applying.knobs)) {
    text += column("  " + std::string(knob.name), kNameColumn) +
            column(shown_value(applying.knobs, knob), kValueColumn) +
            safe_text(traffic::format_origin(knob.origin)) + "\n";
  }
  text += "\nreplies, the first rule that matches\n";
  for (const Rule* const rule : applying.rules) {
    const std::string conditions = conditions_of(*rule);
    text += "  " + safe_text(traffic::format_origin(rule->origin)) + "  " +
            safe_text(rule->reply->text()) + "\n      " +
            (conditions.empty() ? "" : conditions + ": ") +
            joined(traffic::describe(rule->actions), "; ") + "\n";
  }
  return text;
}

ordered_json applying_as_json(const Applying& applying) {
  ordered_json hosts = ordered_json::array();
  for (const MxHost& host : applying.hosts) {
    hosts.push_back({{"host", safe_text(host.name)}, {"preference", host.preference}});
  }
  ordered_json knobs = ordered_json::object();
  for (const traffic::ShownKnob& knob : traffic::list_knobs(applying.knobs)) {
    ordered_json json = {{"value", knob.value}};
    json.update(place(knob.origin));
    knobs[std::string(knob.name)] = json;
  }
  ordered_json rules = ordered_json::array();
  for (const Rule* const rule : applying.rules) rules.push_back(rule_as_json(*rule));
  return {{"domain", safe_text(applying.domain)},
          {"mx", hosts},
          {"provider", provider_as_json(applying.provider)},
          {"settings", knobs},
          {"rules", rules}};
}

}  // namespace rockdove::cli
