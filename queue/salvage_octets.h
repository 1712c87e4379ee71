// Octets of a damaged database's files: reading a file whose disk no longer gives all of it, and
// the numbers that RocksDB writes (little-endian, or in groups of seven bits).
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "mta/base/result.h"

namespace rockdove::queue {

// What of a file cannot be used, from `offset` on.
struct Hole {
  std::uint64_t offset = 0;
  std::uint64_t octets = 0;
  std::string why;
};

using HoleSink = std::function<void(Hole hole)>;

// So many octets of a file from `offset` on, fewer at its end. What the disk does not give is zero
// octets, each such stretch a hole. An error: the file cannot be opened at all, or is larger than
// `octets_max`.
[[nodiscard]] base::Result<std::string> read_damaged(const std::string& path, std::uint64_t offset,
                                                     std::uint64_t octets_max,
                                                     const HoleSink& hole);

// Only when `octets` holds that many behind `at`.
template <typename Number>
[[nodiscard]] Number little_endian(std::string_view octets, std::size_t at) {
  Number number = 0;
  for (std::size_t i = sizeof(Number); i-- > 0;) {
    number = static_cast<Number>((number << 8) | static_cast<unsigned char>(octets[at + i]));
  }
  return number;
}

// Takes a number of at most `bits` bits off the front; nullopt: there is none.
[[nodiscard]] std::optional<std::uint64_t> take_varint(std::string_view& octets, unsigned bits);

// Takes a string with its length in front of it.
[[nodiscard]] std::optional<std::string_view> take_prefixed(std::string_view& octets);

}  // namespace rockdove::queue
