#include "mta/base/unique_function.h"

#include <array>
#include <memory>

#include <catch2/catch.hpp>

using rockdove::base::UniqueFunction;

TEST_CASE("unique function: owns what it holds, small or large, and frees it once") {
  auto counter = std::make_shared<int>(0);
  {
    UniqueFunction<int(int)> small = [counter](int add) { return *counter += add; };
    std::array<char, 200> bulk{};
    bulk[7] = 7;
    UniqueFunction<int(int)> large = [counter, bulk](int add) { return *counter += add + bulk[7]; };
    CHECK(small(1) == 1);
    UniqueFunction<int(int)> moved = std::move(small);
    CHECK_FALSE(small);  // NOLINT(bugprone-use-after-move): an emptied one is what is asked about
    CHECK(moved(1) == 2);
    moved = std::move(large);
    CHECK(moved(1) == 10);
    CHECK(counter.use_count() == 2);
  }
  CHECK(counter.use_count() == 1);
}

TEST_CASE("unique function: takes what can only be moved") {
  UniqueFunction<int()> function = [value = std::make_unique<int>(5)] { return *value; };
  CHECK(function() == 5);
}
