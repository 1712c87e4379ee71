#include "mta/admin/queue_jobs.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "mta/admin/control_server.h"
#include "mta/admin/forecast_text.h"
#include "mta/admin/queue_text.h"
#include "mta/base/spelling.h"
#include "mta/base/text.h"
#include "queue/account_name.h"

namespace rockdove::admin {

using Json = nlohmann::ordered_json;
using base::DeliveryId;
using base::Error;
using base::MessageId;
using base::Result;

namespace {

constexpr std::uint32_t kMessagesAPage = 100;
constexpr std::size_t kSummaryLinesAStep = 500;

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
    if (!page) return exchange_->fail(page.error().text());
    if (!exchange_->is_started()) exchange_->start();
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

// Lines by destination, which only the relay can join to providers.
void start_provider_summary(base::Loop& loop, queue::Store& store, QueueExplainer& explainer,
                            std::shared_ptr<Exchange> exchange,
                            const queue::SummaryRequest& request) {
  queue::SummaryRequest all = request;
  all.lines_max = 0;
  store.summarise(
      loop, all,
      [&explainer, exchange = std::move(exchange),
       lines_max = request.lines_max](Result<queue::QueueSummary> summary) {
        if (!summary) return exchange->refuse(500, summary.error().text());
        std::vector<Waiting> waiting = waiting_of(*summary);
        explainer.forecast(std::move(waiting), [exchange, lines_max,
                                                destinations =
                                                    *std::move(summary)](const Forecast& forecast) {
          exchange->start();
          std::make_shared<Summary>(exchange, format_providers(destinations, forecast, lines_max))
              ->write();
        });
      });
}

std::shared_ptr<const std::unordered_set<std::string>> destinations_at(const std::string& provider,
                                                                       const Forecast& forecast) {
  auto there = std::make_shared<std::unordered_set<std::string>>();
  for (const auto& [destination, account] : forecast.account_of) {
    if (base::matches_pattern(provider, queue::provider_of_account(account)))
      there->insert(destination);
  }
  return there;
}

}  // namespace

Result<void> check_provider(const std::string& pattern, const QueueExplainer& explainer) {
  if (pattern.find('*') != std::string::npos) return {};
  const std::vector<std::string> known = explainer.why_settings().providers;
  const bool is_known = std::any_of(known.begin(), known.end(), [&](const std::string& name) {
    return base::equals_ignoring_case(name, pattern);
  });
  if (is_known) return {};
  const std::string name = base::lower_case(pattern);
  return base::Error("the traffic profiles have no provider " + base::printable(pattern, 40) +
                     base::did_you_mean(name, {known.begin(), known.end()}));
}

void with_provider(base::Loop& loop, queue::Store& store, QueueExplainer* explainer,
                   std::shared_ptr<Exchange> exchange, queue::QueueFilter filter,
                   std::function<void(queue::QueueFilter)> then) {
  if (filter.provider.empty() || explainer == nullptr) return then(std::move(filter));
  const Result<void> is_known = check_provider(filter.provider, *explainer);
  if (!is_known) return exchange->refuse(400, is_known.error().text());
  queue::SummaryRequest all;
  all.now = loop.now().wall;
  store.summarise(loop, all,
                  [explainer, exchange = std::move(exchange), filter = std::move(filter),
                   then = std::move(then)](Result<queue::QueueSummary> summary) mutable {
                    if (!summary) return exchange->refuse(500, summary.error().text());
                    std::vector<Waiting> waiting = waiting_of(*summary);
                    for (Waiting& one : waiting) one.deliveries = 0;
                    explainer->forecast(std::move(waiting),
                                        [exchange, filter = std::move(filter),
                                         then = std::move(then)](const Forecast& forecast) mutable {
                                          filter.at_provider =
                                              destinations_at(filter.provider, forecast);
                                          if (!exchange->is_gone()) then(std::move(filter));
                                        });
                  });
}

void start_listing(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange,
                   ListQuery query) {
  std::make_shared<Listing>(loop, store, std::move(exchange), std::move(query))->next_page();
}

void start_count(base::Loop& loop, queue::Store& store, std::shared_ptr<Exchange> exchange,
                 queue::QueueFilter filter) {
  std::make_shared<Counting>(loop, store, std::move(exchange), std::move(filter))->next_page();
}

void start_summary(base::Loop& loop, queue::Store& store, QueueExplainer* explainer,
                   std::shared_ptr<Exchange> exchange, const queue::SummaryRequest& request) {
  if (request.by == queue::SummaryBy::Provider) {
    if (explainer == nullptr) return exchange->refuse(400, std::string(kProviderNeedsRelay));
    return start_provider_summary(loop, store, *explainer, std::move(exchange), request);
  }
  store.summarise(loop, request,
                  [exchange = std::move(exchange),
                   by = request.by](const Result<queue::QueueSummary>& summary) {
                    if (!summary) return exchange->refuse(500, summary.error().text());
                    exchange->start();
                    std::make_shared<Summary>(exchange, format_summary(*summary, by))->write();
                  });
}

}  // namespace rockdove::admin
