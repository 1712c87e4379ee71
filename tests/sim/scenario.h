// A scenario drawn from a seed: some domains and their hosts, some messages, and much that goes
// wrong, from refused recipients to a killed process. In the end everything heals, and all mail has
// to be where it belongs within a bounded time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/sim.h"

namespace rockdove::sim {

class Scenario {
 public:
  enum class Trace : std::uint8_t { Off, On };

  explicit Scenario(std::uint64_t seed, Trace trace = Trace::Off);

  // What went wrong; empty if all is well.
  [[nodiscard]] std::vector<std::string> run();

  // One line about what was drawn and what came of it.
  [[nodiscard]] std::string summary() const;

 private:
  static SimSettings draw_settings(base::Random& random, Trace trace);

  [[nodiscard]] std::uint64_t below(std::uint64_t limit) { return random_.below(limit); }

  [[nodiscard]] bool one_in(std::uint64_t chances) { return random_.below(chances) == 0; }

  void draw_hosts();
  void draw_odd_domains();
  RemoteServer& add_host(const std::string& name);
  void draw_weather();
  [[nodiscard]] SessionScript draw_script();
  [[nodiscard]] Fault draw_fault();
  [[nodiscard]] std::string draw_sender();
  [[nodiscard]] std::string draw_recipient();
  [[nodiscard]] std::string draw_body();
  void plan_messages();
  void plan_trouble();
  void plan_steering();
  void steer();
  void plant();
  void heal();
  void at(base::Duration when, base::Task what);

  base::Random random_;
  Sim sim_;
  const Trace trace_;
  base::Duration chaos_{0};
  std::vector<std::string> domains_;
  std::vector<RemoteServer*> remotes_;
  std::vector<base::IpAddress> addresses_;
  RemoteServer* home_ = nullptr;
  unsigned next_address_ = 1;
  unsigned faults_in_thousand_ = 0;
  unsigned scripts_in_thousand_ = 0;
  bool healed_ = false;
  bool home_suffers_ = false;
  bool is_set_back_ = false;  // the wall clock, at some time
  std::vector<std::pair<base::Duration, base::Task>> plan_;
  std::size_t messages_ = 0;
  std::size_t crashes_ = 0;
  base::Duration drained_in_{0};
};

}  // namespace rockdove::sim
