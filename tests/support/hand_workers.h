// Workers whose tasks run when the test says so, and who take no more than it says.
#pragma once

#include <cstddef>
#include <deque>
#include <utility>

#include "mta/base/workers.h"

namespace rockdove::tests {

struct HandWorkers final : base::Workers {
  bool post(base::Task task) override {
    if (waiting.size() >= room) return false;
    waiting.push_back(std::move(task));
    return true;
  }

  [[nodiscard]] unsigned threads() const override { return 1; }

  // False: nothing waits.
  bool run_one() {
    if (waiting.empty()) return false;
    base::Task task = std::move(waiting.front());
    waiting.pop_front();
    task();
    return true;
  }

  std::deque<base::Task> waiting;
  std::size_t room = 100;
};

}  // namespace rockdove::tests
