// Carries out what a person does to deliveries (queue/steering.h), many at once, on the loop that
// is the home of their queues: takes them out, reads them as they stand, decides, writes, and gives
// them back to the directory. What has not started is taken back from its scheduler first; what is
// being sent is left alone and said to be. So nothing is ever both sent and, say, returned. What
// somebody else has at the moment (another act, a notice, a result that is being written) is asked
// for again, for some seconds.
//
// One batch is one read and a few joined changes. Whoever asks bounds how many are under way.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "mta/outbound/environment.h"
#include "mta/outbound/home.h"
#include "mta/outbound/settler.h"
#include "queue/steering.h"

namespace rockdove::outbound {

// What is wanted back from the schedulers.
struct Wanted {
  std::unordered_set<queue::QueueName> queues;
  std::unordered_set<base::DeliveryId> deliveries;

  [[nodiscard]] bool is_in(const queue::Job& job) const;
};

// What one loop has of them.
struct Surrendered {
  std::vector<queue::Job> jobs;  // that had not started, and are given away
  std::vector<base::DeliveryId> being_sent;
};

class Steering {
 public:
  using Done = base::UniqueFunction<void(queue::ActAnswer)>;

  Steering(const Environment& environment, Home& home, Settler& settler)
      : env_(environment), home_(home), settler_(settler) {}

  // Of queues whose home this is. `done` runs here, once all is durable and, for a bounce, once the
  // report is queued or the delivery waits for one that it shares.
  void act(std::shared_ptr<const queue::Order> order, std::vector<queue::Selected> targets,
           Done done);
  // Ends those whose time is over.
  void bury(queue::Overdue what, std::vector<queue::Selected> targets, Done done);

  // The home was told of these.
  void released(const std::vector<Release>& releases);

 private:
  struct Batch;
  struct Move;
  using BatchPointer = std::shared_ptr<Batch>;

  struct Later {
    BatchPointer batch;
    std::unique_ptr<base::Timer> timer;
  };

  void take_out(const BatchPointer& batch);
  void ask_back(const BatchPointer& batch);
  void given_back(const BatchPointer& batch, Surrendered found);
  void take_up(const BatchPointer& batch, std::vector<queue::Job> jobs);
  void ask_later(const BatchPointer& batch, std::vector<queue::Selected> targets);
  void read_on(const BatchPointer& batch);
  void take_rows(const BatchPointer& batch, queue::ReadDeliveries read);
  void not_read(const BatchPointer& batch, const base::Error& why);
  void carry_out(const BatchPointer& batch, std::vector<queue::ReadDelivery> rows);
  void bury_rows(const BatchPointer& batch, const std::vector<queue::ReadDelivery>& rows);
  [[nodiscard]] queue::Change burial(const queue::Message& message,
                                     const std::vector<queue::Delivery>& deliveries,
                                     queue::Overdue what, base::WallTime now);
  void move(const BatchPointer& batch, const queue::ReadDelivery& row, queue::Delivery after);
  void write_moves(const BatchPointer& batch);
  void moved(const BatchPointer& batch, const std::vector<Move>& moves);
  void fail(const BatchPointer& batch, const queue::ReadDelivery& row, queue::Delivery after);
  void commit(const BatchPointer& batch, queue::Change change,
              base::UniqueFunction<void()> durable);
  // What was claimed and is as it was.
  [[nodiscard]] queue::Attempt step_of(const queue::Order& order) const;
  void give_up(const BatchPointer& batch, const queue::ReadDelivery& row);
  void one_done(const BatchPointer& batch);
  void finish(const BatchPointer& batch);

  const Environment& env_;
  Home& home_;
  Settler& settler_;
  // Those that were handed to the report desk.
  std::unordered_map<base::DeliveryId, BatchPointer> failing_;
  // Batches that are to ask again.
  std::map<std::uint64_t, Later> later_;
  std::uint64_t next_later_ = 0;
};

}  // namespace rockdove::outbound
