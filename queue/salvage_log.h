// RocksDB's write-ahead log (a .log file) as it lies on a damaged disk (rocksdb wiki, "Write Ahead
// Log File Format"): blocks of 32 KiB with pieces of records, each with a CRC-32C, and a record is
// what one write of the queue's committer put there: many rows of many messages.
//
// Where a piece is damaged the reading goes on at the next block, where a piece always begins; the
// rows in front of the damage are kept. Nothing is searched for in between: there stands mail, and
// its writer could have put anything into it, also what looks like rows.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "queue/salvage_octets.h"
#include "queue/salvage_table.h"

namespace rockdove::queue {

// A record, or as much of its beginning as is whole.
struct LogRecord {
  std::uint64_t offset = 0;  // of its first piece
  std::string_view octets;   // valid during the call
  bool is_whole = true;
};

class DamagedLog {
 public:
  // Refers to the octets of the whole file.
  explicit DamagedLog(std::string_view octets) : octets_(octets) {}

  void for_each(const std::function<void(const LogRecord& record)>& visit,
                const HoleSink& hole) const;
  // The record that for_each() found there, as far as it was whole.
  [[nodiscard]] std::string read(std::uint64_t offset) const;

 private:
  // Until `visit` says false.
  void walk(std::uint64_t offset, const std::function<bool(const LogRecord& record)>& visit,
            const HoleSink& hole) const;

  const std::string_view octets_;
};

// A row in a record.
struct LogRow {
  std::uint32_t family_id = 0;
  RowType type = RowType::Value;
  std::uint64_t sequence = 0;
  std::string_view key;
  std::string_view value;
  std::uint64_t value_at = 0;  // where the value stands in the record
};

// The rows of a record; false: behind those that were visited stands something else, or its end is
// missing.
[[nodiscard]] bool for_each_logged(std::string_view record,
                                   const std::function<void(const LogRow& row)>& visit);

}  // namespace rockdove::queue
