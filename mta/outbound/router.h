// Where mail goes: first by rule, which needs no DNS and names a destination; then, when a delivery
// is about to start, from the destination to the hosts that take it (RFC 5321 §5.1).
//
// A destination is text that is stored with each delivery: "route:NAME" for a route that names its
// hosts, a folder, or discard; "to:TARGET" where a person has named such a target; else the
// recipient's domain in lower case and by A-labels, with
// ":PORT" behind it when a route says mx:PORT, and "/NAME" when that route asks for TLS otherwise
// than mail by MX does.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "dns/hosts_file.h"
#include "dns/mail_hosts.h"
#include "dns/resolver.h"
#include "mta/base/random.h"
#include "mta/base/unique_function.h"
#include "mta/outbound/settings.h"
#include "mta/outbound/site.h"
#include "queue/failure.h"
#include "queue/settings.h"

namespace rockdove::outbound {

// What a rule may ask about.
struct RoutedMail {
  std::string_view recipient;  // without <>
  std::string_view sender;     // "" is the null sender
  std::string_view listener;
  base::IpAddress client;
  std::string_view user{};  // the account that handed it in; "" without AUTH
  // A person has said where it goes, before all rules: as outbound/target.h has it, or
  // "route:NAME";
  // "": nobody has.
  std::string_view route_to{};
};

// The first route whose conditions all hold; null: none does.
[[nodiscard]] const Route* find_route(const OutboundSettings& settings, const RoutedMail& mail);
[[nodiscard]] std::string destination_of(const OutboundSettings& settings, const RoutedMail& mail);

struct Discard {};

// The destination names a route that is not configured any more: ask the rules again.
struct RouteGone {};

struct Resolved {
  std::shared_ptr<const Site> site;
  base::Duration keep_for{0};
};

struct NotResolved {
  queue::Failure failure;  // Stage::Resolve
};

using Resolution = std::variant<Resolved, NotResolved, Discard, RouteGone>;

// What is ourselves, so that mail for us does not go round (RFC 5321 §5.1, last paragraph).
struct Ourselves {
  std::vector<std::string> names;
  std::vector<base::SocketAddress> listeners;
};

class Router {
 public:
  using Done = base::UniqueFunction<void(Resolution)>;

  // All references outlive the router. Belongs to one loop, as `resolver` does.
  Router(const OutboundSettings& settings, const queue::QueueSettings& queue_settings,
         const Ourselves& ourselves, const dns::HostsFile& hosts_file, dns::Resolver& resolver,
         base::Random& random);

  // `done` runs once, perhaps within this call.
  void resolve(std::string_view destination, Done done);

 private:
  struct HostsWanted;

  void resolve_mx(std::string_view domain, std::uint16_t port, const Route* route, Done done);
  void resolve_target(std::string_view destination, const Target& target, const Route* route,
                      Done done);
  void resolve_hosts(std::string_view name, const ToHosts& hosts, const Route* route, Done done);
  [[nodiscard]] Manner manner_of(const Route* route) const;
  [[nodiscard]] const Route* route_named(std::string_view name) const;
  static void host_done(const std::shared_ptr<HostsWanted>& wanted, std::size_t index,
                        dns::MailHosts found);

  const OutboundSettings& settings_;
  const queue::QueueSettings& queue_settings_;
  const Ourselves& ourselves_;
  const dns::HostsFile& hosts_file_;
  dns::Resolver& resolver_;
  base::Random& random_;
};

}  // namespace rockdove::outbound
