#include "mta/admin/top.h"

#include <algorithm>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "mta/base/assert.h"

namespace rockdove::admin {

using Json = nlohmann::ordered_json;
using base::Counter;

namespace {

constexpr base::Duration kSlow = std::chrono::seconds(1);  // what takes less is not worth a line

std::string_view readiness_name(queue::Readiness readiness) {
  switch (readiness) {
    case queue::Readiness::Ready:
      return "ready";
    case queue::Readiness::Busy:
      return "busy";
    case queue::Readiness::DiskFull:
      return "disk-full";
    case queue::Readiness::Failed:
      return "failed";
  }
  MTA_ASSERT(false);
}

Json counters_json(const base::CounterTotals& counts) {
  constexpr std::pair<const char*, Counter> kShown[] = {
      {"connections_in", Counter::ConnectionsIn},
      {"accepted", Counter::MessagesAccepted},
      {"octets_accepted", Counter::OctetsAccepted},
      {"connections_out", Counter::ConnectionsOut},
      {"connections_out_failed", Counter::ConnectionsOutFailed},
      {"delivered", Counter::Delivered},
      {"deferred", Counter::Deferred},
      {"bounced", Counter::Bounced},
      {"discarded", Counter::Discarded},
      {"deleted", Counter::Deleted}};
  Json json;
  for (const auto& [name, counter] : kShown) json[name] = counts.of(counter);
  std::uint64_t refused = 0;
  for (auto one = static_cast<unsigned>(Counter::RefusedTemporary);
       one <= static_cast<unsigned>(Counter::RefusedPermanentPolicy); ++one) {
    refused += counts.of(static_cast<Counter>(one));
  }
  json["refused"] = refused;
  return json;
}

Json activity_json(RecentActivity& activity) {
  const auto total = [](const RecentActivity::Destination& one) {
    return one.delivered + one.deferred + one.bounced;
  };
  std::sort(activity.destinations.begin(), activity.destinations.end(),
            [&total](const auto& a, const auto& b) {
              return total(a) != total(b) ? total(a) > total(b) : a.name < b.name;
            });
  if (activity.destinations.size() > kTopDestinationsMax) {
    activity.destinations.resize(kTopDestinationsMax);
  }
  Json json = Json::array();
  for (const RecentActivity::Destination& one : activity.destinations) {
    json.push_back(Json{{"name", one.name},
                        {"delivered", one.delivered},
                        {"deferred", one.deferred},
                        {"bounced", one.bounced},
                        {"slowest_ms", one.slowest.count()}});
  }
  return json;
}

// The slowest first; of each destination one that has ended, and one that is at work.
Json slowest_json(std::vector<RecentActivity::Slow>& slowest) {
  std::sort(slowest.begin(), slowest.end(), [](const auto& a, const auto& b) {
    return a.took != b.took ? a.took > b.took : a.destination < b.destination;
  });
  Json json = Json::array();
  std::set<std::pair<std::string_view, bool>> told;
  for (const RecentActivity::Slow& one : slowest) {
    if (one.took < kSlow || json.size() >= kTopSlowestMax) break;
    if (!told.emplace(one.destination, one.stage.empty()).second) continue;
    Json entry{{"name", one.destination}, {"ms", one.took.count()}};
    if (!one.host.empty()) entry["host"] = one.host;
    if (!one.stage.empty()) entry["stage"] = one.stage;
    json.push_back(std::move(entry));
  }
  return json;
}

// What is wrong, a sentence each.
Json trouble_json(const Standing& standing) {
  const std::string text = format_illness(standing);
  std::string_view rest = text;
  Json json = Json::array();
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    json.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return json;
}

Json pauses_json(const std::vector<queue::Pause>& pauses) {
  Json json = Json::array();
  for (const queue::Pause& pause : pauses) {
    if (json.size() >= kTopPausesMax) break;
    Json one{{"kind", queue::kind_name(pause.kind)}};
    if (!pause.pattern.empty()) one["name"] = pause.pattern;
    if (pause.until) one["until"] = base::format_timestamp(*pause.until);
    json.push_back(std::move(one));
  }
  return json;
}

}  // namespace

std::string format_top(const base::CounterTotals& counts, const Standing& standing,
                       const std::optional<QueueCount>& queue,
                       const std::vector<queue::Pause>& pauses, RecentActivity activity) {
  Json json{{"time", base::format_timestamp(standing.now)}, {"counters", counters_json(counts)}};
  json["standing"] = Json{{"readiness", readiness_name(standing.readiness)},
                          {"stopping", standing.is_stopping},
                          {"trouble", trouble_json(standing)},
                          {"connections_in", standing.connections_in},
                          {"connections_in_max", standing.connections_in_max},
                          {"connections_out", standing.connections_out},
                          {"connections_out_max", standing.connections_out_max},
                          {"memory_used", standing.memory_used},
                          {"memory_max", standing.memory_max},
                          {"disk_free", standing.disk_free}};
  json["queue"] = nullptr;
  if (queue) {
    json["queue"] = Json{{"waiting", queue->waiting},
                         {"held", queue->held},
                         {"deleted", queue->deleted},
                         {"counted", base::format_timestamp(queue->counted)}};
    if (queue->oldest) json["queue"]["oldest"] = base::format_timestamp(*queue->oldest);
  }
  json["pauses_in_all"] = pauses.size();
  json["pauses"] = pauses_json(pauses);
  json["destinations"] = activity_json(activity);
  json["slowest"] = slowest_json(activity.slowest);
  json["deferrals"] = Json::object();
  for (std::size_t i = 0; i < activity.deferrals.size(); ++i) {
    if (activity.deferrals[i] == 0) continue;
    const std::string_view name = queue::reason_name(static_cast<queue::Reason>(i));
    json["deferrals"][std::string(name)] = activity.deferrals[i];
  }
  if (activity.silent_loops > 0) json["silent_loops"] = activity.silent_loops;
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace rockdove::admin
