// The queues whose destinations have their home on one loop: what waits on disk, and what of it is
// in memory. It decides when rows are loaded, how many, and that none is ever in memory twice.
//
// A delivery is "out" from the moment it is handed to whoever sends it until released() says what
// became of it, after that is durable. Everything that is not out is found again by its row: at or
// behind the queue's mark, and not before the queue's earliest time. Memory holds only what is due.
//
// Pure: no store, no timer. next_load() says what to load, loaded() takes what came.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "mta/base/time.h"
#include "queue/settings.h"
#include "queue/store.h"
#include "queue/types.h"

namespace rockdove::queue {

class Directory {
 public:
  static constexpr std::uint32_t kRoomMin = 16;

  explicit Directory(const QueueSettings& settings) : settings_(settings) {}

  // A message was accepted (it is durable) and could start from memory. Those of its deliveries
  // that are to be sent now are returned and are out; the others stay on disk, where they are found
  // later.
  enum class Memory : std::uint8_t { HasRoom, Full };
  [[nodiscard]] std::vector<Delivery> fresh(const QueueName& queue, MessageId message,
                                            std::vector<Delivery> deliveries, Memory memory,
                                            WallTime now);

  // The store says that this queue has rows, the first one due then. After a start and after each
  // reopening of the store. A row that is further ahead than any retry puts it was written under a
  // clock that was wrong: it counts as due now, and those behind it as far behind it as they are.
  void found(const QueueName& queue, WallTime earliest, WallTime now);

  // The next queue to load from; call until nullopt. Each request is answered by loaded() or
  // load_failed().
  [[nodiscard]] std::optional<LoadRequest> next_load(WallTime now);
  // What of it is new; it is out from now on.
  [[nodiscard]] std::vector<MessageWithDeliveries> loaded(const QueueName& queue, LoadedQueue rows);
  void load_failed(const QueueName& queue, WallTime retry_at);

  // Takes a delivery out that is on disk, to end or move it without an attempt; false: it is out.
  // For one that is not there after all, say so by released(…, nullopt).
  [[nodiscard]] bool claim(const QueueName& queue, DeliveryId delivery);

  // This delivery is no longer out: it ended (nullopt), or its row now stands at `due`.
  void released(const QueueName& queue, DeliveryId delivery, std::optional<WallTime> due);

  // How many deliveries of this queue may be out at once; kRoomMin until somebody says more.
  void set_room(const QueueName& queue, std::uint32_t deliveries);

  // Nothing of this queue is loaded before then: its destination cannot be resolved at the moment.
  void hold_back(const QueueName& queue, WallTime until);

  // When next_load() may have something though nothing happened; kNeverWall: only when something
  // does.
  [[nodiscard]] WallTime wake_at() const;

  [[nodiscard]] std::size_t out() const { return out_; }

  [[nodiscard]] std::size_t queues() const { return queues_.size(); }

  [[nodiscard]] bool is_out(const QueueName& queue, DeliveryId delivery) const;

 private:
  struct Queue;
  using Queues = std::unordered_map<QueueName, Queue>;

  struct Queue {
    WallTime earliest = base::kNeverWall;  // of the rows that are not out
    WaitingMark mark;                      // rows up to it are out, or have ended
    std::unordered_set<DeliveryId> out;
    // Released while a load is under way: its view of the rows may be from before that.
    std::unordered_set<DeliveryId> released_meanwhile;
    WallTime earliest_meanwhile = base::kNeverWall;
    bool loading = false;
    std::uint32_t room = kRoomMin;
    WallTime held_back_until{};
    base::Duration clock_ahead{0};  // of the rows on disk, see found()
    std::multimap<WallTime, const QueueName*>::iterator wake;
    bool has_wake = false;
  };

  void on_disk_from(Queue& queue, WallTime due);
  void plan(const QueueName& name, Queue& queue);
  void forget_if_empty(const QueueName& name);
  [[nodiscard]] bool has_room(const Queue& queue) const;

  const QueueSettings& settings_;
  Queues queues_;
  std::multimap<WallTime, const QueueName*> wakes_;  // names live in queues_
  std::size_t out_ = 0;
};

}  // namespace rockdove::queue
