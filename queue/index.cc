#include "queue/index.h"

#include <algorithm>

#include "mta/base/text.h"

namespace rockdove::queue {
namespace {

constexpr char kMarkKind = '\0';
constexpr char kLateKind = '\xFF';

void append_number(Key& key, std::uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) {
    key.push_back(static_cast<char>((number >> shift) & 0xFF));
  }
}

std::uint64_t read_number(std::string_view octets) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    number = (number << 8) | static_cast<unsigned char>(octets[i]);
  }
  return number;
}

// FNV-1a, and then a mix, so that short texts differ in all bits.
class Hash {
 public:
  void add(char octet) { state_ = (state_ ^ static_cast<unsigned char>(octet)) * 0x100000001B3ULL; }

  [[nodiscard]] std::uint64_t value() const {
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 33)) * 0xFF51AFD7ED558CCDULL;
    mixed = (mixed ^ (mixed >> 33)) * 0xC4CEB9FE1A85EC53ULL;
    return mixed ^ (mixed >> 33);
  }

 private:
  std::uint64_t state_ = 0xCBF29CE484222325ULL;
};

base::Result<MessageId> read_id(const RowView& view, Family family, std::string_view key) {
  const base::Result<std::optional<std::string>> row = view.get(family, key);
  if (!row) return row.error();
  if (!row->has_value()) return MessageId{};
  return parse_message_key(**row).value_or(MessageId{});
}

}  // namespace

std::uint64_t index_hash(std::string_view text) {
  Hash hash;
  for (const char octet : text) hash.add(base::to_lower(octet));
  return hash.value();
}

std::uint64_t index_hash(const base::IpAddress& address) {
  Hash hash;
  const std::size_t octets = address.is_v4() ? 4 : 16;
  for (std::size_t i = 0; i < octets; ++i) hash.add(static_cast<char>(address.octets()[i]));
  return hash.value();
}

std::string_view domain_of(std::string_view address) {
  const std::size_t at = address.rfind('@');
  return at == std::string_view::npos ? std::string_view() : address.substr(at + 1);
}

std::string_view bare_message_id(std::string_view field) {
  field = base::trimmed(field);
  if (field.size() >= 2 && field.front() == '<' && field.back() == '>') {
    field = field.substr(1, field.size() - 2);
  }
  return field;
}

Key index_prefix(IndexKind kind, std::uint64_t hash) {
  Key key;
  key.reserve(kIndexKeyOctets);
  key.push_back(static_cast<char>(kind));
  append_number(key, hash);
  return key;
}

Key index_key(IndexKind kind, std::uint64_t hash, MessageId id) {
  Key key = index_prefix(kind, hash);
  append_number(key, ~id.value);
  return key;
}

std::optional<MessageId> parse_index_key(std::string_view key) {
  if (key.size() != kIndexKeyOctets || key.front() < 1 || key.front() > 5) return std::nullopt;
  return MessageId{~read_number(key.substr(9))};
}

Key index_mark_key() {
  return Key(1, kMarkKind);
}

Key late_prefix() {
  return Key(1, kLateKind);
}

Key late_key(MessageId id) {
  Key key = late_prefix();
  append_number(key, id.value);
  return key;
}

std::optional<MessageId> parse_late_key(std::string_view key) {
  if (key.size() != 9 || key.front() != kLateKind) return std::nullopt;
  return MessageId{read_number(key.substr(1))};
}

bool is_index_row_below(std::string_view key, std::string_view history_key) {
  const std::optional<MessageId> id = parse_index_key(key);
  return id && history_key.size() >= 8 && id->value < read_number(history_key);
}

MessageId first_id_at(WallTime time) {
  return MessageId{base::to_unix_milliseconds(std::max(time, WallTime{})) << 20};
}

base::Result<MessageId> read_index_mark(const RowView& view) {
  return read_id(view, Family::Index, index_mark_key());
}

base::Result<MessageId> read_history_floor(const RowView& view) {
  return read_id(view, Family::Meta, kHistoryFloorKey);
}

}  // namespace rockdove::queue
