#include "mta/cli/planned_sites.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "dns/mail_hosts.h"
#include "mta/base/spelling.h"
#include "mta/base/text.h"
#include "mta/outbound/router.h"
#include "mta/outbound/site_traffic.h"
#include "mta/outbound/source_chooser.h"
#include "queue/account_name.h"

namespace rockdove::cli {
namespace {

const std::string kRoute = "route:";

constexpr double kRounding = 1e-6;  // what sums of parts may lack

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

// Nobody asks for its addresses: it is taken to have some of both families, so that each source
// reaches it.
void add_host(outbound::Site& site, outbound::HostAddress host) {
  site.hosts.push_back(host);
  host.address.ip = base::IpAddress::v6({});
  site.hosts.push_back(std::move(host));
}

}  // namespace

PlannedSites::PlannedSites(outbound::OutboundSettings outbound,
                           std::shared_ptr<const traffic::Profiles> profiles,
                           const queue::QueueSettings& queue)
    : outbound_(std::move(outbound)), profiles_(std::move(profiles)), queue_(queue) {}

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
  count(site_of(route, *to), recipients);
  return true;
}

std::shared_ptr<outbound::Site> PlannedSites::site_of(const outbound::Route& route,
                                                      const outbound::ToHosts& to) const {
  std::shared_ptr<outbound::Site> site = make_site(kRoute + route.name, queue_.route_connections);
  for (const outbound::ToHosts::Host& host : to.hosts)
    add_host(*site, {host.name, {{}, host.port}, host.implicit_tls, host.unix_path, 0});
  outbound::use_profiles_for_route(*site, route.limits, profiles_);
  return site;
}

void PlannedSites::add(std::string_view domain, const std::vector<traffic::MxHost>& hosts,
                       std::uint64_t recipients) {
  std::shared_ptr<outbound::Site> site =
      make_site("mx:" + names_of(hosts), queue_.site_connections);
  for (const traffic::MxHost& host : hosts)
    add_host(*site, {host.name, {}, false, {}, host.preference});
  outbound::use_profiles(*site, domain, /*has_route=*/false, profiles_);
  count(std::move(site), recipients);
}

void PlannedSites::count(std::shared_ptr<const outbound::Site> site, std::uint64_t recipients) {
  Planned& known = sites_[site->name];
  known.recipients += recipients;
  known.site = std::move(site);
}

// A provider's own name goes before that of a route.
std::map<std::string, std::string, std::less<>> PlannedSites::known_accounts() const {
  std::map<std::string, std::string, std::less<>> known;
  const auto add = [&known](const std::string& account, const std::string& called) {
    known.emplace(account, account);
    known.emplace(called, account);
  };
  if (profiles_ != nullptr) {
    for (const traffic::Provider& provider : profiles_->providers())
      add(queue::account_of_provider(provider.name), provider.name);
  }
  for (const outbound::Route& route : outbound_.routes) {
    const auto* to = std::get_if<outbound::ToHosts>(&route.target);
    if (to == nullptr) continue;
    // One to a provider's hosts without a rate of its own is part of the provider's account.
    const std::shared_ptr<const outbound::Site> site = site_of(route, *to);
    const std::string& account = site->account->name;
    if (account.starts_with(kRoute)) add(account, route.name);
  }
  for (const auto& [name, planned] : sites_)
    known.emplace(planned.site->account->name, planned.site->account->name);
  return known;
}

bool PlannedSites::has_source(std::string_view address) const {
  return std::any_of(
      outbound_.pools.begin(), outbound_.pools.end(), [address](const outbound::SourcePool& pool) {
        return std::any_of(pool.members.begin(), pool.members.end(), [address](const auto& member) {
          return base::format_ip_address(member.source->address) == address;
        });
      });
}

base::Result<std::string> PlannedSites::find_account(std::string_view name) const {
  const std::string_view source = queue::source_of_account(name);
  const std::string_view without = queue::without_source(name);
  if (!source.empty() && !has_source(source))
    return base::Error("no pool of the configuration has the source " + std::string(source));
  const auto known = known_accounts();
  const auto found = known.find(without);
  if (found != known.end())
    return source.empty() ? found->second : queue::account_from(found->second, source);
  std::vector<std::string_view> candidates;
  for (const auto& [called, account] : known) candidates.emplace_back(called);
  return base::Error(
      "no provider of the profiles, no route with an account of its own and no account "
      "of this plan is called so" +
      base::did_you_mean(base::lower_case(without), candidates));
}

std::vector<queue::RehearsedSite> PlannedSites::all() const {
  std::vector<queue::RehearsedSite> sites;
  sites.reserve(sites_.size());
  const outbound::SourceChooser chooser(outbound_);
  for (const auto& [name, planned] : sites_) {
    const auto shares = chooser.shares(planned.site, /*pauses=*/nullptr, base::Instant{});
    // Sites with few messages have them at one source or another.
    double until = static_cast<double>(std::hash<std::string>()(name) % 1024) / 1024;
    for (const outbound::SourceChooser::Share& share : shares) {
      const double from = std::floor(until + kRounding);
      until += share.part * static_cast<double>(planned.recipients);
      const auto messages = static_cast<std::uint64_t>(std::floor(until + kRounding) - from);
      sites.push_back({share.site, messages, share.site->messages_per_connection});
    }
  }
  return sites;
}

}  // namespace rockdove::cli
