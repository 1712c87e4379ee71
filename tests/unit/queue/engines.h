// The engines of rows that the contract suites run on. What an Engine stands for (a directory, a
// MemoryDisk) outlives the rows that it opens.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "queue/rows.h"

namespace rockdove::tests {

class Engine {
 public:
  virtual ~Engine() = default;

  [[nodiscard]] virtual queue::Result<std::unique_ptr<queue::Rows>> try_open() = 0;
  // Fails the test if it cannot.
  [[nodiscard]] std::unique_ptr<queue::Rows> open();
};

[[nodiscard]] std::vector<std::string> engine_names();
[[nodiscard]] std::unique_ptr<Engine> make_engine(const std::string& name);

}  // namespace rockdove::tests
