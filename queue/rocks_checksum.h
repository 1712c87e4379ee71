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

}  // namespace rockdove::queue
