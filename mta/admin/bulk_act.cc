#include "mta/admin/bulk_act.h"

#include <algorithm>
#include <utility>

namespace rockdove::admin {
namespace {

std::shared_ptr<const queue::Order> given_at(queue::Order order, base::WallTime now) {
  order.given = now;
  return std::make_shared<const queue::Order>(std::move(order));
}

}  // namespace

BulkAct::BulkAct(const Services& services, queue::Order order, Report report, Ended ended)
    : services_(services),
      order_(given_at(std::move(order), services.loop.now().wall)),
      report_(std::move(report)),
      ended_(std::move(ended)) {}

void BulkAct::start(const queue::QueueFilter& filter) {
  for (const queue::DeliveryState state : queue::states_of(order_->act)) {
    if (filter.state && *filter.state != state) continue;
    filters_.push_back(filter);
    filters_.back().state = state;
  }
  step();
}

void BulkAct::start(std::vector<base::DeliveryId> ids) {
  ids_ = std::move(ids);
  std::sort(ids_.begin(), ids_.end());
  ids_.erase(std::unique(ids_.begin(), ids_.end()), ids_.end());
  step();
}

std::size_t BulkAct::at_once() const {
  if (order_->act == Act::Bounce) return kBouncesAtOnce;
  return is_busy() ? kAtOnceBusy : kAtOnce;
}

void BulkAct::step() {
  if (stopped_ || is_over_ || is_finding_) return;
  if (!has_more()) {
    if (running_ > 0) return;
    is_over_ = true;
    // Behind whatever called us, which may be start().
    services_.loop.post([self = shared_from_this()] {
      if (!self->stopped_) self->ended_(std::nullopt);
    });
    return;
  }
  if (running_ > 0 && running_ >= at_once()) return;
  if (is_busy() && services_.loop.now().instant < next_at_) {
    if (timer_ == nullptr) {
      timer_ = services_.loop.make_timer([weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->step();
      });
    }
    timer_->set(next_at_);
    return;
  }
  is_finding_ = true;
  find_more();
}

void BulkAct::find_more() {
  const auto most = static_cast<std::uint32_t>(std::min<std::size_t>(kPage, at_once()));
  if (next_id_ < ids_.size()) {
    queue::ReadRequest request;
    request.with = queue::ReadRequest::With::Messages;
    const std::size_t end = std::min<std::size_t>(ids_.size(), next_id_ + most);
    request.ids.assign(ids_.begin() + static_cast<std::ptrdiff_t>(next_id_),
                       ids_.begin() + static_cast<std::ptrdiff_t>(end));
    services_.store.read_deliveries(
        services_.loop, std::move(request),
        [self = shared_from_this()](base::Result<queue::ReadDeliveries> rows) {
          if (!rows) return self->fail(rows.error());
          self->read(*rows);
        });
    return;
  }
  queue::SelectRequest request;
  request.filter = filters_.front();
  request.after = after_;
  request.deliveries_max = most;
  services_.store.select(services_.loop, std::move(request),
                         [self = shared_from_this()](base::Result<queue::SelectedPage> page) {
                           if (!page) return self->fail(page.error());
                           self->found(*std::move(page));
                         });
}

void BulkAct::found(queue::SelectedPage page) {
  after_ = std::move(page.more_after);
  if (after_.empty()) filters_.pop_front();
  act(std::move(page.deliveries));
}

void BulkAct::read(const queue::ReadDeliveries& rows) {
  queue::ActAnswer missing;
  std::vector<queue::Selected> targets;
  auto row = rows.rows.begin();
  for (std::size_t i = 0; i < rows.looked_at; ++i) {
    const base::DeliveryId id = ids_[next_id_++];
    bool is_there = false;
    for (; row != rows.rows.end() && row->id.message == id.message &&
           (id.number == 0 || row->id.number == id.number);
         ++row) {
      is_there = true;
      targets.push_back({row->id, row->delivery.state, queue::queue_of(row->delivery),
                         row->delivery.due, queue::note_of(*row->message, row->delivery)});
    }
    if (!is_there) {
      ++missing.counts[static_cast<std::size_t>(ActOutcome::NotFound)];
      missing.others.emplace_back(id, ActOutcome::NotFound);
    }
  }
  if (!missing.others.empty() && !stopped_) report_(missing);
  act(std::move(targets));
}

void BulkAct::act(std::vector<queue::Selected> targets) {
  is_finding_ = false;
  if (stopped_) return;
  const std::size_t count = targets.size();
  const std::chrono::milliseconds pace(count * 1000 / kPaceBusy);
  next_at_ = std::max(next_at_, services_.loop.now().instant) + pace;
  if (count > 0) {
    running_ += count;
    services_.acts.act(order_, std::move(targets),
                       [self = shared_from_this(), count](const queue::ActAnswer& answer) {
                         self->running_ -= count;
                         if (self->stopped_) return;
                         self->report_(answer);
                         self->step();
                       });
  }
  step();
}

void BulkAct::fail(const base::Error& error) {
  is_finding_ = false;
  if (std::exchange(is_over_, true) || stopped_) return;
  ended_(error);
}

}  // namespace rockdove::admin
