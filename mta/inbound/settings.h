// What an operator decides about mail that comes in: [[listener]], [relay], [local] and parts of
// [limits] in product.md. Filled by the daemon's configuration, immutable while in use; sessions
// end under the settings they began with.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "mta/base/ip_address.h"
#include "mta/base/quantity.h"
#include "mta/base/time.h"
#include "mta/smtp/body_reader.h"

namespace rockdove::inbound {

using base::Rate;

using smtp::LineEndings;

struct ListenerSettings {
  std::string name;
  std::vector<base::SocketAddress> addresses;
  std::vector<base::IpNetwork> relay_from;  // may relay anywhere
  LineEndings line_endings = LineEndings::Reject;
  std::uint64_t max_message_size = 50'000'000;  // octets
  std::uint32_t max_recipients = 1000;
  Rate rate{600, base::Duration(60'000), 0};  // messages of one client address (IPv6: its /64)
  std::uint32_t connections = 50;             // at once, of one client address
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

struct InboundSettings {
  std::string hostname;
  std::string postmaster;  // "" : mail for <postmaster> is refused with 550 and the reason
  std::vector<ListenerSettings> listeners;
  RelaySettings relay;
  LocalSettings local;
  std::uint32_t hops_max = 50;
  std::uint32_t connections_in = 2000;  // all listeners
};

}  // namespace rockdove::inbound
