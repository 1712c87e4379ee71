#include "mta/admin/queue_jobs.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "mta/admin/control_server.h"
#include "mta/admin/queue_text.h"
#include "mta/base/text.h"

namespace rockdove::admin {

using Json = nlohmann::ordered_json;
using base::DeliveryId;
using base::Error;
using base::MessageId;
using base::Result;

namespace {

constexpr std::uint32_t kMessagesAPage = 100;
constexpr std::size_t kSummaryLinesAStep = 500;
constexpr std::size_t kActsAtOnce = 16;

class Listing : public std::enable_shared_from_this<Listing> {
 public:
  Listing(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange,
          ListQuery query)
      : loop_(loop), store_(store), exchange_(std::move(exchange)) {
    request_.filter = std::move(query.filter);
    left_ = query.limit == 0 ? std::numeric_limits<std::uint64_t>::max() : query.limit;
  }

  void next_page() {
    request_.messages_max =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(left_, kMessagesAPage));
    store_.list(loop_, request_, [self = shared_from_this()](Result<queue::ListedPage> page) {
      self->on_page(std::move(page));
    });
  }

 private:
  void on_page(Result<queue::ListedPage> page) {
    if (exchange_->is_gone()) return;
    if (!page) {
      if (started_) {
        exchange_->break_off();
      } else {
        exchange_->refuse(500, page.error().text());
      }
      return;
    }
    if (!std::exchange(started_, true)) exchange_->start();
    const base::WallTime now = loop_.now().wall;
    for (const queue::MessageWithDeliveries& message : page->messages) {
      exchange_->line(format_listed(message, now));
    }
    left_ -= page->messages.size();
    request_.after = page->more_after;
    if (request_.after.empty() || left_ == 0) {
      exchange_->end();
      return;
    }
    exchange_->when_room([self = shared_from_this()] { self->next_page(); });
  }

  base::Loop& loop_;
  queue::Store& store_;
  const std::shared_ptr<Exchange> exchange_;
  queue::ListRequest request_;
  std::uint64_t left_;  // messages that may still be listed
  bool started_ = false;
};

// Counts what a filter means, page by page.
class Counting : public std::enable_shared_from_this<Counting> {
 public:
  Counting(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange,
           queue::QueueFilter filter)
      : loop_(loop), store_(store), exchange_(std::move(exchange)) {
    request_.filter = std::move(filter);
  }

  void next_page() {
    store_.select(loop_, request_, [self = shared_from_this()](Result<queue::SelectedPage> page) {
      self->on_page(page);
    });
  }

 private:
  void on_page(const Result<queue::SelectedPage>& page) {
    if (exchange_->is_gone()) return;
    if (!page) return exchange_->refuse(500, page.error().text());
    deliveries_ += page->deliveries.size();
    request_.after = page->more_after;
    if (!request_.after.empty()) return next_page();
    exchange_->answer(200, Json{{"deliveries", deliveries_}}.dump());
  }

  base::Loop& loop_;
  queue::Store& store_;
  const std::shared_ptr<Exchange> exchange_;
  queue::SelectRequest request_;
  std::uint64_t deliveries_ = 0;
};

class Summary : public std::enable_shared_from_this<Summary> {
 public:
  Summary(std::shared_ptr<Exchange> exchange, std::vector<std::string> lines)
      : exchange_(std::move(exchange)), lines_(std::move(lines)) {}

  void write() {
    const std::size_t end = std::min(lines_.size(), written_ + kSummaryLinesAStep);
    for (; written_ < end; ++written_) exchange_->line(lines_[written_]);
    if (written_ == lines_.size()) {
      exchange_->end();
      return;
    }
    exchange_->when_room([self = shared_from_this()] { self->write(); });
  }

 private:
  const std::shared_ptr<Exchange> exchange_;
  const std::vector<std::string> lines_;
  std::size_t written_ = 0;
};

using Named = std::variant<MessageId, DeliveryId>;

struct ActRequest {
  std::deque<Named> ids;
  std::optional<queue::QueueFilter> filter;  // instead of ids
  bool is_dry_run = false;
  std::string selection;  // for the log
};

Result<ActRequest> parse_ids(const Json& json) {
  if (!json.is_array() || json.size() > kIdsMax) {
    return Error("ids must be a list of at most " + std::to_string(kIdsMax) + " ids");
  }
  ActRequest request;
  for (const Json& entry : json) {
    const std::string text = entry.is_string() ? entry.get<std::string>() : std::string();
    if (const auto message = base::parse_message_id(text)) {
      request.ids.emplace_back(*message);
    } else if (const auto delivery = base::parse_delivery_id(text)) {
      request.ids.emplace_back(*delivery);
    } else {
      return Error("\"" + base::printable(text, 40) + "\" is no id of a message or delivery");
    }
  }
  request.selection =
      json.size() == 1 ? json[0].get<std::string>() : std::to_string(json.size()) + " ids";
  return request;
}

Result<ActRequest> parse_act_request(const std::string& body, base::WallTime now) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Error("the body must be a JSON object with ids or filter");
  for (const auto& [name, value] : json.items()) {
    if (name != "ids" && name != "filter" && name != "dry_run") {
      return Error("there is no " + base::printable(name, 40) + " here");
    }
  }
  if (json.contains("ids") == json.contains("filter")) {
    return Error("the body must have either ids or filter");
  }
  if (json.contains("ids")) return parse_ids(json["ids"]);
  ActRequest request;
  if (json.contains("dry_run")) {
    if (!json["dry_run"].is_boolean()) return Error("dry_run must be true or false");
    request.is_dry_run = json["dry_run"].get<bool>();
  }
  if (!json["filter"].is_object()) return Error("filter must be an object");
  Parameters parameters;
  for (const auto& [name, value] : json["filter"].items()) {
    if (!value.is_string())
      return Error("filter." + base::printable(name, 40) + " must be a string");
    parameters.emplace_back(name, value.get<std::string>());
    request.selection +=
        (request.selection.empty() ? "" : ", ") + name + "=" + parameters.back().second;
  }
  if (parameters.empty()) return Error("a filter without a condition would meet everything");
  Result<queue::QueueFilter> filter = parse_filter(parameters, now);
  if (!filter) return filter.error();
  request.filter = *std::move(filter);
  return request;
}

// Finds the deliveries that are meant, a page or a message at a time, and acts on a few at once.
class ActJob : public std::enable_shared_from_this<ActJob> {
 public:
  ActJob(const ActServices& services, std::shared_ptr<Exchange> exchange, Act act,
         ActRequest request)
      : services_(services),
        exchange_(std::move(exchange)),
        act_(act),
        request_(std::move(request)) {}

  ~ActJob() {
    if (!ended_) end("the client has gone");
  }

  ActJob(const ActJob&) = delete;
  ActJob& operator=(const ActJob&) = delete;

  void start() {
    if (!request_.is_dry_run) {
      base::LogLine line = services_.log.line(base::Level::Info, "act");
      describe(line);
    }
    step();
  }

 private:
  // The next thing to do; nothing while answers are still to come.
  void step() {
    while (!pending_.empty() && running_ < kActsAtOnce) {
      const DeliveryId id = pending_.front();
      pending_.pop_front();
      ++running_;
      services_.acts.act(act_, id, [self = shared_from_this(), id](Result<ActOutcome> outcome) {
        self->acted(id, outcome);
      });
    }
    if (running_ > 0 || is_finding_ || !pending_.empty()) return;
    if (exchange_->is_gone()) return;  // what is left waits for somebody who looks
    if (has_more()) {
      is_finding_ = true;
      if (started_) {
        exchange_->when_room([self = shared_from_this()] { self->find_more(); });
      } else {
        find_more();
      }
      return;
    }
    finish();
  }

  [[nodiscard]] bool has_more() const {
    return request_.filter ? !all_listed_ : !request_.ids.empty();
  }

  void find_more() {
    if (request_.filter) {
      queue::ListRequest page;
      page.filter = *request_.filter;
      page.after = listed_until_;
      page.messages_max = kMessagesAPage;
      services_.store.list(services_.loop, page,
                           [self = shared_from_this()](Result<queue::ListedPage> listed) {
                             self->on_page(std::move(listed));
                           });
      return;
    }
    const Named named = request_.ids.front();
    request_.ids.pop_front();
    if (const DeliveryId* id = std::get_if<DeliveryId>(&named)) {
      is_finding_ = false;
      pending_.push_back(*id);
      step();
      return;
    }
    services_.store.view(services_.loop, std::get<MessageId>(named),
                         [self = shared_from_this(), id = std::get<MessageId>(named)](
                             Result<queue::MessageView> view) { self->on_view(id, view); });
  }

  void on_page(const Result<queue::ListedPage>& page) {
    is_finding_ = false;
    if (!page) {
      fail(page.error());
      return;
    }
    for (const queue::MessageWithDeliveries& message : page->messages) {
      ++messages_;
      deliveries_ += message.deliveries.size();
      if (request_.is_dry_run) continue;
      for (const queue::Delivery& delivery : message.deliveries) {
        pending_.push_back({message.message->id, delivery.number});
      }
    }
    listed_until_ = page->more_after;
    all_listed_ = page->more_after.empty();
    step();
  }

  void on_view(MessageId id, const Result<queue::MessageView>& view) {
    is_finding_ = false;
    if (!view) {
      fail(view.error());
      return;
    }
    if (view->deliveries.empty()) report({id, 0}, ActOutcome::NotFound);
    for (const queue::Delivery& delivery : view->deliveries) {
      pending_.push_back({id, delivery.number});
    }
    step();
  }

  void acted(DeliveryId id, const Result<ActOutcome>& outcome) {
    --running_;
    report(id, outcome);
    step();
  }

  void report(DeliveryId id, const Result<ActOutcome>& outcome) {
    if (!outcome) {
      ++failed_;
    } else {
      ++counts_[static_cast<std::size_t>(*outcome)];
    }
    begin_lines();
    exchange_->line(format_act(id, outcome));
  }

  void begin_lines() {
    if (!std::exchange(started_, true)) exchange_->start();
  }

  void fail(const Error& error) {
    end(error.text());
    if (started_) {
      exchange_->break_off();
    } else {
      exchange_->refuse(500, error.text());
    }
  }

  [[nodiscard]] std::uint64_t count(ActOutcome outcome) const {
    return counts_[static_cast<std::size_t>(outcome)];
  }

  void finish() {
    end("");
    if (request_.is_dry_run) {
      exchange_->answer(200, Json{{"messages", messages_}, {"deliveries", deliveries_}}.dump());
      return;
    }
    begin_lines();
    exchange_->line(Json{
        {"done", count(ActOutcome::Done)},
        {"being_sent", count(ActOutcome::BeingSent)},
        {"not_found", count(ActOutcome::NotFound)},
        {"failed",
         failed_}}.dump());
    exchange_->end();
  }

  void describe(base::LogLine& line) const {
    line.field("act", act_name(act_));
    if (exchange_->peer()) {
      line.field("uid", exchange_->peer()->user).field("pid", exchange_->peer()->process);
    }
    line.field("selection", request_.selection);
  }

  void end(std::string_view error) {
    ended_ = true;
    if (request_.is_dry_run) return;
    base::LogLine line = services_.log.line(base::Level::Info, "act ended");
    describe(line);
    line.field("done", count(ActOutcome::Done))
        .field("being_sent", count(ActOutcome::BeingSent))
        .field("not_found", count(ActOutcome::NotFound))
        .field("failed", failed_);
    if (!error.empty()) line.field("error", error);
  }

  const ActServices services_;
  const std::shared_ptr<Exchange> exchange_;
  const Act act_;
  ActRequest request_;
  std::deque<DeliveryId> pending_;
  std::size_t running_ = 0;
  bool is_finding_ = false;  // a page or a message is on its way, or room for its lines
  bool started_ = false;
  bool all_listed_ = false;
  bool ended_ = false;
  std::string listed_until_;
  std::uint64_t messages_ = 0;
  std::uint64_t deliveries_ = 0;
  std::uint64_t counts_[3] = {};
  std::uint64_t failed_ = 0;
};

}  // namespace

void start_listing(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange,
                   ListQuery query) {
  std::make_shared<Listing>(loop, store, std::move(exchange), std::move(query))->next_page();
}

void start_count(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange,
                 queue::QueueFilter filter) {
  std::make_shared<Counting>(loop, store, std::move(exchange), std::move(filter))->next_page();
}

void start_summary(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange,
                   const queue::SummaryRequest& request) {
  store.summarise(loop, request,
                  [exchange = std::move(exchange),
                   by = request.by](const Result<queue::QueueSummary>& summary) {
                    if (!summary) return exchange->refuse(500, summary.error().text());
                    exchange->start();
                    std::make_shared<Summary>(exchange, format_summary(*summary, by))->write();
                  });
}

void start_acts(const ActServices& services, std::shared_ptr<Exchange> exchange, Act act) {
  Result<ActRequest> request =
      parse_act_request(exchange->request().body, services.loop.now().wall);
  if (!request) {
    exchange->refuse(400, request.error().text());
    return;
  }
  std::make_shared<ActJob>(services, std::move(exchange), act, *std::move(request))->start();
}

}  // namespace rockdove::admin
