#include "mta/daemon/config_traffic.h"

#include <algorithm>
#include <array>
#include <variant>
#include <vector>

#include "mta/base/text.h"

namespace rockdove::daemon {
namespace {

void read_profile_paths(Value& value, Draft& draft) {
  draft.traffic_profiles_at = value.at();
  std::vector<std::string>& paths = draft.configuration.traffic_profiles.emplace();
  for (Value& item : value.texts()) {
    std::string path;
    if (item.absolute_path(path)) paths.push_back(path);
  }
}

traffic::Knobs& limits(Draft& draft) {
  return draft.routes.back().route.limits;
}

template <std::uint32_t most>
void read_count(Value& value, traffic::Knob<std::uint32_t>& knob) {
  std::uint32_t count = 0;
  if (value.whole_number(count, {1, most})) knob.value = count;
}

void read_rates(Value& value, traffic::Knob<std::vector<traffic::Rate>>& knob) {
  std::vector<traffic::Rate> rates;
  if (value.rates(rates)) knob.value = std::move(rates);
}

void read_octets(Value& value, traffic::Knob<traffic::OctetRate>& knob) {
  std::string text;
  if (!value.text(text)) return;
  const base::Result<traffic::OctetRate> rate = traffic::parse_octet_rate(text);
  if (!rate) return value.error("\"" + base::printable(text, 80) + "\" is " + rate.error().text());
  knob.value = *rate;
}

constexpr std::array kSections = {Section{
    "traffic", SectionKind::Table,
    "How fast mail goes to each provider, and what its replies teach: contrib/doc/traffic.md."}};

constexpr std::array kKeys = {
    Key{"traffic", "profiles", "list of paths", "",
        "Files of traffic profiles, or folders of them; a later one wins key by key. Default: the "
        "profiles that come with the program, where they are installed. `[]`: none; then every "
        "site "
        "gets as much as `queue.site_connections` can carry.",
        read_profile_paths},
    Key{"route", "rate", "rate, or list of rates", "\"off\"",
        "Messages to the hosts of `to`, all together: `\"30/min\"`, `[\"30/min\", \"2000/day\"]`. "
        "What is beyond waits. With this, `recipient_rate` or `bytes` the system chooses the "
        "address that it leaves from. Before what a traffic profile says of these hosts.",
        [](Value& value, Draft& draft) { read_rates(value, limits(draft).rate); }},
    Key{"route", "connection_rate", "rate, or list of rates", "\"off\"",
        "Connections begun to them, likewise.",
        [](Value& value, Draft& draft) { read_rates(value, limits(draft).connection_rate); }},
    Key{"route", "recipient_rate", "rate, or list of rates", "\"off\"",
        "Recipients sent to them, also those that they refuse, likewise: `\"10000/day\"`. A "
        "message of several recipients has as many in one transaction as the smallest count.",
        [](Value& value, Draft& draft) { read_rates(value, limits(draft).recipient_rate); }},
    Key{"route", "bytes", "size a time", "",
        "Octets of messages sent to them, likewise: `\"100M/min\"`. A larger message goes alone.",
        [](Value& value, Draft& draft) { read_octets(value, limits(draft).bytes); }},
    Key{"route", "overflow", "name", "",
        "Another route, by its `name`; its conditions are not asked. Mail goes by it while a "
        "budget "
        "of this one (`rate`, `recipient_rate` or `bytes` of an hour or a day) is used up. Without "
        "it the mail waits.",
        [](Value& value, Draft& draft) {
          draft.routes.back().overflow_at = value.at();
          static_cast<void>(value.name(draft.routes.back().route.overflow));
        }},
    Key{"route", "overflow_after", "duration", "\"5m\"",
        "Mail waits for a budget that has room again sooner.",
        [](Value& value, Draft& draft) {
          draft.routes.back().overflow_after_at = value.at();
          static_cast<void>(value.duration(draft.routes.back().route.overflow_after,
                                           {std::chrono::seconds(0), std::chrono::hours(24)}));
        }},
    Key{"route", "connections", "whole number", "",
        "Connections at once to them. Default: `queue.route_connections`.",
        [](Value& value, Draft& draft) { read_count<10'000>(value, limits(draft).connections); }},
    Key{"route", "messages_per_connection", "whole number", "",
        "Then the connection is closed and a new one made. Default: "
        "`queue.messages_per_connection`.",
        [](Value& value, Draft& draft) {
          read_count<1'000'000>(value, limits(draft).messages_per_connection);
        }}};

bool has_budget(const traffic::Knobs& limits) {
  const auto is_counted = [](const traffic::Rate& rate) { return rate.is_counted(); };
  const auto has_counted = [&](const traffic::Knob<std::vector<traffic::Rate>>& knob) {
    return knob.value && std::any_of(knob.value->begin(), knob.value->end(), is_counted);
  };
  return has_counted(limits.rate) || has_counted(limits.recipient_rate) ||
         (limits.bytes.value && limits.bytes.value->in_units().is_counted());
}

const outbound::Route* route_named(const Draft& draft, std::string_view name) {
  const auto found = std::find_if(draft.routes.begin(), draft.routes.end(),
                                  [name](const RouteDraft& one) { return one.route.name == name; });
  return found == draft.routes.end() ? nullptr : &found->route;
}

// "`a`, `b` and back to `a`"; "": it leads to an end, or into a circle of others, who tell of it.
std::string circle_from(const Draft& draft, const outbound::Route& first) {
  std::string text = "`" + first.name + "`";
  const outbound::Route* route = &first;
  for (std::size_t i = 0; i < draft.routes.size(); ++i) {
    route = route_named(draft, route->overflow);
    if (route == nullptr || route->overflow.empty()) return "";
    if (route == &first) return text + " and back to `" + first.name + "`";
    text += ", `" + route->name + "`";
  }
  return "";
}

bool has_hosts(const outbound::Route& route) {
  return std::holds_alternative<outbound::ToHosts>(route.target);
}

}  // namespace

std::span<const Section> traffic_sections() {
  return kSections;
}

std::span<const Key> traffic_keys() {
  return kKeys;
}

void check_limits(const RouteDraft& draft, Problems& problems) {
  const traffic::Knobs& limits = draft.route.limits;
  const bool has_any = limits.rate.value || limits.recipient_rate.value || limits.bytes.value ||
                       limits.connections.value || limits.connection_rate.value ||
                       limits.messages_per_connection.value;
  if (!has_any || has_hosts(draft.route) || !draft.has_target) return;
  problems.error(draft.at,
                 "limits of a route want hosts in `to`, as smtp://host:port; for mail by MX write "
                 "them into a traffic profile");
}

void check_overflows(const Draft& draft, Problems& problems) {
  std::vector<std::string_view> names;
  for (const RouteDraft& one : draft.routes) names.emplace_back(one.route.name);
  for (const RouteDraft& one : draft.routes) {
    const outbound::Route& route = one.route;
    if (route.overflow.empty()) {
      if (one.overflow_at.line == 0 && one.overflow_after_at.line != 0)
        problems.error(
            one.overflow_after_at,
            "`overflow_after` says when the route of `overflow` takes over, and this one "
            "has none");
      continue;
    }
    const auto error = [&](const std::string& text) { problems.error(one.overflow_at, text); };
    const outbound::Route* const next = route_named(draft, route.overflow);
    if (!has_hosts(route)) {
      error("`overflow` wants hosts in `to`, as smtp://host:port");
    } else if (!has_budget(route.limits)) {
      error(
          "`overflow` wants a budget of an hour or a day, which can be used up: `rate`, "
          "`recipient_rate` or `bytes`, as in recipient_rate = \"10000/day\"");
    } else if (next == nullptr) {
      error("there is no route `" + route.overflow + "`" + did_you_mean(route.overflow, names));
    } else if (!has_hosts(*next)) {
      error("the route `" + route.overflow + "` has no hosts in `to` that could take over");
    } else if (const std::string circle = circle_from(draft, route); !circle.empty()) {
      error("`overflow` leads in a circle: " + circle);
    }
  }
}

void finish_traffic(Draft& draft, Surroundings& surroundings, Problems& problems) {
  if (!surroundings.read_profiles) return;
  const std::vector<std::string> paths =
      draft.configuration.traffic_profiles.value_or(surroundings.default_profiles);
  if (paths.empty()) return;
  ReadProfiles read = surroundings.read_profiles(paths);
  for (Problem& problem : read.problems) problems.add(std::move(problem));
  if (surroundings.check_readable) {
    for (const std::string& file : read.files) {
      const auto readable = surroundings.check_readable(draft.configuration.user, file);
      if (!readable)
        problems.error(draft.traffic_profiles_at, "`traffic.profiles`: " + readable.error().text());
    }
  }
  draft.configuration.outbound.traffic = std::move(read.profiles);
}

}  // namespace rockdove::daemon
