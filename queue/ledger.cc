#include "queue/ledger.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "mta/base/assert.h"
#include "queue/index.h"
#include "queue/keys.h"

namespace rockdove::queue {
namespace {

constexpr std::string_view kFormatKey = "format";
constexpr std::string_view kHighestIdKey = "highest id";
// Of chunks that two have written for the same id: whose they are nobody knows.
constexpr std::uint32_t kOfTwoWriters = std::numeric_limits<std::uint32_t>::max();

Result<std::uint32_t> parse_version(std::string_view text) {
  std::uint32_t version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size()) {
    return Error("the queue's format version is damaged");
  }
  return version;
}

void remove_chunks(RowOperations& rows, MessageId id, std::uint32_t chunks) {
  for (std::uint32_t chunk = 0; chunk < chunks; ++chunk) {
    rows.remove_single(Family::Bodies, body_key(id, chunk));
  }
}

}  // namespace

Result<void> Ledger::open() {
  if (Result<void> checked = check_format(); !checked) return checked;
  if (Result<void> found = find_highest_id(); !found) return found;
  const Result<MessageId> floor = read_history_floor(*rows_.view());
  if (!floor) return floor.error().in("reading how far history goes back");
  history_floor_ = *floor;
  const Result<MessageId> mark = read_index_mark(*rows_.view());
  if (!mark) return mark.error().in("reading how far the index goes");
  fence_.raise(*mark);
  return drop_partial();
}

Result<void> Ledger::check_format() {
  Result<std::optional<std::string>> stored = rows_.view()->get(Family::Meta, kFormatKey);
  if (!stored) return stored.error().in("reading the queue's format version");
  if (!stored->has_value()) {
    RowOperations rows;
    rows.put(Family::Meta, kFormatKey, std::to_string(kFormatVersion));
    const RowOperations* const batch[] = {&rows};
    return rows_.write(batch, Sync::Yes);
  }
  const Result<std::uint32_t> version = parse_version(**stored);
  if (!version) return version.error();
  if (*version > kFormatVersion) {
    return Error("the queue has format " + std::to_string(*version) +
                 ", this version of Rockdove knows up to " + std::to_string(kFormatVersion) +
                 ": start the newer version that wrote it");
  }
  return {};
}

Result<void> Ledger::find_highest_id() {
  const std::unique_ptr<RowView> view = rows_.view();
  highest_id_ = MessageId{0};
  for (const Family family : {Family::Messages, Family::Partial, Family::History}) {
    const Result<std::optional<std::string>> last = view->last_key(family);
    if (!last) return last.error().in("looking for the highest message id");
    if (!last->has_value()) continue;
    const std::optional<MessageId> id = parse_message_key(std::string_view(**last).substr(0, 8));
    if (id) highest_id_ = std::max(highest_id_, *id);
  }
  const Result<std::optional<std::string>> noted = view->get(Family::Meta, kHighestIdKey);
  if (!noted) return noted.error().in("looking for the highest message id");
  if (noted->has_value()) {
    if (const std::optional<MessageId> id = parse_message_key(**noted)) {
      highest_id_ = std::max(highest_id_, *id);
    }
  }
  return {};
}

Result<void> Ledger::note_trim(MessageId floor) {
  // A clock that is years ahead for a moment must not hide what comes afterwards.
  floor = std::min(floor, MessageId{highest_id_.value + 1});
  if (floor <= history_floor_) return {};
  RowOperations rows;
  rows.put(Family::Meta, kHighestIdKey, message_key(highest_id_));
  rows.put(Family::Meta, kHistoryFloorKey, message_key(floor));
  const RowOperations* const batch[] = {&rows};
  if (Result<void> written = rows_.write(batch, Sync::Yes); !written) return written;
  history_floor_ = floor;
  return {};
}

Result<void> Ledger::drop_partial() {
  RowOperations rows;
  {
    const std::unique_ptr<RowView> view = rows_.view();
    const std::unique_ptr<RowCursor> partial = view->cursor(Family::Partial, {});
    for (partial->seek({}); partial->is_valid(); partial->next()) {
      const std::unique_ptr<RowCursor> chunk = view->cursor(Family::Bodies, partial->key());
      for (chunk->seek(partial->key()); chunk->is_valid(); chunk->next()) {
        rows.remove_single(Family::Bodies, chunk->key());
      }
      if (Result<void> read = chunk->status(); !read) return read;
      rows.remove_single(Family::Partial, partial->key());
    }
    if (Result<void> read = partial->status(); !read) return read;
  }
  if (rows.is_empty()) return {};
  const RowOperations* const batch[] = {&rows};
  return rows_.write(batch, Sync::No);
}

Result<void> Ledger::check(const Change& change) const {
  if (!change.begins() || change.begins()->chunks_before == 0) return {};
  const auto found = chunks_written_.find(change.begins()->message);
  if (found == chunks_written_.end() || found->second != change.begins()->chunks_before) {
    return Error("the message's body is not whole, because the queue was reopened meanwhile");
  }
  return {};
}

Result<void> Ledger::apply(std::span<const Change* const> changes) {
  removals_.clear();
  gone_.clear();
  const IndexFence::Group group(fence_);
  order_rows(changes);
  for (const Change* change : changes) {
    if (const std::optional<Change::Begins>& begins = change->begins()) {
      highest_id_ = std::max(highest_id_, begins->message);
      if (begins->deliveries > 1) remaining_[begins->message] = begins->deliveries;
    }
    if (!change->ends()) continue;
    if (Result<void> counted = count_ends(*change); !counted) return counted;
  }
  remove_gone();
  note_late(changes);
  if (!removals_.is_empty()) batch_.push_back(&removals_);
  if (Result<void> written = rows_.write(batch_, Sync::Yes); !written) return written;
  for (const Change* change : changes) {
    if (change->begins() && change->begins()->chunks_before > 0) {
      chunks_written_.erase(change->begins()->message);
    }
  }
  trim_remaining();
  return {};
}

// New messages first and by their ids: nothing comes before a message's acceptance, so the changes
// of each keep their order, and rows go into RocksDB's tables from one end to the other, not to and
// fro.
void Ledger::order_rows(std::span<const Change* const> changes) {
  batch_.clear();
  begun_.clear();
  for (const Change* change : changes) {
    if (change->kind() == Change::Kind::Acceptance && change->begins()) begun_.push_back(change);
  }
  std::sort(begun_.begin(), begun_.end(), [](const Change* one, const Change* other) {
    return one->begins()->message < other->begins()->message;
  });
  for (const Change* change : begun_) batch_.push_back(&change->rows());
  for (const Change* change : changes) {
    if (change->kind() == Change::Kind::Acceptance && change->begins()) continue;
    batch_.push_back(&change->rows());
  }
}

std::vector<MessageId> Ledger::gone() const {
  std::vector<MessageId> ids;
  ids.reserve(gone_.size());
  for (const Gone& gone : gone_) ids.push_back(gone.message);
  return ids;
}

// What goes with the last deliveries of messages, by their ids for the same reason.
void Ledger::remove_gone() {
  std::sort(gone_.begin(), gone_.end(),
            [](const Gone& one, const Gone& other) { return one.message < other.message; });
  for (const Gone& gone : gone_) {
    removals_.remove_single(Family::Messages, message_key(gone.message));
    remove_chunks(removals_, gone.message, gone.body_chunks);
    if (gone.may_have_report_state) {
      removals_.remove(Family::Deliveries, delivery_key({gone.message, 0}));
    }
  }
}

// Messages whose stretch of ids has been indexed already: a body took long, the clock was set back,
// or the disk was full for a while. The indexer finds them by these rows.
void Ledger::note_late(std::span<const Change* const> changes) {
  const MessageId indexed = fence_.until();
  for (const Change* change : changes) {
    if (change->begins() && change->begins()->message < indexed) {
      removals_.put(Family::Index, late_key(change->begins()->message), {});
    }
  }
}

Result<void> Ledger::count_ends(const Change& change) {
  const Change::Ends& ends = *change.ends();
  if (ends.deliveries < ends.recipients) {
    auto found = remaining_.find(ends.message);
    if (found == remaining_.end()) {
      const Result<std::uint32_t> counted = count_deliveries(ends.message);
      if (!counted) return counted.error();
      found = remaining_.emplace(ends.message, *counted).first;
    }
    if (found->second > ends.deliveries) {
      found->second -= ends.deliveries;
      return {};
    }
  }
  remaining_.erase(ends.message);
  gone_.push_back(
      {ends.message, ends.body_chunks, ends.recipients > 1 || change.has_report_state()});
  return {};
}

Result<std::uint32_t> Ledger::count_deliveries(MessageId id) const {
  const std::unique_ptr<RowView> view = rows_.view();
  const std::unique_ptr<RowCursor> cursor = view->cursor(Family::Deliveries, message_key(id));
  std::uint32_t count = 0;
  for (cursor->seek(delivery_key({id, 1})); cursor->is_valid(); cursor->next()) ++count;
  if (const Result<void> read = cursor->status(); !read) return read.error();
  return count;
}

void Ledger::trim_remaining() {
  while (remaining_.size() > kRemainingMax) remaining_.erase(remaining_.begin());
}

Result<bool> Ledger::is_applied(std::span<const Change* const> changes) const {
  // What the group leaves behind, row by row; nullopt: no row.
  std::map<std::pair<Family, std::string>, std::optional<std::string>> left;
  for (const Change* change : changes) {
    change->rows().for_each([&](const RowOperations::Row& row) {
      // A ReportState went with its message if this was the last delivery; the change's other rows
      // tell as well.
      if (row.family == Family::Deliveries && parse_delivery_key(row.key)->number == 0) return;
      std::optional<std::string>& value = left[{row.family, std::string(row.key)}];
      if (row.operation == RowOperations::Operation::Put) {
        value = std::string(row.value);
      } else {
        value.reset();
      }
    });
  }
  const std::unique_ptr<RowView> view = rows_.view();
  for (const auto& [place, value] : left) {
    const Result<std::optional<std::string>> stored = view->get(place.first, place.second);
    if (!stored) return stored.error();
    if (*stored != value) return false;
  }
  return true;
}

Result<void> Ledger::write_chunk(MessageId id, std::uint32_t index,
                                 std::shared_ptr<const std::string> octets) {
  const auto found = chunks_written_.find(id);
  if (index == 0 && found != chunks_written_.end()) {
    found->second = kOfTwoWriters;
    return {};  // check() will tell both
  }
  if (index > 0 && (found == chunks_written_.end() || found->second != index)) return {};
  highest_id_ = std::max(highest_id_, id);
  RowOperations rows;
  if (index == 0) rows.put(Family::Partial, message_key(id), {});
  rows.put_shared(Family::Bodies, body_key(id, index), std::move(octets));
  const RowOperations* const batch[] = {&rows};
  if (Result<void> written = rows_.write(batch, Sync::No); !written) return written;
  chunks_written_[id] = index + 1;
  return {};
}

Result<void> Ledger::drop_chunks(MessageId id) {
  const auto found = chunks_written_.find(id);
  // Rows that two have put must not be put again: they go with the next open().
  if (found == chunks_written_.end() || found->second == kOfTwoWriters) return {};
  RowOperations rows;
  remove_chunks(rows, id, found->second);
  rows.remove_single(Family::Partial, message_key(id));
  const RowOperations* const batch[] = {&rows};
  chunks_written_.erase(found);
  return rows_.write(batch, Sync::No);
}

}  // namespace rockdove::queue
