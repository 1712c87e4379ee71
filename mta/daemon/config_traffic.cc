#include "mta/daemon/config_traffic.h"

#include <array>

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
  std::vector<Value> items = value.texts();
  std::vector<std::string_view> texts;
  for (const Value& item : items) texts.push_back(item.node().text);
  base::Result<std::vector<traffic::Rate>> rates = traffic::parse_rates(texts);
  if (!rates) return value.error(rates.error().text());
  knob.value = *std::move(rates);
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
        "What is "
        "beyond waits. Before what a traffic profile says of these hosts.",
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
    Key{"route", "connections", "whole number", "",
        "Connections at once to them. Default: `queue.route_connections`.",
        [](Value& value, Draft& draft) { read_count<10'000>(value, limits(draft).connections); }},
    Key{"route", "messages_per_connection", "whole number", "",
        "Then the connection is closed and a new one made. Default: "
        "`queue.messages_per_connection`.",
        [](Value& value, Draft& draft) {
          read_count<1'000'000>(value, limits(draft).messages_per_connection);
        }}};

}  // namespace

std::span<const Section> traffic_sections() {
  return kSections;
}

std::span<const Key> traffic_keys() {
  return kKeys;
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
