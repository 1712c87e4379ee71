#include "tests/unit/queue/engines.h"

#include <catch2/catch.hpp>

#include "queue/rocks_rows.h"
#include "tests/support/memory_rows.h"
#include "tests/support/temporary_directory.h"

namespace rockdove::tests {
namespace {

class MemoryEngine final : public Engine {
 public:
  [[nodiscard]] queue::Result<std::unique_ptr<queue::Rows>> try_open() override {
    return std::unique_ptr<queue::Rows>(std::make_unique<MemoryRows>(disk_));
  }

 private:
  MemoryDisk disk_;
};

class RocksEngine final : public Engine {
 public:
  [[nodiscard]] queue::Result<std::unique_ptr<queue::Rows>> try_open() override {
    return queue::open_rocks_rows({directory_.path() + "/queue", {}});
  }

 private:
  TemporaryDirectory directory_;
};

}  // namespace

std::unique_ptr<queue::Rows> Engine::open() {
  queue::Result<std::unique_ptr<queue::Rows>> rows = try_open();
  if (!rows) FAIL(rows.error().text());
  return std::move(*rows);
}

std::vector<std::string> engine_names() {
  return {"memory", "rocksdb"};
}

std::unique_ptr<Engine> make_engine(const std::string& name) {
  if (name == "memory") return std::make_unique<MemoryEngine>();
  return std::make_unique<RocksEngine>();
}

}  // namespace rockdove::tests
