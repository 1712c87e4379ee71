#include "mta/daemon/config_target.h"

#include "mta/daemon/config_table.h"

namespace rockdove::daemon {
namespace {

using outbound::Target;
using outbound::ToHosts;
using outbound::ToMaildir;
using outbound::ToMx;

constexpr std::uint16_t kSmtpPort = 25;

}  // namespace

std::string name_of(const Target& target) {
  if (const auto* mx = std::get_if<ToMx>(&target)) {
    return mx->port == kSmtpPort ? "mx" : "mx-" + std::to_string(mx->port);
  }
  if (const auto* hosts = std::get_if<ToHosts>(&target))
    return outbound::format_host(hosts->hosts.front());
  if (std::holds_alternative<ToMaildir>(target)) return format_target(target);
  return "discard";
}

void read_target(Value& value, Draft& draft) {
  RouteDraft& route = draft.routes.back();
  route.has_target = true;  // at least there is one to complain about
  const bool is_list = value.node().type == Node::Type::Array;
  ToHosts hosts;
  for (Value& item : value.texts()) {
    const base::Result<Target> target = parse_target(item.node().text);
    if (!target) {
      item.error(target.error().text());
    } else if (!is_list) {
      route.route.target = *target;
    } else if (const auto* one = std::get_if<ToHosts>(&*target); one == nullptr) {
      item.error("a list has only targets with a host, as smtp://host:port");
    } else if (!hosts.hosts.empty() && hosts.speaks != one->speaks) {
      item.error("a list has targets of one protocol, SMTP or LMTP");
    } else {
      hosts.speaks = one->speaks;
      hosts.hosts.push_back(one->hosts.front());
    }
  }
  if (!is_list) return;
  if (value.node().items.empty()) return value.error("the list is empty");
  if (hosts.hosts.size() > outbound::kRouteHostsMax)
    return value.error("a route has at most 32 hosts");
  route.has_host_list = true;
  if (!hosts.hosts.empty()) route.route.target = std::move(hosts);
}

}  // namespace rockdove::daemon
