// What an operator decides about where mail goes ([[route]] in product.md). Filled by the daemon's
// configuration, immutable while in use. The first route that matches wins; without one, mail goes
// by MX to port 25.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "mta/base/ip_address.h"
#include "mta/net/tls.h"
#include "mta/traffic/profiles.h"
#include "mta/traffic/warm_up.h"

namespace rockdove::outbound {

struct ToMx {
  std::uint16_t port = 25;
};

struct ToHosts {
  struct Host {
    std::string name;  // a host name, or an address without brackets
    std::uint16_t port = 25;
    bool implicit_tls = false;  // smtps://: TLS from the first octet (RFC 8314)
    std::string unix_path{};    // lmtp+unix:/path: name and port are not used
  };
  enum class Speaks : std::uint8_t { Smtp, Lmtp };
  enum class Order : std::uint8_t { First, Share };
  std::vector<Host> hosts;
  Order order = Order::First;    // First: the next one only when one fails; Share: spread evenly
  Speaks speaks = Speaks::Smtp;  // RFC 5321, or RFC 2033 with a result a recipient
};

// Files in a folder of this machine, one a recipient (https://cr.yp.to/proto/maildir.html).
struct ToMaildir {
  std::string path;  // absolute; tmp, new and cur are made if the folder above it exists
};

struct ToDiscard {};

// Outbound TLS. A host of `smtps://` is never spoken to in clear: below Verify it has Require.
enum class TlsLevel : std::uint8_t {
  Off,
  May,      // where it is offered and works; broken TLS is tried again in clear
  Require,  // never in clear; any certificate
  Verify,   // never in clear; name and chain are checked
};

struct Credentials {
  std::string user;
  std::string password;

  bool operator==(const Credentials&) const = default;
};

using Target = std::variant<ToMx, ToHosts, ToDiscard, ToMaildir>;

struct Route {
  std::string
      name;  // unique: as configured, else made from the target; part of queue names and logs
  // Conditions, all must hold; "" matches everything. Addresses in lower case: "*" matches any run
  // of characters ("*@example.com", "*@*.example.com").
  std::string recipient;
  std::string sender;  // "<>" is the null sender
  std::string listener;
  std::vector<base::IpNetwork> client;  // empty: any
  Target target;
  std::string user{};  // condition: the account that the client authenticated as, pattern; "": any
  TlsLevel tls = TlsLevel::May;
  bool inherits_tls = false;  // it says nothing of its own: `tls` is OutboundSettings::mx_tls
  // Of this route's ca_file; null: OutboundSettings::tls.
  std::shared_ptr<const net::TlsClientContext> tls_context{};
  std::optional<Credentials> credentials{};  // towards the hosts (AUTH); never in clear to others
  // What the hosts are sent at most: `connections`, `messages_per_connection`, `rate`,
  // `connection_rate`, `recipient_rate` and `bytes`; before what a traffic profile says of them.
  traffic::Knobs limits{};
  // The name of the route by which mail goes, its conditions not asked, while a budget of an hour
  // or more among these limits is used up for longer than `overflow_after`; "": the mail waits.
  // Both have hosts, and following the names leads round to no route again.
  std::string overflow{};
  base::Duration overflow_after{std::chrono::minutes(5)};
};

// An address of this machine that mail goes out from, and what it is called there.
struct Source {
  std::string name;  // unique, as configured
  base::IpAddress address;
  std::string ehlo;  // EHLO, the host name that its address has in the DNS
};

// Sources among which the mail of some tenants is shared out.
struct SourcePool {
  struct Member {
    std::shared_ptr<const Source> source;
    std::uint32_t weight = 1;  // 1 to kSourceWeightMax; its share, beside those of the others
  };

  std::string name;             // unique, as configured
  std::vector<Member> members;  // at least one; no source twice
  // Whose mail: patterns of tenants, "*" stands for any run of characters; empty: of all who are in
  // no other pool.
  std::vector<std::string> tenants;
};

inline constexpr std::uint32_t kSourceWeightMax = 1'000;
inline constexpr std::size_t kSourcesMax = 1'000;

// A plan by which sources become known (traffic/warm_up.h).
struct WarmUpOrder {
  std::vector<std::shared_ptr<const Source>> sources;  // at least one
  std::string provider;  // of the traffic profiles; "": at all for which they have no other plan
  traffic::WarmUpPlan plan;
};

struct OutboundSettings {
  std::uint64_t generation = 0;  // rises with each reload
  std::string hostname;          // EHLO
  std::vector<Route> routes;
  TlsLevel mx_tls = TlsLevel::May;                     // where no route says otherwise
  std::shared_ptr<const net::TlsClientContext> tls{};  // null: TLS is never tried
  std::shared_ptr<const traffic::Profiles> traffic{};  // null: there are none
  std::vector<SourcePool> pools{};  // at most one without tenants; none: the system chooses sources
  std::vector<WarmUpOrder> warm_ups{};
};

}  // namespace rockdove::outbound
