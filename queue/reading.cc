#include "queue/reading.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "mta/base/text.h"
#include "queue/codec.h"
#include "queue/keys.h"
#include "queue/row_reading.h"

namespace rockdove::queue {
namespace {

constexpr std::uint32_t kHistoryStepsMax = 1000;
// Rows that one load looks at; bounds its time when most are skipped.
constexpr std::uint32_t kScannedMax = 20'000;

// Reads one queue's rows on from a mark, message by message.
class QueueLoader {
 public:
  QueueLoader(const RowView& view, const LoadRequest& request, Damaged& damaged)
      : view_(view), request_(request), damaged_(damaged), octets_left_(request.octets_max) {}

  Result<LoadedQueue> run() {
    loaded_.reached = request_.from;
    const Key prefix = waiting_prefix(request_.queue);
    const std::unique_ptr<RowCursor> row = view_.cursor(Family::Waiting, prefix);
    // Behind the mark: the key that follows it, which is its own with one octet more.
    Key start = prefix;
    if (request_.from != WaitingMark{}) {
      start = waiting_key_at(request_.queue, request_.from.due, request_.from.delivery);
      start.push_back('\0');
    }
    for (row->seek(start); row->is_valid(); row->next()) {
      const std::optional<WaitingPlace> place = parse_waiting_place(row->key());
      if (!place) continue;
      const bool is_due = place->due <= request_.due_until;
      // What one message has more of costs no further header.
      const bool is_full = header_octets_ >= request_.header_octets_max &&
                           (message_ == nullptr || message_->id != place->delivery.message);
      if (!is_due || is_full || taken_ >= request_.deliveries_max || scanned_ >= kScannedMax) {
        loaded_.next_due = place->due;
        loaded_.more = is_due;
        break;
      }
      ++scanned_;
      loaded_.reached = {place->due, place->delivery};
      if (request_.accepted_before &&
          place->delivery.message.made_at() >= *request_.accepted_before) {
        continue;
      }
      if (Result<void> added = add(*place); !added) return added.error();
    }
    if (const Result<void> read = row->status(); !read) return read.error();
    finish_message();
    return std::move(loaded_);
  }

 private:
  Result<void> add(const WaitingPlace& place) {
    const Result<std::optional<std::string>> row =
        view_.get(Family::Deliveries, delivery_key(place.delivery));
    if (!row) return row.error();
    if (!row->has_value()) {
      damaged_.push_back(Error("`waiting` has a row of " + base::format_id(place.delivery) +
                               ", which is not in `deliveries`"));
      return {};
    }
    Result<Delivery> delivery = decode_delivery(place.delivery, **row);
    if (!delivery) {
      damaged_.push_back(delivery.error());
      return {};
    }
    if (message_ == nullptr || message_->id != place.delivery.message || due_ != place.due) {
      finish_message();
      if (Result<void> begun = begin_message(place.delivery.message); !begun) return begun;
      due_ = place.due;
    }
    if (message_ == nullptr) return {};
    deliveries_.push_back(std::move(*delivery));
    ++taken_;
    return {};
  }

  Result<void> begin_message(MessageId id) {
    Result<std::shared_ptr<Message>> message = read_message(view_, id, damaged_);
    if (!message) return message.error();
    message_ = std::move(*message);
    if (message_ != nullptr) header_octets_ += message_->header_block.size();
    if (message_ == nullptr || message_->body_chunks > 1) return {};
    if (message_->body_chunks == 0) {
      message_->body = std::make_shared<const std::string>();
      return {};
    }
    if (message_->body_octets > octets_left_) return {};
    Result<std::optional<std::string>> body = view_.get(Family::Bodies, body_key(id, 0));
    if (!body) return body.error();
    // Without it the attempt that reads the body names what is missing.
    if (!body->has_value()) return {};
    octets_left_ -= std::min(octets_left_, (*body)->size());
    message_->body = std::make_shared<const std::string>(std::move(**body));
    return {};
  }

  void finish_message() {
    if (message_ != nullptr && !deliveries_.empty()) {
      loaded_.messages.push_back({std::move(message_), std::move(deliveries_)});
    }
    message_.reset();
    deliveries_.clear();
  }

  const RowView& view_;
  const LoadRequest& request_;
  Damaged& damaged_;
  std::size_t octets_left_;
  std::size_t header_octets_ = 0;
  std::uint32_t taken_ = 0;
  std::uint32_t scanned_ = 0;
  LoadedQueue loaded_;
  std::shared_ptr<Message> message_;
  WallTime due_;
  std::vector<Delivery> deliveries_;
};

Result<void> read_history(const RowView& view, MessageId id, Damaged& damaged, MessageView& seen) {
  const std::unique_ptr<RowCursor> cursor = view.cursor(Family::History, message_key(id));
  std::uint32_t number = 0;
  std::uint32_t step_of_delivery = 0;
  for (cursor->seek(message_key(id)); cursor->is_valid(); cursor->next()) {
    if (seen.history.size() >= kHistoryStepsMax) break;
    const std::optional<HistoryKey> key = parse_history_key(cursor->key());
    if (!key) continue;
    Result<HistoryStep> step = decode_step(*key, cursor->value());
    if (!step) {
      damaged.push_back(step.error());
      continue;
    }
    if (key->delivery.number != number) step_of_delivery = 0;
    number = key->delivery.number;
    step->step = ++step_of_delivery;
    seen.history.push_back(std::move(*step));
  }
  return cursor->status();
}

}  // namespace

Result<std::shared_ptr<Message>> read_message(const RowView& view, MessageId id, Damaged& damaged) {
  const Result<std::optional<std::string>> row = view.get(Family::Messages, message_key(id));
  if (!row) return row.error();
  if (!row->has_value()) return std::shared_ptr<Message>();
  Result<Message> message = decode_message(id, **row);
  if (!message) {
    damaged.push_back(message.error());
    return std::shared_ptr<Message>();
  }
  return std::make_shared<Message>(std::move(*message));
}

Result<std::vector<Delivery>> read_deliveries(const RowView& view, MessageId id, Damaged& damaged) {
  std::vector<Delivery> deliveries;
  const std::unique_ptr<RowCursor> cursor = view.cursor(Family::Deliveries, message_key(id));
  for (cursor->seek(delivery_key({id, 1})); cursor->is_valid(); cursor->next()) {
    const std::optional<DeliveryId> place = parse_delivery_key(cursor->key());
    if (!place) continue;
    Result<Delivery> delivery = decode_delivery(*place, cursor->value());
    if (delivery) {
      deliveries.push_back(std::move(*delivery));
    } else {
      damaged.push_back(delivery.error());
    }
  }
  if (const Result<void> read = cursor->status(); !read) return read.error();
  return deliveries;
}

Result<std::optional<Delivery>> read_delivery(const RowView& view, DeliveryId id,
                                              Damaged& damaged) {
  const Result<std::optional<std::string>> row = view.get(Family::Deliveries, delivery_key(id));
  if (!row) return row.error();
  if (!row->has_value()) return std::optional<Delivery>();
  Result<Delivery> delivery = decode_delivery(id, **row);
  if (!delivery) {
    damaged.push_back(delivery.error());
    return std::optional<Delivery>();
  }
  return std::optional<Delivery>(*std::move(delivery));
}

unsigned home_loop(std::string_view destination, unsigned loops) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char c : destination) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  }
  return static_cast<unsigned>((hash >> 32) % loops);
}

Result<std::shared_ptr<const std::string>> read_chunk(const Rows& rows, MessageId id,
                                                      std::uint32_t index) {
  Result<std::optional<std::string>> chunk = rows.view()->get(Family::Bodies, body_key(id, index));
  if (!chunk) return chunk.error();
  if (!chunk->has_value()) {
    return Error("chunk " + std::to_string(index) + " of the body of " + base::format_id(id) +
                 " is missing");
  }
  return std::make_shared<const std::string>(std::move(**chunk));
}

Result<LoadedQueue> load(const Rows& rows, const LoadRequest& request, Damaged& damaged) {
  const std::unique_ptr<RowView> view = rows.view();
  return QueueLoader(*view, request, damaged).run();
}

Result<std::vector<FoundQueue>> find_queues(const Rows& rows, unsigned loop, unsigned loops) {
  std::vector<FoundQueue> found;
  const std::unique_ptr<RowView> view = rows.view();
  const Key state(1, static_cast<char>(DeliveryState::Waiting));
  const std::unique_ptr<RowCursor> row = view->cursor(Family::Waiting, state);
  for (row->seek(state); row->is_valid();) {
    std::optional<WaitingKey> key = parse_waiting_key(row->key());
    if (!key) {
      row->next();
      continue;
    }
    const Key behind = key_behind(waiting_prefix(key->queue));
    if (home_loop(key->queue.destination, loops) == loop) {
      found.push_back({std::move(key->queue), key->due});
    }
    row->seek(behind);
  }
  if (const Result<void> read = row->status(); !read) return read.error();
  return found;
}

Result<MessageView> view_message(const Rows& rows, MessageId id, Damaged& damaged) {
  const std::unique_ptr<RowView> view = rows.view();
  MessageView seen;
  Result<std::shared_ptr<Message>> message = read_message(*view, id, damaged);
  if (!message) return message.error();
  seen.message = std::move(*message);
  Result<std::vector<Delivery>> deliveries = read_deliveries(*view, id, damaged);
  if (!deliveries) return deliveries.error();
  seen.deliveries = std::move(*deliveries);
  if (Result<void> read = read_history(*view, id, damaged, seen); !read) return read.error();
  return seen;
}

Result<ReportState> read_report_state(const Rows& rows, MessageId id) {
  const Result<std::optional<std::string>> row =
      rows.view()->get(Family::Deliveries, delivery_key({id, 0}));
  if (!row) return row.error();
  if (!row->has_value()) return ReportState{};
  return decode_report_state(id, **row);
}

Result<std::vector<NotedRow>> read_notes(const Rows& rows, std::string_view kind) {
  const std::unique_ptr<RowView> view = rows.view();
  const Key prefix = site_prefix(kind);
  const std::unique_ptr<RowCursor> row = view->cursor(Family::Sites, prefix);
  std::vector<NotedRow> notes;
  for (row->seek(prefix); row->is_valid(); row->next()) {
    notes.push_back({std::string(row->key().substr(prefix.size())), std::string(row->value())});
  }
  if (const Result<void> read = row->status(); !read) return read.error();
  return notes;
}

}  // namespace rockdove::queue
