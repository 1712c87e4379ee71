// Where a job goes: the hosts to try, in order, what they share, and how they are spoken to.
// Immutable; made by the Router, used by the sessions of an account on any loop.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mta/base/ip_address.h"
#include "mta/net/tls.h"
#include "mta/outbound/settings.h"
#include "queue/scheduler.h"

namespace rockdove::outbound {

struct HostAddress {
  std::string host;
  base::SocketAddress address;
  bool implicit_tls = false;  // TLS from the first octet (RFC 8314)
  std::string unix_path{};    // not empty: this socket; host and address are not used
  unsigned preference = 0;    // of its MX record, for people

  // Whether this machine needs an IPv6 route to reach it.
  [[nodiscard]] bool is_v6() const { return unix_path.empty() && !address.ip.is_v4(); }
};

// "mx.example.net[192.0.2.1]:25" or "lmtp+unix:/run/dovecot/lmtp", as logs, history and reports
// name a next hop.
[[nodiscard]] std::string describe(const HostAddress& host);

// How hosts are spoken to; the same for all hosts of an account.
struct Manner {
  ToHosts::Speaks speaks = ToHosts::Speaks::Smtp;
  TlsLevel tls = TlsLevel::Off;
  // Which key says so: the route's own, `[tls] outbound`, or a traffic profile's.
  enum class TlsFrom : std::uint8_t { Route, Outbound, Profile };
  TlsFrom tls_from = TlsFrom::Route;
  std::shared_ptr<const net::TlsClientContext> tls_context{};  // null: TLS cannot be begun
  std::optional<Credentials> credentials{};
  std::uint64_t generation = 0;  // of the OutboundSettings that it was made from
};

// What `manner` comes to at this host. What is secret or asked to be encrypted never goes in clear
// by a level that was not set for it: smtps:// and credentials make May to Require; with Off,
// credentials go in clear, because somebody wrote so. A Unix socket needs no TLS.
[[nodiscard]] TlsLevel level_at(const Manner& manner, const HostAddress& host);

// "off", "may", "require", "verify", as in the configuration.
[[nodiscard]] std::string_view level_name(TlsLevel level);

struct Site : queue::SiteSpec {
  // In the order of trying; at least one, but none where `maildir` is set.
  std::vector<HostAddress> hosts;
  // So many at the front are equals, as MX hosts of one preference and a route's with order =
  // "share" are: each new connection begins at another of them (RFC 5321 §5.1).
  std::size_t equals = 1;
  Manner manner;
  std::string maildir;  // mail is written into this folder
  // Connections come from its address and greet by its name; `hosts` are of its family, and the
  // account is one of this source alone. Null: the system chooses.
  std::shared_ptr<const Source> source;

  // Which part of the traffic profiles is about it: for the replies of its hosts.
  struct Traffic {
    std::shared_ptr<const traffic::Profiles> profiles;  // null: there are none
    const traffic::Provider* provider = nullptr;        // in `profiles`; null: none knows it
    std::string domain;                                 // that has a section of its own; "": none
  };

  Traffic traffic;
  // The same without what a rule has set for a time (Teaching::as_set); null: nothing is set.
  std::shared_ptr<const Site> as_routed{};
  std::uint32_t messages_per_connection = 0;     // 0: as `[queue]` says
  std::uint32_t recipients_per_transaction = 0;  // likewise: queue::kJobDeliveriesMax
  std::vector<base::Duration> retry{};           // empty: likewise
  // As Route has them.
  bool has_budget = false;  // its limits are those of the route's account, from wherever it leaves
  std::string overflow{};
  base::Duration overflow_after{0};
  // Zero: those of SessionContext.
  base::Duration connect_timeout{0};
  base::Duration reply_timeout{0};  // of every reply of a peer, the greeting included
  base::Duration idle_timeout{0};
  std::uint32_t host_tries = 0;  // as SetAside::failed(); 0: no host is set aside

  // Which of `hosts` is the `tried`-th to try, from 0 on, on a connection that begins at `first`.
  [[nodiscard]] const HostAddress& host(std::size_t first, std::size_t tried) const {
    return hosts[tried < equals ? (first + tried) % equals : tried];
  }
};

// Whether mail of this queue is at this site because the route that it is for has handed it on.
[[nodiscard]] inline bool is_overflow(const queue::QueueName& queue, const Site& site) {
  return queue.destination.starts_with("route:") && site.name != queue.destination;
}

}  // namespace rockdove::outbound
