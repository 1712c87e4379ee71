// What `rockdove traffic replay` prints.
#include <array>

#include "mta/cli/json_text.h"
#include "mta/cli/safe_text.h"
#include "mta/cli/traffic_replay.h"
#include "mta/cli/traffic_report.h"

namespace rockdove::cli {

using nlohmann::ordered_json;
using Difference = TrafficReplay::Difference;

namespace {

constexpr std::size_t kShownReplyOctets = 160;

std::string_view title_of(Difference difference) {
  switch (difference) {
    case Difference::Caught:
      return "caught by a rule, and by none before";
    case Difference::Lost:
      return "caught by no rule any more";
    case Difference::OtherAction:
      return "treated in another way";
    case Difference::OtherRule:
      return "caught by another rule that does the same";
    case Difference::OtherProvider:
      return "of another provider, and treated in the same way";
  }
  return "";
}

smtp::Reply reply_of(bool is_permanent) {
  smtp::Reply reply;
  reply.code = is_permanent ? 550 : 450;
  return reply;
}

std::string provider_of(const Treatment& treatment) {
  return treatment.provider == nullptr ? "no provider" : "provider " + treatment.provider->name;
}

std::string format_treatment(const Treatment& treatment, bool is_permanent) {
  std::string text;
  if (treatment.rule == nullptr) {
    text = "no rule (" + provider_of(treatment) + ")";
  } else {
    text = safe_text(traffic::format_origin(treatment.rule->origin)) + "  " +
           safe_text(treatment.rule->reply->text()) + " (" + provider_of(treatment) + ")";
  }
  text += "\n           ";
  std::string_view between;
  for (const std::string& phrase : consequences(reply_of(is_permanent), treatment.rule)) {
    text.append(between).append(phrase);
    between = "; ";
  }
  return text + "\n";
}

std::string format_group(const TrafficReplay::Group& group) {
  std::string text = std::to_string(group.replies) +
                     (group.replies == 1 ? " reply " : " replies ") +
                     std::string(title_of(group.difference)) + "\n  in use   " +
                     format_treatment(group.in_use, group.is_permanent) + "  changed  " +
                     format_treatment(group.changed, group.is_permanent);
  const PastReply& sample = group.samples.front();
  text += "  such as  " + cut(safe_text(sample.reply), kShownReplyOctets) + "\n           " +
          sample.id + ", " + local_time(unix_seconds_of(sample.at)) + ", " +
          (sample.domain.empty() ? "" : "to " + safe_text(sample.domain) + ", ") + "from " +
          safe_text(sample.host) + "\n\n";
  return text;
}

// "3 more, 1 less"; "" where nothing turns.
std::string format_turned(const char* what, const TrafficReplay::Turned& turned) {
  if (turned.begins == 0 && turned.ends == 0) return "";
  return std::string(what) + std::to_string(turned.begins) + " newly, " +
         std::to_string(turned.ends) + " no longer\n";
}

ordered_json treatment_as_json(const Treatment& treatment, bool is_permanent) {
  return {
      {"provider", treatment.provider == nullptr ? ordered_json(nullptr)
                                                 : ordered_json(treatment.provider->name)},
      {"rule", treatment.rule == nullptr ? ordered_json(nullptr) : rule_as_json(*treatment.rule)},
      {"does", consequences(reply_of(is_permanent), treatment.rule)}};
}

ordered_json turned_as_json(const TrafficReplay::Turned& turned) {
  return {{"newly", turned.begins}, {"no_longer", turned.ends}};
}

}  // namespace

PastReply parse_past_reply(const ordered_json& line) {
  const auto text = [&line](const char* name) {
    const auto found = line.find(name);
    return found != line.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  return {text("id"), text("at"), text("domain"), text("host"), text("reply")};
}

std::string format_replay(const TrafficReplay& replay) {
  std::string text;
  for (const TrafficReplay::Group& group : replay.groups()) text += format_group(group);
  const TrafficReplay::Totals& totals = replay.totals();
  std::uint64_t different = 0;
  for (const std::uint64_t count : totals.by_difference) different += count;
  text += std::to_string(different) + " of " + std::to_string(totals.replies) +
          " replies would be treated differently\n";
  text += format_turned("  returned to the sender at once  ", totals.returned);
  text += format_turned("  pausing what they come from     ", totals.paused);
  text += format_turned("  cutting the rate                ", totals.slowed);
  return text;
}

std::vector<ordered_json> replay_as_json(const TrafficReplay& replay) {
  std::vector<ordered_json> lines;
  for (const TrafficReplay::Group& group : replay.groups()) {
    ordered_json samples = ordered_json::array();
    for (const PastReply& sample : group.samples) {
      samples.push_back({{"id", sample.id},
                         {"at", sample.at},
                         {"domain", safe_text(sample.domain)},
                         {"host", safe_text(sample.host)},
                         {"reply", safe_text(sample.reply)}});
    }
    lines.push_back({{"difference", name_of(group.difference)},
                     {"replies", group.replies},
                     {"in_use", treatment_as_json(group.in_use, group.is_permanent)},
                     {"changed", treatment_as_json(group.changed, group.is_permanent)},
                     {"samples", samples}});
  }
  const TrafficReplay::Totals& totals = replay.totals();
  ordered_json total = {{"total", true}, {"replies", totals.replies}};
  for (std::size_t i = 0; i < TrafficReplay::kDifferences; ++i)
    total[std::string(name_of(static_cast<Difference>(i)))] = totals.by_difference[i];
  total["returned"] = turned_as_json(totals.returned);
  total["paused"] = turned_as_json(totals.paused);
  total["slowed"] = turned_as_json(totals.slowed);
  total["other_texts"] = totals.other_texts;
  lines.push_back(total);
  return lines;
}

}  // namespace rockdove::cli
