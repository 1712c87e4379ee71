// What the column family of the index has of its own in RocksDB: how it is compacted, and what a
// compaction drops. Only for queue/rocks_rows.cc.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include <rocksdb/metadata.h>
#include <rocksdb/options.h>

namespace rockdove::queue {

// Below which message id history is gone, as the index is told of it when it is compacted.
using HistoryFloor = std::atomic<std::uint64_t>;

// As Rows::history_cut(), by whole files of the history, the newest first, because whole files are
// what goes.
[[nodiscard]] std::string find_history_cut(const rocksdb::ColumnFamilyMetaData& history,
                                           std::uint64_t index_octets, std::uint64_t octets_max);

void set_index_options(rocksdb::ColumnFamilyOptions& options,
                       std::shared_ptr<const HistoryFloor> floor);

}  // namespace rockdove::queue
