#include "mta/outbound/steering.h"

#include <algorithm>

#include "mta/base/assert.h"
#include "mta/base/counters.h"
#include "mta/outbound/dispatcher.h"
#include "queue/quarantine.h"

namespace rockdove::outbound {
namespace {

using queue::ActOutcome;

// Deliveries in one joined change: acceptances that share the sync wait for little.
constexpr std::size_t kJoinedMax = 64;
// Before what somebody else has is asked for again; doubles each time. In all it is longer than a
// notice gathers.
constexpr base::Duration kAskAgain = std::chrono::milliseconds(20);
constexpr base::Duration kAskAgainMost = std::chrono::seconds(5);

}  // namespace

bool Wanted::is_in(const queue::Job& job) const {
  return std::any_of(job.deliveries.begin(), job.deliveries.end(), [&](const auto& delivery) {
    return deliveries.contains({job.message->id, delivery.number});
  });
}

namespace {

bool is_overdue(queue::Overdue what, const queue::Delivery& delivery, base::WallTime now) {
  switch (what) {
    case queue::Overdue::Deleted:
      return delivery.state == queue::DeliveryState::Deleted && delivery.due <= now;
    case queue::Overdue::Quarantined:
      return queue::is_quarantined(delivery) && delivery.expires <= now;
  }
  MTA_ASSERT(false);
}

}  // namespace

// A delivery that is being written as `after`.
struct Steering::Move {
  base::DeliveryId id;
  queue::QueueName from;
  queue::Delivery after;
};

// One asking, on its way. It ends when nothing is left to read and nothing is under way.
struct Steering::Batch {
  enum class Purpose : std::uint8_t { Act, Burial };

  Purpose purpose = Purpose::Act;
  queue::Overdue overdue = queue::Overdue::Deleted;  // of a burial
  std::shared_ptr<const queue::Order> order;
  std::vector<queue::Selected> targets;             // by id, once they are ours
  std::vector<queue::Selected> out;                 // that somebody else has
  std::vector<std::size_t> back;                    // of `out`: given back to us
  std::unordered_set<base::DeliveryId> being_sent;  // of `out`
  unsigned loops_asked = 0;
  base::Duration ask_again = kAskAgain;  // wait, before what nobody sends is asked for again
  std::size_t read = 0;                  // of the targets
  std::size_t under_way =
      1;  // changes, failures and batches that ask again; one more while we read
  bool needs_messages = false;
  std::optional<queue::Change> change;  // being joined
  std::vector<Move> moves;              // that it makes
  std::unordered_set<queue::QueueName> to_try;
  queue::ActAnswer answer;
  Done done;

  void count(base::DeliveryId id, ActOutcome outcome) {
    ++answer.counts[static_cast<std::size_t>(outcome)];
    if (outcome != ActOutcome::Done) answer.others.emplace_back(id, outcome);
  }

  [[nodiscard]] const queue::Selected& target(base::DeliveryId id) const {
    return *std::lower_bound(
        targets.begin(), targets.end(), id,
        [](const queue::Selected& one, base::DeliveryId wanted) { return one.id < wanted; });
  }

  // Retrying what is being tried is what was wanted.
  [[nodiscard]] ActOutcome when_not_ours(base::DeliveryId id) const {
    const bool is_retry = order != nullptr && order->act == queue::Act::Retry;
    return is_retry && being_sent.contains(id) ? ActOutcome::Done : ActOutcome::BeingSent;
  }

  [[nodiscard]] bool wants_attempt() const {
    return order != nullptr &&
           (order->act == queue::Act::Retry || order->act == queue::Act::Expire);
  }

  // Not when somebody has put it on hold, released or deleted it since it was selected: a person
  // who retries what waits has not said that this hold is to end. Nor when it is a report of what
  // the same bounce has returned, which a filter finds behind it.
  [[nodiscard]] bool means(const queue::ReadDelivery& row) const {
    if (row.delivery.state != target(row.id).state) return false;
    return order->act != queue::Act::Bounce || row.message->kind == queue::MessageKind::Ordinary ||
           row.message->accepted < order->given;
  }
};

void Steering::act(std::shared_ptr<const queue::Order> order, std::vector<queue::Selected> targets,
                   Done done) {
  auto batch = std::make_shared<Batch>();
  batch->order = std::move(order);
  batch->targets = std::move(targets);
  batch->done = std::move(done);
  take_out(batch);
}

void Steering::bury(queue::Overdue what, std::vector<queue::Selected> targets, Done done) {
  auto batch = std::make_shared<Batch>();
  batch->purpose = Batch::Purpose::Burial;
  batch->overdue = what;
  batch->targets = std::move(targets);
  batch->done = std::move(done);
  take_out(batch);
}

void Steering::take_out(const BatchPointer& batch) {
  std::vector<queue::Selected> targets = std::exchange(batch->targets, {});
  std::sort(targets.begin(), targets.end(),
            [](const auto& one, const auto& other) { return one.id < other.id; });
  targets.erase(std::unique(targets.begin(), targets.end(),
                            [](const auto& one, const auto& other) { return one.id == other.id; }),
                targets.end());
  for (queue::Selected& target : targets) {
    const bool is_ours = home_.claim(target.queue, target.id);
    (is_ours ? batch->targets : batch->out).push_back(std::move(target));
  }
  if (!batch->out.empty()) return ask_back(batch);
  read_on(batch);
}

// They are out: perhaps they only wait in memory, for their turn or for the end of a pause.
void Steering::ask_back(const BatchPointer& batch) {
  auto wanted = std::make_shared<Wanted>();
  for (const queue::Selected& target : batch->out) {
    wanted->queues.insert(target.queue);
    wanted->deliveries.insert(target.id);
  }
  batch->loops_asked = env_.loop_count() + 1;
  for (unsigned loop = 0; loop < env_.loop_count(); ++loop) {
    env_.on_loop(loop, [this, wanted, batch, asker = env_.loop.index()](Dispatcher& peer) {
      peer.surrender(*wanted, batch->wants_attempt(), asker,
                     [this, batch](Surrendered found) { given_back(batch, std::move(found)); });
    });
  }
  given_back(batch,
             {home_.take_resolving([&](const queue::Job& job) { return wanted->is_in(job); }), {}});
}

void Steering::given_back(const BatchPointer& batch, Surrendered found) {
  batch->being_sent.insert(found.being_sent.begin(), found.being_sent.end());
  take_up(batch, std::move(found.jobs));
  if (--batch->loops_asked > 0) return;
  std::sort(batch->back.begin(), batch->back.end());
  std::vector<queue::Selected> later;
  for (std::size_t i = 0; i < batch->out.size(); ++i) {
    queue::Selected& target = batch->out[i];
    const bool is_back = std::binary_search(batch->back.begin(), batch->back.end(), i);
    // Or its attempt has ended meanwhile.
    if (is_back || home_.claim(target.queue, target.id)) {
      batch->targets.push_back(std::move(target));
    } else if (batch->being_sent.contains(target.id) || batch->ask_again > kAskAgainMost) {
      batch->count(target.id, batch->when_not_ours(target.id));
    } else {
      later.push_back(std::move(target));
    }
  }
  std::sort(batch->targets.begin(), batch->targets.end(),
            [](const auto& one, const auto& other) { return one.id < other.id; });
  if (!later.empty()) ask_later(batch, std::move(later));
  read_on(batch);
}

void Steering::take_up(const BatchPointer& batch, std::vector<queue::Job> jobs) {
  for (queue::Job& job : jobs) {
    queue::Job others{job.message, {}, job.queue};
    for (queue::Delivery& delivery : job.deliveries) {
      const base::DeliveryId id{job.message->id, delivery.number};
      const auto found = std::lower_bound(
          batch->out.begin(), batch->out.end(), id,
          [](const queue::Selected& one, base::DeliveryId wanted) { return one.id < wanted; });
      // It stays out, and is ours now.
      if (found != batch->out.end() && found->id == id && found->queue == job.queue) {
        batch->back.push_back(static_cast<std::size_t>(found - batch->out.begin()));
      } else {
        others.deliveries.push_back(std::move(delivery));
      }
    }
    home_.take_back(others);
  }
}

// As a batch of its own, which `batch` waits for.
void Steering::ask_later(const BatchPointer& batch, std::vector<queue::Selected> targets) {
  auto next = std::make_shared<Batch>();
  next->purpose = batch->purpose;
  next->overdue = batch->overdue;
  next->order = batch->order;
  next->targets = std::move(targets);
  next->ask_again = 2 * batch->ask_again;
  ++batch->under_way;
  next->done = [this, batch](queue::ActAnswer answer) {
    batch->answer.add(std::move(answer));
    one_done(batch);
  };
  const std::uint64_t number = next_later_++;
  Later& later = later_[number];
  later.batch = std::move(next);
  // Not from the timer's own call, because the timer ends by it.
  later.timer = env_.loop.make_timer([this, number] {
    env_.loop.at_turn_end([this, number] {
      const auto found = later_.extract(number);
      if (!found.empty()) take_out(found.mapped().batch);
    });
  });
  later.timer->set(env_.now().instant + batch->ask_again);
}

void Steering::read_on(const BatchPointer& batch) {
  if (batch->read == 0) {
    batch->needs_messages =
        batch->purpose == Batch::Purpose::Burial || batch->order->act == queue::Act::Bounce ||
        std::any_of(batch->targets.begin(), batch->targets.end(),
                    [](const queue::Selected& one) { return one.note.octets == 0; });
  }
  if (batch->read == batch->targets.size()) return one_done(batch);
  queue::ReadRequest request;
  request.with = batch->needs_messages ? queue::ReadRequest::With::Messages
                                       : queue::ReadRequest::With::Deliveries;
  request.ids.reserve(batch->targets.size() - batch->read);
  for (std::size_t i = batch->read; i < batch->targets.size(); ++i) {
    request.ids.push_back(batch->targets[i].id);
  }
  env_.store.read_deliveries(env_.loop, std::move(request),
                             [this, batch](base::Result<queue::ReadDeliveries> read) {
                               if (!read) return not_read(batch, read.error());
                               take_rows(batch, *std::move(read));
                             });
}

// Their rows are still there, nobody knows where: they are looked for from the front.
void Steering::not_read(const BatchPointer& batch, const base::Error& why) {
  batch->answer.error = why;
  for (; batch->read < batch->targets.size(); ++batch->read) {
    const queue::Selected& target = batch->targets[batch->read];
    batch->answer.failed.push_back(target.id);
    home_.released(target.queue, {{target.id, base::WallTime{}}});
  }
  one_done(batch);
}

void Steering::take_rows(const BatchPointer& batch, queue::ReadDeliveries read) {
  const std::size_t end = batch->read + read.looked_at;
  std::vector<queue::ReadDelivery> there;
  there.reserve(read.rows.size());
  auto row = read.rows.begin();
  for (; batch->read < end; ++batch->read) {
    const queue::Selected& target = batch->targets[batch->read];
    if (row != read.rows.end() && row->id == target.id) {
      const bool is_in_its_queue = queue::queue_of(row->delivery) == target.queue;
      if (is_in_its_queue) home_.claimed_as(row->id, row->delivery);
      if (is_in_its_queue) there.push_back(std::move(*row));
      ++row;
      if (is_in_its_queue) continue;
    }
    // It has ended, or somebody has moved it to another queue.
    home_.released(target.queue, {{target.id, std::nullopt}});
    batch->count(target.id, ActOutcome::NotFound);
  }
  if (batch->purpose == Batch::Purpose::Burial) {
    bury_rows(batch, there);
  } else {
    carry_out(batch, std::move(there));
  }
  env_.peers[env_.loop.index()]->want_pass();
  read_on(batch);
}

void Steering::carry_out(const BatchPointer& batch, std::vector<queue::ReadDelivery> rows) {
  const base::WallTime now = env_.now().wall;
  for (queue::ReadDelivery& row : rows) {
    queue::Decision decision;
    if (batch->means(row)) {
      decision = queue::decide(*batch->order, row.delivery, now, env_.queue.undo_time);
    }
    if (batch->order->act == queue::Act::Undelete) {
      queue::end_hold_of_past_pause(decision.after, home_.pauses().get(), now);
    }
    switch (decision.kind) {
      case queue::Decision::Kind::Nothing:
        give_up(batch, row);
        batch->count(row.id, ActOutcome::Unchanged);
        break;
      case queue::Decision::Kind::Move:
        move(batch, row, std::move(decision.after));
        break;
      case queue::Decision::Kind::Fail:
        fail(batch, row, std::move(decision.after));
        break;
    }
  }
  write_moves(batch);
}

queue::Attempt Steering::step_of(const queue::Order& order) const {
  queue::Attempt step = queue::step_of(order, env_.now().wall);
  step.is_kept = env_.queue.history.is_kept;
  return step;
}

void Steering::give_up(const BatchPointer& batch, const queue::ReadDelivery& row) {
  const bool waits = row.delivery.state == queue::DeliveryState::Waiting;
  home_.released(batch->target(row.id).queue,
                 {{row.id, waits ? std::optional(row.delivery.due) : std::nullopt}});
}

void Steering::move(const BatchPointer& batch, const queue::ReadDelivery& row,
                    queue::Delivery after) {
  const queue::Order& order = *batch->order;
  const queue::Selected& target = batch->target(row.id);
  if (order.act == queue::Act::Reroute && !order.target.empty()) {
    // By the routes it goes again when it is loaded, where all that they ask for is known.
    after.destination =
        destination_of(env_.outbound, {after.recipient, "", "", {}, "", after.route_to});
  }
  const queue::Attempt step = step_of(order);
  queue::Change next = row.message != nullptr
                           ? queue::moved(*row.message, row.delivery, after, step)
                           : queue::moved(row.id.message, target.note, row.delivery, after, step);
  if (batch->change) {
    batch->change->join(std::move(next));
  } else {
    batch->change = std::move(next);
  }
  batch->moves.push_back({row.id, target.queue, std::move(after)});
  if (batch->moves.size() >= kJoinedMax) write_moves(batch);
}

void Steering::write_moves(const BatchPointer& batch) {
  if (!batch->change) return;
  queue::Change change = std::move(*batch->change);
  batch->change.reset();
  commit(batch, std::move(change),
         [this, batch, moves = std::exchange(batch->moves, {})]() { moved(batch, moves); });
}

void Steering::moved(const BatchPointer& batch, const std::vector<Move>& moves) {
  for (const Move& move : moves) {
    const queue::QueueName to = queue::queue_of(move.after);
    const bool waits = move.after.state == queue::DeliveryState::Waiting;
    const bool stays = to == move.from;
    const base::WallTime due = move.after.due;
    home_.released(move.from, {{move.id, waits && stays ? std::optional(due) : std::nullopt}});
    if (waits && !stays) {
      env_.on_loop(queue::home_loop(to.destination, env_.loop_count()),
                   [to, due](Dispatcher& dispatcher) { dispatcher.found_row(to, due); });
    }
    if (waits && stays && move.after.is_expired) home_.expires_some(to);
    if (waits && batch->wants_attempt()) batch->to_try.insert(to);
    batch->count(move.id, ActOutcome::Done);
  }
}

void Steering::fail(const BatchPointer& batch, const queue::ReadDelivery& row,
                    queue::Delivery after) {
  failing_[row.id] = batch;
  ++batch->under_way;
  // Who did it is written with what becomes of it, which is the report desk's to say.
  settler_.reports().ended(
      queue::counted(row.message, env_.memory),
      {EndedDelivery{std::move(after), row.delivery, std::nullopt, step_of(*batch->order)}});
}

void Steering::released(const std::vector<Release>& releases) {
  if (failing_.empty()) return;
  for (const Release& release : releases) {
    const auto found = failing_.find(release.delivery);
    if (found == failing_.end()) continue;
    const BatchPointer batch = std::move(found->second);
    failing_.erase(found);
    batch->count(release.delivery, ActOutcome::Done);
    one_done(batch);
  }
}

void Steering::bury_rows(const BatchPointer& batch, const std::vector<queue::ReadDelivery>& rows) {
  const base::WallTime now = env_.now().wall;
  for (std::size_t i = 0; i < rows.size();) {
    const queue::MessagePointer message = rows[i].message;
    std::vector<queue::Delivery> deliveries;
    std::vector<QueuedRelease> releases;
    for (; i < rows.size() && rows[i].message == message; ++i) {
      const queue::ReadDelivery& row = rows[i];
      if (!is_overdue(batch->overdue, row.delivery, now)) {
        give_up(batch, row);
        batch->count(row.id, ActOutcome::Unchanged);
        continue;
      }
      deliveries.push_back(row.delivery);
      releases.push_back({batch->target(row.id).queue, {row.id, std::nullopt}});
    }
    if (deliveries.empty()) continue;
    const bool is_deleted = batch->overdue == queue::Overdue::Deleted;
    commit(batch, burial(*message, deliveries, batch->overdue, now),
           [this, batch, is_deleted, releases = std::move(releases)] {
             for (const QueuedRelease& one : releases) {
               home_.released(one.queue, {one.release});
               base::count(is_deleted ? base::Counter::Deleted : base::Counter::QuarantineExpired);
               batch->count(one.release.delivery, ActOutcome::Done);
             }
           });
  }
}

queue::Change Steering::burial(const queue::Message& message,
                               const std::vector<queue::Delivery>& deliveries, queue::Overdue what,
                               base::WallTime now) {
  queue::Attempt step{now, {}, "", "deleted by a person"};
  step.is_kept = env_.queue.history.is_kept;
  if (what == queue::Overdue::Deleted) {
    return queue::ended(message, deliveries, queue::Outcome::Deleted, step);
  }
  // All of a message came into quarantine together, and for one reason.
  step.reply = deliveries.front().hold_detail;
  for (const queue::Delivery& delivery : deliveries) {
    env_.log.line(base::Level::Info, "quarantine expired")
        .id(base::DeliveryId{message.id, delivery.number})
        .path("from", message.sender)
        .path("to", delivery.recipient)
        .field("since", delivery.due)
        .field("reason", delivery.hold_detail);
  }
  return queue::ended(message, deliveries, queue::Outcome::QuarantineExpired, step);
}

void Steering::commit(const BatchPointer& batch, queue::Change change,
                      base::UniqueFunction<void()> durable) {
  ++batch->under_way;
  env_.store.commit(env_.loop, std::move(change),
                    [this, batch, durable = std::move(durable)](base::Result<void> result) mutable {
                      MTA_ASSERT(result.is_ok());  // a Result answers once, when durable
                      durable();
                      env_.peers[env_.loop.index()]->want_pass();
                      one_done(batch);
                    });
}

void Steering::one_done(const BatchPointer& batch) {
  if (--batch->under_way == 0) finish(batch);
}

void Steering::finish(const BatchPointer& batch) {
  for (const queue::QueueName& queue : batch->to_try) home_.try_now(queue);
  if (!batch->to_try.empty()) env_.peers[env_.loop.index()]->want_pass();
  batch->done(std::move(batch->answer));
}

}  // namespace rockdove::outbound
