#include "queue/salvage_log.h"

#include <algorithm>
#include <optional>

#include "queue/rocks_checksum.h"

namespace rockdove::queue {
namespace {

constexpr std::uint64_t kBlockOctets = 32 * 1024;
constexpr std::size_t kHeadOctets = 7;           // sum, length, type
constexpr std::size_t kRecycledHeadOctets = 11;  // and the number of the file
// A group of the committer has 4 MiB and one change more.
constexpr std::size_t kRecordOctetsMax = 1024 * 1024 * 1024;

enum class Part : std::uint8_t { None, Full, First, Middle, Last };

// One piece, as it stands at some offset.
struct Piece {
  enum class State : std::uint8_t { Whole, Empty, Damaged, Torn };
  State state = State::Damaged;
  Part part = Part::None;
  std::string_view octets;
  std::uint64_t behind = 0;  // where the next piece stands
};

Part part_of(unsigned type) {
  // 5 to 8 are those of a file that is used again.
  switch (type > 4 ? type - 4 : type) {
    case 1:
      return Part::Full;
    case 2:
      return Part::First;
    case 3:
      return Part::Middle;
    case 4:
      return Part::Last;
    default:
      return Part::None;
  }
}

Piece read_piece(std::string_view octets, std::uint64_t offset) {
  Piece piece;
  const std::uint64_t block_end = (offset / kBlockOctets + 1) * kBlockOctets;
  piece.behind = block_end;
  const std::string_view rest = octets.substr(offset, block_end - offset);
  if (rest.size() < kHeadOctets) {
    piece.state = block_end > octets.size() ? Piece::State::Torn : Piece::State::Empty;
    if (rest.find_first_not_of('\0') == std::string_view::npos) piece.state = Piece::State::Empty;
    return piece;
  }
  const auto sum = little_endian<std::uint32_t>(rest, 0);
  const std::size_t length = little_endian<std::uint16_t>(rest, 4);
  const auto type = static_cast<unsigned char>(rest[6]);
  if (sum == 0 && length == 0 && type == 0) {
    piece.state = rest.find_first_not_of('\0') == std::string_view::npos ? Piece::State::Empty
                                                                         : Piece::State::Damaged;
    return piece;
  }
  const std::size_t head = type > 4 ? kRecycledHeadOctets : kHeadOctets;
  piece.part = type > 8 ? Part::None : part_of(type);
  if (piece.part == Part::None) return piece;
  if (head + length > rest.size()) {
    piece.state = octets.size() < block_end ? Piece::State::Torn : Piece::State::Damaged;
    return piece;
  }
  // The sum is over the type, the number of the file and the octets.
  const std::string_view summed = rest.substr(6, head - 6 + length);
  if (masked_checksum(rocks_checksum(0, summed)) != sum) return piece;
  piece.state = Piece::State::Whole;
  piece.octets = rest.substr(head, length);
  piece.behind = offset + head + length;
  // What is left of a block and too short for a head is zero octets.
  if (block_end - piece.behind < kHeadOctets) piece.behind = block_end;
  return piece;
}

}  // namespace

void DamagedLog::walk(std::uint64_t offset,
                      const std::function<bool(const LogRecord& record)>& visit,
                      const HoleSink& hole) const {
  LogRecord record;
  std::string joined;  // the pieces of a record that has begun
  bool has_begun = false;
  const auto end_early = [&] {
    record.is_whole = false;
    record.octets = joined;
    return !std::exchange(has_begun, false) || visit(record);
  };
  while (offset < octets_.size()) {
    const Piece piece = read_piece(octets_, offset);
    switch (piece.state) {
      case Piece::State::Empty:
        offset = piece.behind;
        continue;
      case Piece::State::Torn:
      case Piece::State::Damaged: {
        const std::uint64_t end = std::min<std::uint64_t>(piece.behind, octets_.size());
        const bool is_torn = piece.state == Piece::State::Torn;
        hole({offset, end - offset,
              is_torn ? "the log ends in the middle of a record"
                      : "a piece of the log has another sum than when it was written"});
        if (!end_early()) return;
        offset = piece.behind;
        continue;
      }
      case Piece::State::Whole:
        break;
    }
    const bool begins = piece.part == Part::Full || piece.part == Part::First;
    // A record whose end is damaged is followed by another one.
    if (begins && !end_early()) return;
    if (begins) {
      record = {offset, {}, true};
      joined.assign(piece.octets);
      has_begun = true;
    } else if (has_begun && joined.size() < kRecordOctetsMax) {
      joined.append(piece.octets);
    }
    offset = piece.behind;
    const bool ends = piece.part == Part::Full || piece.part == Part::Last;
    if (!ends || !std::exchange(has_begun, false)) continue;
    record.octets = joined;
    if (!visit(record)) return;
  }
  static_cast<void>(end_early());
}

void DamagedLog::for_each(const std::function<void(const LogRecord& record)>& visit,
                          const HoleSink& hole) const {
  walk(
      0,
      [&visit](const LogRecord& record) {
        visit(record);
        return true;
      },
      hole);
}

std::string DamagedLog::read(std::uint64_t offset) const {
  std::string octets;
  walk(
      offset,
      [&octets](const LogRecord& record) {
        octets.assign(record.octets);
        return false;
      },
      [](const Hole&) {});
  return octets;
}

bool for_each_logged(std::string_view record, const std::function<void(const LogRow& row)>& visit) {
  constexpr std::size_t kBatchHeadOctets = 12;  // the first row's sequence number, how many rows
  if (record.size() < kBatchHeadOctets) return false;
  LogRow row;
  row.sequence = little_endian<std::uint64_t>(record, 0);
  const auto rows = little_endian<std::uint32_t>(record, 8);
  std::string_view rest = record.substr(kBatchHeadOctets);
  for (std::uint32_t i = 0; i < rows; ++i, ++row.sequence) {
    if (rest.empty()) return false;
    const auto tag = static_cast<unsigned char>(rest.front());
    rest.remove_prefix(1);
    // Those of the first family, which has no rows of ours, lack its number.
    const bool has_family = tag == 0x04 || tag == 0x05 || tag == 0x08;
    const bool is_put = tag == 0x01 || tag == 0x05;
    if (!has_family && !is_put && tag != 0x00 && tag != 0x07) return false;
    row.type = is_put                       ? RowType::Value
               : tag == 0x07 || tag == 0x08 ? RowType::SingleDeletion
                                            : RowType::Deletion;
    row.family_id = 0;
    if (has_family) {
      const std::optional<std::uint64_t> family = take_varint(rest, 32);
      if (!family) return false;
      row.family_id = static_cast<std::uint32_t>(*family);
    }
    const std::optional<std::string_view> key = take_prefixed(rest);
    if (!key) return false;
    row.key = *key;
    row.value = {};
    if (is_put) {
      const std::optional<std::string_view> value = take_prefixed(rest);
      if (!value) return false;
      row.value = *value;
      row.value_at = static_cast<std::uint64_t>(value->data() - record.data());
    }
    visit(row);
  }
  return true;
}

}  // namespace rockdove::queue
