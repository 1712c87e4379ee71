// RocksDB's blob files as they lie on a damaged disk: the bodies of mail, one record each, with the
// key of its row and CRC-32C sums of its head and of key and body. So a body is found, and known to
// be whole, without the table that refers to it.
//
// Where a record's head is damaged nobody knows where it ends; then the reading goes on at the next
// place that a table refers to. Only a file of which no table knows anything more is searched.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "queue/salvage_octets.h"

namespace rockdove::queue {

struct BlobRecord {
  std::string_view key;
  std::string_view value;
  std::uint64_t at = 0;  // where its head begins
};

// What a row says whose value is in a blob file.
struct BlobReference {
  std::uint64_t file = 0;      // its number
  std::uint64_t value_at = 0;  // in the file
  std::uint64_t octets = 0;
};

[[nodiscard]] std::optional<BlobReference> parse_blob_reference(std::string_view octets);

inline constexpr std::uint64_t kBlobHeadOctets = 32;

// Where the record begins whose value stands there.
[[nodiscard]] constexpr std::uint64_t blob_record_at(std::uint64_t value_at,
                                                     std::size_t key_octets) {
  return value_at - key_octets - kBlobHeadOctets;
}

// What begins with a record: nullopt where its sums are wrong.
[[nodiscard]] std::optional<BlobRecord> read_blob(std::string_view octets);

// Each record whose sums are right. `known`: where tables say that records begin, in ascending
// order.
void for_each_blob(std::string_view octets, const std::vector<std::uint64_t>& known,
                   const std::function<void(const BlobRecord& record)>& visit,
                   const HoleSink& hole);

}  // namespace rockdove::queue
