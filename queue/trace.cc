#include "queue/trace.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>

#include "mta/base/text.h"
#include "queue/index.h"

namespace rockdove::queue {
namespace {

constexpr std::uint32_t kReportsMax = 20;       // of one message, and theirs
constexpr int kReportDepthMax = 2;              // a report's own report, and no further
constexpr std::uint32_t kReportStepsMax = 100;  // of each
// A page is full with so many recipients and steps.
constexpr std::size_t kPagePartsMax = 1000;
constexpr base::Duration kAhead = std::chrono::hours(1);  // of ids before the clock, usually

// What is not indexed is gone over in windows of ids, from the newest one back.
constexpr std::uint64_t kTicksASecond = std::uint64_t{1000} << 20;
constexpr std::uint64_t kWindowFirst = kTicksASecond;
constexpr std::uint64_t kWindowMost = kTicksASecond * 3600 * 24 * 30;
constexpr std::uint64_t kWindowLeast = 1;
constexpr std::uint64_t kSparse = 1000;  // work in a window; with less the next one is larger

bool is_asked_recipient(const TraceQuery& query, const TracedDelivery& delivery) {
  const auto holds = [&](std::string_view address) {
    if (address.empty()) return false;
    if (query.recipient && !base::equals_ignoring_case(*query.recipient, address)) return false;
    return !query.domain || base::equals_ignoring_case(*query.domain, domain_of(address));
  };
  const auto addresses = addresses_of(delivery);
  return std::any_of(addresses.begin(), addresses.end(), holds);
}

// Where several conditions are in the index, only ids that stand in all of their lists.
class IndexSearch {
 public:
  IndexSearch(const RowView& view, const TraceQuery& query) {
    const auto add = [&](IndexKind kind, std::uint64_t hash) {
      Key prefix = index_prefix(kind, hash);
      std::unique_ptr<RowCursor> cursor = view.cursor(Family::Index, prefix);
      lists_.push_back({kind, hash, std::move(cursor)});
    };
    if (query.message_id)
      add(IndexKind::MessageIdField, index_hash(bare_message_id(*query.message_id)));
    if (query.recipient) add(IndexKind::Recipient, index_hash(*query.recipient));
    if (query.client) add(IndexKind::Client, index_hash(*query.client));
    if (query.sender) add(IndexKind::Sender, index_hash(*query.sender));
    if (query.domain) add(IndexKind::Domain, index_hash(*query.domain));
  }

  [[nodiscard]] bool is_possible() const { return !lists_.empty(); }

  // The newest id in all lists that is below; nullopt: there is none, or `status()` has an error,
  // or `paused_at()` says how far it came.
  [[nodiscard]] std::optional<MessageId> below(MessageId bound) {
    if (bound.value == 0) return std::nullopt;
    MessageId wanted{bound.value - 1};
    for (std::size_t agreed = 0, at = 0; agreed < lists_.size(); at = (at + 1) % lists_.size()) {
      if (++seeks_ > kSeeksMax) {
        paused_at_ = wanted;
        return std::nullopt;
      }
      List& list = lists_[at];
      list.cursor->seek(index_key(list.kind, list.hash, wanted));
      if (!list.cursor->is_valid()) return std::nullopt;
      const std::optional<MessageId> found = parse_index_key(list.cursor->key());
      if (!found) return std::nullopt;
      agreed = *found == wanted ? agreed + 1 : 1;
      wanted = *found;
    }
    return wanted;
  }

  // Lists that share nothing take long: this much was looked at, and from here on nothing was.
  [[nodiscard]] std::optional<MessageId> paused_at() const { return paused_at_; }

  [[nodiscard]] Result<void> status() const {
    for (const List& list : lists_) {
      if (Result<void> read = list.cursor->status(); !read) return read;
    }
    return {};
  }

 private:
  struct List {
    IndexKind kind;
    std::uint64_t hash;
    std::unique_ptr<RowCursor> cursor;
  };

  static constexpr std::uint32_t kSeeksMax = 20'000;

  std::vector<List> lists_;
  std::uint32_t seeks_ = 0;
  std::optional<MessageId> paused_at_;
};

class Tracer {
 public:
  Tracer(const RowView& view, const TraceRequest& request, Damaged& damaged)
      : view_(view), request_(request), query_(request.query), damaged_(damaged) {}

  Result<TracedPage> run() {
    if (query_.message) return run_one(*query_.message);
    if (Result<void> bounded = find_bounds(); !bounded) return bounded.error();
    IndexSearch search(view_, query_);
    const MessageId indexed = search.is_possible() ? mark_ : MessageId{};
    if (Result<void> scanned = scan_down_to(std::max(lower_, indexed)); !scanned) {
      return scanned.error();
    }
    if (is_page_over() || upper_ <= lower_) return std::move(page_);
    if (Result<void> searched = search_down(search); !searched) return searched.error();
    return std::move(page_);
  }

 private:
  Result<TracedPage> run_one(MessageId id) {
    if (request_.before) return std::move(page_);
    const Result<MessageId> floor = read_history_floor(view_);
    if (!floor) return floor.error();
    if (Result<void> added = add(id); !added) return added.error();
    // Of what has been trimmed only what waits is told.
    if (id < *floor) std::erase_if(page_.messages, has_gone);
    return std::move(page_);
  }

  static bool has_gone(const TracedMessage& message) {
    return std::none_of(message.deliveries.begin(), message.deliveries.end(),
                        [](const TracedDelivery& one) { return one.waiting.has_value(); });
  }

  Result<void> find_bounds() {
    const Result<MessageId> floor = read_history_floor(view_);
    if (!floor) return floor.error();
    const Result<MessageId> mark = read_index_mark(view_);
    if (!mark) return mark.error();
    mark_ = *mark;
    lower_ = *floor;
    if (query_.since) lower_ = std::max(lower_, first_id_accepted_at(*query_.since));
    upper_ = MessageId{~std::uint64_t{0}};
    if (query_.until) upper_ = first_id_at(*query_.until);
    if (request_.before) upper_ = std::min(upper_, *request_.before);
    const std::unique_ptr<RowCursor> row = view_.cursor(Family::Index, late_prefix());
    for (row->seek(late_prefix()); row->is_valid(); row->next()) {
      const std::optional<MessageId> id = parse_late_key(row->key());
      if (id && *id < std::min(mark_, upper_) && *id >= lower_) late_.push_back(*id);
    }
    return row->status();
  }

  [[nodiscard]] bool is_full() const {
    return page_.messages.size() >= request_.messages_max || parts_ >= kPagePartsMax;
  }

  [[nodiscard]] bool is_page_over() const { return page_.more_before.has_value(); }

  // From `upper_` down to `end`, forwards within each window, because rows are read that way.
  Result<void> scan_down_to(MessageId end) {
    // Behind rows that have been removed the last one is not cheap to find.
    if (!query_.until && !request_.before) {
      if (Result<void> skipped = skip_to_last(); !skipped) return skipped;
    }
    std::uint64_t window = kWindowFirst;
    while (upper_ > end) {
      if (is_full() || work_ >= request_.work_max) {
        page_.more_before = upper_;
        return {};
      }
      const MessageId start{upper_.value - std::min(window, upper_.value - end.value)};
      const Result<std::optional<std::uint64_t>> seen = scan(start);
      if (!seen) return seen.error();
      if (!seen->has_value()) {  // too many to look at; nothing was kept
        window = std::max(window / 16, kWindowLeast);
        continue;
      }
      work_ += **seen;
      upper_ = start;
      if (Result<void> added = add_found(); !added) return added;
      if (**seen < kSparse) window = std::min(window * 4, kWindowMost);
    }
    return {};
  }

  // There is nothing behind the last rows: windows begin there.
  Result<void> skip_to_last() {
    MessageId last = first_id_at(request_.now + kAhead);
    if (request_.now == WallTime{} || has_newer(last)) {
      last = {};
      for (const Family family : {Family::Messages, Family::History}) {
        const Result<std::optional<std::string>> key = view_.last_key(family);
        if (!key) return key.error();
        if (!key->has_value()) continue;
        const auto id = parse_message_key(std::string_view(**key).substr(0, 8));
        if (id) last = std::max(last, *id);
      }
    }
    upper_ = std::min(upper_, MessageId{last.value + 1});
    return {};
  }

  // Ids never go back, so a clock that was far ahead once leaves them there.
  [[nodiscard]] bool has_newer(MessageId id) const {
    for (const Family family : {Family::Messages, Family::History}) {
      const std::unique_ptr<RowCursor> row = view_.cursor(family, "");
      row->seek(message_key(id));
      if (row->is_valid()) return true;
    }
    return false;
  }

  // Ids that match, of [start, upper_), to `found_`; how much work it was, or nullopt when it is
  // more than a call may do.
  Result<std::optional<std::uint64_t>> scan(MessageId start) {
    found_.clear();
    const auto damaged_before = static_cast<std::ptrdiff_t>(damaged_.size());
    HistoryWalk walk(view_, start, upper_, Depth::Facts, damaged_);
    for (bool is_first = true;; is_first = false) {
      const Result<std::optional<TracedMessage>> message = walk.next();
      if (!message) return message.error();
      if (!message->has_value()) return std::optional<std::uint64_t>(walk.work());
      if (!is_first && walk.work() > request_.work_max) {
        damaged_.erase(damaged_.begin() + damaged_before, damaged_.end());  // they are met again
        return std::optional<std::uint64_t>();
      }
      if (is_match(query_, **message)) found_.push_back((*message)->id);
    }
  }

  Result<void> add_found() {
    for (auto id = found_.rbegin(); id != found_.rend(); ++id) {
      if (is_full()) {
        upper_ = MessageId{id->value + 1};
        page_.more_before = upper_;
        return {};
      }
      if (Result<void> added = add(*id); !added) return added;
    }
    return {};
  }

  // What came late stands between what is indexed.
  Result<void> search_down(IndexSearch& search) {
    std::uint64_t looked_at = 0;
    for (;;) {
      std::optional<MessageId> id = search.below(upper_);
      if (Result<void> read = search.status(); !read) return read;
      while (!late_.empty() && late_.back() >= upper_) late_.pop_back();
      const std::optional<MessageId> reached = id ? id : search.paused_at();
      if (!late_.empty() && (!reached || late_.back() > *reached)) id = late_.back();
      if (!id && search.paused_at() && *reached >= lower_) {
        page_.more_before = MessageId{reached->value + 1};
        return {};
      }
      if (!id || *id < lower_) return {};
      if (is_full() || ++looked_at > std::max<std::uint64_t>(request_.work_max / 10, 1)) {
        page_.more_before = upper_;
        return {};
      }
      upper_ = *id;
      if (Result<void> added = add(*id); !added) return added;
    }
  }

  // To the page, if it is what is asked for.
  Result<void> add(MessageId id) {
    Result<std::optional<TracedMessage>> message = read_traced(view_, id, Depth::Steps, damaged_);
    if (!message) return message.error();
    if (!message->has_value() || !is_match(query_, **message)) return {};
    std::uint32_t reports_left = kReportsMax;
    if (Result<void> read = add_reports(**message, 0, reports_left); !read) return read;
    count_parts(**message);
    page_.messages.push_back(std::move(**message));
    return {};
  }

  void count_parts(const TracedMessage& message) {
    parts_ += message.deliveries.size();
    for (const TracedDelivery& delivery : message.deliveries) parts_ += delivery.steps.size();
    for (const TracedMessage& report : message.reports) count_parts(report);
  }

  Result<void> add_reports(TracedMessage& message, int depth, std::uint32_t& left) {
    if (depth >= kReportDepthMax) return {};
    std::vector<MessageId> ids;
    for (const TracedDelivery& delivery : message.deliveries) {
      for (const HistoryStep& step : delivery.steps) {
        const bool is_new = std::find(ids.begin(), ids.end(), step.report) == ids.end();
        if (step.report.value != 0 && is_new && ids.size() < left) ids.push_back(step.report);
      }
    }
    left -= static_cast<std::uint32_t>(ids.size());
    for (const MessageId id : ids) {
      Result<std::optional<TracedMessage>> report =
          read_traced(view_, id, Depth::Steps, damaged_, kReportStepsMax);
      if (!report) return report.error();
      if (!report->has_value()) continue;
      if (Result<void> read = add_reports(**report, depth + 1, left); !read) return read;
      message.reports.push_back(std::move(**report));
    }
    return {};
  }

  const RowView& view_;
  const TraceRequest& request_;
  const TraceQuery& query_;
  Damaged& damaged_;
  MessageId mark_;   // all below is indexed, but for late_
  MessageId lower_;  // nothing below is asked for
  MessageId upper_;  // everything from here on has been looked at
  std::vector<MessageId> late_;
  std::vector<MessageId> found_;
  std::uint64_t work_ = 0;
  std::size_t parts_ = 0;  // recipients and steps in the page
  TracedPage page_;
};

}  // namespace

bool is_match(const TraceQuery& query, const TracedMessage& message) {
  if (query.message && *query.message != message.id) return false;
  if (query.since && message.accepted < *query.since) return false;
  if (query.until && message.accepted >= *query.until) return false;
  if (query.sender && !base::equals_ignoring_case(*query.sender, message.sender)) return false;
  if (query.message_id && !base::equals_ignoring_case(bare_message_id(*query.message_id),
                                                      bare_message_id(message.message_id_field))) {
    return false;
  }
  if (query.tenant && !base::equals_ignoring_case(*query.tenant, message.tenant)) return false;
  if (query.campaign && !base::equals_ignoring_case(*query.campaign, message.campaign))
    return false;
  if (query.client &&
      (message.client.listener.empty() || *query.client != message.client.address)) {
    return false;
  }
  // Of a message of which only attempts are left nobody knows whose it was.
  const bool asks_whose =
      query.sender || query.message_id || query.client || query.tenant || query.campaign;
  if (!message.is_whole && asks_whose) return false;
  if (!query.recipient && !query.domain) return true;
  return std::any_of(
      message.deliveries.begin(), message.deliveries.end(),
      [&](const TracedDelivery& delivery) { return is_asked_recipient(query, delivery); });
}

std::size_t keep_asked_for(const TraceQuery& query, TracedMessage& message) {
  if (!query.recipient && !query.domain) return 0;
  return std::erase_if(message.deliveries, [&](const TracedDelivery& delivery) {
    return !is_asked_recipient(query, delivery);
  });
}

Result<TracedPage> trace(const Rows& rows, const TraceRequest& request, Damaged& damaged) {
  const std::unique_ptr<RowView> view = rows.view();
  return Tracer(*view, request, damaged).run();
}

}  // namespace rockdove::queue
