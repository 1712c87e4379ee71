#include "mta/admin/forecast_text.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include <nlohmann/json.hpp>

#include "mta/admin/summary_json.h"

namespace rockdove::admin {

using Json = nlohmann::ordered_json;
using Line = queue::QueueSummary::Line;

namespace {

void add(Line& sum, const Line& line) {
  if (sum.deliveries == 0) {
    sum.earliest_due = line.earliest_due;
    sum.oldest = line.oldest;
  }
  sum.deliveries += line.deliveries;
  sum.octets += line.octets;
  sum.earliest_due = std::min(sum.earliest_due, line.earliest_due);
  sum.latest_due = std::max(sum.latest_due, line.latest_due);
  sum.oldest = std::min(sum.oldest, line.oldest);
  for (std::size_t i = 0; i < sum.by_age.size(); ++i) sum.by_age[i] += line.by_age[i];
}

void add_estimate(Json& json, const Line& line, const Forecast& forecast) {
  const auto found = forecast.accounts.find(line.name);
  if (found == forecast.accounts.end()) {
    json["not_known"] = line.deliveries;
    json["why_not_known"] = "its hosts have not been looked up lately";
    return;
  }
  if (found->second.not_known < line.deliveries)
    json["done_about"] = base::format_timestamp(found->second.done);
  if (!found->second.used_up.empty()) {
    json["used_up"] = found->second.used_up;
    json["used_up_until"] = base::format_timestamp(found->second.used_up_until);
  }
  if (found->second.not_known == 0) return;
  json["not_known"] = found->second.not_known;
  json["why_not_known"] = found->second.why_not_known;
}

}  // namespace

std::vector<Waiting> waiting_of(const queue::QueueSummary& destinations) {
  std::map<std::string, Waiting> all;
  for (const Line& line : destinations.lines) {
    Waiting& waiting = all[line.name];
    waiting.destination = line.name;
    if (line.state != queue::DeliveryState::Waiting) continue;
    waiting.deliveries += line.deliveries;
    waiting.latest_due = std::max(waiting.latest_due, line.latest_due);
    waiting.octets += line.octets;
  }
  std::vector<Waiting> list;
  list.reserve(all.size());
  for (auto& [destination, waiting] : all) list.push_back(std::move(waiting));
  return list;
}

std::vector<std::string> format_providers(const queue::QueueSummary& destinations,
                                          const Forecast& forecast, std::uint32_t lines_max) {
  std::map<std::pair<queue::DeliveryState, std::string>, Line> sums;
  for (const Line& line : destinations.lines) {
    const auto account = forecast.account_of.find(line.name);
    const std::string name = account == forecast.account_of.end() ? "" : account->second;
    Line& sum = sums[{line.state, name}];
    sum.state = line.state;
    sum.name = name;
    add(sum, line);
  }
  std::vector<Line> lines;
  lines.reserve(sums.size());
  for (auto& [key, line] : sums) lines.push_back(std::move(line));
  std::stable_sort(lines.begin(), lines.end(),
                   [](const Line& a, const Line& b) { return a.deliveries > b.deliveries; });
  const std::size_t kept =
      lines_max == 0 ? lines.size() : std::min<std::size_t>(lines.size(), lines_max);
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < kept; ++i) {
    Json json = summary_json(lines[i], "provider");
    if (lines[i].state == queue::DeliveryState::Waiting) add_estimate(json, lines[i], forecast);
    texts.push_back(json.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  if (kept < lines.size()) {
    texts.push_back(Json{{"lines_left_out", lines.size() - kept},
                         {"deliveries_in_all", destinations.deliveries}}
                        .dump());
  }
  return texts;
}

}  // namespace rockdove::admin
