// The answer to GET /v1/queue/why: one delivery after the other, each located before its line is
// made.
#include <algorithm>
#include <utility>

#include "mta/admin/why.h"

namespace rockdove::admin {

using base::Result;

namespace {

class WhyJob : public std::enable_shared_from_this<WhyJob> {
 public:
  WhyJob(base::Loop& loop, QueueExplainer& explainer, std::shared_ptr<Exchange> exchange)
      : loop_(loop), explainer_(explainer), exchange_(std::move(exchange)) {}

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
    exchange_->line(format_why(
        *view_.message, delivery,
        explain_why(*view_.message, delivery, view_.history, where, settings_, loop_.now().wall)));
    ++index_;
    next();
  }

  base::Loop& loop_;
  QueueExplainer& explainer_;
  const std::shared_ptr<Exchange> exchange_;
  queue::MessageView view_;
  std::optional<WhySettings> settings_;
  std::size_t index_ = 0;
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
             [job = std::make_shared<WhyJob>(loop, explainer, exchange), exchange,
              number = id->number](Result<queue::MessageView> view) {
               if (!view) {
                 exchange->refuse(500, view.error().text());
               } else {
                 job->start(*std::move(view), number);
               }
             });
}

}  // namespace rockdove::admin
