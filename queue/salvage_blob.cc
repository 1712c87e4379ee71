#include "queue/salvage_blob.h"

#include <algorithm>

#include "queue/rocks_checksum.h"

namespace rockdove::queue {
namespace {

constexpr std::uint64_t kFileHeadOctets = 30;
constexpr std::uint64_t kFooterOctets = 32;
constexpr std::uint32_t kMagic = 2395959;
constexpr std::size_t kKeyOctetsMax = 64;  // ours have 12

struct Head {
  std::uint64_t key_octets = 0;
  std::uint64_t value_octets = 0;
  std::uint32_t sum = 0;
};

// With the right sum, and all of the record in the file.
std::optional<Head> read_head(std::string_view octets, std::uint64_t at) {
  if (at + kBlobHeadOctets > octets.size()) return std::nullopt;
  const std::string_view head = octets.substr(at, kBlobHeadOctets);
  Head read;
  read.key_octets = little_endian<std::uint64_t>(head, 0);
  read.value_octets = little_endian<std::uint64_t>(head, 8);
  read.sum = little_endian<std::uint32_t>(head, 28);
  const std::uint64_t left = octets.size() - at - kBlobHeadOctets;
  if (read.key_octets == 0 || read.key_octets > kKeyOctetsMax || read.key_octets > left ||
      read.value_octets > left - read.key_octets) {
    return std::nullopt;
  }
  const auto sum = little_endian<std::uint32_t>(head, 24);
  if (masked_checksum(rocks_checksum(0, head.substr(0, 24))) != sum) return std::nullopt;
  return read;
}

bool is_footer(std::string_view octets, std::uint64_t at) {
  return octets.size() - at == kFooterOctets && little_endian<std::uint32_t>(octets, at) == kMagic;
}

}  // namespace

std::optional<BlobReference> parse_blob_reference(std::string_view octets) {
  constexpr char kInFile = 1;
  if (octets.empty() || octets.front() != kInFile) return std::nullopt;
  octets.remove_prefix(1);
  const auto file = take_varint(octets, 64);
  const auto at = file ? take_varint(octets, 64) : std::nullopt;
  const auto size = at ? take_varint(octets, 64) : std::nullopt;
  if (!size) return std::nullopt;
  return BlobReference{*file, *at, *size};
}

std::optional<BlobRecord> read_blob(std::string_view octets) {
  const std::optional<Head> head = read_head(octets, 0);
  if (!head) return std::nullopt;
  const auto key_octets = static_cast<std::size_t>(head->key_octets);
  const std::string_view record =
      octets.substr(kBlobHeadOctets, key_octets + static_cast<std::size_t>(head->value_octets));
  if (masked_checksum(rocks_checksum(0, record)) != head->sum) return std::nullopt;
  return BlobRecord{record.substr(0, key_octets), record.substr(key_octets), 0};
}

void for_each_blob(std::string_view octets, const std::vector<std::uint64_t>& known,
                   const std::function<void(const BlobRecord& record)>& visit,
                   const HoleSink& hole) {
  std::uint64_t at = kFileHeadOctets;
  while (at < octets.size() && !is_footer(octets, at)) {
    const std::optional<Head> head = read_head(octets, at);
    if (!head) {
      const std::uint64_t from = at;
      const auto next = std::upper_bound(known.begin(), known.end(), at);
      if (next != known.end()) {
        at = std::min<std::uint64_t>(*next, octets.size());
      } else {
        do {
          ++at;
        } while (at < octets.size() && !is_footer(octets, at) && !read_head(octets, at));
      }
      hole({from, at - from, "the head of a body is damaged"});
      continue;
    }
    const std::uint64_t size = kBlobHeadOctets + head->key_octets + head->value_octets;
    std::optional<BlobRecord> record = read_blob(octets.substr(at, size));
    if (record) {
      record->at = at;
      visit(*record);
    } else {
      hole({at, size, "a body has another sum than when it was written"});
    }
    at += size;
  }
}

}  // namespace rockdove::queue
