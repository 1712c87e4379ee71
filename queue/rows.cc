#include "queue/rows.h"

#include <limits>

#include "mta/base/assert.h"

namespace rockdove::queue {

std::string_view family_name(Family family) {
  switch (family) {
    case Family::Meta:
      return "meta";
    case Family::Messages:
      return "messages";
    case Family::Bodies:
      return "bodies";
    case Family::Deliveries:
      return "deliveries";
    case Family::Waiting:
      return "waiting";
    case Family::Partial:
      return "partial";
    case Family::Sites:
      return "sites";
    case Family::History:
      return "history";
    case Family::Index:
      return "index";
  }
  return {};
}

void RowOperations::add(Operation operation, Family family, std::string_view key,
                        std::uint8_t place) {
  MTA_ASSERT(key.size() <= std::numeric_limits<std::uint32_t>::max());
  const Head head{operation, family, place, 0, static_cast<std::uint32_t>(key.size()), 0};
  char octets[sizeof(Head)];
  std::memcpy(octets, &head, sizeof(head));
  block_.append(octets, sizeof(octets));
  block_.append(key);
}

void RowOperations::set_value_octets(std::size_t head_at, std::size_t octets) {
  MTA_ASSERT(octets <= std::numeric_limits<std::uint32_t>::max());
  const std::uint32_t value_octets = static_cast<std::uint32_t>(octets);
  std::memcpy(block_.data() + head_at + offsetof(Head, value_octets), &value_octets,
              sizeof(value_octets));
}

void RowOperations::put(Family family, std::string_view key, std::string_view value) {
  put_written(family, key, [value](std::string& block) { block.append(value); });
}

void RowOperations::put_shared(Family family, std::string_view key,
                               std::shared_ptr<const std::string> value) {
  MTA_ASSERT(value != nullptr);
  add(Operation::Put, family, key, kShared);
  shared_octets_ += value->size();
  shared_.push_back(std::move(value));
}

void RowOperations::remove(Family family, std::string_view key) {
  add(Operation::Delete, family, key, kInline);
}

void RowOperations::remove_single(Family family, std::string_view key) {
  add(Operation::SingleDelete, family, key, kInline);
}

void RowOperations::append(RowOperations other) {
  block_.append(other.block_);
  for (std::shared_ptr<const std::string>& value : other.shared_)
    shared_.push_back(std::move(value));
  shared_octets_ += other.shared_octets_;
}

void RowOperations::clear() {
  block_.clear();
  shared_.clear();
  shared_octets_ = 0;
}

Result<void> check_room_to_collect(std::uint64_t octets, std::uint64_t octets_free) {
  if (octets <= octets_free) return {};
  return Error("the index cannot be written anew, for which the disk has no room");
}

}  // namespace rockdove::queue
