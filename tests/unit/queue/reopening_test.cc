// The store while its disk fails again and again (fact 10 of architecture.md), with loops that go
// on committing: over rows in memory, whose failed writes are lost or there as a test says.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "queue/index.h"
#include "queue/threaded_store.h"
#include "queue/trace.h"
#include "tests/support/memory_rows.h"
#include "tests/support/thread_loop.h"
#include "tests/unit/queue/sample_mail.h"

using namespace rockdove;
using namespace rockdove::queue;
using namespace rockdove::tests;

namespace {

// Far beyond what anything here takes; a test that reaches it fails.
constexpr std::chrono::seconds kPatience{60};

// Counts upwards; others wait for a number.
class Counter {
 public:
  void add() {
    const std::lock_guard lock(mutex_);
    ++count_;
    changed_.notify_all();  // under the lock: who waited may destroy this
  }

  [[nodiscard]] bool wait_for(std::uint64_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return count_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t count_ = 0;
};

// Opens rows on a disk, which fails as often as it is told.
class FailingDisk {
 public:
  [[nodiscard]] StoreSettings settings() {
    StoreSettings settings;
    settings.housekeeping = std::chrono::milliseconds(1);
    // The index is made where messages are just coming in.
    settings.index_each = std::chrono::milliseconds(1);
    settings.closed_below = [this] { return sample_id(newest_tick); };
    settings.open = [this]() -> Result<std::unique_ptr<Rows>> {
      const std::lock_guard lock(mutex_);
      if (refusals_ > 0) {
        --refusals_;
        return Error("No space left on device");
      }
      if (!next_.empty()) {
        const auto [writes, outcome] = next_.back();
        next_.pop_back();
        disk.fill_after(writes, outcome);
      } else if (!stays_full) {
        disk.free_space();
      }
      return std::unique_ptr<Rows>(std::make_unique<MemoryRows>(disk));
    };
    return settings;
  }

  // Soon, and perhaps again once it was opened anew.
  void fail(std::mt19937& random) {
    const std::lock_guard lock(mutex_);
    refusals_ = random() % 3;
    next_.clear();
    for (std::size_t again = random() % 4; again > 0; --again) {
      next_.emplace_back(random() % 3, some_outcome(random));
    }
    disk.fill_after(random() % 20, some_outcome(random));
  }

  MemoryDisk disk;
  std::atomic<bool> stays_full = false;
  std::atomic<std::uint64_t> newest_tick = 0;  // of a message that was made

 private:
  static MemoryDisk::FailedWrite some_outcome(std::mt19937& random) {
    return random() % 2 == 0 ? MemoryDisk::FailedWrite::Lost : MemoryDisk::FailedWrite::IsThere;
  }

  std::mutex mutex_;
  // Of the coming attempts to open: how many fail; then, from the back, what the disk does after.
  std::size_t refusals_ = 0;
  std::vector<std::pair<std::size_t, MemoryDisk::FailedWrite>> next_;
};

// A loop that accepts messages of three recipients, ends the first two deliveries of each in
// changes of their own, and leaves the third.
class Feeder {
 public:
  Feeder(ThreadedStore& store, FailingDisk& disk, unsigned index)
      : store_(store), disk_(disk), index_(index), loop_(index) {}

  void start(int outstanding) {
    loop_.call([&] {
      for (int i = 0; i < outstanding; ++i) accept_one();
    });
  }

  // True when all that is on its way was answered.
  [[nodiscard]] bool finish() {
    loop_.call([&] {
      is_over_ = true;
      if (on_the_way_ == 0) over_.add();
    });
    return over_.wait_for(1);
  }

  // True when a last result was written.
  [[nodiscard]] bool note() {
    Counter noted_it;
    loop_.call([&] {
      store_.commit(loop_, noted("kind", "name", "value"),
                    [&](const Result<void>&) { noted_it.add(); });
    });
    return noted_it.wait_for(1);
  }

  std::vector<Message> accepted_messages;  // once finished
  std::vector<Message> refused_messages;   // likewise
  std::uint64_t failed_results = 0;        // likewise

 private:
  void accept_one() {
    if (is_over_) return;
    const Message message = sample_message(2 * ++made_ + index_, 3);
    disk_.newest_tick = 2 * made_ + index_;
    ++on_the_way_;
    store_.commit(loop_, accepted(message, sample_deliveries(message)),
                  [this, message](const Result<void>& result) {
                    if (result) {
                      accepted_messages.push_back(message);
                      end_one(message, 1);
                      end_one(message, 2);
                    } else {
                      refused_messages.push_back(message);
                    }
                    answered();
                  });
  }

  void end_one(const Message& message, std::uint32_t number) {
    const Delivery delivery = sample_delivery(message, number);
    ++on_the_way_;
    store_.commit(loop_,
                  ended(message, {&delivery, 1}, Outcome::Delivered, sample_attempt(kSampleTime)),
                  [this](const Result<void>& result) {
                    if (!result) ++failed_results;
                    answered();
                  });
  }

  void answered() {
    --on_the_way_;
    // Results count too, so that the load neither grows nor dies.
    while (!is_over_ && on_the_way_ < 8) accept_one();
    if (is_over_ && on_the_way_ == 0) over_.add();
  }

  ThreadedStore& store_;
  FailingDisk& disk_;
  unsigned index_;
  std::uint64_t made_ = 0;
  std::uint64_t on_the_way_ = 0;
  bool is_over_ = false;
  Counter over_;
  ThreadLoop loop_;
};

// All messages to a recipient, as the index and what is behind it say.
std::vector<MessageId> traced_to(const Rows& rows, const std::string& recipient) {
  std::vector<MessageId> found;
  TraceRequest request;
  request.query.recipient = recipient;
  do {
    Damaged damaged;
    const Result<TracedPage> page = trace(rows, request, damaged);
    if (!page) FAIL(page.error().text());
    for (const TracedMessage& message : page->messages) found.push_back(message.id);
    request.before = page->more_before;
  } while (request.before);
  return found;
}

}  // namespace

TEST_CASE("reopening: through many failures nothing answered is lost and each result counts once") {
  std::mt19937 random(GENERATE(1U, 2U, 3U, 4U));
  FailingDisk failing;
  Counter reopened;
  auto store = std::move(*ThreadedStore::start(failing.settings()));
  store->on_reopened([&] { reopened.add(); });
  std::array<std::unique_ptr<Feeder>, 2> feeders;
  for (unsigned index = 0; index < 2; ++index) {
    feeders[index] = std::make_unique<Feeder>(*store, failing, index);
    feeders[index]->start(8);
  }
  constexpr std::uint64_t kFailures = 40;
  for (std::uint64_t i = 1; i <= kFailures; ++i) {
    failing.fail(random);
    REQUIRE(reopened.wait_for(i));
  }
  for (const auto& feeder : feeders) REQUIRE(feeder->finish());
  // Refusals are answered before the rows are back; this is answered after.
  REQUIRE(feeders[0]->note());
  CHECK(store->statistics().reopenings >= kFailures);
  CHECK(store->statistics().inbox_octets == 0);
  store.reset();
  const MemoryRows rows(failing.disk);
  std::vector<MessageId> there;  // what must be found
  for (const auto& feeder : feeders) {
    CHECK(feeder->failed_results == 0);
    CHECK(feeder->accepted_messages.size() > 2 * kFailures);
    std::uint64_t wrong = 0;
    Damaged damaged;
    for (const Message& message : feeder->accepted_messages) {
      const MessageView seen = *view_message(rows, message.id, damaged);
      const bool is_right = seen.message != nullptr && seen.deliveries.size() == 1 &&
                            seen.deliveries.front().number == 3 && seen.history.size() == 2 &&
                            read_chunk(rows, message.id, 0);
      if (!is_right) ++wrong;
      there.push_back(message.id);
    }
    // A refused one is there whole or not at all.
    for (const Message& message : feeder->refused_messages) {
      const MessageView seen = *view_message(rows, message.id, damaged);
      const bool is_gone = seen.message == nullptr && seen.deliveries.empty();
      const bool is_whole = seen.message != nullptr && seen.deliveries.size() == 3;
      if (!is_gone && !is_whole) ++wrong;
      if (is_whole) there.push_back(message.id);
    }
    CHECK(wrong == 0);
    CHECK(damaged.empty());
  }
  std::sort(there.begin(), there.end(), std::greater<>());
  CHECK(read_index_mark(*rows.view()).value() > there.back());
  CHECK((traced_to(rows, "bob2@example.net") == there));
}

TEST_CASE("reopening: a result that came while the disk was full is there before anyone may look") {
  FailingDisk failing;
  auto loop = std::make_unique<ThreadLoop>(0);
  StoreSettings settings = failing.settings();
  settings.busy_after = base::Duration(0);
  auto store = std::move(*ThreadedStore::start(std::move(settings)));
  Counter reopened;
  std::atomic<std::size_t> seen_at_reopening = 99;
  store->on_reopened([&] {
    seen_at_reopening = failing.disk.rows(Family::Waiting).size();
    reopened.add();
  });
  const Message first = sample_message(1);
  const Message second = sample_message(2);
  Counter answers;
  Counter refusals;
  const auto commit = [&](Change change) {
    loop->call([&] {
      store->commit(*loop, std::move(change),
                    [&](const Result<void>& result) { (result ? answers : refusals).add(); });
    });
  };
  commit(accepted(first, sample_deliveries(first)));
  commit(accepted(second, sample_deliveries(second)));
  REQUIRE(answers.wait_for(2));
  failing.stays_full = true;
  failing.disk.fill_after(0);
  const auto end = [](const Message& message) {
    return ended(message, sample_deliveries(message), Outcome::Delivered,
                 sample_attempt(kSampleTime));
  };
  commit(end(first));
  const Message third = sample_message(3);
  commit(accepted(third, sample_deliveries(third)));
  REQUIRE(refusals.wait_for(1));  // so it has failed
  commit(end(second));
  const Message fourth = sample_message(4);
  commit(accepted(fourth, sample_deliveries(fourth)));
  REQUIRE(refusals.wait_for(2));  // so the second result has arrived
  failing.stays_full = false;
  REQUIRE(reopened.wait_for(1));
  CHECK(seen_at_reopening == 0);
  REQUIRE(answers.wait_for(4));
  // Nothing waits any more, though no other change has come.
  CHECK(store->readiness() == Readiness::Ready);
  store.reset();
}

TEST_CASE("reopening: a store that cannot write stops at once, and its loops with it") {
  FailingDisk failing;
  auto loop = std::make_unique<ThreadLoop>(0);
  auto store = std::move(*ThreadedStore::start(failing.settings()));
  failing.stays_full = true;
  failing.disk.fill_after(0);
  Counter refusals;
  std::atomic<int> told = 0;
  const Message message = sample_message(1);
  loop->call([&] {
    store->commit(*loop, noted("kind", "name", "value"), [&](const Result<void>&) { ++told; });
    store->commit(*loop, accepted(message, sample_deliveries(message)),
                  [&](const Result<void>& result) {
                    if (!result) refusals.add();
                  });
  });
  REQUIRE(refusals.wait_for(1));
  CHECK(store->readiness() == Readiness::Failed);
  store.reset();
  loop.reset();
  CHECK(told == 0);
  CHECK(failing.disk.rows(Family::Sites).empty());
}
