#include "mta/outbound/router.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "mta/base/text.h"

namespace rockdove::outbound {
namespace {

constexpr std::string_view kRoutePrefix = "route:";
constexpr std::uint16_t kSmtpPort = 25;
constexpr base::Duration kKeepMin = std::chrono::seconds(30);
constexpr base::Duration kKeepMax = std::chrono::hours(1);

struct DomainAndPort {
  std::string_view domain;
  std::uint16_t port = kSmtpPort;
};

// "example.net", "example.net:2525", "[IPv6:::1]:2525".
DomainAndPort split_destination(std::string_view destination) {
  const std::size_t colon = destination.rfind(':');
  const std::size_t bracket = destination.rfind(']');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket)) {
    return {destination};
  }
  DomainAndPort split{destination.substr(0, colon)};
  const std::string_view digits = destination.substr(colon + 1);
  std::from_chars(digits.data(), digits.data() + digits.size(), split.port);
  return split;
}

std::string_view domain_of(std::string_view address) {
  const std::size_t at = address.rfind('@');
  return at == std::string_view::npos ? std::string_view() : address.substr(at + 1);
}

bool holds(const Route& route, const RoutedMail& mail) {
  if (!route.recipient.empty() && !matches_pattern(route.recipient, mail.recipient)) return false;
  const std::string_view sender = mail.sender.empty() ? std::string_view("<>") : mail.sender;
  if (!route.sender.empty() && !matches_pattern(route.sender, sender)) return false;
  if (!route.listener.empty() && route.listener != mail.listener) return false;
  return route.client.empty() || std::any_of(route.client.begin(), route.client.end(),
                                             [&mail](const base::IpNetwork& network) {
                                               return network.contains(mail.client);
                                             });
}

smtp::Reply reply_for(const dns::MailHosts& hosts) {
  using Status = dns::MailHosts::Status;
  switch (hosts.status) {
    case Status::NoSuchDomain:
      return smtp::make_reply(550, "5.1.2", hosts.detail);
    case Status::NoUsableHost:
      return smtp::make_reply(550, "5.4.4", hosts.detail);
    case Status::NullMx:
      return smtp::make_reply(556, "5.1.10", hosts.detail);  // RFC 7505 §4.2
    case Status::Loop:
      return smtp::make_reply(554, "5.4.6", hosts.detail);
    case Status::BadDomain:
      return smtp::make_reply(553, "5.1.2", hosts.detail);
    case Status::TemporaryFailure:
      return smtp::make_reply(451, "4.4.3", hosts.detail);
    case Status::Found:
      break;
  }
  MTA_ASSERT(false);
}

NotResolved not_resolved(const dns::MailHosts& hosts, queue::Cause cause) {
  queue::Failure failure;
  failure.stage = smtp::Stage::Resolve;
  failure.cause = cause;
  failure.reply = reply_for(hosts);
  return {failure};
}

void add_hosts(Site& site, const std::vector<dns::Host>& hosts, std::uint16_t port) {
  for (const dns::Host& host : hosts) {
    for (const base::IpAddress& address : host.addresses) {
      site.hosts.push_back({host.name, {address, port}});
    }
  }
}

// How many addresses stand at the front of the set's addresses with the best preference. Those of
// one host alone keep their order, which begins with IPv6.
std::size_t count_equals(const std::vector<dns::Host>& hosts) {
  std::size_t addresses = 0;
  std::size_t equal_hosts = 0;
  for (const dns::Host& host : hosts) {
    if (host.preference != hosts.front().preference) break;
    addresses += host.addresses.size();
    ++equal_hosts;
  }
  return equal_hosts > 1 ? addresses : 1;
}

}  // namespace

std::string describe(const HostAddress& host) {
  const std::string ip = base::format_ip_address(host.address.ip);
  const std::string port = ":" + std::to_string(host.address.port);
  if (host.host == ip || host.host.starts_with('[')) return "[" + ip + "]" + port;
  return host.host + "[" + ip + "]" + port;
}

bool matches_pattern(std::string_view pattern, std::string_view text) {
  // The usual two-finger walk: on a mismatch the last "*" takes one character more.
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && base::to_lower(pattern[p]) == base::to_lower(text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

const Route* find_route(const OutboundSettings& settings, const RoutedMail& mail) {
  const auto found = std::find_if(settings.routes.begin(), settings.routes.end(),
                                  [&mail](const Route& route) { return holds(route, mail); });
  return found == settings.routes.end() ? nullptr : &*found;
}

std::string destination_of(const OutboundSettings& settings, const RoutedMail& mail) {
  const Route* route = find_route(settings, mail);
  const ToMx* mx = route == nullptr ? nullptr : std::get_if<ToMx>(&route->target);
  if (route != nullptr && mx == nullptr) return std::string(kRoutePrefix) + route->name;
  std::string destination = base::lower_case(domain_of(mail.recipient));
  if (mx != nullptr && mx->port != kSmtpPort) destination += ":" + std::to_string(mx->port);
  return destination;
}

Router::Router(const OutboundSettings& settings, const queue::QueueSettings& queue_settings,
               const Ourselves& ourselves, const dns::HostsFile& hosts_file,
               dns::Resolver& resolver, base::Random& random)
    : settings_(settings),
      queue_settings_(queue_settings),
      ourselves_(ourselves),
      hosts_file_(hosts_file),
      resolver_(resolver),
      random_(random) {}

void Router::resolve(std::string_view destination, Done done) {
  if (destination.starts_with(kRoutePrefix)) {
    const std::string_view name = destination.substr(kRoutePrefix.size());
    const auto route =
        std::find_if(settings_.routes.begin(), settings_.routes.end(),
                     [name](const Route& candidate) { return candidate.name == name; });
    if (route == settings_.routes.end()) return done(RouteGone{});
    if (std::holds_alternative<ToDiscard>(route->target)) return done(Discard{});
    const ToHosts* hosts = std::get_if<ToHosts>(&route->target);
    if (hosts == nullptr) return done(RouteGone{});  // it goes by MX now: the domain decides
    return resolve_route(*route, *hosts, std::move(done));
  }
  const DomainAndPort split = split_destination(destination);
  dns::MailHostOptions options;
  options.port = split.port;
  options.own_names = ourselves_.names;
  options.own_listeners = ourselves_.listeners;
  dns::look_up_mail_hosts(
      resolver_, random_, split.domain, std::move(options),
      [port = split.port, limit = queue_settings_.site_connections,
       done = std::move(done)](dns::MailHosts found) mutable {
        if (found.status != dns::MailHosts::Status::Found) {
          return done(not_resolved(found, dns::is_permanent(found.status)
                                              ? queue::Cause::Permanent
                                              : queue::Cause::Temporary));
        }
        auto site = std::make_shared<Site>();
        site->account = "mx:" + found.site + (port == kSmtpPort ? "" : ":" + std::to_string(port));
        site->connections_max = limit;
        add_hosts(*site, found.hosts, port);
        site->equals = count_equals(found.hosts);
        done(Resolved{std::move(site), std::clamp(found.ttl, kKeepMin, kKeepMax)});
      });
}

struct Router::HostsWanted {
  Done done;
  std::shared_ptr<Site> site;
  bool shared = false;
  std::vector<std::uint16_t> ports;
  std::vector<dns::MailHosts> found;  // by host, in the route's order
  std::size_t missing = 0;
};

void Router::resolve_route(const Route& route, const ToHosts& hosts, Done done) {
  auto wanted = std::make_shared<HostsWanted>();
  wanted->done = std::move(done);
  wanted->site = std::make_shared<Site>();
  wanted->site->account = std::string(kRoutePrefix) + route.name;
  wanted->site->connections_max = queue_settings_.route_connections;
  wanted->shared = hosts.order == ToHosts::Order::Share;
  wanted->missing = hosts.hosts.size();
  wanted->found.resize(hosts.hosts.size());
  MTA_ASSERT(!hosts.hosts.empty());
  for (const ToHosts::Host& host : hosts.hosts) wanted->ports.push_back(host.port);
  for (std::size_t i = 0; i < hosts.hosts.size(); ++i) {
    dns::resolve_host(
        resolver_, hosts_file_, hosts.hosts[i].name, dns::Families::Both,
        [wanted, i](dns::MailHosts found) { host_done(wanted, i, std::move(found)); });
  }
}

void Router::host_done(const std::shared_ptr<HostsWanted>& wanted, std::size_t index,
                       dns::MailHosts found) {
  wanted->found[index] = std::move(found);
  if (--wanted->missing > 0) return;
  base::Duration keep_for = kKeepMax;
  for (std::size_t i = 0; i < wanted->found.size(); ++i) {
    const dns::MailHosts& hosts = wanted->found[i];
    if (hosts.status == dns::MailHosts::Status::Found) {
      add_hosts(*wanted->site, hosts.hosts, wanted->ports[i]);
    }
    keep_for = std::min(keep_for, hosts.ttl);
  }
  if (wanted->site->hosts.empty()) {
    // A smarthost's name is the operator's word: if the DNS does not know it, the mail waits for
    // the operator instead of going back to people who can do nothing about it.
    dns::MailHosts& first = wanted->found.front();
    first.status = dns::MailHosts::Status::TemporaryFailure;
    return wanted->done(not_resolved(first, queue::Cause::Temporary));
  }
  if (wanted->shared) wanted->site->equals = wanted->site->hosts.size();
  wanted->done(Resolved{std::move(wanted->site), std::clamp(keep_for, kKeepMin, kKeepMax)});
}

}  // namespace rockdove::outbound
