// A write-ahead log as RocksDB writes it, for tests that want other contents than it would write.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "queue/rocks_checksum.h"

namespace rockdove::tests {

inline void append_number(std::string& out, std::uint64_t number, int octets) {
  for (int i = 0; i < octets; ++i) out.push_back(static_cast<char>((number >> (8 * i)) & 0xFF));
}

// As RocksDB's log writer cuts a record into pieces.
inline void append_record(std::string& log, std::string_view record) {
  constexpr std::size_t kBlock = 32 * 1024;
  bool is_first = true;
  do {
    std::size_t left = kBlock - log.size() % kBlock;
    if (left < 7) {
      log.append(left, '\0');
      left = kBlock;
    }
    const std::string_view piece = record.substr(0, left - 7);
    record.remove_prefix(piece.size());
    const int type = is_first ? (record.empty() ? 1 : 2) : (record.empty() ? 4 : 3);
    std::string summed(1, static_cast<char>(type));
    summed.append(piece);
    append_number(log, queue::masked_checksum(queue::rocks_checksum(0, summed)), 4);
    append_number(log, piece.size(), 2);
    log.append(summed);
    is_first = false;
  } while (!record.empty());
}

// A record with one row of the family with this number; without a value it is a removal.
inline std::string log_record(std::uint64_t sequence, unsigned family, std::string_view key,
                              const std::string* value) {
  std::string record;
  append_number(record, sequence, 8);
  append_number(record, 1, 4);
  const auto append_text = [&record](std::string_view text) {
    for (std::size_t left = text.size();; left >>= 7) {
      append_number(record, (left & 0x7F) | (left > 0x7F ? 0x80 : 0), 1);
      if (left <= 0x7F) break;
    }
    record += text;
  };
  append_number(record, value == nullptr ? 0x08 : 0x05, 1);
  append_number(record, family, 1);
  append_text(key);
  if (value != nullptr) append_text(*value);
  return record;
}

}  // namespace rockdove::tests
