// What the stories of tests/sim have in common: two domains, the end of each story, and small
// words. A story ends with everything at rest and the truth checked: see tests/sim/truth.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/sim/sim.h"

namespace rockdove::sim {

inline constexpr std::string_view kBody = "hi\r\n";

// Where senders get their reports.
inline RemoteServer& home(Sim& sim) {
  sim.dns.mx("home.example", 10, "mx.home.example");
  return sim.remote_server("mx.home.example", {"192.0.2.250"});
}

inline RemoteServer& example_net(Sim& sim,
                                 const std::vector<std::string>& addresses = {"192.0.2.1"}) {
  sim.dns.mx("example.net", 10, "mx.example.net");
  return sim.remote_server("mx.example.net", addresses);
}

inline void rest(Sim& sim) {
  for (const std::string& failure : sim.failures()) UNSCOPED_INFO(failure);
  const bool is_quiet = sim.run_until_quiet(24h);
  for (const queue::DeliveryId id : sim.waiting()) UNSCOPED_INFO(sim.describe(id));
  CHECK(is_quiet);
  sim.check_quiet();
  for (const std::string& failure : sim.failures()) UNSCOPED_INFO(failure);
  CHECK(sim.failures().empty());
}

inline std::size_t count(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

inline RemoteServer::RecipientRule refuse(int code, std::string_view enhanced) {
  return [code, enhanced](const std::string&) -> std::optional<smtp::Reply> {
    return smtp::make_reply(code, enhanced, "not here");
  };
}

}  // namespace rockdove::sim
