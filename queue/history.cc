#include "queue/history.h"

#include <algorithm>
#include <utility>

#include "mta/base/text.h"
#include "queue/codec.h"
#include "queue/index.h"
#include "queue/keys.h"

namespace rockdove::queue {
namespace {

constexpr std::uint32_t kEndsPerStep = 10;  // ends that are told, to a step of the limit

std::optional<MessageId> id_at(const RowCursor& cursor) {
  if (!cursor.is_valid() || cursor.key().size() < 8) return std::nullopt;
  return parse_message_key(cursor.key().substr(0, 8));
}

// The first key of message `id` or behind it; a key that is none of ours is passed over.
void skip_to(RowCursor& cursor, MessageId id) {
  const std::optional<MessageId> at = id_at(cursor);
  if (at && *at < id) cursor.seek(message_key(id));
  while (cursor.is_valid() && cursor.key().size() < 8) cursor.next();
}

// Rows come by number, but deliveries from two families.
TracedDelivery& delivery_of(TracedMessage& traced, std::uint32_t number) {
  std::vector<TracedDelivery>& all = traced.deliveries;
  if (!all.empty() && all.back().number == number) return all.back();
  const auto found = std::lower_bound(
      all.begin(), all.end(), number,
      [](const TracedDelivery& one, std::uint32_t wanted) { return one.number < wanted; });
  if (found != all.end() && found->number == number) return *found;
  return *all.insert(found, TracedDelivery{number, {}, {}, {}, {}, {}, {}, 0, {}});
}

// A clock that was set back dates it before what it followed.
void put_end_last(std::vector<HistoryStep>& steps) {
  std::stable_partition(steps.begin(), steps.end(),
                        [](const HistoryStep& step) { return !step.outcome; });
  for (std::size_t at = 0; at < steps.size(); ++at) {
    steps[at].step = static_cast<std::uint32_t>(at) + 1;
  }
}

}  // namespace

std::array<std::string_view, 3> addresses_of(const TracedDelivery& delivery) {
  constexpr std::string_view kType = "rfc822;";
  std::string_view original = delivery.original_recipient;
  original = base::starts_with_ignoring_case(original, kType) ? original.substr(kType.size())
                                                              : std::string_view();
  return {delivery.recipient, delivery.alias, original};
}

HistoryWalk::HistoryWalk(const RowView& view, MessageId from, MessageId until, Depth depth,
                         Damaged& damaged, std::uint32_t steps_max)
    : depth_(depth), steps_max_(steps_max), damaged_(damaged) {
  const Key start = message_key(from);
  const Key end = message_key(until);
  messages_ = view.range(Family::Messages, end);
  deliveries_ = view.range(Family::Deliveries, end);
  history_ = view.range(Family::History, end);
  for (RowCursor* cursor : {messages_.get(), deliveries_.get(), history_.get()}) {
    cursor->seek(start);
    skip_to(*cursor, from);
  }
}

Result<std::optional<TracedMessage>> HistoryWalk::next() {
  for (;;) {
    const std::optional<MessageId> in_queue = id_at(*messages_);
    const std::optional<MessageId> in_history = id_at(*history_);
    if (!in_queue && !in_history) break;
    const MessageId id = !in_queue     ? *in_history
                         : !in_history ? *in_queue
                                       : std::min(*in_queue, *in_history);
    TracedMessage traced;
    traced.id = id;
    traced.accepted = id.made_at();
    steps_ = 0;
    if (in_queue == id) {
      add_message(id, traced);
      add_deliveries(id, traced);
    }
    if (in_history == id) add_history(id, traced);
    // A damaged row may have been all that there was.
    if (traced.is_whole || !traced.deliveries.empty()) {
      return std::optional<TracedMessage>(std::move(traced));
    }
  }
  for (const RowCursor* cursor : {messages_.get(), deliveries_.get(), history_.get()}) {
    if (Result<void> read = cursor->status(); !read) return read.error();
  }
  return std::optional<TracedMessage>();
}

void HistoryWalk::add_message(MessageId id, TracedMessage& traced) {
  note_read(*messages_);
  Result<Message> message = decode_message(id, messages_->value());
  messages_->next();
  skip_to(*messages_, id);
  if (!message) {
    damaged_.push_back(message.error());
    return;
  }
  traced.is_whole = true;
  traced.kind = message->kind;
  traced.about = message->about;
  traced.sender = std::move(message->sender);
  traced.client = std::move(message->client);
  traced.accepted = message->accepted;
  traced.octets = message->header_block.size() + message->body_octets;
  traced.message_id_field = message_id_field(message->header_block);
  traced.tenant = std::move(message->tenant);
  traced.campaign = std::move(message->campaign);
}

void HistoryWalk::add_deliveries(MessageId id, TracedMessage& traced) {
  for (skip_to(*deliveries_, id); id_at(*deliveries_) == id; deliveries_->next()) {
    note_read(*deliveries_);
    const std::optional<DeliveryId> place = parse_delivery_key(deliveries_->key());
    if (!place || place->number == 0) continue;  // 0: its ReportState
    Result<Delivery> delivery = decode_delivery(*place, deliveries_->value());
    if (!delivery) {
      damaged_.push_back(delivery.error());
      continue;
    }
    TracedDelivery& one = delivery_of(traced, place->number);
    one.recipient = delivery->recipient;
    one.original_recipient = delivery->original_recipient;
    one.alias = delivery->alias;
    one.waiting = std::move(*delivery);
  }
}

void HistoryWalk::add_history(MessageId id, TracedMessage& traced) {
  for (; id_at(*history_) == id; history_->next()) {
    note_read(*history_);
    const std::optional<HistoryKey> key = parse_history_key(history_->key());
    if (!key) continue;
    Result<HistoryStep> step = decode_step(*key, history_->value());
    if (!step) {
      damaged_.push_back(step.error());
      continue;
    }
    add_step(std::move(*step), traced);
  }
  skip_to(*history_, id);
  for (TracedDelivery& delivery : traced.deliveries) put_end_last(delivery.steps);
}

void HistoryWalk::add_step(HistoryStep step, TracedMessage& traced) {
  TracedDelivery& delivery = delivery_of(traced, step.delivery.number);
  if (step.outcome) {
    delivery.outcome = step.outcome;
    delivery.ended = step.at;
    delivery.waiting.reset();  // cannot be: both are written in one change
    if (delivery.recipient.empty()) delivery.recipient = step.recipient;
    if (delivery.original_recipient.empty()) {
      delivery.original_recipient = step.original_recipient;
    }
    if (delivery.alias.empty()) delivery.alias = step.alias;
    if (!traced.is_whole) {
      traced.is_whole = true;
      traced.kind = step.kind;
      traced.about = step.about;
      traced.sender = step.sender;
      traced.client = {step.client_address, step.client_helo, step.client_listener,
                       step.client_user, step.client_tls};
      traced.accepted = step.accepted;
      traced.octets = step.octets;
      traced.message_id_field = step.message_id_field;
      traced.tenant = step.tenant;
      traced.campaign = step.campaign;
    }
  } else if (step.what == "deferred") {
    ++delivery.deferrals;
  }
  if (depth_ == Depth::Facts) return;
  // How it ended is told whatever came before.
  if (steps_ >= (step.outcome ? kEndsPerStep * steps_max_ : steps_max_)) {
    ++traced.steps_left_out;
    return;
  }
  ++steps_;
  delivery.steps.push_back(std::move(step));
}

Result<std::optional<MessageId>> walk_history(
    const Rows& rows, const WalkRequest& request,
    const std::function<void(const TracedMessage&)>& visit, Damaged& damaged) {
  const std::unique_ptr<RowView> view = rows.view();
  const Result<MessageId> floor = read_history_floor(*view);
  if (!floor) return floor.error();
  HistoryWalk walk(*view, std::max(request.from, *floor), request.until, request.depth, damaged,
                   request.steps_max);
  for (bool is_first = true;; is_first = false) {
    const bool is_much = walk.work() >= request.work_max;
    const Result<std::optional<TracedMessage>> message = walk.next();
    if (!message) return message.error();
    if (!message->has_value()) return std::optional<MessageId>();
    if (is_much && !is_first) return std::optional<MessageId>((*message)->id);
    visit(**message);
  }
}

Result<std::optional<TracedMessage>> read_traced(const RowView& view, MessageId id, Depth depth,
                                                 Damaged& damaged, std::uint32_t steps_max) {
  return HistoryWalk(view, id, MessageId{id.value + 1}, depth, damaged, steps_max).next();
}

}  // namespace rockdove::queue
