#include "mta/daemon/config_finish.h"

#include <algorithm>
#include <map>
#include <set>

#include "mta/base/text.h"
#include "mta/daemon/config_aliases.h"
#include "mta/daemon/config_dkim.h"
#include "mta/daemon/config_judging.h"
#include "mta/daemon/config_policy.h"
#include "mta/daemon/config_security.h"
#include "mta/daemon/config_senders.h"
#include "mta/daemon/config_sources.h"
#include "mta/daemon/config_target.h"
#include "mta/daemon/config_traffic.h"
#include "mta/daemon/config_warm_up.h"
#include "mta/mail/address.h"
#include "mta/mail/idna.h"

namespace rockdove::daemon {
namespace {

constexpr std::size_t kRecipientsOctetsMax = 64 * 1024 * 1024;
constexpr std::size_t kListenersMax = 64;
constexpr std::size_t kRoutesMax = 1000;

std::string in_ticks(std::string_view text) {
  return "`" + base::printable(text, 80) + "`";
}

void finish_hostname(Draft& draft, Surroundings& surroundings, Problems& problems) {
  Configuration& configuration = draft.configuration;
  if (configuration.hostname.empty()) {
    if (!mail::is_valid_domain(surroundings.machine_name)) {
      return problems.error({}, "the machine's own name " + in_ticks(surroundings.machine_name) +
                                    " is no host name; set `hostname`");
    }
    configuration.hostname = base::lower_case(surroundings.machine_name);
    if (configuration.hostname.find('.') == std::string::npos) {
      problems.warning({}, "the machine calls itself " + in_ticks(configuration.hostname) +
                               ", without a domain; other servers may refuse that: set `hostname`");
    }
  }
}

// Whether nobody could listen on both.
bool overlap(const base::SocketAddress& a, const base::SocketAddress& b) {
  if (a.port != b.port || a.port == 0) return false;
  if (a.ip == b.ip) return true;
  const bool a_is_all = a.ip.is_unspecified() && (!a.ip.is_v4() || b.ip.is_v4());
  const bool b_is_all = b.ip.is_unspecified() && (!b.ip.is_v4() || a.ip.is_v4());
  return a_is_all || b_is_all;
}

void check_addresses(const Draft& draft, Problems& problems) {
  struct Bound {
    base::SocketAddress address;
    std::string_view listener;
  };

  std::vector<Bound> bound;
  const auto check = [&](const base::SocketAddress& address, Position at) {
    const auto other = std::find_if(bound.begin(), bound.end(), [&address](const Bound& one) {
      return overlap(address, one.address);
    });
    if (other == bound.end()) return;
    problems.error(at, base::format_socket_address(address) + " is taken already, by " +
                           base::format_socket_address(other->address) + " of listener " +
                           in_ticks(other->listener));
  };
  for (const ListenerDraft& listener : draft.listeners) {
    for (std::size_t i = 0; i < listener.settings.addresses.size(); ++i) {
      check(listener.settings.addresses[i], listener.addresses_at[i]);
      bound.push_back({listener.settings.addresses[i], listener.settings.name});
    }
  }
  if (draft.configuration.admin_http) check(*draft.configuration.admin_http, draft.admin_http_at);
}

void finish_listeners(Draft& draft, Problems& problems) {
  if (draft.listeners.size() > kListenersMax)
    return problems.error(draft.listeners.back().at, "there are at most 64 listeners");
  std::map<std::string, unsigned> lines;
  unsigned number = 0;
  for (ListenerDraft& listener : draft.listeners) {
    ++number;
    if (listener.settings.name.empty()) {
      listener.settings.name =
          draft.listeners.size() == 1 ? "smtp" : "listener" + std::to_string(number);
    }
    const auto [before, is_new] = lines.emplace(listener.settings.name, listener.at.line);
    if (!is_new) {
      const Position at = listener.name_at.line > 0 ? listener.name_at : listener.at;
      problems.error(at, "the listener of line " + std::to_string(before->second) + " is called " +
                             in_ticks(listener.settings.name) + ", too");
    }
    if (listener.settings.addresses.empty() && listener.addresses_at.empty()) {
      problems.error(listener.at,
                     "the listener " + in_ticks(listener.settings.name) + " has no `address`");
    }
    for (const base::IpNetwork& network : listener.settings.relay_from) {
      if (network.prefix_bits == 0) {
        problems.warning(listener.at,
                         "`relay_from` of " + in_ticks(listener.settings.name) + " has " +
                             base::format_ip_network(network) +
                             ": anyone who reaches it may send anywhere (an open relay)");
      }
    }
    check_listener_security(listener, problems);
    draft.configuration.inbound.listeners.push_back(listener.settings);
  }
  check_addresses(draft, problems);
}

std::string unique_name(const std::string& wanted, const std::map<std::string, unsigned>& taken) {
  if (!taken.contains(wanted)) return wanted;
  for (unsigned number = 2;; ++number) {
    std::string name = wanted + "-" + std::to_string(number);
    if (!taken.contains(name)) return name;
  }
}

bool matches_everything(const outbound::Route& route) {
  return (route.recipient.empty() || route.recipient == "*") &&
         (route.sender.empty() || route.sender == "*") && route.listener.empty() &&
         route.client.empty() && route.user.empty();
}

void check_route(const RouteDraft& draft, const Draft& all, Problems& problems) {
  if (!draft.has_target) problems.error(draft.at, "the route has no `to`");
  if (draft.order && !draft.has_host_list)
    problems.error(draft.order_at, "`order` wants a list in `to`");
  check_listener_name(draft.route.listener, draft.listener_at, all, problems);
  if (std::holds_alternative<outbound::ToDiscard>(draft.route.target) &&
      matches_everything(draft.route)) {
    problems.warning(draft.at, "this route throws all mail away");
  }
}

void finish_routes(Draft& draft, NamedFiles& files, Problems& problems) {
  if (draft.routes.size() > kRoutesMax)
    return problems.error(draft.routes.back().at, "there are at most 1,000 routes");
  std::map<std::string, unsigned> lines;  // of each name
  for (const RouteDraft& route : draft.routes) {
    if (route.route.name.empty()) continue;
    const auto [before, is_new] = lines.emplace(route.route.name, route.at.line);
    if (!is_new)
      problems.error(route.name_at, "the route of line " + std::to_string(before->second) +
                                        " is called " + in_ticks(route.route.name) + ", too");
  }
  unsigned catch_all = 0;  // its line
  for (RouteDraft& route : draft.routes) {
    if (route.order) {
      if (auto* hosts = std::get_if<outbound::ToHosts>(&route.route.target))
        hosts->order = *route.order;
    }
    // The name first: what else belongs to the route is kept by it.
    if (route.route.name.empty()) {
      route.route.name = unique_name(name_of(route.route.target), lines);
      lines.emplace(route.route.name, route.at.line);
    }
    finish_route_security(route, draft, files, problems);
    check_route(route, draft, problems);
    check_limits(route, problems);
    const bool takes_over = std::any_of(
        draft.routes.begin(), draft.routes.end(),
        [&route](const RouteDraft& other) { return other.route.overflow == route.route.name; });
    if (catch_all != 0 && !takes_over)
      problems.warning(route.at, "this route is never used: the one of line " +
                                     std::to_string(catch_all) + " takes everything");
    if (catch_all == 0 && matches_everything(route.route)) catch_all = route.at.line;
    draft.configuration.outbound.routes.push_back(route.route);
  }
  check_overflows(draft, problems);
}

void finish_local(Draft& draft, NamedFiles& files, Problems& problems) {
  Configuration& configuration = draft.configuration;
  inbound::LocalSettings& local = configuration.inbound.local;
  if (draft.local_domains_at.line == 0) local.domains = {configuration.hostname, "localhost"};
  for (const std::string& domain :
       std::set<std::string>(local.domains.begin(), local.domains.end())) {
    if (configuration.inbound.relay.domains.contains(domain)) {
      problems.error(draft.relay_at, in_ticks(domain) +
                                         " is in `relay.domains` and one of this machine's own "
                                         "(`local.domains`): it can be only one");
    }
  }
  const auto text = files.read(draft.aliases, kAliasesOctetsMax, "`local.aliases`");
  if (!text) return;
  Problems in_file(draft.aliases.path);
  const Severity refused = draft.aliases.at.line > 0 ? Severity::Error : Severity::Warning;
  local.aliases = parse_aliases(
      *text,
      AliasesContext{configuration.hostname, configuration.postmaster, local.domains, refused},
      in_file);
  problems.add(in_file);
}

void finish_recipients(Draft& draft, NamedFiles& files, Problems& problems) {
  inbound::RelaySettings& relay = draft.configuration.inbound.relay;
  if (relay.check == inbound::RecipientCheck::Any && !relay.domains.empty()) {
    problems.warning(
        draft.any_at,
        "with `recipients = \"any\"` mail for people who do not exist is accepted and bounced to "
        "forged senders (backscatter); \"ask\" the next hop or name a file");
  }
  if (relay.check != inbound::RecipientCheck::File) return;
  const auto text = files.read(draft.recipients, kRecipientsOctetsMax, "`relay.recipients`");
  if (!text) return;
  Problems in_file(draft.recipients.path);
  unsigned number = 0;
  std::string_view rest = *text;
  while (!rest.empty()) {
    ++number;
    const std::size_t end = rest.find('\n');
    const std::string_view line = base::trimmed(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.empty() || line.front() == '#') continue;
    std::string domain;
    if (const auto all_of = mail::to_ascii_domain(line.substr(1)); line.front() == '@' && all_of) {
      domain = *all_of;
      relay.recipients.insert("@" + domain);
    } else if (const auto address = mail::parse_mailbox(line)) {
      domain = address->domain;
      relay.recipients.insert(base::lower_case(mail::format_address(*address)));
    } else {
      in_file.error({number, 1}, in_ticks(line) + " is neither an address nor @domain: " +
                                     address.error().text());
      continue;
    }
    if (!relay.domains.contains(domain))
      in_file.warning({number, 1}, in_ticks(domain) + " is not in `relay.domains`");
  }
  problems.add(in_file);
}

void finish_postmaster(Draft& draft, Problems& problems) {
  Configuration& configuration = draft.configuration;
  const auto& aliases = configuration.inbound.local.aliases;
  const auto& local_domains = configuration.inbound.local.domains;
  if (draft.postmaster_at.line == 0) {
    const auto alias = aliases.find("postmaster");
    if (alias == aliases.end()) {
      return problems.warning(
          {},
          "there is no `postmaster`: mail for <postmaster> is refused (RFC 5321 section 4.5.1 "
          "wants it accepted), and reports that cannot be returned end as `unreturnable`");
    }
    configuration.postmaster = alias->second.front();
    return;
  }
  const auto address = mail::parse_mailbox(configuration.postmaster);
  if (!address || !local_domains.contains(address->domain)) return;
  if (!aliases.contains(base::lower_case(address->local))) {
    problems.warning(draft.postmaster_at,
                     "`postmaster` is an address of this machine, but no alias: nobody gets that "
                     "mail unless a route takes it");
  }
}

// Else nobody could tell how mail ended that waited to its end.
void finish_history(Draft& draft, Problems& problems) {
  queue::QueueSettings& queue = draft.configuration.queue;
  if (queue.history.keep >= queue.lifetime) return;
  if (draft.history_keep_at.line != 0 && queue.history.is_kept) {
    return problems.error(draft.history_keep_at,
                          "`history.keep` is shorter than `queue.lifetime`, which is " +
                              base::format_duration(queue.lifetime));
  }
  queue.history.keep = queue.lifetime;
}

}  // namespace

void finish_configuration(Draft& draft, Surroundings& surroundings, Problems& problems) {
  NamedFiles files(surroundings, draft.configuration.user, problems);
  finish_hostname(draft, surroundings, problems);
  finish_listeners(draft, problems);
  finish_certificates(draft, files, problems);
  finish_routes(draft, files, problems);
  finish_sources(draft, problems);
  finish_senders(draft, problems);
  finish_local(draft, files, problems);
  finish_recipients(draft, files, problems);
  finish_postmaster(draft, problems);
  finish_history(draft, problems);
  check_users(draft, files, problems);
  finish_dkim(draft, files, problems);
  finish_policy(draft, files, problems);
  finish_judging(draft, files, problems);
  finish_traffic(draft, surroundings, problems);
  finish_warm_ups(draft, problems);
  Configuration& configuration = draft.configuration;
  configuration.path = surroundings.path;
  configuration.inbound.hostname = configuration.hostname;
  configuration.inbound.postmaster = configuration.postmaster;
  configuration.outbound.hostname = configuration.hostname;
  configuration.queue.hostname = configuration.hostname;
  configuration.queue.postmaster = configuration.postmaster;
}

}  // namespace rockdove::daemon
