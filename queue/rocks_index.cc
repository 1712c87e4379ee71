#include "queue/rocks_index.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <rocksdb/compaction_filter.h>

#include "queue/index.h"

namespace rockdove::queue {
namespace {

class ExpiredIndexRows final : public rocksdb::CompactionFilter {
 public:
  explicit ExpiredIndexRows(std::uint64_t floor) : floor_(message_key(MessageId{floor})) {}

  [[nodiscard]] const char* Name() const override { return "rockdove.expired_index_rows"; }

  [[nodiscard]] bool Filter(int, const rocksdb::Slice& key, const rocksdb::Slice&, std::string*,
                            bool*) const override {
    return is_index_row_below({key.data(), key.size()}, floor_);
  }

 private:
  const Key floor_;
};

class ExpiredIndexRowsFactory final : public rocksdb::CompactionFilterFactory {
 public:
  explicit ExpiredIndexRowsFactory(std::shared_ptr<const HistoryFloor> floor)
      : floor_(std::move(floor)) {}

  [[nodiscard]] const char* Name() const override { return "rockdove.expired_index_rows"; }

  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context&) override {
    return std::make_unique<ExpiredIndexRows>(floor_->load());
  }

 private:
  const std::shared_ptr<const HistoryFloor> floor_;
};

// Of the room for history and index: each time that they are over it all of the index is written.
constexpr double kLeftOfHistory = 0.9;

}  // namespace

// The index shrinks by as much as what it is about, once it is collected.
std::string find_history_cut(const rocksdb::ColumnFamilyMetaData& history,
                             std::uint64_t index_octets, std::uint64_t octets_max) {
  if (history.size + index_octets <= octets_max) return {};
  const double part =
      static_cast<double>(octets_max) / static_cast<double>(history.size + index_octets);
  const double allowed = static_cast<double>(history.size) * part * kLeftOfHistory;
  std::vector<std::pair<std::string, std::uint64_t>> files;  // last key, octets
  for (const rocksdb::LevelMetaData& level : history.levels) {
    for (const rocksdb::SstFileMetaData& file : level.files) {
      files.emplace_back(file.largestkey, file.size);
    }
  }
  std::sort(files.rbegin(), files.rend());
  double kept = 0;
  for (const auto& [last_key, octets] : files) {
    kept += static_cast<double>(octets);
    if (kept > allowed) return last_key + '\0';
  }
  return {};
}

void set_index_options(rocksdb::ColumnFamilyOptions& options,
                       std::shared_ptr<const HistoryFloor> floor) {
  // Entries come sorted, in files that each span all hashes: levels would copy them far more
  // often. What has expired goes when its file is compacted, which is at least once a week.
  options.write_buffer_size = 1024 * 1024;  // only ids that came late are written to it
  options.compaction_style = rocksdb::kCompactionStyleUniversal;
  options.compression = rocksdb::kNoCompression;  // hashes do not shrink
  options.compaction_filter_factory = std::make_shared<ExpiredIndexRowsFactory>(std::move(floor));
  options.periodic_compaction_seconds = std::uint64_t{7} * 24 * 3600;
}

}  // namespace rockdove::queue
