#include "mta/traffic/rule.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "mta/base/text.h"

namespace rockdove::traffic {

using base::Error;
using base::Result;
using smtp::Stage;

namespace {

constexpr std::array<std::pair<std::string_view, Stage>, 11> kStages = {{
    {"connect", Stage::Connect},
    {"banner", Stage::Banner},
    {"ehlo", Stage::Hello},
    {"starttls", Stage::StartTls},
    {"auth", Stage::Auth},
    {"mail", Stage::Mail},
    {"rcpt", Stage::Rcpt},
    {"data", Stage::Data},
    {"body", Stage::Body},
    {"final-dot", Stage::FinalDot},
    {"idle", Stage::Idle},
}};

std::string format_factor(double factor) {
  std::array<char, 32> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), factor);
  return error == std::errc() ? std::string(digits.data(), end) : std::string();
}

}  // namespace

std::string_view name_of(Pause::Of of) {
  switch (of) {
    case Pause::Of::Site:
      return "site";
    case Pause::Of::Provider:
      return "provider";
    case Pause::Of::Source:
      return "source";
    case Pause::Of::Tenant:
      return "tenant";
  }
  return "";
}

std::vector<std::string> describe(const Actions& actions) {
  std::vector<std::string> phrases;
  if (actions.pause) {
    phrases.push_back("pause the " + std::string(name_of(actions.pause->of)) + " for " +
                      base::format_duration(actions.pause->time));
  }
  if (actions.backoff) {
    std::string phrase = "rate x" + format_factor(actions.backoff->factor);
    if (actions.backoff->floor) phrase += ", not below " + format_rate(*actions.backoff->floor);
    phrases.push_back(phrase);
  }
  if (actions.set) {
    std::string phrase;
    for (const ShownKnob& knob : list_knobs(actions.set->knobs)) {
      phrase.append(phrase.empty() ? "" : ", ").append(knob.name).append(" = ").append(knob.value);
    }
    phrases.push_back(phrase + " for " + base::format_duration(actions.set->time));
  }
  if (actions.next_source) phrases.emplace_back("next attempt from another source address");
  if (actions.bounce) phrases.emplace_back("bounce");
  if (actions.retry_in) {
    phrases.push_back("try again in " + base::format_duration(*actions.retry_in));
  } else if (actions.defer) {
    phrases.emplace_back("defer");
  }
  return phrases;
}

Result<Threshold> parse_threshold(std::string_view text) {
  const Error wrong("no count in a time, as in \"3 in 10m\"");
  constexpr std::string_view kIn = " in ";
  const std::size_t in = text.find(kIn);
  if (in == std::string_view::npos) return wrong;
  Threshold threshold;
  const std::string_view count = base::trimmed(text.substr(0, in));
  const auto [end, error] =
      std::from_chars(count.data(), count.data() + count.size(), threshold.count);
  const Result<base::Duration> within =
      base::parse_duration(base::trimmed(text.substr(in + kIn.size())));
  if (error != std::errc() || end != count.data() + count.size() || threshold.count == 0 ||
      threshold.count > kThresholdCountMax || !within || *within <= base::Duration::zero()) {
    return wrong;
  }
  threshold.within = *within;
  return threshold;
}

std::string format_threshold(const Threshold& threshold) {
  return std::to_string(threshold.count) + " in " + base::format_duration(threshold.within);
}

Result<double> parse_factor(std::string_view text) {
  const Error wrong("no factor between 0 and 1, as in \"x0.5\"");
  if (!text.starts_with('x')) return wrong;
  const std::string_view digits = text.substr(1);
  double factor = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), factor,
                                            std::chars_format::fixed);
  if (error != std::errc() || end != digits.data() + digits.size()) return wrong;
  if (!(factor > 0 && factor < 1)) return wrong;
  return factor;
}

std::optional<Stage> parse_stage(std::string_view name) {
  for (const auto& [each, stage] : kStages) {
    if (base::equals_ignoring_case(each, name)) return stage;
  }
  return std::nullopt;
}

std::string_view format_stage(Stage stage) {
  for (const auto& [name, each] : kStages) {
    if (each == stage) return name;
  }
  return smtp::stage_name(stage);
}

std::vector<std::string_view> stage_names() {
  std::vector<std::string_view> names;
  for (const auto& [name, stage] : kStages) names.push_back(name);
  return names;
}

bool Rule::matches(std::string_view line, Stage stage) const {
  if (!stages.empty() && std::find(stages.begin(), stages.end(), stage) == stages.end())
    return false;
  return reply->matches(line);
}

}  // namespace rockdove::traffic
