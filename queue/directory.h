// The queues whose destinations have their home on one loop: what waits on disk, and what of it is
// in memory. It decides when rows are loaded, how many, and that none is ever in memory twice.
//
// A delivery is "out" from the moment it is handed to whoever sends it until released() says what
// became of it, after that is durable. Everything that is not out is found again by its row: at or
// behind the queue's mark, and not before the queue's earliest time. Memory holds only what is due.
//
// A queue whose out deliveries fill its room waits on disk; when memory as a whole fills up, the
// room of each shrinks, so that no number of dead destinations keeps a living one out. Rows that
// stand further ahead than any wait puts them (the clock was wrong when they were written) are
// looked for after a start and when the clock was set back, and count as due; but for those that
// their sender has scheduled.
//
// Pure: no store, no timer. next_load() says what to load, loaded() takes what came.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "mta/base/time.h"
#include "queue/settings.h"
#include "queue/store.h"
#include "queue/types.h"

namespace rockdove::queue {

class Directory {
 public:
  static constexpr std::uint32_t kRoomMin = 16;
  static constexpr std::size_t kLoadsMax = 64;  // under way at once
  // News of an acceptance comes from another loop, and a load may be faster. What a load brought so
  // soon after its acceptance is remembered so long, because its news must not start it again.
  static constexpr base::Duration kNewsLate = std::chrono::seconds(10);
  // When rows on disk have been due so long, what is fresh leaves them half of the room.
  static constexpr base::Duration kOverdue = std::chrono::seconds(10);

  // Whether a person has paused the queue; asked when its turn to load comes.
  using IsPaused = std::function<bool(const QueueName&)>;

  explicit Directory(const QueueSettings& settings, IsPaused is_paused = {})
      : settings_(settings), is_paused_(std::move(is_paused)) {}

  // A message was accepted (it is durable) and could start from memory. Those of its deliveries
  // that are to be sent now are returned and are out; the others stay on disk, where they are found
  // later.
  enum class Memory : std::uint8_t { HasRoom, Full };
  [[nodiscard]] std::vector<Delivery> fresh(const QueueName& queue, MessageId message,
                                            std::vector<Delivery> deliveries, Memory memory,
                                            WallTime now);

  // The store says that this queue has rows, the first one due then. After a start, after each
  // reopening of the store, and when somebody else wrote a row.
  void found(const QueueName& queue, WallTime earliest, WallTime now);

  // The next queue to load from, the one that has been due longest; call until nullopt. Each
  // request is answered by loaded() or load_failed(). At most kLoadsMax are under way.
  [[nodiscard]] std::optional<LoadRequest> next_load(WallTime now);
  // What of it is new; it is out from now on.
  [[nodiscard]] std::vector<MessageWithDeliveries> loaded(const QueueName& queue, LoadedQueue rows);
  void load_failed(const QueueName& queue, WallTime retry_at);

  // Takes a delivery out that is on disk, to end or move it without an attempt; false: it is out.
  // For one that is not there after all, say so by released(…, nullopt).
  [[nodiscard]] bool claim(const QueueName& queue, DeliveryId delivery);
  // As what was claimed was read: one that is fresh may be known here before the news of it.
  void claimed_as(DeliveryId id, const Delivery& delivery);

  // Changes with each release: rows of this queue that were read between two equal answers are as
  // they were read, as far as they are not out.
  [[nodiscard]] std::uint64_t last_release(const QueueName& queue) const;

  // This delivery is no longer out: it ended (nullopt), or its row now stands at `due`.
  void released(const QueueName& queue, DeliveryId delivery, std::optional<WallTime> due);

  // How many deliveries of this queue may be out at once; kRoomMin until somebody says more. Also
  // for a queue that has nothing at the moment: it is remembered.
  void set_room(const QueueName& queue, std::uint32_t deliveries);

  // Nothing of this queue is loaded before then: its destination cannot be resolved at the moment.
  void hold_back(const QueueName& queue, WallTime until);

  // Nothing of this queue is loaded before pauses_changed(). What is out of it is not its business.
  void pause(const QueueName& queue);
  // All paused queues are asked about anew.
  void pauses_changed();

  // When next_load() may have something though nothing happened; kNeverWall: only when something
  // does.
  [[nodiscard]] WallTime wake_at() const;

  [[nodiscard]] std::size_t out() const { return out_; }

  // Nothing is out, and nothing is being loaded.
  [[nodiscard]] bool is_idle() const { return out_ == 0 && loads_ == 0; }

  [[nodiscard]] std::size_t queues() const { return queues_.size(); }

  [[nodiscard]] bool is_out(const QueueName& queue, DeliveryId delivery) const;

  // How a queue stands at the moment, for people.
  struct Standing {
    std::size_t out = 0;
    std::uint32_t room = kRoomMin;         // for those that are out
    WallTime earliest = base::kNeverWall;  // of its rows that are not out; none: never
    WallTime held_back_until{};
    bool is_loading = false;
  };

  [[nodiscard]] Standing standing(const QueueName& queue) const;

 private:
  struct Queue;
  using Queues = std::unordered_map<QueueName, Queue>;
  enum class Load : std::uint8_t { None, Due, Strays };

  struct Queue {
    WallTime earliest = base::kNeverWall;  // of the rows that are not out
    WaitingMark mark;                      // rows up to it are out, have ended, or are strays
    std::unordered_set<DeliveryId> out;
    // Released while a load is under way: its view of the rows may be from before that.
    std::unordered_set<DeliveryId> released_meanwhile;
    WallTime earliest_meanwhile = base::kNeverWall;
    Load load = Load::None;
    Load last_load = Load::None;
    std::uint32_t room = kRoomMin;
    WallTime held_back_until{};
    // Rows behind this moment are strays; looked for from strays_at on.
    WallTime strays_at = base::kNeverWall;
    WallTime stray_bound{};
    WaitingMark stray_mark;
    // Of the scheduled ones that the look for strays has passed so far.
    WallTime earliest_scheduled = base::kNeverWall;
    bool strays_meanwhile = false;  // there may be new ones since the load under way began
    std::multimap<WallTime, const QueueName*>::iterator wake;
    bool has_wake = false;
    bool is_paused = false;
    std::uint64_t last_release = 0;  // counted over all queues
  };

  Queue& queue_of_name(const QueueName& name);
  void on_disk_from(Queue& queue, WallTime due);
  void plan(const QueueName& name, Queue& queue);
  void forget_if_empty(Queues::iterator found);
  void take_out(Queue& queue, DeliveryId delivery);
  void look_at_clock(WallTime now);
  [[nodiscard]] bool is_stray(WallTime due, WallTime now) const;
  [[nodiscard]] bool is_stray(const Delivery& delivery, WallTime now) const;
  void look_for_strays(Queue& queue, WallTime now);
  void remember_early(DeliveryId delivery);
  [[nodiscard]] std::uint32_t room_now(const Queue& queue) const;
  [[nodiscard]] base::Duration longest_wait() const;
  [[nodiscard]] LoadRequest start_load(const QueueName& name, Queue& queue, Load load,
                                       WallTime now);

  const QueueSettings& settings_;
  const IsPaused is_paused_;
  Queues queues_;
  std::unordered_map<QueueName, std::uint32_t> rooms_;  // of queues that have nothing at the moment
  std::multimap<WallTime, const QueueName*> wakes_;     // names live in queues_
  std::uint64_t releases_ = 0;
  std::size_t out_ = 0;
  std::size_t loads_ = 0;
  WallTime clock_{};  // as last told
  std::unordered_set<DeliveryId> early_;
  std::deque<std::pair<WallTime, DeliveryId>> early_until_;
};

}  // namespace rockdove::queue
