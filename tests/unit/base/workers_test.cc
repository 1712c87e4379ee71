// The pool with real threads. What waits for another thread waits on a promise or latch, so that no
// test depends on time.
#include "mta/base/workers.h"

#include <atomic>
#include <future>
#include <latch>
#include <memory>
#include <thread>

#include <catch2/catch.hpp>

namespace rockdove::base {
namespace {

// Holds a worker until it is let go.
struct Gate {
  std::promise<void> entered;
  std::promise<void> open;

  Task task() {
    return [this] {
      entered.set_value();
      open.get_future().wait();
    };
  }
};

TEST_CASE("workers run everything that was posted, several at once") {
  WorkerPool pool(4, 1000);
  std::latch all(4);  // only four tasks at once get past it
  std::promise<void> done;
  std::atomic<int> left = 100;
  for (int i = 0; i < 100; ++i) {
    CHECK(pool.post([&, i] {
      if (i < 4) all.arrive_and_wait();
      if (--left == 0) done.set_value();
    }));
  }
  done.get_future().wait();
  CHECK(pool.threads() == 4);
}

TEST_CASE("one worker keeps the order") {
  std::vector<int> order;
  std::promise<void> done;
  WorkerPool pool(1, 1000);
  for (int i = 0; i < 50; ++i) {
    CHECK(pool.post([&, i] {
      order.push_back(i);
      if (i == 49) done.set_value();
    }));
  }
  done.get_future().wait();
  for (int i = 0; i < 50; ++i) CHECK(order[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("a full pool says no and keeps what it has") {
  Gate gate;
  std::atomic<int> ran = 0;
  std::promise<void> done;
  WorkerPool pool(1, 2);
  CHECK(pool.post(gate.task()));
  gate.entered.get_future().wait();
  CHECK(pool.post([&] { ++ran; }));
  CHECK(pool.post([&] {
    ++ran;
    done.set_value();
  }));
  CHECK_FALSE(pool.post([&] { ++ran; }));
  gate.open.set_value();
  done.get_future().wait();
  CHECK(ran == 2);
}

TEST_CASE("a pool that ends waits for what runs and drops what waits") {
  Gate gate;
  std::atomic<int> ran = 0;
  const auto owned = std::make_shared<int>(1);
  {
    WorkerPool pool(1, 10);
    CHECK(pool.post([&, inner = gate.task()]() mutable {
      inner();
      ++ran;
    }));
    gate.entered.get_future().wait();
    CHECK(pool.post([&ran, owned] { ++ran; }));

    // Opened by whoever destroys the waiting task, which the pool does before it joins.
    struct Opener {
      std::promise<void>* open;

      explicit Opener(std::promise<void>* promise) : open(promise) {}

      ~Opener() {
        if (open != nullptr) open->set_value();
      }

      Opener(Opener&& other) noexcept : open(std::exchange(other.open, nullptr)) {}

      Opener(const Opener&) = delete;
      Opener& operator=(const Opener&) = delete;
      Opener& operator=(Opener&&) = delete;
    };

    CHECK(pool.post([&ran, opener = Opener(&gate.open)] { ++ran; }));
  }
  CHECK(ran == 1);
  CHECK(owned.use_count() == 1);
}

TEST_CASE("each thread begins with what it was given, and ends with it") {
  std::atomic<unsigned> begun = 0;
  std::atomic<unsigned> ended = 0;
  {
    WorkerPool pool(3, 10, [&](unsigned thread) {
      begun += 1 + thread;
      return std::shared_ptr<void>(nullptr, [&ended](void*) { ++ended; });
    });
    while (begun < 6) std::this_thread::yield();
    CHECK(ended == 0);
  }
  CHECK(begun == 6);
  CHECK(ended == 3);
}

}  // namespace
}  // namespace rockdove::base
