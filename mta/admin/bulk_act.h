// An act on many deliveries: finds those that are meant, page by page, and has the act carried out
// on a bounded number of them at once, fewer and at a steady pace while the relay has mail to move.
// Keeps nothing of what it has done but counts. Belongs to the control socket's loop.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mta/admin/acts.h"
#include "mta/base/loop.h"
#include "queue/filter.h"
#include "queue/store.h"

namespace rockdove::admin {

class BulkAct : public std::enable_shared_from_this<BulkAct> {
 public:
  // At once; a bounce reads its message and writes another.
  static constexpr std::size_t kAtOnce = 4'000;
  static constexpr std::size_t kAtOnceBusy = 250;
  static constexpr std::size_t kBouncesAtOnce = 64;
  static constexpr std::uint32_t kPage = 1'000;
  // While the relay is busy, so many deliveries a second.
  static constexpr std::uint32_t kPaceBusy = 12'000;

  struct Services {
    base::Loop& loop;
    queue::Store& store;
    QueueActs& acts;
  };

  // Told of each batch, and of the end: `error` says why it did not come to an end.
  using Report = std::function<void(const queue::ActAnswer&)>;
  using Ended = base::UniqueFunction<void(const std::optional<base::Error>& error)>;

  // A filter without a state means the states in which the act has a meaning. Keep the pointer as
  // long as it may run; it keeps itself only for what it waits for.
  BulkAct(const Services& services, queue::Order order, Report report, Ended ended);

  void start(const queue::QueueFilter& filter);
  // A delivery with number 0 means all those of its message.
  void start(std::vector<base::DeliveryId> ids);

  // Nothing more is begun. What is under way ends, unreported; `ended` is not called.
  void stop() { stopped_ = true; }

 private:
  void step();

  [[nodiscard]] bool has_more() const { return !filters_.empty() || next_id_ < ids_.size(); }

  void find_more();
  void found(queue::SelectedPage page);
  void read(const queue::ReadDeliveries& rows);
  void act(std::vector<queue::Selected> targets);
  void fail(const base::Error& error);

  [[nodiscard]] bool is_busy() const { return services_.acts.is_busy(); }

  [[nodiscard]] std::size_t at_once() const;

  const Services services_;
  const std::shared_ptr<const queue::Order> order_;
  const Report report_;
  Ended ended_;
  std::deque<queue::QueueFilter> filters_;  // the first one is being looked through
  std::string after_;
  std::vector<base::DeliveryId> ids_;
  std::size_t next_id_ = 0;
  std::unique_ptr<base::Timer> timer_;
  base::Instant next_at_{};  // not before, while busy
  std::size_t running_ = 0;  // deliveries
  bool is_finding_ = false;
  bool is_over_ = false;
  bool stopped_ = false;
};

}  // namespace rockdove::admin
