// The looks at a whole queue: list(), select_deliveries() and summarise() of queue/reading.h.
#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "mta/base/text.h"
#include "queue/codec.h"
#include "queue/filter.h"
#include "queue/keys.h"
#include "queue/row_reading.h"

namespace rockdove::queue {
namespace {

constexpr DeliveryState kStates[] = {DeliveryState::Waiting, DeliveryState::Held,
                                     DeliveryState::Deleted};

// Where a page begins: behind the row that the last one ended with.
Key behind(std::string_view key) {
  Key start(key);
  start.push_back('\0');
  return start;
}

// Walks the rows of `waiting` that a filter can mean, page by page.
class WaitingWalk {
 public:
  WaitingWalk(const RowView& view, const QueueFilter& filter, std::string_view after,
              std::uint32_t scanned_max, Damaged& damaged)
      : view_(view),
        filter_(filter),
        after_(after),
        scanned_left_(scanned_max),
        damaged_(damaged) {}

  // Calls `visit(const WaitingKeyView&, const WaitingNote&)`, which returns Result<bool>: whether
  // it wants more, for each row that matches. Returns where to go on; "": there are no more.
  template <typename Visit>
  Result<std::string> run(Visit&& visit) {
    for (const Key& prefix : prefixes()) {
      Key start = prefix;
      if (after_.starts_with(prefix)) {
        start = behind(after_);
      } else if (after_ > prefix) {
        continue;
      }
      const std::unique_ptr<RowCursor> row = view_.cursor(Family::Waiting, prefix);
      for (row->seek(start); row->is_valid(); row->next()) {
        Result<bool> wants_more = look_at(row->key(), row->value(), visit);
        if (!wants_more) return wants_more.error();
        if (!*wants_more || --scanned_left_ == 0) return std::string(row->key());
      }
      if (const Result<void> read = row->status(); !read) return read.error();
    }
    return std::string();
  }

 private:
  // In the order of their rows.
  [[nodiscard]] std::vector<Key> prefixes() const {
    if (!names_destination(filter_)) {
      std::vector<Key> prefixes;
      for (const DeliveryState state : kStates) {
        if (is_state_meant(state)) prefixes.emplace_back(1, static_cast<char>(state));
      }
      return prefixes;
    }
    // Domains stand there in lower case, names of routes and targets as they were written.
    const std::string& given = filter_.destination;
    const std::string lower = base::lower_case(given);
    std::vector<Key> prefixes;
    for (const DeliveryState state : kStates) {
      if (!is_state_meant(state)) continue;
      if (given != lower) prefixes.push_back(destination_prefix(state, given));
      prefixes.push_back(destination_prefix(state, lower));
    }
    return prefixes;
  }

  // What is deleted is looked at only by who names it, as is_match() has it.
  [[nodiscard]] bool is_state_meant(DeliveryState state) const {
    return filter_.state ? *filter_.state == state : state != DeliveryState::Deleted;
  }

  template <typename Visit>
  Result<bool> look_at(std::string_view key, std::string_view value, Visit&& visit) {
    const std::optional<WaitingKeyView> row = view_waiting_key(key);
    if (!row) return true;
    if (!decode_note(value, note_)) {
      damaged_.push_back(
          Error("the row of " + base::format_id(row->delivery) + " in `waiting` is damaged"));
      note_ = {};
    }
    if (!is_match(filter_, *row, note_)) return true;
    Result<bool> is_meant = is_match_within(*row);
    if (!is_meant) return is_meant;
    if (!*is_meant) return true;
    return visit(*row, note_);
  }

  // What the row itself does not tell.
  Result<bool> is_match_within(const WaitingKeyView& row) {
    if (needs_delivery(filter_)) {
      const Result<std::optional<Delivery>> delivery = read_delivery(view_, row.delivery, damaged_);
      if (!delivery) return delivery.error();
      if (!*delivery || !is_match(filter_, **delivery)) return false;
    }
    if (!needs_message(filter_, note_)) return true;
    const Result<std::shared_ptr<Message>> message =
        read_message(view_, row.delivery.message, damaged_);
    if (!message) return message.error();
    return *message != nullptr && is_match(filter_, **message);
  }

  const RowView& view_;
  const QueueFilter& filter_;
  const std::string_view after_;
  std::uint32_t scanned_left_;
  Damaged& damaged_;
  WaitingNote note_;  // of the row looked at; keeps its room
};

Selected selected(const WaitingKeyView& row, const WaitingNote& note) {
  return {row.delivery,
          row.state,
          {std::string(row.destination), std::string(row.tenant), row.priority},
          row.due,
          note};
}

// Adds the message to the page if it and one of its deliveries match.
Result<void> list_one(const RowView& view, const QueueFilter& filter,
                      std::shared_ptr<Message> message, Damaged& damaged, ListedPage& page) {
  if (!is_match(filter, *message)) return {};
  Result<std::vector<Delivery>> deliveries = read_deliveries(view, message->id, damaged);
  if (!deliveries) return deliveries.error();
  std::erase_if(*deliveries, [&](const Delivery& delivery) { return !is_match(filter, delivery); });
  if (deliveries->empty()) return {};
  message->body_octets += std::exchange(message->header_block, {}).size();
  page.messages.push_back({std::move(message), std::move(*deliveries)});
  return {};
}

Result<ListedPage> list_message(const RowView& view, const QueueFilter& filter, MessageId id,
                                Damaged& damaged) {
  ListedPage page;
  Result<std::shared_ptr<Message>> message = read_message(view, id, damaged);
  if (!message) return message.error();
  if (*message == nullptr) return page;
  if (Result<void> listed = list_one(view, filter, std::move(*message), damaged, page); !listed) {
    return listed.error();
  }
  return page;
}

Result<SelectedPage> select_of_message(const RowView& view, const QueueFilter& filter, MessageId id,
                                       Damaged& damaged) {
  SelectedPage page;
  const Result<std::shared_ptr<Message>> message = read_message(view, id, damaged);
  if (!message) return message.error();
  if (*message == nullptr || !is_match(filter, **message)) return page;
  const Result<std::vector<Delivery>> deliveries = read_deliveries(view, id, damaged);
  if (!deliveries) return deliveries.error();
  for (const Delivery& delivery : *deliveries) {
    if (!is_match(filter, delivery)) continue;
    page.deliveries.push_back({{id, delivery.number},
                               delivery.state,
                               queue_of(delivery),
                               delivery.due,
                               note_of(**message, delivery)});
  }
  return page;
}

// A message that has several rows there comes with the first of them.
Result<ListedPage> list_destination(const RowView& view, const ListRequest& request,
                                    Damaged& damaged) {
  ListedPage page;
  const auto place = [](const Delivery& delivery) {
    return std::tuple(delivery.state, delivery.tenant, delivery.priority, delivery.due,
                      delivery.number);
  };
  WaitingWalk walk(view, request.filter, request.after, request.scanned_max, damaged);
  Result<std::string> reached =
      walk.run([&](const WaitingKeyView& row, const WaitingNote&) -> Result<bool> {
        Result<ListedPage> one = list_message(view, request.filter, row.delivery.message, damaged);
        if (!one) return one.error();
        for (MessageWithDeliveries& listed : one->messages) {
          const auto first = std::min_element(
              listed.deliveries.begin(), listed.deliveries.end(),
              [&](const Delivery& a, const Delivery& b) { return place(a) < place(b); });
          if (first->number == row.delivery.number) page.messages.push_back(std::move(listed));
        }
        return page.messages.size() < request.messages_max;
      });
  if (!reached) return reached.error();
  page.more_after = *std::move(reached);
  return page;
}

std::size_t age_bucket(WallTime accepted, WallTime now) {
  std::size_t bucket = 0;
  while (bucket < kAgeBucketMinutes.size() &&
         now - accepted >= std::chrono::minutes(kAgeBucketMinutes[bucket])) {
    ++bucket;
  }
  return bucket;
}

// Adds up rows by what a summary is about.
class SummaryOfRows {
 public:
  explicit SummaryOfRows(const SummaryRequest& request) : request_(request) {}

  void add(const WaitingKeyView& row, const WaitingNote& note) {
    // The id says when the message came: no row of `messages` has to be read.
    const WallTime accepted = row.delivery.message.made_at();
    QueueSummary::Line& line = line_of(row.state, name_of(row, note));
    if (line.deliveries == 0) {
      line.earliest_due = row.due;
      line.oldest = accepted;
    }
    ++line.deliveries;
    ++deliveries_;
    line.octets += note.octets;
    line.earliest_due = std::min(line.earliest_due, row.due);
    line.latest_due = std::max(line.latest_due, row.due);
    line.oldest = std::min(line.oldest, accepted);
    ++line.by_age[age_bucket(accepted, request_.now)];
  }

  [[nodiscard]] QueueSummary take() {
    QueueSummary summary;
    summary.deliveries = deliveries_;
    for (auto& lines : lines_) {
      for (auto& [name, line] : lines) {
        line.name = name;
        summary.lines.push_back(std::move(line));
      }
    }
    if (request_.lines_max == 0) {
      std::sort(summary.lines.begin(), summary.lines.end(), [](const auto& a, const auto& b) {
        return std::tie(a.state, a.name) < std::tie(b.state, b.name);
      });
      return summary;
    }
    std::sort(summary.lines.begin(), summary.lines.end(), [](const auto& a, const auto& b) {
      return std::tie(b.deliveries, a.state, a.name) < std::tie(a.deliveries, b.state, b.name);
    });
    const std::size_t kept = std::min<std::size_t>(summary.lines.size(), request_.lines_max);
    summary.lines_left_out = summary.lines.size() - kept;
    summary.lines.resize(kept);
    return summary;
  }

 private:
  struct TextHash {
    using is_transparent = void;

    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };

  [[nodiscard]] std::string_view name_of(const WaitingKeyView& row, const WaitingNote& note) const {
    switch (request_.by) {
      case SummaryBy::Destination:
      case SummaryBy::Provider:
        return row.destination;
      case SummaryBy::Sender:
        return note.sender;
      case SummaryBy::User:
        return note.user;
      case SummaryBy::Reason:
        return note.reason;
      case SummaryBy::Tenant:
        return row.tenant;
      case SummaryBy::Campaign:
        return note.campaign;
    }
    return {};
  }

  // Rows of a destination stand together, and mostly so do those of a sender.
  QueueSummary::Line& line_of(DeliveryState state, std::string_view name) {
    if (last_ != nullptr && last_->state == state && *last_name_ == name) return *last_;
    auto& lines = lines_[static_cast<std::size_t>(state) - 1];
    auto found = lines.find(name);
    if (found == lines.end()) {
      found = lines.emplace(std::string(name), QueueSummary::Line{}).first;
      found->second.state = state;
    }
    last_name_ = &found->first;
    last_ = &found->second;
    return *last_;
  }

  const SummaryRequest& request_;
  // By state; nodes stay where they are.
  std::array<std::unordered_map<std::string, QueueSummary::Line, TextHash, std::equal_to<>>, 3>
      lines_;
  QueueSummary::Line* last_ = nullptr;
  const std::string* last_name_ = nullptr;
  std::uint64_t deliveries_ = 0;
};

// Rows that an older version wrote say nothing of the message.
Result<void> read_note(const RowView& view, DeliveryId id, Damaged& damaged, WaitingNote& note) {
  const Result<std::shared_ptr<Message>> message = read_message(view, id.message, damaged);
  if (!message) return message.error();
  const Result<std::optional<Delivery>> delivery = read_delivery(view, id, damaged);
  if (!delivery) return delivery.error();
  if (*message != nullptr && *delivery) note = note_of(**message, **delivery);
  return {};
}

}  // namespace

Result<ListedPage> list(const Rows& rows, const ListRequest& request, Damaged& damaged) {
  const std::unique_ptr<RowView> view = rows.view();
  const QueueFilter& filter = request.filter;
  if (filter.delivery) return list_message(*view, filter, filter.delivery->message, damaged);
  if (filter.message) return list_message(*view, filter, *filter.message, damaged);
  if (names_destination(filter)) return list_destination(*view, request, damaged);
  ListedPage page;
  const std::unique_ptr<RowCursor> row = view->cursor(Family::Messages, {});
  std::uint32_t scanned = 0;
  Key reached;
  for (row->seek(request.after.empty() ? Key() : behind(request.after)); row->is_valid();
       row->next()) {
    if (scanned >= request.scanned_max || page.messages.size() >= request.messages_max) {
      page.more_after = std::move(reached);
      return page;
    }
    const std::optional<MessageId> id = parse_message_key(row->key());
    if (!id) continue;
    reached = row->key();
    ++scanned;
    Result<Message> message = decode_message(*id, row->value());
    if (!message) {
      damaged.push_back(message.error());
      continue;
    }
    if (Result<void> listed =
            list_one(*view, filter, std::make_shared<Message>(std::move(*message)), damaged, page);
        !listed) {
      return listed.error();
    }
  }
  if (const Result<void> read = row->status(); !read) return read.error();
  return page;
}

Result<SelectedPage> select_deliveries(const Rows& rows, const SelectRequest& request,
                                       Damaged& damaged) {
  const std::unique_ptr<RowView> view = rows.view();
  const QueueFilter& filter = request.filter;
  if (filter.delivery) return select_of_message(*view, filter, filter.delivery->message, damaged);
  if (filter.message) return select_of_message(*view, filter, *filter.message, damaged);
  SelectedPage page;
  WaitingWalk walk(*view, request.filter, request.after, request.scanned_max, damaged);
  Result<std::string> reached =
      walk.run([&](const WaitingKeyView& row, const WaitingNote& note) -> Result<bool> {
        page.deliveries.push_back(selected(row, note));
        return page.deliveries.size() < request.deliveries_max;
      });
  if (!reached) return reached.error();
  page.more_after = *std::move(reached);
  return page;
}

Result<QueueSummary> summarise(const Rows& rows, const SummaryRequest& request) {
  const std::unique_ptr<RowView> view = rows.view();
  const std::unique_ptr<RowCursor> row = view->cursor(Family::Waiting, {});
  SummaryOfRows summary(request);
  WaitingNote note;
  for (row->seek({}); row->is_valid() && row->key() < std::string_view(&kExpiryRows, 1);
       row->next()) {
    const std::optional<WaitingKeyView> key = view_waiting_key(row->key());
    if (!key) continue;
    const bool is_read = decode_note(row->value(), note);
    if (!is_read || note.octets == 0) {
      Damaged damaged;
      note = {};
      if (const Result<void> read = read_note(*view, key->delivery, damaged, note); !read) {
        return read.error();
      }
    }
    summary.add(*key, note);
  }
  if (const Result<void> read = row->status(); !read) return read.error();
  return summary.take();
}

}  // namespace rockdove::queue
