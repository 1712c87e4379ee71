#include "queue/rocks_index.h"

#include <utility>

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

}  // namespace

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
