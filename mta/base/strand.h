// An order of its own on the workers: what is posted to a strand runs one after the other, on
// whichever worker is free, so that the steps of one message's work need no lock, and the work of
// many messages runs side by side.
#pragma once

#include <cstddef>
#include <memory>

#include "mta/base/workers.h"

namespace rockdove::base {

class Strand {
 public:
  // The workers outlive the strand; tasks that wait when it is destroyed run all the same.
  explicit Strand(Workers& workers);

  // Any thread, but one at a time. Tasks run in the order of posting, never two at once. false: too
  // much waits on the workers; the task was destroyed unrun, and no task that is posted later runs
  // before one that was taken.
  [[nodiscard]] bool post(Task task);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace rockdove::base
