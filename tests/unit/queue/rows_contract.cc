// What both engines of rows promise (queue/rows.h). Each engine is opened on something that
// outlives it, so that closing and opening again is part of the contract.
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "queue/history_keeper.h"
#include "queue/index.h"
#include "queue/keys.h"
#include "tests/unit/queue/engines.h"
#include "tests/unit/queue/sample_mail.h"

using namespace rockdove;
using namespace rockdove::queue;
using namespace rockdove::tests;

namespace {

Result<void> write(Rows& rows, const RowOperations& operations, Sync sync = Sync::Yes) {
  const RowOperations* const batch[] = {&operations};
  return rows.write(batch, sync);
}

std::optional<std::string> get(const Rows& rows, Family family, std::string_view key) {
  Result<std::optional<std::string>> row = rows.view()->get(family, key);
  REQUIRE(row);
  return *row;
}

std::vector<std::string> keys(const RowView& view, Family family, std::string_view prefix,
                              std::string_view from) {
  std::vector<std::string> found;
  const std::unique_ptr<RowCursor> cursor = view.cursor(family, prefix);
  for (cursor->seek(from); cursor->is_valid(); cursor->next()) found.emplace_back(cursor->key());
  REQUIRE(cursor->status());
  return found;
}

constexpr std::uint64_t kMebi = 1024 * 1024;
constexpr std::uint64_t kLargeRows = 64;

Key large_key(std::uint64_t number) {
  return history_key({sample_id(number), 1}, kSampleTime, HistoryKind::Closing);
}

// A MiB that cannot be compressed.
std::string large_value() {
  std::mt19937_64 random(1);
  std::string value(kMebi, '\0');
  for (std::size_t at = 0; at < value.size(); at += sizeof(std::uint64_t)) {
    const std::uint64_t octets = random();
    std::memcpy(value.data() + at, &octets, sizeof(octets));
  }
  return value;
}

// kLargeRows rows of history of a MiB each. Opened anew, because RocksDB counts files only, and a
// start writes what stands in the log.
std::unique_ptr<Rows> open_with_large_history(Engine& engine) {
  std::unique_ptr<Rows> rows = engine.open();
  const std::string value = large_value();
  for (std::uint64_t number = 0; number < kLargeRows; ++number) {
    RowOperations put;
    put.put(Family::History, large_key(number), value);
    REQUIRE(write(*rows, put, Sync::No));
  }
  rows.reset();
  return engine.open();
}

// Half as much of index, about every second message.
void ingest_large_index(Rows& rows) {
  Key key;
  const std::string value = large_value();
  std::uint64_t number = kLargeRows;
  REQUIRE(rows.ingest([&]() -> std::optional<IndexRow> {
    if (number == 0) return std::nullopt;
    number -= 2;  // newer ids stand first
    key = index_key(IndexKind::Sender, 1, sample_id(number));
    return IndexRow{key, value};
  }));
}

// How many rows of history a limit leaves.
std::uint64_t left_by(const Rows& rows, std::uint64_t octets_max) {
  const Result<std::string> cut = rows.history_cut(octets_max);
  REQUIRE(cut);
  std::uint64_t left = 0;
  for (std::uint64_t number = 0; number < kLargeRows; ++number) {
    if (large_key(number) >= *cut) ++left;
  }
  return left;
}

}  // namespace

TEST_CASE("rows: a batch is applied in order, over all families, and survives closing") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  std::unique_ptr<Rows> rows = engine->open();
  RowOperations first;
  first.put(Family::Messages, "a", "1");
  first.put(Family::Messages, "a", "2");
  first.put(Family::Bodies, "a", std::string(300'000, 'b'));
  first.put_shared(Family::Bodies, "b", std::make_shared<const std::string>("shared"));
  first.put(Family::Sites, "gone", "x");
  RowOperations second;
  second.remove(Family::Sites, "gone");
  second.put(Family::Waiting, std::string("w\0w", 3), {});
  const RowOperations* const batch[] = {&first, &second};
  REQUIRE(rows->write(batch, Sync::Yes));
  for (int round = 0; round < 2; ++round) {
    CHECK(get(*rows, Family::Messages, "a") == "2");
    CHECK(get(*rows, Family::Bodies, "a")->size() == 300'000);
    CHECK(get(*rows, Family::Bodies, "b") == "shared");
    CHECK_FALSE(get(*rows, Family::Sites, "gone"));
    CHECK(get(*rows, Family::Waiting, std::string("w\0w", 3)) == "");
    CHECK_FALSE(get(*rows, Family::Messages, "b"));
    rows.reset();
    rows = engine->open();
  }
}

TEST_CASE("rows: a row that was put once goes by a single delete") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  const std::unique_ptr<Rows> rows = engine->open();
  RowOperations put;
  put.put(Family::Waiting, "k", {});
  RowOperations remove;
  remove.remove_single(Family::Waiting, "k");
  for (int round = 0; round < 3; ++round) {
    REQUIRE(write(*rows, put));
    CHECK(get(*rows, Family::Waiting, "k"));
    REQUIRE(write(*rows, remove, Sync::No));
    CHECK_FALSE(get(*rows, Family::Waiting, "k"));
  }
}

TEST_CASE("rows: a cursor walks its prefix in order, from any key, and ends at the prefix") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  const std::unique_ptr<Rows> rows = engine->open();
  RowOperations put;
  for (const char* key : {"b\xFF\xFF", "a", "b", "b1", "b3", "b\xFF", "c", "b2"}) {
    put.put(Family::Waiting, key, {});
  }
  REQUIRE(write(*rows, put));
  const std::unique_ptr<RowView> view = rows->view();
  using Keys = std::vector<std::string>;
  CHECK(keys(*view, Family::Waiting, "b", "") == Keys{"b", "b1", "b2", "b3", "b\xFF", "b\xFF\xFF"});
  CHECK(keys(*view, Family::Waiting, "b", "b2") == Keys{"b2", "b3", "b\xFF", "b\xFF\xFF"});
  CHECK(keys(*view, Family::Waiting, "b", "b11") == Keys{"b2", "b3", "b\xFF", "b\xFF\xFF"});
  CHECK(keys(*view, Family::Waiting, "b\xFF", "") == Keys{"b\xFF", "b\xFF\xFF"});
  CHECK(keys(*view, Family::Waiting, "b", "c") == Keys{});
  CHECK(keys(*view, Family::Waiting, "", "b3") == Keys{"b3", "b\xFF", "b\xFF\xFF", "c"});
  CHECK(keys(*view, Family::Messages, "", "") == Keys{});
  CHECK(view->last_key(Family::Waiting).value() == "c");
  CHECK(view->last_key(Family::Messages).value() == std::nullopt);
}

TEST_CASE("rows: a view sees nothing that is written after it was taken") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  const std::unique_ptr<Rows> rows = engine->open();
  RowOperations put;
  put.put(Family::Messages, "a", "1");
  put.put(Family::Sites, "a", "1");
  REQUIRE(write(*rows, put));
  std::unique_ptr<RowView> view = rows->view();
  RowOperations change;
  change.put(Family::Messages, "a", "2");
  change.remove(Family::Sites, "a");
  bool is_written = false;
  std::thread writer([&] { is_written = write(*rows, change).is_ok(); });
  CHECK(view->get(Family::Messages, "a").value() == "1");
  CHECK(keys(*view, Family::Sites, "", "") == std::vector<std::string>{"a"});
  view.reset();
  writer.join();
  CHECK(is_written);
  CHECK(get(*rows, Family::Messages, "a") == "2");
  CHECK_FALSE(get(*rows, Family::Sites, "a"));
}

TEST_CASE("rows: readers see whole batches only") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  const std::unique_ptr<Rows> rows = engine->open();
  constexpr int kWrites = 300;
  std::atomic<bool> is_over = false;
  int torn = 0;
  std::thread reader([&] {
    while (!is_over) {
      const std::unique_ptr<RowView> view = rows->view();
      if (view->get(Family::Messages, "x").value() != view->get(Family::Bodies, "x").value())
        ++torn;
    }
  });
  for (int i = 0; i < kWrites; ++i) {
    RowOperations put;
    put.put(Family::Messages, "x", std::to_string(i));
    put.put(Family::Bodies, "x", std::to_string(i));
    const Result<void> written = write(*rows, put, Sync::No);
    if (!written) FAIL(written.error().text());
  }
  is_over = true;
  reader.join();
  CHECK(torn == 0);
}

TEST_CASE("rows: history is trimmed from its old end, and never beyond") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  const std::unique_ptr<Rows> rows = engine->open();
  RowOperations put;
  for (const char* key : {"a", "b", "c"}) put.put(Family::History, key, "x");
  REQUIRE(write(*rows, put));
  REQUIRE(rows->trim_history("b"));
  CHECK(get(*rows, Family::History, "b"));
  CHECK(get(*rows, Family::History, "c"));
}

TEST_CASE("rows: of too much history the oldest goes, and the index takes its part of the room") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  const std::unique_ptr<Rows> rows = open_with_large_history(*engine);
  CHECK(rows->history_cut(100 * kMebi).value().empty());
  CHECK(left_by(*rows, 1) == 0);
  const std::uint64_t left = left_by(*rows, 32 * kMebi);
  CHECK(left <= 28);
  CHECK(left >= 10);
  ingest_large_index(*rows);
  CHECK(rows->history_cut(100 * kMebi).value().empty());
  CHECK(left_by(*rows, 32 * kMebi) <= 19);
  CHECK(left_by(*rows, 32 * kMebi) > 0);
}

TEST_CASE("rows: history that is too large is cut once, and its index shrinks with it") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  const std::unique_ptr<Rows> rows = open_with_large_history(*engine);
  ingest_large_index(*rows);
  std::atomic<bool> is_cancelled = false;
  HistoryKeeper keeper;
  std::vector<MessageId> floors;
  // RocksDB may keep the youngest files for a while, below the cut as well: no reason for another.
  for (int look = 0; look < 4; ++look) {
    const auto wanted = keeper.look(*rows, {{}, 48 * kMebi}, is_cancelled);
    REQUIRE(wanted);
    if (!wanted->has_value()) continue;
    floors.push_back(**wanted);
    RowOperations note;
    note.put(Family::Meta, kHistoryFloorKey, message_key(floors.back()));
    REQUIRE(write(*rows, note));
  }
  REQUIRE(floors.size() == 1);
  const MessageId floor = floors.front();
  CHECK(floor > sample_id(kLargeRows / 3));
  CHECK(floor < sample_id(kLargeRows - 8));
  for (std::uint64_t number = kLargeRows - 8; number < kLargeRows; ++number) {
    CHECK(get(*rows, Family::History, large_key(number)));
  }
  const std::unique_ptr<RowView> view = rows->view();
  const Key prefix = index_prefix(IndexKind::Sender, 1);
  std::vector<std::string> entries = keys(*view, Family::Index, prefix, prefix);
  CHECK_FALSE(entries.empty());
  CHECK(parse_index_key(entries.back()).value() >= floor);
}

TEST_CASE("rows: history that is only too old goes an hour at a time, and none by a wrong clock") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  const std::unique_ptr<Rows> rows = engine->open();
  std::atomic<bool> is_cancelled = false;
  HistoryKeeper keeper;
  HistoryLimits limits;
  CHECK(keeper.look(*rows, limits, is_cancelled).value() == std::nullopt);
  limits.oldest = base::WallTime{} - std::chrono::hours(24 * 90);  // of a clock that stands at 1970
  CHECK(keeper.look(*rows, limits, is_cancelled).value() == std::nullopt);
  limits.oldest = kSampleTime;
  REQUIRE(keeper.look(*rows, limits, is_cancelled).value() == sample_id(0));
  RowOperations note;
  note.put(Family::Meta, kHistoryFloorKey, message_key(sample_id(0)));
  note.put(Family::History, large_key(1), "x");
  REQUIRE(write(*rows, note));
  limits.oldest = kSampleTime + std::chrono::minutes(59);
  CHECK(keeper.look(*rows, limits, is_cancelled).value() == std::nullopt);
  limits.oldest = kSampleTime + std::chrono::minutes(60);
  CHECK(keeper.look(*rows, limits, is_cancelled).value() == first_id_at(limits.oldest));
  limits.oldest = kSampleTime - std::chrono::hours(24);
  CHECK(keeper.look(*rows, limits, is_cancelled).value() == std::nullopt);
}

TEST_CASE("rows: collecting garbage keeps every live row") {
  const std::unique_ptr<Engine> engine = make_engine(GENERATE(from_range(engine_names())));
  const std::unique_ptr<Rows> rows = engine->open();
  for (int i = 0; i < 200; ++i) {
    RowOperations put;
    put.put(Family::Bodies, std::to_string(i),
            std::string(10'000, static_cast<char>('a' + i % 26)));
    REQUIRE(write(*rows, put, Sync::No));
  }
  REQUIRE(rows->collect_garbage(Rows::Urgency::DiskFillsUp));
  RowOperations removals;
  for (int i = 0; i < 200; ++i) {
    if (i % 10 != 0) removals.remove_single(Family::Bodies, std::to_string(i));
  }
  REQUIRE(write(*rows, removals));
  REQUIRE(rows->collect_garbage(Rows::Urgency::Idle));
  REQUIRE(rows->collect_garbage(Rows::Urgency::DiskFillsUp));
  for (int i = 0; i < 200; ++i) {
    const std::optional<std::string> row = get(*rows, Family::Bodies, std::to_string(i));
    CHECK(row.has_value() == (i % 10 == 0));
    if (row) CHECK(*row == std::string(10'000, static_cast<char>('a' + i % 26)));
  }
}
