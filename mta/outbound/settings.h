// What an operator decides about where mail goes ([[route]] in product.md). Filled by the daemon's
// configuration, immutable while in use. The first route that matches wins; without one, mail goes
// by MX to port 25.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "mta/base/ip_address.h"

namespace rockdove::outbound {

struct ToMx {
  std::uint16_t port = 25;
};

struct ToHosts {
  struct Host {
    std::string name;  // a host name, or an address without brackets
    std::uint16_t port = 25;
  };
  enum class Order : std::uint8_t { First, Share };
  std::vector<Host> hosts;
  Order order = Order::First;  // First: the next one only when one fails; Share: spread evenly
};

struct ToDiscard {};

using Target = std::variant<ToMx, ToHosts, ToDiscard>;

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
};

struct OutboundSettings {
  std::string hostname;  // EHLO
  std::vector<Route> routes;
};

}  // namespace rockdove::outbound
