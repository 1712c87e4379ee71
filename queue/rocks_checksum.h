// A fast CRC-32C (Castagnoli; RFC 3720 §B.4 has its examples) for RocksDB.
//
// Debian builds RocksDB for the oldest x86-64 processors, so its checksum of every octet that goes
// into the log is computed from tables: 1 ns an octet, a tenth of what the committer spends on a
// message of 4 KiB and more of one of 100 KiB. rocks_checksum.cc defines the
// library's own function again, with the processor's instruction; the dynamic linker prefers ours.
// Where it does not, or on another processor, the library's stays in use: the sums are the same.
#pragma once

#include <cstdint>
#include <string_view>

namespace rockdove::queue {

// The checksum of all octets of which `sum` was that of those before; 0 at the start. As RocksDB's
// own callers get it.
[[nodiscard]] std::uint32_t rocks_checksum(std::uint32_t sum, std::string_view octets);

// As it stands in files: turned and moved, so that a sum of octets that hold their own sum is none.
[[nodiscard]] constexpr std::uint32_t masked_checksum(std::uint32_t sum) {
  return ((sum >> 15) | (sum << 17)) + 0xA282EAD8U;
}

// XXH3 with 64 bits, the library's own, which its tables have by default.
[[nodiscard]] std::uint64_t rocks_xxh3(std::string_view octets);

}  // namespace rockdove::queue
