#include "queue/reading_acts.h"

#include <algorithm>
#include <utility>

#include "mta/base/assert.h"
#include "queue/codec.h"
#include "queue/keys.h"

namespace rockdove::queue {
namespace {

// Reads deliveries in the order of their ids, and each message once.
class DeliveryReader {
 public:
  DeliveryReader(const RowView& view, const ReadRequest& request, Damaged& damaged)
      : view_(view), request_(request), damaged_(damaged) {}

  Result<ReadDeliveries> run() {
    for (const DeliveryId id : request_.ids) {
      if (octets_ >= request_.octets_max) break;
      if (Result<void> read = id.number == 0 ? read_all(id.message) : read_one(id); !read) {
        return read.error();
      }
      ++result_.looked_at;
    }
    return std::move(result_);
  }

 private:
  Result<void> read_one(DeliveryId id) {
    const Result<std::optional<std::string>> row = view_.get(Family::Deliveries, delivery_key(id));
    if (!row) return row.error();
    if (!row->has_value()) return {};
    return add(id, **row);
  }

  Result<void> read_all(MessageId id) {
    const std::unique_ptr<RowCursor> cursor = view_.cursor(Family::Deliveries, message_key(id));
    for (cursor->seek(delivery_key({id, 1})); cursor->is_valid(); cursor->next()) {
      const std::optional<DeliveryId> place = parse_delivery_key(cursor->key());
      if (!place) continue;
      if (Result<void> added = add(*place, cursor->value()); !added) return added;
    }
    return cursor->status();
  }

  Result<void> add(DeliveryId id, std::string_view octets) {
    Result<Delivery> delivery = decode_delivery(id, octets);
    if (!delivery) {
      damaged_.push_back(delivery.error());
      return {};
    }
    octets_ += octets.size();
    if (request_.with == ReadRequest::With::Messages) {
      if (Result<void> read = read_message(id.message); !read) return read;
      if (message_ == nullptr) return {};
    }
    result_.rows.push_back({id, *std::move(delivery), message_});
    return {};
  }

  Result<void> read_message(MessageId id) {
    if (message_id_ == id) return {};
    message_id_ = id;
    message_.reset();
    const Result<std::optional<std::string>> row = view_.get(Family::Messages, message_key(id));
    if (!row) return row.error();
    if (!row->has_value()) return {};
    octets_ += (*row)->size();
    Result<Message> message = decode_message(id, **row);
    if (message) {
      message_ = std::make_shared<const Message>(*std::move(message));
    } else {
      damaged_.push_back(message.error());
    }
    return {};
  }

  const RowView& view_;
  const ReadRequest& request_;
  Damaged& damaged_;
  ReadDeliveries result_;
  std::size_t octets_ = 0;
  MessageId message_id_{};
  MessagePointer message_;
};

// What all keys of this row's destination, in its state, start with.
std::string_view destination_of_key(std::string_view key) {
  return key.substr(0, key.find('\0', 1) + 1);
}

// Skips from queue to queue.
Result<OverduePage> find_deleted(const RowView& view, unsigned loop, unsigned loops,
                                 const OverdueRequest& request) {
  OverduePage page;
  const Key state(1, static_cast<char>(DeliveryState::Deleted));
  const std::unique_ptr<RowCursor> row = view.cursor(Family::Waiting, state);
  for (row->seek(request.after.empty() ? state : request.after + '\0'); row->is_valid();) {
    const std::string_view octets = row->key();
    const std::optional<WaitingKey> key = parse_waiting_key(octets);
    if (!key) {
      row->next();
      continue;
    }
    if (home_loop(key->queue.destination, loops) != loop) {
      row->seek(key_behind(destination_of_key(octets)));
      continue;
    }
    if (key->due > request.due_until) {
      page.next_due = std::min(page.next_due, key->due);
      row->seek(key_behind(octets.substr(0, octets.size() - kWaitingPlaceOctets)));
      continue;
    }
    page.deliveries.push_back({key->delivery, key->state, key->queue, key->due, {}});
    if (page.deliveries.size() >= request.deliveries_max) {
      page.more_after = octets;
      return page;
    }
    row->next();
  }
  if (const Result<void> read = row->status(); !read) return read.error();
  return page;
}

// Reads what is due, whatever its home, and one row behind it.
Result<OverduePage> find_quarantined(const RowView& view, unsigned loop, unsigned loops,
                                     const OverdueRequest& request) {
  OverduePage page;
  const Key prefix(1, kExpiryRows);
  const std::unique_ptr<RowCursor> row = view.cursor(Family::Waiting, prefix);
  for (row->seek(request.after.empty() ? prefix : request.after + '\0'); row->is_valid();
       row->next()) {
    std::optional<WaitingKey> key = parse_expiry_key(row->key());
    if (!key) continue;
    if (key->due > request.due_until) {
      page.next_due = key->due;
      break;
    }
    if (home_loop(key->queue.destination, loops) != loop) continue;
    page.deliveries.push_back({key->delivery, key->state, std::move(key->queue), key->due, {}});
    if (page.deliveries.size() >= request.deliveries_max) {
      page.more_after = row->key();
      return page;
    }
  }
  if (const Result<void> read = row->status(); !read) return read.error();
  return page;
}

}  // namespace

Result<ReadDeliveries> read_deliveries(const Rows& rows, const ReadRequest& request,
                                       Damaged& damaged) {
  const std::unique_ptr<RowView> view = rows.view();
  return DeliveryReader(*view, request, damaged).run();
}

Result<OverduePage> find_overdue(const Rows& rows, unsigned loop, unsigned loops,
                                 const OverdueRequest& request) {
  const std::unique_ptr<RowView> view = rows.view();
  switch (request.what) {
    case Overdue::Deleted:
      return find_deleted(*view, loop, loops, request);
    case Overdue::Quarantined:
      return find_quarantined(*view, loop, loops, request);
  }
  MTA_ASSERT(false);
}

}  // namespace rockdove::queue
