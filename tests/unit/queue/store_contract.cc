// What the loops may rely on (queue/store.h), with real threads, over both engines of rows. Waiting
// is for an answer, never for a time.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>

#include <catch2/catch.hpp>
#include <sys/mount.h>

#include "queue/keys.h"
#include "queue/rocks_rows.h"
#include "queue/threaded_store.h"
#include "tests/support/memory_rows.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/thread_loop.h"
#include "tests/unit/queue/engines.h"
#include "tests/unit/queue/sample_mail.h"

using namespace rockdove;
using namespace rockdove::queue;
using namespace rockdove::tests;

namespace {

// Far beyond what any answer takes; a test that reaches it fails.
constexpr std::chrono::seconds kPatience{60};

template <typename T>
T await(std::future<T>& future) {
  if (future.wait_for(kPatience) != std::future_status::ready) FAIL("no answer came");
  return future.get();
}

// A `done` and where its answer arrives.
template <typename T>
std::pair<Done<T>, std::future<Result<T>>> expect() {
  auto promise = std::make_unique<std::promise<Result<T>>>();
  std::future<Result<T>> future = promise->get_future();
  return {
      [promise = std::move(promise)](Result<T> result) { promise->set_value(std::move(result)); },
      std::move(future)};
}

std::unique_ptr<ThreadedStore> start(StoreSettings settings) {
  settings.housekeeping = std::chrono::milliseconds(5);
  Result<std::unique_ptr<ThreadedStore>> store = ThreadedStore::start(std::move(settings));
  if (!store) FAIL(store.error().text());
  return std::move(*store);
}

std::unique_ptr<ThreadedStore> start(Engine& engine) {
  StoreSettings settings;
  settings.open = [&engine] { return engine.try_open(); };
  return start(std::move(settings));
}

std::future<Result<void>> commit(ThreadedStore& store, ThreadLoop& loop, Change change) {
  auto [done, future] = expect<void>();
  loop.call([&store, &loop, &change, done = &done] {
    store.commit(loop, std::move(change), std::move(*done));
  });
  return std::move(future);
}

Change acceptance(const Message& message) {
  return accepted(message, sample_deliveries(message));
}

Change ending(const Message& message) {
  return ended(message, sample_deliveries(message), Outcome::Delivered,
               sample_attempt(kSampleTime));
}

MessageView look(ThreadedStore& store, ThreadLoop& loop, MessageId id) {
  auto [done, future] = expect<MessageView>();
  store.view(loop, id, std::move(done));
  Result<MessageView> seen = await(future);
  if (!seen) FAIL(seen.error().text());
  return std::move(*seen);
}

// More than twice what RocksDB reserves for its log on ext4.
constexpr std::size_t kSmallDiskOctets = 96 * 1024 * 1024;

// A file system of kSmallDiskOctets; false where the machine does not let us.
bool mount_small_disk(const std::string& kind, const std::string& image, const std::string& at) {
  if (kind == "tmpfs") {
    const std::string options = "size=" + std::to_string(kSmallDiskOctets);
    return ::mount("tmpfs", at.c_str(), "tmpfs", 0, options.c_str()) == 0;
  }
  std::ofstream(image, std::ios::binary).close();
  std::filesystem::resize_file(image, kSmallDiskOctets);
  const std::string command = "{ mkfs.ext4 -q -F " + image + " && mount -o loop " + image + " " +
                              at + "; } >/dev/null 2>&1";
  return std::system(command.c_str()) == 0;
}

class Unmounting {
 public:
  explicit Unmounting(std::string at) : at_(std::move(at)) {}

  ~Unmounting() { ::umount2(at_.c_str(), MNT_DETACH); }

  Unmounting(const Unmounting&) = delete;
  Unmounting& operator=(const Unmounting&) = delete;

 private:
  std::string at_;
};

}  // namespace

TEST_CASE("store: what was answered is there, also after a restart, until it has ended") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  const Message message = sample_message(1, 2);
  ThreadLoop loop(0);
  std::unique_ptr<ThreadedStore> store = start(*engine);
  std::future<Result<void>> accepting = commit(*store, loop, acceptance(message));
  REQUIRE(await(accepting));
  CHECK(store->readiness() == Readiness::Ready);
  store.reset();
  store = start(*engine);
  CHECK(store->highest_id() == message.id);
  CHECK(look(*store, loop, message.id).deliveries.size() == 2);
  auto [found, queues] = expect<std::vector<FoundQueue>>();
  store->find_queues(loop, 1, std::move(found));
  CHECK(await(queues)->size() == 1);
  auto [loaded, load] = expect<LoadedQueue>();
  LoadRequest request;
  request.queue = {"example.net", "", 0};
  request.due_until = base::kNeverWall;
  store->load(loop, request, std::move(loaded));
  const Result<LoadedQueue> answer = await(load);
  REQUIRE(answer);
  REQUIRE(answer->messages.size() == 1);
  CHECK(*answer->messages[0].message->body == "hello\r\n");
  std::future<Result<void>> end = commit(*store, loop, ending(message));
  REQUIRE(await(end));
  const MessageView gone = look(*store, loop, message.id);
  CHECK(gone.message == nullptr);
  CHECK(gone.deliveries.empty());
  CHECK(gone.history.size() == 2);
}

TEST_CASE("store: changes of one turn share a sync, and each is answered once") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  constexpr std::uint64_t kChanges = 600;  // more than one group may have
  std::promise<void> all;
  std::uint64_t answers = 0;  // these two are the loop's until it has answered
  std::uint64_t failures = 0;
  ThreadLoop loop(0);
  const std::unique_ptr<ThreadedStore> store = start(*engine);
  loop.call([&] {
    for (std::uint64_t i = 0; i < kChanges; ++i) {
      store->commit(loop, acceptance(sample_message(i)), [&](Result<void> result) {
        if (!result) ++failures;
        if (++answers == kChanges) all.set_value();
      });
    }
  });
  std::future<void> answered = all.get_future();
  await(answered);
  CHECK(failures == 0);
  const StoreStatistics statistics = store->statistics();
  CHECK(statistics.changes == kChanges);
  CHECK(statistics.groups == 2);
  CHECK(statistics.inbox_octets == 0);
}

TEST_CASE("store: several loops commit at once, each hears of its own on its own thread") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  constexpr std::uint64_t kEach = 200;
  std::atomic<std::uint64_t> left = 2 * kEach;
  std::promise<void> all;
  std::atomic<int> strangers = 0;
  ThreadLoop first(0);
  ThreadLoop second(1);
  const std::unique_ptr<ThreadedStore> store = start(*engine);
  for (ThreadLoop* loop : {&first, &second}) {
    for (std::uint64_t i = 0; i < kEach; ++i) {
      loop->post([&, loop, i] {
        const std::thread::id self = std::this_thread::get_id();
        const Message message = sample_message(2 * i + loop->index());
        store->commit(*loop, acceptance(message), [&, loop, self, message](Result<void> result) {
          if (!result || self != std::this_thread::get_id()) ++strangers;
          store->commit(*loop, ending(message), [&, self](Result<void> end) {
            if (!end || self != std::this_thread::get_id()) ++strangers;
            if (--left == 0) all.set_value();
          });
        });
      });
    }
  }
  std::future<void> answered = all.get_future();
  await(answered);
  CHECK(strangers == 0);
  auto [done, summary] = expect<QueueSummary>();
  store->summarise(first, {kSampleTime}, std::move(done));
  CHECK(await(summary)->lines.empty());
}

TEST_CASE("store: a large body comes in pieces and is read back in pieces") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  ThreadLoop loop(0);
  const std::unique_ptr<ThreadedStore> store = start(*engine);
  Message message = sample_message(1);
  message.body.reset();
  message.body_chunks = 3;
  const Message dropped = sample_message(2);
  auto [done, answer] = expect<void>();
  loop.call([&, done = &done] {
    for (std::uint32_t i = 0; i < 3; ++i) {
      const auto octets =
          std::make_shared<const std::string>(kBodyChunkOctets, static_cast<char>('a' + i));
      store->write_chunk(loop, message.id, i, octets, [](Result<void>) {});
      store->write_chunk(loop, dropped.id, i, octets, [](Result<void>) {});
    }
    store->drop_chunks(dropped.id, 3);
    store->commit(loop, acceptance(message), std::move(*done));
  });
  REQUIRE(await(answer));
  for (std::uint32_t i = 0; i < 3; ++i) {
    auto [read, chunk] = expect<std::shared_ptr<const std::string>>();
    store->read_chunk(loop, message.id, i, std::move(read));
    const auto octets = await(chunk);
    REQUIRE(octets);
    CHECK(**octets == std::string(kBodyChunkOctets, static_cast<char>('a' + i)));
  }
  auto [read, chunk] = expect<std::shared_ptr<const std::string>>();
  store->read_chunk(loop, message.id, 3, std::move(read));
  CHECK_FALSE(await(chunk));
}

TEST_CASE("store: a body that was still coming in when the process ended is gone after the start") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  ThreadLoop loop(0);
  const auto octets = std::make_shared<const std::string>(kBodyChunkOctets, 'c');
  const auto read = [&loop](ThreadedStore& store, MessageId id) {
    auto [done, chunk] = expect<std::shared_ptr<const std::string>>();
    store.read_chunk(loop, id, 0, std::move(done));
    return await(chunk).is_ok();
  };
  Message whole = sample_message(1);
  whole.body.reset();
  const Message half = sample_message(2);
  std::unique_ptr<ThreadedStore> store = start(*engine);
  auto [done, answer] = expect<void>();
  loop.call([&, done = &done] {
    store->write_chunk(loop, whole.id, 0, octets, [](Result<void>) {});
    store->write_chunk(loop, half.id, 0, octets, [](Result<void>) {});
    store->write_chunk(loop, half.id, 1, octets, [](Result<void>) {});
    store->commit(loop, acceptance(whole), std::move(*done));
  });
  REQUIRE(await(answer));
  std::future<Result<void>> later = commit(*store, loop, noted("kind", "name", "value"));
  REQUIRE(await(later));
  store.reset();
  {
    const std::unique_ptr<Rows> rows = engine->open();
    const std::unique_ptr<RowView> view = rows->view();
    CHECK(view->last_key(Family::Partial).value() == message_key(half.id));
    CHECK(view->last_key(Family::Bodies).value() == body_key(half.id, 1));
  }
  store = start(*engine);
  CHECK(read(*store, whole.id));
  CHECK_FALSE(read(*store, half.id));
  store.reset();
  const std::unique_ptr<Rows> rows = engine->open();
  const std::unique_ptr<RowView> view = rows->view();
  CHECK(view->last_key(Family::Partial).value() == std::nullopt);
  CHECK(view->last_key(Family::Bodies).value() == body_key(whole.id, 0));
}

TEST_CASE("store: while the disk is full acceptances fail, results are kept and then written") {
  MemoryDisk disk;
  StoreSettings settings;
  // As a disk does, this one lets nobody open rows on it while it is full.
  std::atomic<bool> is_full = false;
  settings.open = [&]() -> Result<std::unique_ptr<Rows>> {
    if (is_full) return Error("No space left on device");
    disk.free_space();
    return std::unique_ptr<Rows>(std::make_unique<MemoryRows>(disk));
  };
  ThreadLoop loop(0);
  std::promise<void> reopened;
  const std::unique_ptr<ThreadedStore> store = start(std::move(settings));
  store->on_reopened([&] { reopened.set_value(); });
  const Message first = sample_message(1);
  std::future<Result<void>> accepted_first = commit(*store, loop, acceptance(first));
  REQUIRE(await(accepted_first));
  is_full = true;
  disk.fill_after(0);
  std::future<Result<void>> result = commit(*store, loop, ending(first));
  std::future<Result<void>> refused = commit(*store, loop, acceptance(sample_message(2)));
  CHECK_FALSE(await(refused));
  CHECK(store->readiness() == Readiness::Failed);
  CHECK(result.wait_for(std::chrono::seconds(0)) == std::future_status::timeout);
  is_full = false;
  CHECK(await(result));
  std::future<void> again = reopened.get_future();
  await(again);
  CHECK(store->readiness() == Readiness::Ready);
  CHECK(store->statistics().reopenings == 1);
  CHECK(look(*store, loop, first.id).message == nullptr);
  std::future<Result<void>> third = commit(*store, loop, acceptance(sample_message(3)));
  CHECK(await(third));
}

TEST_CASE(
    "store: a body whose first pieces came before a reopening is refused, not accepted in part") {
  MemoryDisk disk;
  StoreSettings settings;
  settings.open = [&]() -> Result<std::unique_ptr<Rows>> {
    disk.free_space();
    return std::unique_ptr<Rows>(std::make_unique<MemoryRows>(disk));
  };
  ThreadLoop loop(0);
  std::promise<void> reopened;
  const std::unique_ptr<ThreadedStore> store = start(std::move(settings));
  store->on_reopened([&] { reopened.set_value(); });
  Message message = sample_message(1);
  message.body.reset();
  message.body_chunks = 2;
  const auto octets = std::make_shared<const std::string>("octets");
  auto [first, first_answer] = expect<void>();
  loop.call(
      [&, first = &first] { store->write_chunk(loop, message.id, 0, octets, std::move(*first)); });
  REQUIRE(await(first_answer));
  disk.fill_after(0);
  std::future<Result<void>> failed = commit(*store, loop, acceptance(sample_message(2)));
  CHECK_FALSE(await(failed));
  std::future<void> again = reopened.get_future();
  await(again);
  auto [last, answer] = expect<void>();
  loop.call([&, last = &last] {
    store->write_chunk(loop, message.id, 1, octets, [](Result<void>) {});
    store->commit(loop, acceptance(message), std::move(*last));
  });
  CHECK_FALSE(await(answer));
}

TEST_CASE(
    "store: while the engine is behind, pieces of large bodies wait and small mail does not") {
  MemoryDisk disk;
  StoreSettings settings;
  settings.open = [&] { return Result(std::unique_ptr<Rows>(std::make_unique<MemoryRows>(disk))); };
  ThreadLoop loop(0);
  const std::unique_ptr<ThreadedStore> store = start(std::move(settings));
  disk.is_behind = true;
  const auto octets = std::make_shared<const std::string>("octets");
  auto [done, answer] = expect<void>();
  loop.call(
      [&, done = &done] { store->write_chunk(loop, sample_id(1), 0, octets, std::move(*done)); });
  for (std::uint64_t tick = 2; tick < 10; ++tick) {
    std::future<Result<void>> small = commit(*store, loop, acceptance(sample_message(tick)));
    REQUIRE(await(small));
  }
  CHECK(answer.wait_for(std::chrono::seconds(0)) == std::future_status::timeout);
  CHECK(store->readiness() == Readiness::Ready);
  disk.is_behind = false;
  CHECK(await(answer));
}

TEST_CASE("store: too little free space is told before mail is accepted") {
  TemporaryDirectory directory;
  MemoryDisk disk;
  StoreSettings settings;
  settings.open = [&] { return Result(std::unique_ptr<Rows>(std::make_unique<MemoryRows>(disk))); };
  settings.state_dir = directory.path();
  settings.min_free_disk = std::uint64_t{1} << 62;
  const std::unique_ptr<ThreadedStore> store = start(std::move(settings));
  CHECK(store->readiness() == Readiness::DiskFull);
}

TEST_CASE("store: RocksDB on a disk that was really full goes on, with all that was answered") {
  const std::string kind = GENERATE("tmpfs", "ext4");
  TemporaryDirectory image;
  TemporaryDirectory directory;
  if (!mount_small_disk(kind, image.path() + "/disk", directory.path())) {
    WARN("skipped: no " << kind << " of limited size can be mounted here");
    return;
  }
  const Unmounting unmounting(directory.path());
  StoreSettings settings;
  settings.state_dir = directory.path();
  settings.open = [&] { return open_rocks_rows({directory.path() + "/queue", {}}); };
  ThreadLoop loop(0);
  std::promise<void> reopened;
  std::atomic<bool> has_reopened = false;  // little space is left, so it may happen again
  std::unique_ptr<ThreadedStore> store = start(settings);
  store->on_reopened([&] {
    if (!has_reopened.exchange(true)) reopened.set_value();
  });
  {
    std::future<Result<void>> first = commit(*store, loop, acceptance(sample_message(0)));
    CHECK(await(first));
    // Fills what is left, the last block too.
    const std::string filler = directory.path() + "/filler";
    std::ofstream file(filler, std::ios::binary);
    file << std::string(kSmallDiskOctets, 'f');
    file.close();
    std::vector<MessageId> answered;
    for (std::uint64_t i = 1;; ++i) {
      const Message message = sample_message(i, 1, std::string(100'000, 'b'));
      std::future<Result<void>> answer = commit(*store, loop, acceptance(message));
      if (!await(answer)) break;
      answered.push_back(message.id);
      if (i > 1000) FAIL("the disk never was full");
    }
    std::future<Result<void>> result = commit(*store, loop, ending(sample_message(0)));
    std::filesystem::remove(filler);
    CHECK(await(result));
    std::future<void> again = reopened.get_future();
    await(again);
    const auto patient_until = std::chrono::steady_clock::now() + kPatience;
    std::future<Result<void>> later = commit(*store, loop, acceptance(sample_message(2000)));
    while (!await(later)) {
      if (std::chrono::steady_clock::now() > patient_until) FAIL("it takes no mail any more");
      later = commit(*store, loop, acceptance(sample_message(2000)));
    }
    store.reset();
    const auto rows = open_rocks_rows({directory.path() + "/queue", {}});
    REQUIRE(rows);
    Damaged damaged;
    CHECK(view_message(**rows, sample_id(0), damaged)->message == nullptr);
    for (const MessageId id : answered) {
      CHECK(view_message(**rows, id, damaged)->message != nullptr);
    }
  }
}
