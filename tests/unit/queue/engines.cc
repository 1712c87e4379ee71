#include "tests/unit/queue/engines.h"

#include <catch2/catch.hpp>

#include "tests/support/memory_rows.h"

namespace rockdove::tests {
namespace {

class MemoryEngine final : public Engine {
 public:
  [[nodiscard]] std::unique_ptr<queue::Rows> open() override {
    return std::make_unique<MemoryRows>(disk_);
  }

 private:
  MemoryDisk disk_;
};

}  // namespace

std::vector<std::string> engine_names() {
  return {"memory"};
}

std::unique_ptr<Engine> make_engine(const std::string&) {
  return std::make_unique<MemoryEngine>();
}

}  // namespace rockdove::tests
