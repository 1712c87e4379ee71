// Goal: nothing that waits on disk is ever forgotten, and nothing is ever in memory twice.
// Method: a seeded world beside the directory: rows as the store would keep them, news of
// acceptances and of results that come late, loads whose view of the rows is older than their
// answer, reads that fail, reopenings, claims, changing rooms, a clock that is set; then a drain.
#include "queue/directory.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include <catch2/catch.hpp>

#include "mta/base/random.h"
#include "tests/unit/queue/directory_mail.h"

namespace rockdove::queue {
namespace {

using base::Duration;

QueueName queue_named(std::string destination) {
  return {std::move(destination), "", 0};
}

struct Row {
  WaitingMark at;
  std::uint32_t attempts = 0;
  auto operator<=>(const Row&) const = default;
};

class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed), directory_(settings_) {
    settings_.retry = {1min, 5min, 20min};
    settings_.loaded_max = static_cast<std::uint32_t>(8 + random_.below(120));
    queues_ = 1 + random_.below(5);
    clock_is_set_ = random_.below(4) == 0;
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) step();
  }

  // Everybody comes to rest, then the clock runs on; whoever is out ends. False: something is
  // stuck.
  bool drain() {
    for (int i = 0; i < 20'000; ++i) {
      while (!news_.empty()) hear_news();
      for (const auto& [id, name] :
           std::vector<std::pair<DeliveryId, QueueName>>(out_.begin(), out_.end()))
        end(id, name);
      pump();
      if (!loads_.empty()) {
        look(0);
        answer(0);
        continue;
      }
      if (rows_left() == 0 && out_.empty() && news_.empty()) return true;
      const WallTime wake = directory_.wake_at();
      if (wake == base::kNeverWall && news_.empty()) return false;
      if (wake > now_ && news_.empty()) now_ = wake;
    }
    return false;
  }

  [[nodiscard]] const Directory& directory() const { return directory_; }

  [[nodiscard]] std::uint64_t started() const { return started_; }

  [[nodiscard]] bool clock_is_set() const { return clock_is_set_; }

 private:
  struct PendingLoad {
    LoadRequest request;
    std::optional<LoadedQueue> view;
  };

  struct News {
    QueueName queue;
    MessageId accepted;  // 0: a release
    std::vector<Delivery> deliveries;
    DeliveryId released;
    std::optional<WallTime> due;
  };

  void step() {
    switch (random_.below(16)) {
      case 0:
      case 1:
      case 2:
        return accept();
      case 3:
      case 4:
        return hear_news();
      case 5:
      case 6:
        return pump();
      case 7:
      case 8:
        if (!loads_.empty()) look(random_.below(loads_.size()));
        return;
      case 9:
      case 10:
        if (!loads_.empty()) answer(random_.below(loads_.size()));
        return;
      case 11:
      case 12:
        return finish_one();
      case 13:
        return claim_one();
      case 14:
        return turn_a_knob();
      default:
        return let_time_pass();
    }
  }

  QueueName any_queue() { return queue_named("q" + std::to_string(random_.below(queues_))); }

  // The rows are durable at once, the news comes later; or never, when the store failed meanwhile,
  // and then the queue is found again.
  void accept() {
    const QueueName name = any_queue();
    const MessageId id = message_id(now_, ++counter_);
    News news{name, id, {}, {}, {}};
    const std::uint64_t recipients = 1 + random_.below(3);
    for (std::uint32_t number = 1; number <= recipients; ++number) {
      rows_[name].insert({{now_, {id, number}}, 0});
      news.deliveries.push_back(delivery_due(number, now_));
    }
    if (random_.below(20) == 0) {
      directory_.found(name, rows_[name].begin()->at.due, now_);
    } else {
      news_.push_back(std::move(news));
    }
  }

  void hear_news() {
    if (news_.empty()) return;
    News news = std::move(news_.front());
    news_.pop_front();
    if (news.accepted.value == 0) {
      REQUIRE(out_.erase(news.released) == 1);
      --queue_out_[news.queue];
      directory_.released(news.queue, news.released, news.due);
      return;
    }
    const auto memory =
        random_.below(4) == 0 ? Directory::Memory::Full : Directory::Memory::HasRoom;
    for (const Delivery& delivery :
         directory_.fresh(news.queue, news.accepted, std::move(news.deliveries), memory, now_)) {
      goes_out(news.queue, {news.accepted, delivery.number}, delivery.due);
    }
  }

  void goes_out(const QueueName& name, DeliveryId id, WallTime due) {
    ++started_;
    REQUIRE(out_.emplace(id, name).second);  // never twice at once
    ++queue_out_[name];
    const std::set<Row>& rows = rows_[name];
    const auto row = rows.lower_bound(Row{{due, id}, 0});
    // And never again what has ended or was put off.
    REQUIRE(row != rows.end());
    REQUIRE(row->at == WaitingMark{due, id});
  }

  void pump() {
    while (std::optional<LoadRequest> request = directory_.next_load(now_)) {
      const std::uint32_t room = rooms_.contains(request->queue) ? rooms_[request->queue] : 16;
      REQUIRE(queue_out_[request->queue] <= room / 2);
      REQUIRE(out_.size() < settings_.loaded_max);
      for (const PendingLoad& other : loads_) REQUIRE(other.request.queue != request->queue);
      loads_.push_back({std::move(*request), std::nullopt});
    }
  }

  void look(std::size_t which) {
    PendingLoad& load = loads_[which];
    if (load.view) return;
    LoadedQueue view;
    view.reached = load.request.from;
    const std::set<Row>& rows = rows_[load.request.queue];
    std::uint32_t taken = 0;
    for (auto row = rows.upper_bound(Row{load.request.from, 1'000'000}); row != rows.end(); ++row) {
      if (row->at.due > load.request.due_until || taken >= load.request.deliveries_max) {
        view.next_due = row->at.due;
        view.more = row->at.due <= load.request.due_until;
        break;
      }
      ++taken;
      view.reached = row->at;
      Delivery delivery = delivery_due(row->at.delivery.number, row->at.due);
      delivery.attempts = row->attempts;
      view.messages.push_back({message_with(row->at.delivery.message), {delivery}});
    }
    load.view = std::move(view);
  }

  void answer(std::size_t which) {
    PendingLoad load = std::move(loads_[which]);
    if (!load.view && random_.below(4) != 0) {
      loads_[which] = std::move(load);
      return;
    }
    loads_.erase(loads_.begin() + static_cast<std::ptrdiff_t>(which));
    const QueueName& name = load.request.queue;
    if (!load.view) return directory_.load_failed(name, now_ + 2s);
    for (const MessageWithDeliveries& loaded : directory_.loaded(name, std::move(*load.view))) {
      for (const Delivery& delivery : loaded.deliveries)
        goes_out(name, {loaded.message->id, delivery.number}, delivery.due);
    }
  }

  std::set<Row>::iterator row_of(const QueueName& name, DeliveryId id) {
    std::set<Row>& rows = rows_[name];
    return std::find_if(rows.begin(), rows.end(),
                        [id](const Row& row) { return row.at.delivery == id; });
  }

  bool is_settled(DeliveryId id) const {
    return std::any_of(news_.begin(), news_.end(),
                       [id](const News& news) { return news.released == id; });
  }

  void end(DeliveryId id, const QueueName& name) {
    if (is_settled(id)) return;
    const auto row = row_of(name, id);
    if (row != rows_[name].end()) rows_[name].erase(row);
    news_.push_back({name, {}, {}, id, std::nullopt});
  }

  void finish_one() {
    if (out_.empty()) return;
    auto it = out_.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(random_.below(out_.size())));
    const auto [id, name] = *it;
    if (is_settled(id)) return;
    const auto row = row_of(name, id);
    if (row == rows_[name].end() || random_.below(3) == 0) return end(id, name);
    const WallTime due = now_ + Duration(static_cast<std::int64_t>(random_.below(1'200'000)));
    const Row moved{{due, id}, row->attempts + 1};
    rows_[name].erase(row);
    rows_[name].insert(moved);
    news_.push_back({name, {}, {}, id, due});
  }

  void claim_one() {
    const QueueName name = any_queue();
    const std::set<Row>& rows = rows_[name];
    if (rows.empty()) return;
    auto row = rows.begin();
    std::advance(row, static_cast<std::ptrdiff_t>(random_.below(rows.size())));
    const DeliveryId id = row->at.delivery;
    const bool is_out = out_.contains(id);
    REQUIRE(directory_.claim(name, id) == !is_out);
    if (!is_out) goes_out(name, id, row->at.due);
  }

  void turn_a_knob() {
    const QueueName name = any_queue();
    switch (random_.below(3)) {
      case 0:
        rooms_[name] = random_.below(2) == 0 ? 16 : 100;
        return directory_.set_room(name, rooms_[name]);
      case 1:
        return directory_.hold_back(name, now_ + 1min);
      default:
        if (!rows_[name].empty())
          directory_.found(name, rows_[name].begin()->at.due, now_);  // the store was reopened
    }
  }

  void let_time_pass() {
    // News is late by less than kNewsLate.
    if (random_.below(3) != 0) {
      now_ += Duration(static_cast<std::int64_t>(random_.below(300)));
      return;
    }
    while (!news_.empty()) hear_news();
    now_ += Duration(static_cast<std::int64_t>(random_.below(400'000)));
    if (clock_is_set_ && random_.below(4) == 0) {
      now_ += std::chrono::hours(24 * static_cast<int>(random_.below(400)));
      pump();
      finish_one();
      now_ -= std::chrono::hours(24 * static_cast<int>(random_.below(400)));
    }
  }

  std::size_t rows_left() {
    std::size_t count = 0;
    for (const auto& [name, rows] : rows_) count += rows.size();
    return count;
  }

  base::Random random_;
  QueueSettings settings_;
  Directory directory_;
  std::uint64_t queues_ = 1;
  bool clock_is_set_ = false;
  WallTime now_ = kStart;
  std::uint64_t counter_ = 0;
  std::uint64_t started_ = 0;
  std::map<QueueName, std::set<Row>> rows_;
  std::map<QueueName, std::uint32_t> rooms_;
  std::map<QueueName, std::size_t> queue_out_;
  std::map<DeliveryId, QueueName> out_;
  std::vector<PendingLoad> loads_;
  std::deque<News> news_;
};

TEST_CASE("whatever happens, no delivery is out twice and each is loaded in the end") {
  std::uint64_t started = 0;
  for (std::uint64_t seed = 1; seed <= 1500; ++seed) {
    INFO("seed " << seed);
    World world(seed);
    world.run(400);
    REQUIRE(world.drain());
    REQUIRE(world.directory().out() == 0);
    // All that was known of queues that have nothing is gone with them.
    if (!world.clock_is_set()) REQUIRE(world.directory().queues() == 0);
    started += world.started();
  }
  CHECK(started > 100'000);  // the world is no empty one
}

// One queue of one-recipient messages, all rows due at `due`.
LoadedQueue rows_of(const LoadRequest& request, WallTime due, std::uint64_t first,
                    std::uint64_t end) {
  LoadedQueue rows;
  rows.reached = request.from;
  std::uint32_t taken = 0;
  for (std::uint64_t i = first; i < end; ++i) {
    const MessageId id = message_id(kStart - 1h, i);
    if (WaitingMark{due, {id, 1}} <= request.from) continue;
    if (taken == request.deliveries_max) {
      rows.next_due = due;
      rows.more = true;
      break;
    }
    ++taken;
    rows.reached = {due, {id, 1}};
    Delivery delivery = delivery_due(1, due);
    delivery.attempts = 1;
    rows.messages.push_back({message_with(id), {delivery}});
  }
  return rows;
}

TEST_CASE("what a load brought before the news of its acceptance is not started again") {
  const QueueSettings settings;
  Directory directory(settings);
  const QueueName name = queue_named("example.net");
  directory.found(name, kStart, kStart);
  const std::optional<LoadRequest> request = directory.next_load(kStart);
  REQUIRE(request);
  const MessageId id = message_id(kStart, 1);
  LoadedQueue rows;
  rows.messages.push_back({message_with(id), {delivery_due(1, kStart)}});
  rows.reached = {kStart, {id, 1}};
  REQUIRE(directory.loaded(name, std::move(rows)).size() == 1);
  directory.released(name, {id, 1}, std::nullopt);  // delivered
  CHECK(
      directory.fresh(name, id, {delivery_due(1, kStart)}, Directory::Memory::HasRoom, kStart + 9s)
          .empty());
}

TEST_CASE("what was acted on before the news of its acceptance does not start") {
  const QueueSettings settings;
  Directory directory(settings);
  const QueueName name = queue_named("example.net");
  directory.found(name, kStart, kStart + 1min);
  // Its id is as old as its first octet; the last one came a minute later.
  const MessageId id = message_id(kStart, 1);
  const Delivery delivery = delivery_due(1, kStart + 1min);
  REQUIRE(directory.claim(name, {id, 1}));
  directory.claimed_as({id, 1}, delivery);
  directory.released(name, {id, 1}, std::nullopt);  // on hold now
  CHECK(directory.fresh(name, id, {delivery}, Directory::Memory::HasRoom, kStart + 61s).empty());
}

TEST_CASE("a queue forgotten while it has nothing keeps its room") {
  const QueueSettings settings;
  Directory directory(settings);
  const QueueName name = queue_named("example.net");
  const MessageId first = message_id(kStart, 1);
  REQUIRE(
      directory.fresh(name, first, {delivery_due(1, kStart)}, Directory::Memory::HasRoom, kStart)
          .size() == 1);
  directory.set_room(name, 200);
  directory.released(name, {first, 1}, std::nullopt);
  CHECK(directory.queues() == 0);
  std::size_t started = 0;
  for (std::uint64_t i = 2; i < 300; ++i) {
    started += directory
                   .fresh(name, message_id(kStart, i), {delivery_due(1, kStart)},
                          Directory::Memory::HasRoom, kStart)
                   .size();
  }
  CHECK(started == 200);
}

TEST_CASE("fresh mail does not keep what is long due on disk for ever") {
  const QueueSettings settings;
  Directory directory(settings);
  const QueueName name = queue_named("example.net");
  std::uint64_t counter = 0;
  std::vector<DeliveryId> out;
  const auto accept = [&](WallTime now) {
    const MessageId id = message_id(now, ++counter);
    if (!directory.fresh(name, id, {delivery_due(1, now)}, Directory::Memory::HasRoom, now).empty())
      out.push_back({id, 1});
  };
  for (int i = 0; i < 20; ++i) accept(kStart);  // 16 go, 4 wait on disk
  REQUIRE(out.size() == 16);
  bool was_loaded = false;
  for (int turn = 1; turn < 100 && !was_loaded; ++turn) {  // as many come as leave
    const WallTime now = kStart + turn * 1s;
    directory.released(name, out.back(), std::nullopt);
    out.pop_back();
    accept(now);
    was_loaded = directory.next_load(now).has_value();
  }
  CHECK(was_loaded);
}

TEST_CASE("a full memory of dead destinations leaves a place for a new one") {
  QueueSettings settings;
  settings.loaded_max = 10'000;
  Directory directory(settings);
  const WallTime due = kStart - 1h;
  for (int i = 0; i < 2'500; ++i)
    directory.found(queue_named("dead" + std::to_string(i)), due, kStart);
  for (int round = 0; round < 100; ++round) {
    std::vector<LoadRequest> requests;
    while (std::optional<LoadRequest> request = directory.next_load(kStart))
      requests.push_back(std::move(*request));
    if (requests.empty()) break;
    REQUIRE(requests.size() <= Directory::kLoadsMax);
    for (const LoadRequest& request : requests)
      static_cast<void>(directory.loaded(request.queue, rows_of(request, due, 1, 100)));
  }
  CHECK(directory.out() > 5'000);
  CHECK(directory.out() < 10'000);
  CHECK(directory
            .fresh(queue_named("alive"), message_id(kStart, 1), {delivery_due(1, kStart)},
                   Directory::Memory::HasRoom, kStart)
            .size() == 1);
}

TEST_CASE("a queue that found memory full is loaded when others leave") {
  QueueSettings settings;
  settings.loaded_max = 16;
  Directory directory(settings);
  const QueueName big = queue_named("big");
  directory.set_room(big, 100);
  std::vector<DeliveryId> out;
  for (std::uint64_t i = 1; i <= 16; ++i) {
    const MessageId id = message_id(kStart, i);
    if (directory.fresh(big, id, {delivery_due(1, kStart)}, Directory::Memory::HasRoom, kStart)
            .size() == 1)
      out.push_back({id, 1});
  }
  REQUIRE(out.size() == 16);
  const QueueName late = queue_named("late");
  static_cast<void>(directory.fresh(late, message_id(kStart, 17), {delivery_due(1, kStart)},
                                    Directory::Memory::HasRoom, kStart));
  CHECK_FALSE(directory.next_load(kStart));
  CHECK(directory.wake_at() == base::kNeverWall);
  directory.released(big, out.front(), std::nullopt);
  const std::optional<LoadRequest> request = directory.next_load(kStart);
  REQUIRE(request);
  CHECK(request->queue == late);
}

TEST_CASE("rows that a wrong clock put far ahead are found behind those that are right") {
  const QueueSettings settings;
  Directory directory(settings);
  const QueueName name = queue_named("example.net");
  directory.found(name, kStart + 1min, kStart);  // a right one; behind it strays
  const WallTime later = kStart + 10min;
  std::optional<LoadRequest> request = directory.next_load(kStart + 59s);
  CHECK_FALSE(request);
  bool looked_ahead = false;
  for (int i = 0; i < 4 && !looked_ahead; ++i) {
    request = directory.next_load(later);
    REQUIRE(request);
    looked_ahead = request->due_until == base::kNeverWall;
    if (!looked_ahead) {
      // The right one was put off for another minute, again and again.
      LoadedQueue rows;
      rows.reached = request->from;
      rows.next_due = later;
      static_cast<void>(directory.loaded(name, std::move(rows)));
    }
  }
  REQUIRE(looked_ahead);
  CHECK(request->from.due > later + 4h);
  const MessageId id = message_id(kStart, 5);
  LoadedQueue rows;
  rows.messages.push_back({message_with(id), {delivery_due(1, later + std::chrono::hours(9000))}});
  rows.reached = {later + std::chrono::hours(9000), {id, 1}};
  CHECK(directory.loaded(name, std::move(rows)).size() == 1);
  CHECK(directory.is_out(name, {id, 1}));
  // Put off by the schedule it is an ordinary row again, not due before its time.
  directory.released(name, {id, 1}, later + 5min);
  request = directory.next_load(later);
  if (request) CHECK(request->due_until == later);
}

TEST_CASE("a clock that is set back holds nothing back for longer than the longest wait") {
  const QueueSettings settings;
  Directory directory(settings);
  const QueueName name = queue_named("example.net");
  const WallTime wrong = kStart + std::chrono::hours(9000);
  CHECK(directory
            .fresh(name, message_id(wrong, 1), {delivery_due(1, wrong)}, Directory::Memory::Full,
                   wrong)
            .empty());
  CHECK_FALSE(directory.next_load(kStart));
  const std::optional<LoadRequest> request = directory.next_load(kStart + 2min);
  REQUIRE(request);
  CHECK(request->due_until == base::kNeverWall);
}

TEST_CASE("what is given back untried after the clock was set back is looked for, too") {
  const QueueSettings settings;
  Directory directory(settings);
  const QueueName name = queue_named("example.net");
  const WallTime wrong = kStart + std::chrono::hours(9000);
  const MessageId id = message_id(wrong, 1);
  static_cast<void>(
      directory.fresh(name, id, {delivery_due(1, wrong)}, Directory::Memory::HasRoom, wrong));
  CHECK_FALSE(directory.next_load(kStart));
  REQUIRE(directory.next_load(kStart + 2min));
  const bool is_under_way = GENERATE(true, false);
  if (is_under_way) directory.released(name, {id, 1}, wrong);
  CHECK(directory.loaded(name, {}).empty());
  if (!is_under_way) directory.released(name, {id, 1}, wrong);
  const std::optional<LoadRequest> again = directory.next_load(kStart + 4min);
  REQUIRE(again);
  CHECK(again->due_until == base::kNeverWall);
}

TEST_CASE("a load of what may wait long leaves the bodies on disk") {
  const QueueSettings settings;
  Directory directory(settings);
  directory.found(queue_named("unproven"), kStart, kStart);
  std::optional<LoadRequest> request = directory.next_load(kStart);
  REQUIRE(request);
  CHECK(request->octets_max == 0);
  directory.set_room(queue_named("proven"), 2000);
  directory.found(queue_named("proven"), kStart, kStart);
  request = directory.next_load(kStart);
  REQUIRE(request);
  CHECK(request->octets_max > 0);
}

TEST_CASE("a destination that cannot be resolved is left alone until its time") {
  const QueueSettings settings;
  Directory directory(settings);
  const QueueName name = queue_named("example.net");
  directory.found(name, kStart, kStart);
  directory.hold_back(name, kStart + 5min);
  CHECK(directory.wake_at() == kStart + 5min);
  CHECK_FALSE(directory.next_load(kStart + 299s));
  CHECK(directory.next_load(kStart + 5min));
}

TEST_CASE("a load that failed is tried again, and forgets nothing that came meanwhile") {
  const QueueSettings settings;
  Directory directory(settings);
  const QueueName name = queue_named("example.net");
  directory.found(name, kStart, kStart);
  REQUIRE(directory.next_load(kStart));
  directory.load_failed(name, kStart + 2s);
  CHECK_FALSE(directory.next_load(kStart + 1s));
  CHECK(directory.next_load(kStart + 2s));
}

}  // namespace
}  // namespace rockdove::queue
