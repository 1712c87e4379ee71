#include "queue/change.h"

#include "mta/base/assert.h"
#include "queue/codec.h"
#include "queue/keys.h"
#include "queue/quarantine.h"
#include "queue/restore.h"

namespace rockdove::queue {

// The one place that may fill a Change.
class ChangeBuilder {
 public:
  explicit ChangeBuilder(Change::Kind kind) : change_(kind) {}

  [[nodiscard]] RowOperations& rows() { return change_.rows_; }

  void ends(const Change::Ends& ends) { change_.ends_ = ends; }

  void begins(const Change::Begins& begins) { change_.begins_ = begins; }

  void has_report_state() { change_.has_report_state_ = true; }

  [[nodiscard]] Change take() { return std::move(change_); }

 private:
  Change change_;
};

void Change::join(Change other) {
  MTA_ASSERT(!(begins_ && other.begins_));
  if (other.kind_ == Kind::Result) kind_ = Kind::Result;
  if (ends_ && other.ends_) {
    MTA_ASSERT(ends_->message == other.ends_->message);
    ends_->deliveries += other.ends_->deliveries;
  } else if (other.ends_) {
    ends_ = other.ends_;
  }
  if (other.begins_) begins_ = other.begins_;
  has_report_state_ = has_report_state_ || other.has_report_state_;
  rows_.append(std::move(other.rows_));
}

namespace {

void put_step(RowOperations& rows, MessageId message, const Delivery& after,
              const Attempt& attempt) {
  if (!attempt.is_kept) return;
  const DeliveryId id{message, after.number};
  const HistoryKind kind = attempt.deed == Deed::None ? HistoryKind::Attempt : HistoryKind::Act;
  rows.put_written(Family::History,
                   history_key(id, attempt.at, kind, static_cast<std::uint8_t>(attempt.deed)),
                   [&](std::string& block) { encode_attempt(after, attempt, block); });
}

// What a message's and a delivery's row take beside their long fields; only to reserve memory.
constexpr std::size_t kMessageRowOctets = 256;
constexpr std::size_t kDeliveryRowsOctets = 320;

void put_delivery(RowOperations& rows, MessageId id, const WaitingNote& note,
                  const Delivery& delivery) {
  rows.put_written(Family::Deliveries, delivery_key({id, delivery.number}),
                   [&](std::string& block) { encode_delivery(delivery, block); });
  rows.put_written(Family::Waiting, waiting_key(id, delivery),
                   [&](std::string& block) { encode_note(note, block); });
  if (is_quarantined(delivery)) rows.put(Family::Waiting, expiry_key(id, delivery), {});
}

void remove_from_waiting(RowOperations& rows, MessageId id, const Delivery& delivery) {
  rows.remove_single(Family::Waiting, waiting_key(id, delivery));
  if (is_quarantined(delivery)) rows.remove_single(Family::Waiting, expiry_key(id, delivery));
}

// The rows of a message that comes into the queue.
void begin_message(ChangeBuilder& builder, const Message& message,
                   std::span<const Delivery> deliveries) {
  MTA_ASSERT(message.id.value != 0);
  MTA_ASSERT(!deliveries.empty());
  RowOperations& rows = builder.rows();
  rows.reserve(kMessageRowOctets + message.header_block.size() +
               kDeliveryRowsOctets * deliveries.size());
  rows.put_written(Family::Messages, message_key(message.id),
                   [&](std::string& block) { encode_message(message, block); });
  Change::Begins begins{message.id, static_cast<std::uint32_t>(deliveries.size()), 0};
  if (message.body != nullptr) {
    const std::string& body = *message.body;
    MTA_ASSERT(message.body_chunks == body_chunks_of(body.size()));
    if (message.body_chunks == 1) {
      rows.put_shared(Family::Bodies, body_key(message.id, 0), message.body);
    }
    for (std::uint32_t chunk = 0; message.body_chunks > 1 && chunk < message.body_chunks; ++chunk) {
      rows.put_shared(Family::Bodies, body_key(message.id, chunk),
                      std::make_shared<const std::string>(
                          body.substr(chunk * kBodyChunkOctets, kBodyChunkOctets)));
    }
  } else if (message.body_chunks > 0) {
    begins.chunks_before = message.body_chunks;
    rows.remove_single(Family::Partial, message_key(message.id));
  }
  for (const Delivery& delivery : deliveries) {
    MTA_ASSERT(delivery.number != 0);
    put_delivery(rows, message.id, note_of(message, delivery), delivery);
  }
  builder.begins(begins);
}

}  // namespace

Change accepted(const Message& message, std::span<const Delivery> deliveries, Change::Kind kind) {
  ChangeBuilder builder(kind);
  begin_message(builder, message, deliveries);
  return builder.take();
}

Change restored(const StoredMessage& stored) {
  ChangeBuilder builder(Change::Kind::Acceptance);
  begin_message(builder, stored.message, stored.deliveries);
  if (stored.reports.reports > 0) {
    builder.rows().put_written(
        Family::Deliveries, delivery_key({stored.message.id, 0}),
        [&](std::string& block) { encode_report_state(stored.reports, block); });
    builder.has_report_state();
  }
  return builder.take();
}

Change ended(const Message& message, std::span<const Delivery> deliveries, Outcome how,
             const Attempt& attempt) {
  MTA_ASSERT(!deliveries.empty());
  ChangeBuilder builder(Change::Kind::Result);
  RowOperations& rows = builder.rows();
  rows.reserve(2 * kDeliveryRowsOctets * deliveries.size());
  const std::string_view message_id = message_id_field(message.header_block);
  for (const Delivery& delivery : deliveries) {
    MTA_ASSERT(delivery.number != 0);
    const DeliveryId id{message.id, delivery.number};
    rows.remove(Family::Deliveries, delivery_key(id));  // may have been put more than once
    remove_from_waiting(rows, message.id, delivery);
    if (!attempt.is_kept) continue;
    const bool has_last = attempt.is_last && delivery.last.at != WallTime{};
    rows.put_written(
        Family::History,
        history_key(id, has_last ? delivery.last.at : attempt.at, HistoryKind::Closing),
        [&](std::string& block) {
          encode_closing(message, message_id, delivery, how, attempt, block);
        });
  }
  builder.ends({message.id, static_cast<std::uint32_t>(deliveries.size()), message.recipients,
                message.body_chunks});
  return builder.take();
}

Change moved(const Message& message, const Delivery& before, const Delivery& after,
             const std::optional<Attempt>& attempt) {
  return moved(message.id, note_of(message, after), before, after, attempt);
}

Change moved(MessageId message, WaitingNote note, const Delivery& before, const Delivery& after,
             const std::optional<Attempt>& attempt) {
  MTA_ASSERT(before.number == after.number && after.number != 0);
  ChangeBuilder builder(Change::Kind::Result);
  RowOperations& rows = builder.rows();
  rows.reserve(2 * kDeliveryRowsOctets);
  note.reason = reason_class(after);
  remove_from_waiting(rows, message, before);
  put_delivery(rows, message, note, after);
  if (attempt) put_step(rows, message, after, *attempt);
  return builder.take();
}

Change recorded(MessageId message, const Delivery& delivery, const Attempt& attempt) {
  ChangeBuilder builder(Change::Kind::Result);
  put_step(builder.rows(), message, delivery, attempt);
  return builder.take();
}

Change reported(MessageId message, const ReportState& state) {
  ChangeBuilder builder(Change::Kind::Result);
  builder.rows().put_written(Family::Deliveries, delivery_key({message, 0}),
                             [&](std::string& block) { encode_report_state(state, block); });
  builder.has_report_state();
  return builder.take();
}

Change noted(std::string_view kind, std::string_view name, std::string_view value) {
  ChangeBuilder builder(Change::Kind::Result);
  if (value.empty()) {
    builder.rows().remove(Family::Sites, site_key(kind, name));
  } else {
    builder.rows().put(Family::Sites, site_key(kind, name), value);
  }
  return builder.take();
}

Change noted_if_accepted(std::string_view kind, std::string_view name, std::string_view value) {
  ChangeBuilder builder(Change::Kind::Acceptance);
  builder.rows().put(Family::Sites, site_key(kind, name), value);
  return builder.take();
}

}  // namespace rockdove::queue
