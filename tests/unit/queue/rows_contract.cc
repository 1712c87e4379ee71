// What both engines of rows promise (queue/rows.h). Each engine is opened on something that
// outlives it, so that closing and opening again is part of the contract.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/queue/engines.h"

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
