// The answer to GET /v1/queue/why: one delivery after the other, each located before its line is
// made.
#include <algorithm>
#include <map>
#include <utility>

#include "mta/admin/forecast_text.h"
#include "mta/admin/why.h"

namespace rockdove::admin {

using base::Result;

namespace {

class WhyJob : public std::enable_shared_from_this<WhyJob> {
 public:
  WhyJob(base::Loop& loop, queue::Store& store, QueueExplainer& explainer,
         std::shared_ptr<Exchange> exchange)
      : loop_(loop), store_(store), explainer_(explainer), exchange_(std::move(exchange)) {}

  // `number` names one delivery; 0: all of them.
  void start(queue::MessageView view, std::uint32_t number) {
    view_ = std::move(view);
    std::erase_if(view_.deliveries, [number](const queue::Delivery& delivery) {
      return number != 0 && delivery.number != number;
    });
    if (view_.message == nullptr || view_.deliveries.empty()) return say_gone(number);
    settings_ = explainer_.why_settings();
    exchange_->start();
    next();
  }

 private:
  // What is kept of one message is bounded (queue/reading.h), so that this needs no room.
  void say_gone(std::uint32_t number) {
    const std::vector<std::string> lines = explain_gone(view_.history, number);
    if (lines.empty()) return exchange_->refuse(404, kNothingToExplain);
    exchange_->start();
    for (const std::string& line : lines) exchange_->line(line);
    exchange_->end();
  }

  void next() {
    if (index_ == view_.deliveries.size()) {
      exchange_->end();
      return;
    }
    exchange_->when_room([self = shared_from_this()] { self->locate(); });
  }

  void locate() {
    explainer_.locate(
        *view_.message, view_.deliveries[index_],
        [self = shared_from_this()](const Whereabouts& where) { self->located(where); });
  }

  void located(const Whereabouts& where) {
    const queue::Delivery& delivery = view_.deliveries[index_];
    if (!waits_for_room(delivery, where)) return explain(where);
    if (bounds_) return explain(with_bound(where, delivery.destination));
    // Once for all deliveries of the message.
    store_.summarise(loop_, {loop_.now().wall, queue::SummaryBy::Destination, 0},
                     [self = shared_from_this(), where](const Result<queue::QueueSummary>& found) {
                       self->summarised(found, where);
                     });
  }

  // Due, and held by nobody: others are before it on disk, and nobody counts them for it alone.
  [[nodiscard]] bool waits_for_room(const queue::Delivery& delivery,
                                    const Whereabouts& where) const {
    const base::WallTime now = loop_.now().wall;
    return where.place == Whereabouts::Place::OnDisk && where.pauses.empty() &&
           delivery.state == queue::DeliveryState::Waiting && delivery.due <= now &&
           where.asked_again <= now && where.site_paused_until <= now;
  }

  void summarised(const Result<queue::QueueSummary>& found, const Whereabouts& where) {
    if (!found) {
      bounds_ = Bounds{};
      return explain(where);
    }
    std::vector<Waiting> waiting = waiting_of(*found);
    bounds_ = Bounds{};
    for (Waiting& one : waiting) {
      bounds_->deliveries[one.destination] = one.deliveries;
      one.latest_due = {};  // what is due later does not stand before it
    }
    explainer_.forecast(std::move(waiting), [self = shared_from_this(), where](Forecast forecast) {
      self->bounds_->forecast = std::move(forecast);
      self->explain(self->with_bound(where, self->view_.deliveries[self->index_].destination));
    });
  }

  // All that waits for its account may go before it. Where a larger part of that is not known, this
  // is not.
  [[nodiscard]] Whereabouts with_bound(Whereabouts where, const std::string& destination) const {
    const Forecast& forecast = bounds_->forecast;
    const auto account = forecast.account_of.find(destination);
    if (account == forecast.account_of.end()) return where;
    const auto known = forecast.accounts.find(account->second);
    if (known == forecast.accounts.end()) return where;
    std::uint64_t all = 0;
    for (const auto& [name, of] : forecast.account_of) {
      const auto found = bounds_->deliveries.find(name);
      if (of == account->second && found != bounds_->deliveries.end()) all += found->second;
    }
    if (known->second.not_known * 2 > all) return where;
    where.account = account->second;
    where.goes = {known->second.done, all};
    return where;
  }

  void explain(const Whereabouts& where) {
    const queue::Delivery& delivery = view_.deliveries[index_];
    exchange_->line(format_why(
        *view_.message, delivery,
        explain_why(*view_.message, delivery, view_.history, where, settings_, loop_.now().wall)));
    ++index_;
    next();
  }

  struct Bounds {
    std::map<std::string, std::uint64_t> deliveries;  // that wait, by destination
    Forecast forecast;
  };

  base::Loop& loop_;
  queue::Store& store_;
  QueueExplainer& explainer_;
  const std::shared_ptr<Exchange> exchange_;
  queue::MessageView view_;
  std::optional<WhySettings> settings_;
  std::size_t index_ = 0;
  std::optional<Bounds> bounds_;  // of everything that waits, once they were asked for
};

}  // namespace

void start_why(base::Loop& loop, queue::Store& store, QueueExplainer& explainer,
               std::shared_ptr<Exchange> exchange) {
  const std::string* text = exchange->target().find("id");
  std::optional<base::DeliveryId> id;
  if (text != nullptr) {
    id = base::parse_delivery_id(*text);
    const std::optional<base::MessageId> message = base::parse_message_id(*text);
    if (message) id = base::DeliveryId{*message, 0};
  }
  if (!id) {
    exchange->refuse(400, "id= must be the id of a message or delivery, like 3ZzBCDFGHJKL-1");
    return;
  }
  store.view(loop, id->message,
             [job = std::make_shared<WhyJob>(loop, store, explainer, exchange), exchange,
              number = id->number](Result<queue::MessageView> view) {
               if (!view) {
                 exchange->refuse(500, view.error().text());
               } else {
                 job->start(*std::move(view), number);
               }
             });
}

}  // namespace rockdove::admin
