#include "queue/budget.h"

#include <thread>
#include <vector>

#include <catch2/catch.hpp>

namespace rockdove::queue {
namespace {

using Standing = ConnectionBudget::Standing;

TEST_CASE("a reload changes how many connections there may be, and ends none") {
  ConnectionBudget budget(2);
  REQUIRE(budget.try_take(Standing::Proven));
  REQUIRE(budget.try_take(Standing::Proven));
  CHECK_FALSE(budget.try_take(Standing::Proven));
  budget.change(3);
  REQUIRE(budget.try_take(Standing::Proven));
  budget.change(1);
  CHECK(budget.open() == 3);
  budget.give_back(Standing::Proven);
  budget.give_back(Standing::Proven);
  CHECK_FALSE(budget.try_take(Standing::Proven));
  budget.give_back(Standing::Proven);
  CHECK(budget.try_take(Standing::Proven));
}

TEST_CASE("unproven sites together get at most half of the connections") {
  ConnectionBudget budget(10);
  for (int i = 0; i < 5; ++i) REQUIRE(budget.try_take(Standing::Unproven));
  CHECK(budget.is_unproven_full());
  CHECK_FALSE(budget.try_take(Standing::Unproven));
  for (int i = 0; i < 5; ++i) REQUIRE(budget.try_take(Standing::Proven));
  CHECK_FALSE(budget.try_take(Standing::Proven));
  CHECK(budget.open() == 10);
  budget.give_back(Standing::Unproven);
  CHECK(budget.try_take(Standing::Proven));  // the others may have all of it
  CHECK_FALSE(budget.try_take(Standing::Unproven));
}

TEST_CASE("a refusal for want of any connection costs the unproven nothing") {
  ConnectionBudget budget(4);
  for (int i = 0; i < 4; ++i) REQUIRE(budget.try_take(Standing::Proven));
  for (int i = 0; i < 10; ++i) REQUIRE_FALSE(budget.try_take(Standing::Unproven));
  CHECK_FALSE(budget.is_unproven_full());
  budget.give_back(Standing::Proven);
  CHECK(budget.try_take(Standing::Unproven));
}

TEST_CASE("a connection that proves itself leaves its place among the unproven to another") {
  ConnectionBudget budget(4);
  REQUIRE(budget.try_take(Standing::Unproven));
  REQUIRE(budget.try_take(Standing::Unproven));
  REQUIRE_FALSE(budget.try_take(Standing::Unproven));
  budget.prove(Standing::Unproven);
  CHECK(budget.try_take(Standing::Unproven));
  CHECK(budget.open() == 3);
  budget.give_back(Standing::Proven);
  budget.give_back(Standing::Unproven);
  budget.give_back(Standing::Unproven);
  CHECK(budget.open() == 0);
}

TEST_CASE("those that owe an answer stand outside of the half, and are a quarter at most") {
  ConnectionBudget budget(8);
  for (int i = 0; i < 4; ++i) REQUIRE(budget.try_take(Standing::Unproven));
  REQUIRE(budget.try_owe());
  REQUIRE(budget.try_owe());
  CHECK_FALSE(budget.try_owe());
  REQUIRE(budget.try_take(Standing::Unproven));
  REQUIRE(budget.try_take(Standing::Unproven));
  CHECK_FALSE(budget.try_take(Standing::Unproven));
  CHECK(budget.open() == 6);
  budget.prove(Standing::Owing);
  CHECK(budget.try_owe());
  budget.give_back(Standing::Owing);
  CHECK(budget.try_owe());
  budget.give_back(Standing::Owing);
  budget.give_back(Standing::Owing);
  budget.give_back(Standing::Proven);
  budget.give_back(Standing::Unproven);
  budget.give_back(Standing::Unproven);
  CHECK(budget.open() == 0);
}

TEST_CASE("a budget of one, or none, lets one through, proven or not") {
  for (const std::uint32_t most : {0U, 1U}) {
    ConnectionBudget budget(most);
    REQUIRE(budget.try_take(Standing::Unproven));
    CHECK_FALSE(budget.try_take(Standing::Proven));
    budget.give_back(Standing::Unproven);
    CHECK(budget.try_take(Standing::Proven));
  }
}

TEST_CASE("threads that take and give back never exceed the budget and leave nothing taken") {
  ConnectionBudget budget(7);
  std::atomic<bool> exceeded{false};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&budget, &exceeded, thread] {
      const Standing standing = thread % 2 == 0 ? Standing::Proven : Standing::Unproven;
      for (int i = 0; i < 20'000; ++i) {
        if (!budget.try_take(standing)) continue;
        if (budget.open() > 7) exceeded = true;
        budget.give_back(standing);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_FALSE(exceeded);
  CHECK(budget.open() == 0);
  CHECK_FALSE(budget.is_unproven_full());
}

TEST_CASE("memory refuses what is new before what has begun, and keeps little for first attempts") {
  MemoryBudget memory(800);
  CHECK(memory.has_room_to_keep());
  memory.take(200);
  CHECK_FALSE(memory.has_room_to_keep());
  memory.take(499);
  CHECK(memory.has_room_to_accept());
  memory.take(1);
  CHECK_FALSE(memory.has_room_to_accept());
  memory.give_back(700);
  CHECK(memory.used() == 0);
  CHECK(memory.has_room_to_keep());
}

}  // namespace
}  // namespace rockdove::queue
