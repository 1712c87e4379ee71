// How the history is kept to its room, and who waits for whom meanwhile.
#include "queue/history_keeper.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "queue/index.h"
#include "queue/index_fence.h"
#include "queue/rows_holder.h"
#include "tests/support/memory_rows.h"
#include "tests/unit/queue/sample_mail.h"

using namespace rockdove;
using namespace std::chrono_literals;
using namespace rockdove::queue;
using namespace rockdove::tests;

namespace {

constexpr std::uint64_t kRows = 100;
constexpr std::uint64_t kRowOctets = 1000;

// As many octets of history as of its index, and how often the index was written anew.
class CountingRows final : public MemoryRows {
 public:
  explicit CountingRows(MemoryDisk& disk) : MemoryRows(disk) {}

  [[nodiscard]] Result<void> collect_index(std::atomic<bool>& is_cancelled,
                                           std::uint64_t octets_free) override {
    Result<void> collected = MemoryRows::collect_index(is_cancelled, octets_free);
    if (collected) ++collections;
    return collected;
  }

  unsigned collections = 0;
};

struct World {
  World() {
    RowOperations put;
    const std::string value(kRowOctets, 'x');
    for (std::uint64_t tick = 0; tick < kRows; ++tick) {
      put.put(Family::History, history_key({sample_id(tick), 1}, kSampleTime, HistoryKind::Closing),
              value);
      put.put(Family::Index, index_key(IndexKind::Sender, 1, sample_id(tick)), value);
    }
    write(put);
  }

  void write(const RowOperations& operations) {
    const RowOperations* const batch[] = {&operations};
    REQUIRE(rows.write(batch, Sync::Yes));
  }

  void note(MessageId floor) {
    RowOperations put;
    put.put(Family::Meta, kHistoryFloorKey, message_key(floor));
    write(put);
  }

  Result<std::optional<MessageId>> look() { return keeper.look(rows, limits, is_cancelled); }

  MemoryDisk disk;
  CountingRows rows{disk};
  HistoryKeeper keeper;
  HistoryLimits limits{{}, kRows* kRowOctets};
  std::atomic<bool> is_cancelled = false;
};

}  // namespace

TEST_CASE("history keeper: the index is written anew only when something of it has gone") {
  World world;
  const auto wanted = world.look();
  REQUIRE(wanted);
  REQUIRE(wanted->has_value());
  CHECK(world.rows.collections == 0);
  world.note(**wanted);
  CHECK(world.look().value() == std::nullopt);
  CHECK(world.rows.collections == 1);
  CHECK(world.look().value() == std::nullopt);
  CHECK(world.rows.collections == 1);
}

TEST_CASE("history keeper: an index for which the disk has no room is not written anew") {
  World world;
  world.note(world.look()->value());
  world.limits.octets_free = kRowOctets;
  const auto refused = world.look();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().text().find("no room") != std::string::npos);
  CHECK(world.rows.collections == 0);
  // What was noted is gone nevertheless, and nothing more is cut.
  CHECK(world.disk.rows(Family::History).size() < kRows);
  CHECK(world.disk.rows(Family::History).size() > kRows / 3);
  world.limits.octets_free = kRows * 2 * kRowOctets;
  CHECK(world.look().value() == std::nullopt);
  CHECK(world.rows.collections == 1);
}

TEST_CASE("history keeper: on a small disk the history gets a quarter of it") {
  HistoryLimits limits;
  limits.octets_max = 10'000'000'000;
  CHECK(limits.on_disk(8'000'000'000, 5).octets_max == 2'000'000'000);
  CHECK(limits.on_disk(8'000'000'000, 5).octets_free == 5);
  CHECK(limits.on_disk(1'000'000'000'000, 5).octets_max == 10'000'000'000);
}

TEST_CASE("rows holder: who holds the rows for long hears that somebody waits to replace them") {
  MemoryDisk disk;
  RowsHolder holder;
  holder.replace(std::make_unique<MemoryRows>(disk));
  CHECK_FALSE(holder.is_cancelled());
  std::atomic<bool> has_begun = false;
  std::thread reader([&] {
    holder.with([&](Rows* rows) {
      CHECK(rows != nullptr);
      has_begun = true;
      while (!holder.is_cancelled()) std::this_thread::yield();
    });
  });
  while (!has_begun) std::this_thread::yield();
  holder.replace(nullptr);  // comes back, because the reader lets go
  reader.join();
  CHECK_FALSE(holder.is_cancelled());
  holder.cancel();
  CHECK(holder.is_cancelled());
  holder.replace(nullptr);
  CHECK(holder.is_cancelled());
}

TEST_CASE("index fence: raised by two at once it never goes back") {
  constexpr std::uint64_t kRounds = 200'000;
  IndexFence fence;
  std::atomic<bool> went_back = false;
  const auto raise = [&](std::uint64_t odd) {
    for (std::uint64_t i = 1; i <= kRounds; ++i) {
      fence.raise(MessageId{2 * i + odd});
      if (fence.until().value < 2 * i + odd) went_back = true;
    }
  };
  std::thread other(raise, 1);
  raise(0);
  other.join();
  CHECK_FALSE(went_back);
  CHECK(fence.until().value == 2 * kRounds + 1);
}
