// One of RocksDB's tables (an .sst file) as it lies on a damaged disk, without RocksDB, which gives
// up at the first block that is not as it should be. Written after the format's description
// (rocksdb wiki, "Rocksdb BlockBasedTable Format"), for what queue/rocks_rows.cc chooses: format 5,
// LZ4 or nothing, sums by XXH3 or CRC-32C, no filters.
//
// Each block carries a sum of its octets, so what is read is what was written. Where the index is
// readable it says where each block lies. Where it is not, blocks are found one behind the other:
// both kinds show where they end, and the sum makes it certain. Behind a block that is damaged as
// well, the next one is searched for octet by octet.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "queue/salvage_octets.h"

namespace rockdove::queue {

// What RocksDB calls the type of a value, as far as the queue has them.
enum class RowType : std::uint8_t {
  Deletion = 0x00,
  Value = 0x01,
  SingleDeletion = 0x07,
  BlobIndex = 0x11,  // the value is in a blob file
};

[[nodiscard]] std::optional<RowType> parse_row_type(unsigned octet);

struct BlockPlace {
  std::uint64_t offset = 0;
  std::uint32_t octets = 0;  // without the trailer
};

// A row in a block.
struct TableRow {
  BlockPlace block;
  std::uint32_t index = 0;  // in its block
  std::string_view key;     // as the queue gave it
  std::uint64_t sequence = 0;
  RowType type = RowType::Value;
  std::string_view value;  // valid during the call, like the key
};

// How the octets of blocks are summed.
enum class BlockSum : std::uint8_t { Crc32c = 1, Xxh3 = 4, Unknown = 0xFF };

class DamagedTable {
 public:
  // Refers to the octets of the whole file.
  explicit DamagedTable(std::string_view octets);

  // What its properties say; "" and nullopt where they cannot be read.
  [[nodiscard]] const std::string& family() const { return family_; }

  [[nodiscard]] std::optional<std::uint32_t> family_id() const { return family_id_; }

  [[nodiscard]] bool has_index() const { return !index_.empty(); }

  [[nodiscard]] BlockSum sum() const { return sum_; }

  // Each row of each block that is whole, in the order of the file; and what is between.
  void for_each(const std::function<void(const TableRow& row)>& visit, const HoleSink& hole) const;

 private:
  void read_footer();
  void read_properties(BlockPlace place);
  void read_index(BlockPlace place);
  [[nodiscard]] std::optional<std::string> read(BlockPlace place) const;
  [[nodiscard]] std::optional<BlockPlace> find_block(std::uint64_t offset) const;
  void search(const std::function<void(const TableRow& row)>& visit, const HoleSink& hole) const;

  const std::string_view octets_;
  BlockSum sum_ = BlockSum::Unknown;
  std::string family_;
  std::optional<std::uint32_t> family_id_;
  std::vector<BlockPlace> index_;
};

inline constexpr std::size_t kBlockTrailerOctets = 5;  // how it is compressed, and the sum

// The contents of a block and its trailer, checked and unpacked; nullopt: damaged.
[[nodiscard]] std::optional<std::string> unpack_block(std::string_view with_trailer, BlockSum sum);

// The rows of a block of data; false: it is none.
[[nodiscard]] bool for_each_row(std::string_view block, BlockPlace place,
                                const std::function<void(const TableRow& row)>& visit);

// Octets that LZ4 data takes which unpacks to `unpacked` octets; nullopt: it is none. (liblz4 wants
// to be told, which an index would.)
[[nodiscard]] std::optional<std::size_t> lz4_extent(std::string_view packed, std::size_t unpacked);
[[nodiscard]] std::optional<std::string> lz4_unpack(std::string_view packed, std::size_t unpacked);

}  // namespace rockdove::queue
