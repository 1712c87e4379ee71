// The one source of chance for jitter, shuffles and choices. Not for secrets. Seeded, so that a test
// can replay what happened.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <utility>

namespace rockdove::base {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  // Uniform in [0, below); `below` is at least 1.
  [[nodiscard]] std::uint64_t below(std::uint64_t below) {
    return std::uniform_int_distribution<std::uint64_t>(0, below - 1)(engine_);
  }

  template <typename T>
  void shuffle(std::span<T> items) {
    for (std::size_t left = items.size(); left > 1; --left) {
      std::swap(items[left - 1], items[below(left)]);
    }
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace rockdove::base
