#include "mta/outbound/router.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "mta/base/text.h"
#include "mta/mail/idna.h"
#include "mta/outbound/site_traffic.h"
#include "mta/outbound/target.h"

namespace rockdove::outbound {
namespace {

constexpr std::string_view kRoutePrefix = "route:";
constexpr std::string_view kTargetPrefix = "to:";  // in front of what a person has named
constexpr std::uint16_t kSmtpPort = 25;
constexpr base::Duration kKeepMin = std::chrono::seconds(30);
constexpr base::Duration kKeepMax = std::chrono::hours(1);

struct MxDestination {
  std::string_view domain;
  std::uint16_t port = kSmtpPort;
  std::string_view route{};  // "": none
};

// "example.net", "example.net:2525", "[IPv6:::1]:2525", "example.net/strict".
MxDestination split_destination(std::string_view destination) {
  const std::size_t slash = destination.find('/');
  if (slash != std::string_view::npos) {
    MxDestination split = split_destination(destination.substr(0, slash));
    split.route = destination.substr(slash + 1);
    return split;
  }
  const std::size_t colon = destination.rfind(':');
  const std::size_t bracket = destination.rfind(']');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket)) {
    return {destination};
  }
  MxDestination split{destination.substr(0, colon)};
  const std::string_view digits = destination.substr(colon + 1);
  std::from_chars(digits.data(), digits.data() + digits.size(), split.port);
  return split;
}

// It shares its budget with no other.
void set_name(Site& site, std::string_view name) {
  auto account = std::make_shared<queue::AccountSpec>();
  account->name = name;
  site.name = name;
  site.account = std::move(account);
}

std::string_view domain_of(std::string_view address) {
  const std::size_t at = address.rfind('@');
  return at == std::string_view::npos ? std::string_view() : address.substr(at + 1);
}

// As the DNS knows it: a domain in Unicode by its A-labels (RFC 6531 §3.7.1, RFC 5891). What is no
// domain in any form stays as it is, and the DNS says so.
std::string dns_name_of(std::string_view domain) {
  const bool is_ascii = std::all_of(domain.begin(), domain.end(),
                                    [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (!is_ascii) {
    if (base::Result<std::string> ascii = mail::to_ascii_domain(domain)) return *std::move(ascii);
  }
  return base::lower_case(domain);
}

bool holds(const Route& route, const RoutedMail& mail) {
  if (!route.recipient.empty() && !base::matches_pattern(route.recipient, mail.recipient))
    return false;
  const std::string_view sender = mail.sender.empty() ? std::string_view("<>") : mail.sender;
  if (!route.sender.empty() && !base::matches_pattern(route.sender, sender)) return false;
  if (!route.listener.empty() && route.listener != mail.listener) return false;
  if (!route.user.empty() && !base::matches_pattern(route.user, mail.user)) return false;
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

void add_hosts(Site& site, const std::vector<dns::Host>& hosts, std::uint16_t port,
               bool implicit_tls) {
  for (const dns::Host& host : hosts) {
    for (const base::IpAddress& address : host.addresses) {
      site.hosts.push_back({host.name, {address, port}, implicit_tls, {}, host.preference});
    }
  }
}

// Mail by this MX route is not sent in the manner of other mail by MX, so it has queues,
// connections and an account of its own.
bool is_of_its_own(const OutboundSettings& settings, const Route& route) {
  return route.tls != settings.mx_tls ||
         (route.tls_context != nullptr && route.tls_context != settings.tls);
}

std::string mx_destination(std::string_view recipient, const ToMx& mx) {
  std::string destination = dns_name_of(domain_of(recipient));
  if (mx.port != kSmtpPort) destination += ":" + std::to_string(mx.port);
  return destination;
}

const Route* find_named(const OutboundSettings& settings, std::string_view name) {
  const auto found =
      std::find_if(settings.routes.begin(), settings.routes.end(),
                   [name](const Route& candidate) { return candidate.name == name; });
  return found == settings.routes.end() ? nullptr : &*found;
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
  if (!host.unix_path.empty()) return "lmtp+unix:" + host.unix_path;
  const std::string ip = base::format_ip_address(host.address.ip);
  const std::string port = ":" + std::to_string(host.address.port);
  if (host.host == ip || host.host.starts_with('[')) return "[" + ip + "]" + port;
  return host.host + "[" + ip + "]" + port;
}

TlsLevel level_at(const Manner& manner, const HostAddress& host) {
  if (!host.unix_path.empty()) return TlsLevel::Off;
  if (host.implicit_tls) return std::max(manner.tls, TlsLevel::Require);
  if (manner.tls == TlsLevel::May && manner.credentials) return TlsLevel::Require;
  return manner.tls;
}

std::string_view level_name(TlsLevel level) {
  switch (level) {
    case TlsLevel::Off:
      return "off";
    case TlsLevel::May:
      return "may";
    case TlsLevel::Require:
      return "require";
    case TlsLevel::Verify:
      return "verify";
  }
  MTA_ASSERT(false);
}

const Route* find_route(const OutboundSettings& settings, const RoutedMail& mail) {
  const auto found = std::find_if(settings.routes.begin(), settings.routes.end(),
                                  [&mail](const Route& route) { return holds(route, mail); });
  return found == settings.routes.end() ? nullptr : &*found;
}

std::string destination_of(const OutboundSettings& settings, const RoutedMail& mail) {
  const Route* route = nullptr;
  if (mail.route_to.starts_with(kRoutePrefix)) {
    route = find_named(settings, mail.route_to.substr(kRoutePrefix.size()));
  } else if (!mail.route_to.empty()) {
    if (const base::Result<Target> target = parse_targets(mail.route_to)) {
      const ToMx* mx = std::get_if<ToMx>(&*target);
      if (mx == nullptr) return std::string(kTargetPrefix).append(mail.route_to);
      return mx_destination(mail.recipient, *mx);
    }
  }
  // Also where the route that a person named is not there any more.
  if (route == nullptr) route = find_route(settings, mail);
  const ToMx* mx = route == nullptr ? nullptr : std::get_if<ToMx>(&route->target);
  if (route != nullptr && mx == nullptr) return std::string(kRoutePrefix) + route->name;
  std::string destination = mx_destination(mail.recipient, mx == nullptr ? ToMx{} : *mx);
  if (mx != nullptr && is_of_its_own(settings, *route)) destination += "/" + route->name;
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

const Route* Router::route_named(std::string_view name) const {
  return find_named(settings_, name);
}

Manner Router::manner_of(const Route* route) const {
  Manner manner;
  manner.generation = settings_.generation;
  manner.tls = route == nullptr ? settings_.mx_tls : route->tls;
  manner.tls_from =
      route == nullptr || route->inherits_tls ? Manner::TlsFrom::Outbound : Manner::TlsFrom::Route;
  manner.tls_context = settings_.tls;
  if (route == nullptr) return manner;
  if (route->tls_context != nullptr) manner.tls_context = route->tls_context;
  if (const auto* hosts = std::get_if<ToHosts>(&route->target)) {
    manner.speaks = hosts->speaks;
    manner.credentials = route->credentials;  // never towards hosts that only the DNS names
  }
  return manner;
}

void Router::resolve(std::string_view destination, Done done) {
  if (destination.starts_with(kRoutePrefix)) {
    const Route* route = route_named(destination.substr(kRoutePrefix.size()));
    if (route == nullptr) return done(RouteGone{});
    return resolve_target(destination, route->target, route, std::move(done));
  }
  if (destination.starts_with(kTargetPrefix)) {
    const base::Result<Target> target = parse_targets(destination.substr(kTargetPrefix.size()));
    if (!target) return done(RouteGone{});
    return resolve_target(destination, *target, nullptr, std::move(done));
  }
  const MxDestination split = split_destination(destination);
  const Route* route = split.route.empty() ? nullptr : route_named(split.route);
  if (!split.route.empty() && (route == nullptr || !std::holds_alternative<ToMx>(route->target) ||
                               !is_of_its_own(settings_, *route))) {
    return done(RouteGone{});
  }
  resolve_mx(split.domain, split.port, route, std::move(done));
}

// `route`: null for the target of a person.
void Router::resolve_target(std::string_view destination, const Target& target, const Route* route,
                            Done done) {
  if (std::holds_alternative<ToDiscard>(target)) return done(Discard{});
  if (const auto* maildir = std::get_if<ToMaildir>(&target)) {
    auto site = std::make_shared<Site>();
    set_name(*site, destination);
    site->connections_max = queue_settings_.route_connections;
    site->manner = manner_of(route);
    site->maildir = maildir->path;
    return done(Resolved{std::move(site), kKeepMax});
  }
  const ToHosts* hosts = std::get_if<ToHosts>(&target);
  if (hosts == nullptr) return done(RouteGone{});  // it goes by MX now: the domain decides
  resolve_hosts(destination, *hosts, route, std::move(done));
}

// `route`: null where mail goes as all mail by MX does.
void Router::resolve_mx(std::string_view domain, std::uint16_t port, const Route* route,
                        Done done) {
  dns::MailHostOptions options;
  options.port = port;
  options.own_names = ourselves_.names;
  options.own_listeners = ourselves_.listeners;
  std::string name_end = port == kSmtpPort ? "" : ":" + std::to_string(port);
  if (route != nullptr) name_end += "/" + route->name;
  dns::look_up_mail_hosts(
      resolver_, random_, domain, std::move(options),
      [port, limit = queue_settings_.site_connections, name_end = std::move(name_end),
       manner = manner_of(route), has_route = route != nullptr, domain = std::string(domain),
       profiles = settings_.traffic, done = std::move(done)](dns::MailHosts found) mutable {
        if (found.status != dns::MailHosts::Status::Found) {
          return done(not_resolved(found, dns::is_permanent(found.status)
                                              ? queue::Cause::Permanent
                                              : queue::Cause::Temporary));
        }
        auto site = std::make_shared<Site>();
        set_name(*site, "mx:" + found.site + name_end);
        site->connections_max = limit;
        site->manner = std::move(manner);
        add_hosts(*site, found.hosts, port, /*implicit_tls=*/false);
        site->equals = count_equals(found.hosts);
        use_profiles(*site, domain, has_route, profiles);
        done(Resolved{std::move(site), std::clamp(found.ttl, kKeepMin, kKeepMax)});
      });
}

struct Router::HostsWanted {
  Done done;
  std::shared_ptr<Site> site;
  traffic::Knobs limits;
  std::shared_ptr<const traffic::Profiles> profiles;
  bool shared = false;
  std::vector<ToHosts::Host> hosts;   // the route's, in its order
  std::vector<dns::MailHosts> found;  // likewise; of sockets nothing
  std::size_t missing = 0;
};

void Router::resolve_hosts(std::string_view name, const ToHosts& hosts, const Route* route,
                           Done done) {
  auto wanted = std::make_shared<HostsWanted>();
  wanted->done = std::move(done);
  wanted->site = std::make_shared<Site>();
  set_name(*wanted->site, name);
  wanted->site->connections_max = queue_settings_.route_connections;
  wanted->site->manner = manner_of(route);
  wanted->site->manner.speaks = hosts.speaks;
  if (route != nullptr) {
    wanted->limits = route->limits;
    wanted->site->overflow = route->overflow;
    wanted->site->overflow_after = route->overflow_after;
  }
  wanted->profiles = settings_.traffic;
  wanted->shared = hosts.order == ToHosts::Order::Share;
  wanted->hosts = hosts.hosts;
  wanted->missing = hosts.hosts.size();
  wanted->found.resize(hosts.hosts.size());
  MTA_ASSERT(!hosts.hosts.empty());
  for (std::size_t i = 0; i < wanted->hosts.size(); ++i) {
    if (!wanted->hosts[i].unix_path.empty()) {
      host_done(wanted, i, {});
      continue;
    }
    dns::resolve_host(
        resolver_, hosts_file_, wanted->hosts[i].name, dns::Families::Both,
        [wanted, i](dns::MailHosts found) { host_done(wanted, i, std::move(found)); });
  }
}

void Router::host_done(const std::shared_ptr<HostsWanted>& wanted, std::size_t index,
                       dns::MailHosts found) {
  wanted->found[index] = std::move(found);
  if (--wanted->missing > 0) return;
  base::Duration keep_for = kKeepMax;
  const dns::MailHosts* not_found = nullptr;
  for (std::size_t i = 0; i < wanted->found.size(); ++i) {
    const dns::MailHosts& hosts = wanted->found[i];
    const ToHosts::Host& host = wanted->hosts[i];
    if (!host.unix_path.empty()) {
      wanted->site->hosts.push_back({"", {}, false, host.unix_path, 0});
      continue;
    }
    if (hosts.status == dns::MailHosts::Status::Found) {
      add_hosts(*wanted->site, hosts.hosts, host.port, host.implicit_tls);
    } else if (not_found == nullptr) {
      not_found = &hosts;
    }
    keep_for = std::min(keep_for, hosts.ttl);
  }
  if (wanted->site->hosts.empty()) {
    // A smarthost's name is the operator's word: if the DNS does not know it, the mail waits for
    // the operator instead of going back to people who can do nothing about it.
    dns::MailHosts first = *not_found;
    first.status = dns::MailHosts::Status::TemporaryFailure;
    return wanted->done(not_resolved(first, queue::Cause::Temporary));
  }
  if (wanted->shared) wanted->site->equals = wanted->site->hosts.size();
  use_profiles_for_route(*wanted->site, wanted->limits, wanted->profiles);
  wanted->done(Resolved{std::move(wanted->site), std::clamp(keep_for, kKeepMin, kKeepMax)});
}

}  // namespace rockdove::outbound
