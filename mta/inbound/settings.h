// What an operator decides about mail that comes in: [[listener]], [relay], [local] and parts of
// [limits] in product.md. Filled by the daemon's configuration, immutable while in use; sessions
// end under the settings they began with.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "mta/base/ip_address.h"
#include "mta/base/quantity.h"
#include "mta/base/time.h"
#include "mta/net/tls.h"
#include "mta/smtp/body_reader.h"
#include "policy/arc_sealer.h"
#include "policy/checks.h"
#include "policy/client_policy.h"
#include "policy/signing_table.h"

namespace rockdove::inbound {

using base::Rate;

using smtp::LineEndings;

enum class ListenerTls : std::uint8_t {
  Off,
  Optional,  // STARTTLS is offered
  Required,  // 530 to MAIL and AUTH before STARTTLS
  Implicit,  // TLS from the first octet (RFC 8314)
};

enum class ListenerAuth : std::uint8_t {
  Off,
  Optional,  // who has authenticated may relay
  Required,  // 530 to MAIL before AUTH, from relay_from too
};

struct ListenerSettings {
  std::string name;
  std::vector<base::SocketAddress> addresses;
  std::vector<base::IpNetwork> relay_from;  // may relay anywhere
  LineEndings line_endings = LineEndings::Reject;
  std::uint64_t max_message_size = 50'000'000;  // octets
  std::uint32_t max_recipients = 1000;
  Rate rate{600, base::Duration(60'000), 0};  // messages of one client address (IPv6: its /64)
  std::uint32_t connections = 50;             // at once, of one client address
  ListenerTls tls = ListenerTls::Off;
  net::TlsVersion tls_min = net::TlsVersion::V1_2;
  ListenerAuth auth = ListenerAuth::Off;
  std::vector<base::IpNetwork> auth_in_clear;  // clients that may use AUTH without TLS
  // Proxies that must begin with a PROXY header (v1 or v2) and are believed; others must not.
  std::vector<base::IpNetwork> proxy_from;
  // Whose mail it is that comes in here, as is_tenant_name() (wishes.h), in lower case; "": that of
  // the account that has logged in.
  std::string tenant{};
  // Clients, of those who may relay, that may say it themselves (X-Rockdove-Tenant).
  std::vector<base::IpNetwork> tenant_from{};
};

enum class RecipientCheck : std::uint8_t { Ask, File, Any };

struct RelaySettings {
  std::unordered_set<std::string> domains;  // lower case
  RecipientCheck check = RecipientCheck::Ask;
  std::unordered_set<std::string>
      recipients;  // with File: lower-case addresses, and "@domain" for all of one
};

struct LocalSettings {
  std::unordered_set<std::string> domains;  // lower case
  // Lower-case alias to addresses; chains are already followed. An address without a domain has got
  // ours.
  std::map<std::string, std::vector<std::string>> aliases;
};

// Mail of the users of this machine, by `sendmail`.
struct SubmissionSettings {
  SubmissionSettings() {
    listener.name = "sendmail";
    listener.line_endings = LineEndings::Fix;  // it comes from no stranger, and must not be lost
  }

  ListenerSettings listener;               // its limits count for each user; it has no addresses
  std::vector<std::string> users;          // names or numbers of those who may; empty: all
  std::vector<std::string> tenant_from{};  // of those who may name a tenant; empty: nobody
};

struct InboundSettings {
  std::string hostname;
  std::string postmaster;  // "" : mail for <postmaster> is refused with 550 and the reason
  std::vector<ListenerSettings> listeners;
  SubmissionSettings submission{};
  RelaySettings relay;
  LocalSettings local;
  std::uint32_t hops_max = 50;
  std::uint32_t connections_in = 2000;                       // all listeners
  std::shared_ptr<const net::TlsServerContext> tls{};        // null only if no listener wants it
  std::shared_ptr<const policy::SigningTable> signing{};     // [[dkim]]; null: there is none
  std::shared_ptr<const policy::ArcIdentity> arc{};          // null: nothing is sealed
  std::shared_ptr<const policy::JudgingSettings> judging{};  // null: nobody's mail is judged
  // As configured; what is in use, with lists as they are now, is Reception::client_policy. Null:
  // strangers are asked nothing.
  policy::ClientPolicyPointer clients{};
};

}  // namespace rockdove::inbound
