// The durable queue as the loops see it. Nothing here waits: a call hands work over and its `done`
// runs later on the loop that is named, in a batch with others. The real one is
// queue::ThreadedStore (one committer thread, two reader threads) over RocksDB; tests/sim has one
// on a virtual clock over rows in memory. Both pass tests/unit/queue/store_contract.cc.
//
// May be called from any loop's thread. A `done` is destroyed unrun if its loop ends first.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mta/base/loop.h"
#include "mta/base/result.h"
#include "queue/change.h"
#include "queue/filter.h"
#include "queue/types.h"

namespace rockdove::queue {

// May new mail be accepted, and if not, why. Cheap to ask, for each MAIL command.
enum class Readiness : std::uint8_t {
  Ready,
  Busy,      // the inbox holds over 64 MiB or its oldest change has waited 5 s, or RocksDB stalls
  DiskFull,  // less than `min_free_disk` is free
  Failed,    // a write failed; the instance is being replaced. No delivery may start either.
};

// Where a load goes on: behind this row of the queue. The zero value is the front.
struct WaitingMark {
  WallTime due{};
  DeliveryId delivery{};

  auto operator<=>(const WaitingMark&) const = default;
};

struct LoadRequest {
  QueueName queue;
  WaitingMark from;    // only rows behind it; Seek, never from the front
  WallTime due_until;  // only rows due by then
  std::uint32_t deliveries_max = 16;
  std::size_t octets_max = 4 * 1024 * 1024;  // of bodies read along; then bodies are left out
  // Header blocks, which are always read along: once so many octets of them have come, the load
  // ends.
  std::size_t header_octets_max = 1024 * 1024;
  // Only deliveries of messages accepted before then (their ids say when); the others are skipped.
  std::optional<WallTime> accepted_before;
};

struct LoadedQueue {
  std::vector<MessageWithDeliveries>
      messages;         // in the order of their rows; adjacent rows of one message joined
  WaitingMark reached;  // the last row looked at
  std::optional<WallTime>
      next_due;       // of the first row behind `reached`, due or not; none: there is none
  bool more = false;  // the limits ended this load: the first row behind `reached` is due
};

// One queue with rows that wait, at a start.
struct FoundQueue {
  QueueName name;
  WallTime earliest;
};

struct ListRequest {
  QueueFilter filter;
  std::string after;  // go on behind this place, a page's `more_after`; "": from the start
  std::uint32_t messages_max = 100;
  std::uint32_t scanned_max = 10'000;  // messages looked at in one call; bounds a call's time
};

// Messages in the order of their ids, or, where the filter names a destination, of their rows
// there. Each page looks anew, so that nothing is kept from being collected meanwhile: what moves
// between two pages may be missed, or come twice, where the filter names a destination.
struct ListedPage {
  std::vector<MessageWithDeliveries> messages;  // without header blocks and bodies
  std::string more_after;                       // call again with this; "": that was all
};

struct SelectRequest {
  QueueFilter filter;
  std::string after;  // as in ListRequest
  std::uint32_t deliveries_max = 1'000;
  std::uint32_t scanned_max = 50'000;  // rows looked at in one call
};

// A delivery that a filter means, as its row in `waiting` tells it.
struct Selected {
  DeliveryId id;
  DeliveryState state = DeliveryState::Waiting;
  QueueName queue;
  WallTime due;
  WaitingNote note;  // without octets: an older version wrote the row
};

// In the order of the rows: state, destination, tenant, priority, due time.
struct SelectedPage {
  std::vector<Selected> deliveries;
  std::string more_after;  // call again with this; "": that was all
};

struct ReadRequest {
  std::vector<DeliveryId> ids;  // in ascending order; number 0: all deliveries of that message
  enum class With : std::uint8_t { Deliveries, Messages };
  With with = With::Deliveries;
  // Once so many octets of rows have come, header blocks included, the read ends.
  std::size_t octets_max = 4 * 1024 * 1024;
};

struct ReadDelivery {
  DeliveryId id;
  Delivery delivery;
  MessagePointer message;  // null with With::Deliveries; without its body
};

// As they stood at one moment; those that are not there are left out.
struct ReadDeliveries {
  std::vector<ReadDelivery> rows;
  std::size_t looked_at = 0;  // of the ids that were asked for: the first so many
};

// Deliveries whose time here is over, so that they go for good.
enum class Overdue : std::uint8_t {
  Deleted,      // by a person, and its undo time
  Quarantined,  // queue/quarantine.h
};

struct OverdueRequest {
  Overdue what = Overdue::Deleted;
  WallTime due_until;  // those that go for good by then
  std::string after;   // as in SelectRequest
  std::uint32_t deliveries_max = 500;
};

struct OverduePage {
  std::vector<Selected> deliveries;  // without notes
  std::string more_after;            // call again with this; "": that was all
  // Of those that are not due yet, as far as this page has looked.
  WallTime next_due = base::kNeverWall;
};

// What the lines of a summary are about.
// Provider: lines by destination, which only a running relay can join (admin/forecast.h).
enum class SummaryBy : std::uint8_t {
  Destination,
  Sender,
  User,
  Reason,
  Tenant,
  Campaign,
  Provider,
};

struct SummaryRequest {
  WallTime now;  // for the ages
  SummaryBy by = SummaryBy::Destination;
  std::uint32_t lines_max = 0;  // those with the most deliveries; 0: all
};

// Upper bounds of the age buckets in minutes, as qshape has them; the last bucket is what is older.
inline constexpr std::array<std::uint32_t, 9> kAgeBucketMinutes{5,   10,  20,  40,  80,
                                                                160, 320, 640, 1280};

struct QueueSummary {
  struct Line {
    DeliveryState state = DeliveryState::Waiting;
    std::string name;  // the destination, sender, user or reason
    std::uint64_t deliveries = 0;
    std::uint64_t octets = 0;  // of their messages
    WallTime earliest_due;
    WallTime latest_due;
    WallTime oldest;  // acceptance of the oldest message
    // By the time since acceptance, at the time of asking.
    std::array<std::uint64_t, kAgeBucketMinutes.size() + 1> by_age{};
  };

  // By state and name, or, with a lines_max, the most deliveries first.
  std::vector<Line> lines;
  std::uint64_t lines_left_out = 0;
  std::uint64_t deliveries = 0;  // in all lines, those left out included
};

struct HistoryStep {
  DeliveryId delivery;
  std::uint32_t step = 0;
  WallTime at;
  std::string what;  // "deferred", "delivered", "bounced", …
  std::string host;
  std::string reply;
  std::string sender;         // of a closing step
  std::string recipient;      // likewise
  std::string tls{};          // of the connection to the next hop; "" in clear or without one
  std::string rule{};         // as in LastAttempt
  std::string source{};       // likewise
  std::string client_user{};  // of a closing step: who handed it in, as in Client
  std::string client_tls{};   // likewise
  base::Duration took{0};
  std::uint32_t attempts = 0;  // that had reached a verdict by then
  MessageId report{};          // the message that tells the sender of it; 0: none
  // The rest is of closing steps only.
  std::optional<Outcome> outcome{};  // none: the delivery went on
  MessageKind kind = MessageKind::Ordinary;
  MessageId about{};  // as in Message
  base::IpAddress client_address{};
  std::string client_helo{};
  std::string client_listener{};
  WallTime accepted{};
  std::uint64_t octets = 0;  // of the message
  std::string message_id_field{};
  std::string status{};  // "5.1.1"; of what failed for good
  std::string original_recipient{};
  std::string alias{};
  std::string tenant{};
  std::string campaign{};
  std::uint8_t priority = 0;  // as in Delivery
};

struct MessageView {
  MessagePointer message;  // null: gone from the queue, only history is left
  std::vector<Delivery> deliveries;
  std::vector<HistoryStep> history;
};

struct NotedRow {
  std::string name;
  std::string value;
};

// In queue/history.h and queue/trace.h.
struct TracedMessage;
struct WalkRequest;
struct TraceRequest;
struct TracedPage;

template <typename T>
using Done = base::UniqueFunction<void(base::Result<T>)>;

class Store {
 public:
  virtual ~Store() = default;

  [[nodiscard]] virtual Readiness readiness() const = 0;

  // Applies `change` whole or not at all. An Acceptance answers with success only once it would
  // survive a power cut, and only then may anyone say 250; an error means its outcome is unknown,
  // so that it may still be found in the queue later. A Result answers once, when durable. Changes
  // of one message keep their order.
  virtual void commit(base::Loop& loop, Change change, Done<void> done) = 0;

  // A piece of a large body on its way in, unsynced; the Acceptance that follows syncs it. Chunks
  // of a message that is never accepted are dropped by drop_chunks() or by the next start. `done`
  // is the back-pressure: hand over at most two pieces ahead of it.
  virtual void write_chunk(base::Loop& loop, MessageId id, std::uint32_t index,
                           std::shared_ptr<const std::string> octets, Done<void> done) = 0;
  virtual void drop_chunks(MessageId id, std::uint32_t chunks) = 0;

  virtual void read_chunk(base::Loop& loop, MessageId id, std::uint32_t index,
                          Done<std::shared_ptr<const std::string>> done) = 0;
  virtual void load(base::Loop& loop, LoadRequest request, Done<LoadedQueue> done) = 0;
  // All waiting queues with index hash(destination) % loops == loop.index(); skips from queue to
  // queue and reads nothing else.
  virtual void find_queues(base::Loop& loop, unsigned loops,
                           Done<std::vector<FoundQueue>> done) = 0;
  virtual void list(base::Loop& loop, ListRequest request, Done<ListedPage> done) = 0;
  virtual void select(base::Loop& loop, SelectRequest request, Done<SelectedPage> done) = 0;
  virtual void summarise(base::Loop& loop, SummaryRequest request, Done<QueueSummary> done) = 0;
  // Many deliveries as they stand at one moment.
  virtual void read_deliveries(base::Loop& loop, ReadRequest request,
                               Done<ReadDeliveries> done) = 0;
  // What goes for good, of destinations whose home_loop() is `loop`.
  virtual void find_overdue(base::Loop& loop, unsigned loops, OverdueRequest request,
                            Done<OverduePage> done) = 0;
  // With all deliveries and up to 1,000 steps of history.
  virtual void view(base::Loop& loop, MessageId id, Done<MessageView> done) = 0;
  virtual void read_report_state(base::Loop& loop, MessageId id, Done<ReportState> done) = 0;
  virtual void read_notes(base::Loop& loop, std::string kind, Done<std::vector<NotedRow>> done) = 0;
  // What came of messages, by id or by what the index knows.
  virtual void trace(base::Loop& loop, TraceRequest request, Done<TracedPage> done) = 0;
  // Goes over the messages of some time; `visit` runs on a thread of the store's, before `done`.
  // Answers with where to go on; none: that was all.
  virtual void walk_history(base::Loop& loop, WalkRequest request,
                            std::function<void(const TracedMessage&)> visit,
                            Done<std::optional<MessageId>> done) = 0;
};

// The loop that keeps the directory of a destination and resolves it.
[[nodiscard]] unsigned home_loop(std::string_view destination, unsigned loops);

}  // namespace rockdove::queue
