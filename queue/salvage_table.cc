#include "queue/salvage_table.h"

#include <algorithm>
#include <limits>

#include "queue/rocks_checksum.h"

namespace rockdove::queue {
namespace {

constexpr std::uint64_t kMagic = 0x88E241B785F4CFF7ULL;
constexpr std::size_t kFooterOctets = 53;
constexpr std::uint32_t kFormatMin = 2;  // since then a block's length stands before its LZ4 data
constexpr std::uint32_t kFormatMax = 5;  // from 6 on sums depend on where a block lies
constexpr std::size_t kTypeOctets = 8;   // sequence number and type, at the end of each key
// A row has at most a header block and little more; an index a few octets a block.
constexpr std::size_t kUnpackedMax = 16 * 1024 * 1024;
constexpr std::size_t kRowsBetweenRestarts = 16;
constexpr unsigned kUnpacked = 0;
constexpr unsigned kLz4 = 4;
constexpr unsigned kLz4Slow = 5;

bool has_sum(std::string_view with_type, std::uint32_t sum, BlockSum kind) {
  constexpr std::uint32_t kLastOctet = 0x6B9083D9U;
  switch (kind) {
    case BlockSum::Crc32c:
      return masked_checksum(rocks_checksum(0, with_type)) == sum;
    case BlockSum::Xxh3: {
      const std::string_view octets = with_type.substr(0, with_type.size() - 1);
      const auto last = static_cast<unsigned char>(with_type.back());
      return (static_cast<std::uint32_t>(rocks_xxh3(octets)) ^ (last * kLastOctet)) == sum;
    }
    case BlockSum::Unknown:
      return has_sum(with_type, sum, BlockSum::Xxh3) || has_sum(with_type, sum, BlockSum::Crc32c);
  }
  return false;
}

// A row of a block as it stands there: its key shares octets with the one before.
struct RawRow {
  std::size_t shared = 0;
  std::string_view key_rest;
  std::string_view value;
};

std::optional<RawRow> take_row(std::string_view& octets) {
  std::string_view rest = octets;
  const auto shared = take_varint(rest, 32);
  const auto key_octets = shared ? take_varint(rest, 32) : std::nullopt;
  const auto value_octets = key_octets ? take_varint(rest, 32) : std::nullopt;
  if (!value_octets || *key_octets + *value_octets > rest.size()) return std::nullopt;
  RawRow row;
  row.shared = static_cast<std::size_t>(*shared);
  row.key_rest = rest.substr(0, static_cast<std::size_t>(*key_octets));
  row.value = rest.substr(row.key_rest.size(), static_cast<std::size_t>(*value_octets));
  octets = rest.substr(row.key_rest.size() + row.value.size());
  return row;
}

// The list of restarts at the end of a block, by its length.
struct Restarts {
  std::size_t at = 0;
  std::size_t count = 0;
};

std::optional<Restarts> restarts_of(std::string_view block) {
  if (block.size() < 8) return std::nullopt;
  const std::size_t count = little_endian<std::uint32_t>(block, block.size() - 4);
  if (count == 0 || count > (block.size() - 4) / 4) return std::nullopt;
  return Restarts{block.size() - 4 - 4 * count, count};
}

// Octets of a block of data that is not packed: its rows, and behind them the restarts, which these
// rows foretell.
std::optional<std::size_t> unpacked_extent(std::string_view octets) {
  std::vector<std::uint32_t> restarts;
  std::size_t key_octets = 0;
  std::string_view rest = octets;
  for (std::size_t rows = 0;; ++rows) {
    const auto at = static_cast<std::uint32_t>(octets.size() - rest.size());
    const bool is_restart = rows % kRowsBetweenRestarts == 0;
    std::string_view behind = rest;
    const std::optional<RawRow> row = take_row(behind);
    const bool fits = row && row->shared <= key_octets && (!is_restart || row->shared == 0) &&
                      row->shared + row->key_rest.size() >= kTypeOctets && at < kUnpackedMax;
    if (!fits) break;
    // The first restart is zero, which as a row has no key, so it is never mistaken for one.
    key_octets = row->shared + row->key_rest.size();
    if (is_restart) restarts.push_back(at);
    rest = behind;
  }
  if (restarts.empty() || rest.size() < 4 * restarts.size() + 4) return std::nullopt;
  for (std::size_t i = 0; i < restarts.size(); ++i) {
    if (little_endian<std::uint32_t>(rest, 4 * i) != restarts[i]) return std::nullopt;
  }
  if (little_endian<std::uint32_t>(rest, 4 * restarts.size()) != restarts.size()) {
    return std::nullopt;
  }
  return octets.size() - rest.size() + 4 * restarts.size() + 4;
}

std::optional<BlockPlace> take_handle(std::string_view& octets) {
  const auto offset = take_varint(octets, 64);
  const auto size = offset ? take_varint(octets, 32) : std::nullopt;
  if (!size) return std::nullopt;
  return BlockPlace{*offset, static_cast<std::uint32_t>(*size)};
}

// Where the blocks of an index's entries lie: each entry is a restart. `lengths`: whether it says
// how long its value is.
std::vector<BlockPlace> read_handles(std::string_view block, bool lengths) {
  const std::optional<Restarts> restarts = restarts_of(block);
  std::vector<BlockPlace> places;
  std::uint64_t next = 0;
  for (std::size_t i = 0; restarts && i < restarts->count; ++i) {
    const std::size_t at = little_endian<std::uint32_t>(block, restarts->at + 4 * i);
    if (at >= restarts->at) return {};
    std::string_view rest = block.substr(at, restarts->at - at);
    const auto shared = take_varint(rest, 32);
    const auto key_octets = shared ? take_varint(rest, 32) : std::nullopt;
    if (!key_octets || *shared != 0) return {};
    if (lengths && !take_varint(rest, 32)) return {};
    if (*key_octets > rest.size()) return {};
    rest.remove_prefix(static_cast<std::size_t>(*key_octets));
    const std::optional<BlockPlace> place = take_handle(rest);
    // Blocks of data stand one behind the other, from the start of the file on.
    if (!place || place->offset != next) return {};
    next = place->offset + place->octets + kBlockTrailerOctets;
    places.push_back(*place);
  }
  return places;
}

// Rows of a block whose keys are names, as in the properties; "" where there is no such name.
std::string_view named_value(std::string_view block, std::string_view name, std::string& key) {
  const std::optional<Restarts> restarts = restarts_of(block);
  if (!restarts) return {};
  std::string_view rest = block.substr(0, restarts->at);
  key.clear();
  while (const std::optional<RawRow> row = rest.empty() ? std::nullopt : take_row(rest)) {
    if (row->shared > key.size()) return {};
    key.resize(row->shared);
    key.append(row->key_rest);
    if (key == name) return row->value;
  }
  return {};
}

}  // namespace

std::optional<RowType> parse_row_type(unsigned octet) {
  for (const RowType type :
       {RowType::Deletion, RowType::Value, RowType::SingleDeletion, RowType::BlobIndex}) {
    if (static_cast<unsigned>(type) == octet) return type;
  }
  return std::nullopt;
}

std::optional<std::size_t> lz4_extent(std::string_view packed, std::size_t unpacked) {
  std::size_t at = 0;
  std::size_t made = 0;
  const auto take_length = [&](std::size_t length) {
    if (length != 15) return length;
    while (at < packed.size()) {
      const auto more = static_cast<unsigned char>(packed[at++]);
      length += more;
      if (more != 255 || length > unpacked) break;
    }
    return length;
  };
  while (at < packed.size()) {
    const auto token = static_cast<unsigned char>(packed[at++]);
    const std::size_t literals = take_length(token >> 4);
    if (literals > packed.size() - at || literals > unpacked - made) return std::nullopt;
    at += literals;
    made += literals;
    if (made == unpacked) return at;  // the last sequence has no match
    if (packed.size() - at < 2) return std::nullopt;
    const std::size_t distance = little_endian<std::uint16_t>(packed, at);
    at += 2;
    const std::size_t match = take_length(token & 15) + 4;
    if (distance == 0 || distance > made || match > unpacked - made) return std::nullopt;
    made += match;
  }
  return std::nullopt;
}

std::optional<std::string> lz4_unpack(std::string_view packed, std::size_t unpacked) {
  // With this, every step below is within its bounds.
  if (unpacked > kUnpackedMax || lz4_extent(packed, unpacked) != packed.size()) {
    return std::nullopt;
  }
  std::string out;
  out.reserve(unpacked);
  std::size_t at = 0;
  const auto take_length = [&](std::size_t length) {
    if (length != 15) return length;
    unsigned char more = 255;
    while (more == 255) {
      more = static_cast<unsigned char>(packed[at++]);
      length += more;
    }
    return length;
  };
  while (out.size() < unpacked) {
    const auto token = static_cast<unsigned char>(packed[at++]);
    const std::size_t literals = take_length(token >> 4);
    out.append(packed.substr(at, literals));
    at += literals;
    if (out.size() == unpacked) break;
    const std::size_t distance = little_endian<std::uint16_t>(packed, at);
    at += 2;
    std::size_t match = take_length(token & 15) + 4;
    // A match may reach into what it makes itself.
    while (match > 0) {
      const std::size_t piece = std::min(match, distance);
      const std::size_t from = out.size() - distance;
      out.append(out, from, piece);
      match -= piece;
    }
  }
  return out;
}

std::optional<std::string> unpack_block(std::string_view with_trailer, BlockSum sum) {
  if (with_trailer.size() < kBlockTrailerOctets) return std::nullopt;
  const std::string_view with_type = with_trailer.substr(0, with_trailer.size() - 4);
  const auto stored = little_endian<std::uint32_t>(with_trailer, with_type.size());
  if (!has_sum(with_type, stored, sum)) return std::nullopt;
  std::string_view contents = with_type.substr(0, with_type.size() - 1);
  const auto how = static_cast<unsigned char>(with_type.back());
  if (how == kUnpacked) return std::string(contents);
  if (how != kLz4 && how != kLz4Slow) return std::nullopt;
  const std::optional<std::uint64_t> unpacked = take_varint(contents, 32);
  if (!unpacked) return std::nullopt;
  return lz4_unpack(contents, static_cast<std::size_t>(*unpacked));
}

bool for_each_row(std::string_view block, BlockPlace place,
                  const std::function<void(const TableRow& row)>& visit) {
  // All of it is looked at before any of it is believed: blocks of an index have another form.
  if (unpacked_extent(block) != block.size()) return false;
  const std::optional<Restarts> restarts = restarts_of(block);
  for (const bool counts : {false, true}) {
    std::string_view rest = block.substr(0, restarts->at);
    std::string key;
    TableRow row;
    row.block = place;
    for (; !rest.empty(); ++row.index) {
      const std::optional<RawRow> raw = take_row(rest);
      if (!raw || raw->shared > key.size()) return false;
      key.resize(raw->shared);
      key.append(raw->key_rest);
      if (key.size() < kTypeOctets) return false;
      const auto tail = little_endian<std::uint64_t>(key, key.size() - kTypeOctets);
      const std::optional<RowType> type = parse_row_type(static_cast<unsigned>(tail & 0xFF));
      if (!type) return false;
      if (!counts) continue;
      row.key = std::string_view(key).substr(0, key.size() - kTypeOctets);
      row.sequence = tail >> 8;
      row.type = *type;
      row.value = raw->value;
      visit(row);
    }
  }
  return true;
}

DamagedTable::DamagedTable(std::string_view octets) : octets_(octets) {
  read_footer();
}

void DamagedTable::read_footer() {
  if (octets_.size() < kFooterOctets) return;
  std::string_view footer = octets_.substr(octets_.size() - kFooterOctets);
  const auto format = little_endian<std::uint32_t>(footer, kFooterOctets - 12);
  if (little_endian<std::uint64_t>(footer, kFooterOctets - 8) != kMagic || format < kFormatMin ||
      format > kFormatMax) {
    return;
  }
  const auto kind = static_cast<unsigned char>(footer.front());
  if (kind != static_cast<unsigned>(BlockSum::Crc32c) &&
      kind != static_cast<unsigned>(BlockSum::Xxh3)) {
    return;
  }
  footer.remove_prefix(1);
  const std::optional<BlockPlace> meta = take_handle(footer);
  const std::optional<BlockPlace> index = meta ? take_handle(footer) : std::nullopt;
  if (!index) return;
  sum_ = static_cast<BlockSum>(kind);
  if (const std::optional<std::string> names = read(*meta)) {
    std::string key;
    std::string_view place = named_value(*names, "rocksdb.properties", key);
    if (const std::optional<BlockPlace> properties = take_handle(place)) {
      read_properties(*properties);
    }
  }
  read_index(*index);
}

void DamagedTable::read_properties(BlockPlace place) {
  const std::optional<std::string> properties = read(place);
  if (!properties) return;
  std::string key;
  family_ = named_value(*properties, "rocksdb.column.family.name", key);
  std::string_view id = named_value(*properties, "rocksdb.column.family.id", key);
  if (const std::optional<std::uint64_t> number = take_varint(id, 32)) {
    family_id_ = static_cast<std::uint32_t>(*number);
  }
}

void DamagedTable::read_index(BlockPlace place) {
  const std::optional<std::string> index = read(place);
  if (!index) return;
  index_ = read_handles(*index, /*lengths=*/false);
  if (index_.empty()) index_ = read_handles(*index, /*lengths=*/true);
}

std::optional<std::string> DamagedTable::read(BlockPlace place) const {
  const std::uint64_t with_trailer = std::uint64_t{place.octets} + kBlockTrailerOctets;
  if (place.offset > octets_.size() || with_trailer > octets_.size() - place.offset) {
    return std::nullopt;
  }
  return unpack_block(octets_.substr(place.offset, with_trailer), sum_);
}

// The block that begins at `offset`, if one does.
std::optional<BlockPlace> DamagedTable::find_block(std::uint64_t offset) const {
  const std::string_view rest = octets_.substr(offset);
  const auto check = [&](std::size_t octets) -> std::optional<BlockPlace> {
    if (octets + kBlockTrailerOctets > rest.size()) return std::nullopt;
    const std::string_view with_type = rest.substr(0, octets + 1);
    const auto stored = little_endian<std::uint32_t>(rest, octets + 1);
    if (!has_sum(with_type, stored, sum_)) return std::nullopt;
    return BlockPlace{offset, static_cast<std::uint32_t>(octets)};
  };
  std::string_view packed = rest;
  const std::optional<std::uint64_t> unpacked = take_varint(packed, 32);
  if (unpacked && *unpacked > 0 && *unpacked <= kUnpackedMax) {
    const auto extent = lz4_extent(packed, static_cast<std::size_t>(*unpacked));
    if (extent) {
      if (auto place = check(rest.size() - packed.size() + *extent)) return place;
    }
  }
  // The first row shares nothing with the one before.
  if (rest.empty() || rest.front() != 0) return std::nullopt;
  const std::optional<std::size_t> extent = unpacked_extent(rest);
  return extent ? check(*extent) : std::nullopt;
}

void DamagedTable::search(const std::function<void(const TableRow& row)>& visit,
                          const HoleSink& hole) const {
  std::uint64_t hole_at = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t at = 0;
  const auto close_hole = [&](std::string_view why) {
    if (hole_at < at) hole({hole_at, at - hole_at, std::string(why)});
    hole_at = std::numeric_limits<std::uint64_t>::max();
  };
  while (at < octets_.size()) {
    const std::optional<BlockPlace> place = find_block(at);
    if (!place) {
      hole_at = std::min(hole_at, at);
      ++at;
      continue;
    }
    close_hole("no block is whole there, and the table's index is damaged, too");
    const std::optional<std::string> block = read(*place);
    // What is no block of data is one of those behind them, and carries no rows.
    if (block) static_cast<void>(for_each_row(*block, *place, visit));
    at += place->octets + kBlockTrailerOctets;
  }
  close_hole("the table's index and what belongs to it, damaged");
}

void DamagedTable::for_each(const std::function<void(const TableRow& row)>& visit,
                            const HoleSink& hole) const {
  if (index_.empty()) return search(visit, hole);
  for (const BlockPlace& place : index_) {
    const std::optional<std::string> block = read(place);
    if (!block) {
      hole({place.offset, std::uint64_t{place.octets} + kBlockTrailerOctets,
            "a block of rows has another sum than when it was written"});
    } else if (!for_each_row(*block, place, visit)) {
      hole({place.offset, std::uint64_t{place.octets} + kBlockTrailerOctets,
            "a block has rows of a form that this version does not know"});
    }
  }
}

}  // namespace rockdove::queue
