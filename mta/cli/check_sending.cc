#include "mta/cli/check_sending.h"

#include <variant>

#include "mta/cli/check_words.h"
#include "mta/daemon/config_target.h"
#include "mta/outbound/site.h"

namespace rockdove::cli {
namespace {

using daemon::Configuration;
using nlohmann::json;

bool is_shared(const outbound::Target& target) {
  const auto* hosts = std::get_if<outbound::ToHosts>(&target);
  return hosts != nullptr && hosts->order == outbound::ToHosts::Order::Share;
}

std::string conditions(const outbound::Route& route) {
  std::string text;
  if (!route.recipient.empty()) text.append(" to ").append(route.recipient);
  if (!route.sender.empty()) text.append(" from ").append(route.sender);
  if (!route.client.empty()) text.append(" of ").append(joined(formatted(route.client), ""));
  if (!route.listener.empty()) text.append(" by listener ").append(route.listener);
  if (!route.user.empty()) text.append(" by user ").append(route.user);
  return text.empty() ? "everything" : "mail" + text;
}

std::vector<std::string> limits(const outbound::Route& route) {
  std::vector<std::string> words;
  for (const traffic::ShownKnob& knob : traffic::list_knobs(route.limits))
    words.push_back(std::string(knob.name) + " " + knob.value);
  if (!route.overflow.empty()) words.push_back("overflow to " + route.overflow);
  return words;
}

std::string describe(const outbound::Route& route) {
  std::string text = conditions(route) + " → " + daemon::format_target(route.target);
  if (is_shared(route.target)) text += " (shared)";
  text += ", tls " + std::string(outbound::level_name(route.tls));
  if (route.credentials) text += ", as " + route.credentials->user;
  for (const std::string& limit : limits(route)) text += ", " + limit;
  return text;
}

CheckedPart routes_of(const Configuration& configuration) {
  CheckedPart part{"routes, the first that matches", {}};
  for (const outbound::Route& route : configuration.outbound.routes)
    part.lines.emplace_back(route.name, describe(route));
  part.lines.emplace_back(
      "otherwise",
      "by MX, tls " + std::string(outbound::level_name(configuration.outbound.mx_tls)));
  return part;
}

CheckedPart traffic_of(const Configuration& configuration) {
  CheckedPart part{"traffic profiles", {}};
  const auto& profiles = configuration.outbound.traffic;
  part.lines.emplace_back(
      "profiles", profiles == nullptr
                      ? "none: only connections to a site are limited"
                      : std::to_string(profiles->providers().size()) + " providers, " +
                            std::to_string(profiles->domains().size()) + " domains with a section");
  return part;
}

std::string describe(const outbound::SourcePool& pool) {
  std::vector<std::string> members;
  for (const outbound::SourcePool::Member& member : pool.members) {
    members.push_back(member.source->name + " " + base::format_ip_address(member.source->address) +
                      " as " + member.source->ehlo +
                      (member.weight > 1 ? ", weight " + std::to_string(member.weight) : ""));
  }
  std::string text;
  for (const std::string& member : members) text.append(text.empty() ? "" : "; ").append(member);
  return text + (pool.tenants.empty() ? "" : "; for " + joined(pool.tenants, ""));
}

std::string describe(const outbound::WarmUpOrder& order) {
  std::string text = order.provider.empty() ? "each provider: " : order.provider + ": ";
  const std::vector<std::uint32_t>& daily = order.plan.daily;
  text += std::to_string(daily.front()) + " a day";
  if (daily.size() > 1)
    text += " to " + std::to_string(daily.back()) + " on day " + std::to_string(daily.size());
  return text;
}

std::string names_of(const outbound::WarmUpOrder& order) {
  std::vector<std::string> names;
  for (const auto& source : order.sources) names.push_back(source->name);
  return joined(names, "");
}

CheckedPart sources_of(const Configuration& configuration) {
  CheckedPart part{"source addresses", {}};
  for (const outbound::SourcePool& pool : configuration.outbound.pools)
    part.lines.emplace_back("pool " + pool.name, describe(pool));
  if (part.lines.empty()) part.lines.emplace_back("pools", "none: the system chooses");
  for (const outbound::WarmUpOrder& order : configuration.outbound.warm_ups)
    part.lines.emplace_back("warm_up " + names_of(order), describe(order));
  return part;
}

void add_senders(CheckedPart& part, const std::string& what,
                 const std::vector<queue::SenderSettings>& senders) {
  for (const queue::SenderSettings& one : senders) {
    std::string text =
        what == "tenant" ? "weight " + std::to_string(one.weight) + ", rate " : "rate ";
    part.lines.emplace_back(what + " " + one.name, text + traffic::format_rates(one.rates));
  }
}

CheckedPart senders_of(const Configuration& configuration) {
  CheckedPart part{"senders", {}};
  add_senders(part, "tenant", configuration.queue.tenants);
  add_senders(part, "campaign", configuration.queue.campaigns);
  part.lines.emplace_back("others", "weight 1, no limit");
  return part;
}

json to_json(const queue::SenderSettings& sender) {
  return {{"name", sender.name},
          {"weight", sender.weight},
          {"rate", traffic::format_rates(sender.rates)}};
}

json to_json(const outbound::Route& route) {
  json shown = json::object();
  for (const traffic::ShownKnob& knob : traffic::list_knobs(route.limits))
    shown[std::string(knob.name)] = knob.value;
  return {{"name", route.name},
          {"recipient", route.recipient},
          {"sender", route.sender},
          {"client", formatted(route.client)},
          {"listener", route.listener},
          {"user", route.user},
          {"to", daemon::format_target(route.target)},
          {"tls", outbound::level_name(route.tls)},
          {"login", route.credentials ? route.credentials->user : ""},
          {"order", is_shared(route.target) ? "share" : "first"},
          {"limits", shown},
          {"overflow", route.overflow}};
}

json to_json(const outbound::SourcePool& pool) {
  json members = json::array();
  for (const outbound::SourcePool::Member& member : pool.members) {
    members.push_back({{"name", member.source->name},
                       {"address", base::format_ip_address(member.source->address)},
                       {"ehlo", member.source->ehlo},
                       {"weight", member.weight}});
  }
  return {{"name", pool.name}, {"sources", members}, {"tenant", pool.tenants}};
}

json to_json(const outbound::WarmUpOrder& order) {
  json names = json::array();
  for (const auto& source : order.sources) names.push_back(source->name);
  return {{"sources", names},
          {"provider", order.provider},
          {"daily", order.plan.daily},
          {"hold_above", order.plan.hold_above},
          {"stop_above", order.plan.stop_above}};
}

template <typename Items>
json all_to_json(const Items& items) {
  json all = json::array();
  for (const auto& item : items) all.push_back(to_json(item));
  return all;
}

}  // namespace

std::vector<CheckedPart> describe_sending(const Configuration& configuration) {
  return {routes_of(configuration), traffic_of(configuration), sources_of(configuration),
          senders_of(configuration)};
}

json sending_as_json(const Configuration& configuration) {
  const outbound::OutboundSettings& outbound = configuration.outbound;
  const bool has_profiles = outbound.traffic != nullptr;
  return {{"routes", all_to_json(outbound.routes)},
          {"traffic", {{"providers", has_profiles ? outbound.traffic->providers().size() : 0}}},
          {"pools", all_to_json(outbound.pools)},
          {"warm_up", all_to_json(outbound.warm_ups)},
          {"tenants", all_to_json(configuration.queue.tenants)},
          {"campaigns", all_to_json(configuration.queue.campaigns)}};
}

}  // namespace rockdove::cli
