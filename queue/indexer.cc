#include "queue/indexer.h"

#include <algorithm>
#include <utility>

namespace rockdove::queue {

Result<Indexer::Step> Indexer::step(Rows& rows, MessageId until, Damaged& damaged) {
  fence_.raise(until);
  // What is there of the group that failed is not known before the next instance, and what is there
  // was not noted to be late.
  if (rows.failure()) return Step{};
  Result<Stretch> stretch = read(*rows.view(), until, damaged);
  if (!stretch) return stretch.error().in("indexing the history");
  if (stretch->entries.empty() && stretch->late.empty() && stretch->step.messages == 0) {
    empty_until_ = stretch->until;  // not worth a file
    return stretch->step;
  }
  if (Result<void> ingested = ingest(rows, *stretch); !ingested) return ingested.error();
  return stretch->step;
}

Result<Indexer::Stretch> Indexer::read(const RowView& view, MessageId until, Damaged& damaged) {
  const Result<MessageId> mark = read_index_mark(view);
  if (!mark) return mark.error();
  Stretch stretch;
  stretch.until = *mark;
  const MessageId from = std::max(*mark, empty_until_);
  if (Result<void> late = read_late(view, from, stretch, damaged); !late) return late.error();
  if (from >= until) return stretch;  // the mark stays
  HistoryWalk walk(view, from, until, Depth::Facts, damaged);
  for (;;) {
    const Result<std::optional<TracedMessage>> message = walk.next();
    if (!message) return message.error();
    if (!message->has_value()) break;
    const bool is_much = stretch.step.messages >= limits_.messages_max ||
                         stretch.entries.size() >= limits_.entries_max ||
                         walk.work() > limits_.work_max;
    if (is_much && stretch.step.messages > 0) {
      stretch.until = (*message)->id;
      stretch.step.more = true;
      return stretch;
    }
    add(**message, stretch.entries);
    ++stretch.step.messages;
  }
  stretch.until = until;
  return stretch;
}

Result<void> Indexer::read_late(const RowView& view, MessageId from, Stretch& stretch,
                                Damaged& damaged) {
  const std::unique_ptr<RowCursor> row = view.cursor(Family::Index, late_prefix());
  for (row->seek(late_prefix()); row->is_valid() && stretch.late.size() < limits_.messages_max &&
                                 stretch.entries.size() < limits_.entries_max;
       row->next()) {
    const std::optional<MessageId> id = parse_late_key(row->key());
    if (!id) continue;
    stretch.late.push_back(*id);
    if (*id >= from) continue;  // stands in what is still to be walked over
    const Result<std::optional<TracedMessage>> message =
        read_traced(view, *id, Depth::Facts, damaged);
    if (!message) return message.error();
    if (message->has_value()) add(**message, stretch.entries);
  }
  return row->status();
}

void Indexer::add(const TracedMessage& message, std::vector<Entry>& entries) {
  if (!message.is_whole) return;
  const auto put = [&](IndexKind kind, std::uint64_t hash) {
    entries.push_back({kind, hash, MessageId{~message.id.value}});
  };
  const std::string_view message_id = bare_message_id(message.message_id_field);
  if (!message_id.empty()) put(IndexKind::MessageIdField, index_hash(message_id));
  put(IndexKind::Sender, index_hash(message.sender));
  // Our own reports come from nobody.
  if (!message.client.listener.empty()) put(IndexKind::Client, index_hash(message.client.address));
  for (const TracedDelivery& delivery : message.deliveries) {
    for (const std::string_view address : addresses_of(delivery)) {
      if (address.empty()) continue;
      put(IndexKind::Recipient, index_hash(address));
      const std::string_view domain = domain_of(address);
      if (!domain.empty()) put(IndexKind::Domain, index_hash(domain));
    }
  }
}

Result<void> Indexer::ingest(Rows& rows, Stretch& stretch) {
  // Ids are inverted in the entries as they are in the keys, so both sort alike.
  std::sort(stretch.entries.begin(), stretch.entries.end());
  stretch.entries.erase(std::unique(stretch.entries.begin(), stretch.entries.end()),
                        stretch.entries.end());
  stretch.step.entries = stretch.entries.size();
  const Key mark_value = message_key(stretch.until);
  Key key;
  bool has_mark = false;
  auto entry = stretch.entries.cbegin();
  auto late = stretch.late.cbegin();
  return rows.ingest([&]() -> std::optional<IndexRow> {
    if (!std::exchange(has_mark, true)) {
      key = index_mark_key();
      return IndexRow{key, mark_value};
    }
    if (entry != stretch.entries.cend()) {
      key = index_key(entry->kind, entry->hash, MessageId{~entry->id.value});
      ++entry;
      return IndexRow{key, {}};
    }
    if (late == stretch.late.cend()) return std::nullopt;
    key = late_key(*late++);
    return IndexRow{key, {}, /*is_removal=*/true};
  });
}

}  // namespace rockdove::queue
