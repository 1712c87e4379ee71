#include "mta/cli/planned_sites.h"

#include <utility>

#include "dns/mail_hosts.h"
#include "mta/outbound/router.h"
#include "mta/outbound/site_traffic.h"

namespace rockdove::cli {
namespace {

std::string names_of(const std::vector<traffic::MxHost>& hosts) {
  std::vector<std::string> names;
  names.reserve(hosts.size());
  for (const traffic::MxHost& host : hosts) names.push_back(host.name);
  return dns::name_of_hosts(std::move(names));
}

// An account of its own; the profiles may say otherwise.
std::shared_ptr<outbound::Site> make_site(std::string name, std::uint32_t connections) {
  auto account = std::make_shared<queue::AccountSpec>();
  account->name = name;
  auto site = std::make_shared<outbound::Site>();
  site->name = std::move(name);
  site->account = std::move(account);
  site->connections_max = connections;
  return site;
}

}  // namespace

PlannedSites::PlannedSites(std::vector<outbound::Route> routes,
                           std::shared_ptr<const traffic::Profiles> profiles,
                           const queue::QueueSettings& queue)
    : profiles_(std::move(profiles)), queue_(queue) {
  outbound_.routes = std::move(routes);
}

const outbound::Route* PlannedSites::route_of(std::string_view domain) const {
  const std::string recipient = "somebody@" + std::string(domain);
  const outbound::Route* route = outbound::find_route(outbound_, {recipient, "", "", {}, ""});
  const bool goes_by_mx = route == nullptr || std::holds_alternative<outbound::ToMx>(route->target);
  return goes_by_mx ? nullptr : route;
}

bool PlannedSites::has_route(std::string_view domain) const {
  return route_of(domain) != nullptr;
}

bool PlannedSites::add_by_route(std::string_view domain, std::uint64_t recipients) {
  const outbound::Route& route = *route_of(domain);
  const auto* to = std::get_if<outbound::ToHosts>(&route.target);
  if (to == nullptr) return false;
  std::shared_ptr<outbound::Site> site = make_site("route:" + route.name, queue_.route_connections);
  for (const outbound::ToHosts::Host& host : to->hosts)
    site->hosts.push_back({host.name, {{}, host.port}, host.implicit_tls, host.unix_path, 0});
  outbound::use_profiles_for_route(*site, route.limits, profiles_);
  count(std::move(site), recipients);
  return true;
}

void PlannedSites::add(std::string_view domain, const std::vector<traffic::MxHost>& hosts,
                       std::uint64_t recipients) {
  std::shared_ptr<outbound::Site> site =
      make_site("mx:" + names_of(hosts), queue_.site_connections);
  for (const traffic::MxHost& host : hosts)
    site->hosts.push_back({host.name, {}, false, {}, host.preference});
  outbound::use_profiles(*site, domain, /*has_route=*/false, profiles_);
  count(std::move(site), recipients);
}

void PlannedSites::count(std::shared_ptr<const outbound::Site> site, std::uint64_t recipients) {
  queue::RehearsedSite& known = sites_[site->name];
  known.messages_per_connection = site->messages_per_connection;
  known.messages += recipients;
  known.site = std::move(site);
}

std::vector<queue::RehearsedSite> PlannedSites::all() const {
  std::vector<queue::RehearsedSite> sites;
  sites.reserve(sites_.size());
  for (const auto& [name, site] : sites_) sites.push_back(site);
  return sites;
}

}  // namespace rockdove::cli
