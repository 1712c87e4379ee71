// An event loop on the agenda of the simulated world. Several of them take turns as threads would:
// what one posts to another arrives a little later, in order for each pair.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "mta/base/loop.h"
#include "mta/base/random.h"
#include "tests/sim/agenda.h"

namespace rockdove::sim {

class SimLoop final : public base::Loop {
 public:
  // Both outlive the loop.
  SimLoop(Agenda& agenda, base::Random& random, unsigned index)
      : agenda_(agenda), random_(random), index_(index) {}

  ~SimLoop() override { stop(); }

  SimLoop(const SimLoop&) = delete;
  SimLoop& operator=(const SimLoop&) = delete;

  [[nodiscard]] unsigned index() const override { return index_; }

  [[nodiscard]] base::Now now() const override { return agenda_.now(); }

  void post(base::Task task) override;
  void at_turn_end(base::Task task) override;
  [[nodiscard]] std::unique_ptr<base::Timer> make_timer(base::Task callback) override;

  // Runs `task` in a turn at that moment.
  Agenda::Handle at(base::Instant when, base::Task task);

  void cancel(const Agenda::Handle& handle) { agenda_.cancel(handle); }

  // Nothing runs on it any more; what was going to is destroyed.
  void stop();

  [[nodiscard]] Agenda& agenda() { return agenda_; }

 private:
  class SimTimer;

  void run_turn(base::Task task);

  static constexpr int kTasksMaxPerTurn = 64;
  static constexpr int kTurnEndTasksMax = 100'000;

  Agenda& agenda_;
  base::Random& random_;
  const unsigned index_;
  bool stopped_ = false;
  std::vector<base::Task> turn_end_;
  bool turn_end_planned_ = false;
  std::map<const SimLoop*, base::Instant> last_post_;
};

}  // namespace rockdove::sim
