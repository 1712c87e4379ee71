// What only RocksDB can show: files that a power cut left, files that are opened read-only, and
// space that comes back.
#include "queue/rocks_rows.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "queue/keys.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/queue/sample_mail.h"

using namespace rockdove;
using namespace rockdove::queue;
using namespace rockdove::tests;
namespace fs = std::filesystem;

namespace {

// Far beyond what any background work here takes; a test that reaches it fails.
constexpr std::chrono::seconds kPatience{60};

std::unique_ptr<Rows> open(const std::string& directory) {
  Result<std::unique_ptr<Rows>> rows = open_rocks_rows({directory, {}});
  if (!rows) FAIL(rows.error().text());
  return std::move(*rows);
}

void put(Rows& rows, Family family, std::string_view key, std::string_view value,
         Sync sync = Sync::Yes) {
  RowOperations operations;
  operations.put(family, key, value);
  const RowOperations* const batch[] = {&operations};
  if (const Result<void> written = rows.write(batch, sync); !written) FAIL(written.error().text());
}

bool has(const Rows& rows, Family family, std::string_view key) {
  const Result<std::optional<std::string>> row = rows.view()->get(family, key);
  if (!row) FAIL(row.error().text());
  return row->has_value();
}

fs::path newest_log(const fs::path& directory) {
  fs::path newest;
  for (const fs::directory_entry& file : fs::directory_iterator(directory)) {
    if (file.path().extension() == ".log" && file.path() > newest) newest = file.path();
  }
  REQUIRE_FALSE(newest.empty());
  return newest;
}

// Of the files with this extension, such as ".blob", without one of all. A file that RocksDB
// removes meanwhile counts nothing.
std::uint64_t octets_in(const fs::path& directory, std::string_view extension = {}) {
  std::uint64_t octets = 0;
  for (const fs::directory_entry& file : fs::directory_iterator(directory)) {
    if (!extension.empty() && file.path().extension() != extension) continue;
    std::error_code gone;
    const std::uint64_t size = fs::file_size(file.path(), gone);
    if (!gone) octets += size;
  }
  return octets;
}

// Files are removed in the background.
void wait_until_at_most(std::uint64_t octets, const fs::path& directory,
                        std::string_view extension) {
  const auto patient_until = std::chrono::steady_clock::now() + kPatience;
  while (octets_in(directory, extension) > octets) {
    if (std::chrono::steady_clock::now() > patient_until) FAIL("the space never came back");
    std::this_thread::yield();
  }
}

// Of 30 rows that were written unsynced behind 20 synced ones, as "s0" and "u0" on.
constexpr int kSynced = 20;
constexpr int kUnsynced = 30;

std::uint64_t write_half_synced(Rows& rows, const fs::path& directory) {
  for (int i = 0; i < kSynced; ++i) {
    put(rows, Family::Bodies, "s" + std::to_string(i), std::string(7000, 's'));
  }
  const std::uint64_t synced = fs::file_size(newest_log(directory));
  for (int i = 0; i < kUnsynced; ++i) {
    put(rows, Family::Bodies, "u" + std::to_string(i), std::string(7000, 'u'), Sync::No);
  }
  return synced;
}

// How many unsynced rows are there; fails if they are not the first ones, or a synced one is gone.
int count_survivors(const std::string& directory) {
  const std::unique_ptr<Rows> rows = open(directory);
  for (int i = 0; i < kSynced; ++i) {
    if (!has(*rows, Family::Bodies, "s" + std::to_string(i))) FAIL("a synced row is gone");
  }
  int survivors = 0;
  while (survivors < kUnsynced && has(*rows, Family::Bodies, "u" + std::to_string(survivors))) {
    ++survivors;
  }
  for (int i = survivors; i < kUnsynced; ++i) {
    if (has(*rows, Family::Bodies, "u" + std::to_string(i))) FAIL("a row stands behind a hole");
  }
  // It takes writes, which are there after one more start.
  put(*rows, Family::Meta, "after", "the cut");
  return survivors;
}

}  // namespace

TEST_CASE("rocks rows: a log that is cut anywhere behind its last sync has all that was synced") {
  TemporaryDirectory directory;
  const fs::path live = directory.path() + "/live";
  const fs::path cut = directory.path() + "/cut";
  const std::unique_ptr<Rows> rows = open(live);
  const std::uint64_t synced = write_half_synced(*rows, live);
  const std::uint64_t whole = fs::file_size(newest_log(live));
  REQUIRE(whole > synced + kUnsynced * 7000);
  std::mt19937 random(1);
  int some = 0;
  for (int round = 0; round < 12; ++round) {
    fs::remove_all(cut);
    fs::copy(live, cut);
    const std::uint64_t kept = round == 0 ? synced : synced + random() % (whole - synced);
    fs::resize_file(newest_log(cut), kept);
    const int survivors = count_survivors(cut);
    if (round == 0) CHECK(survivors == 0);
    if (survivors > 0) ++some;
    CHECK(has(*open(cut), Family::Meta, "after"));
  }
  CHECK(some > 0);
}

TEST_CASE(
    "rocks rows: what stands behind a hole in the unsynced part of a log does not come back") {
  TemporaryDirectory directory;
  const fs::path live = directory.path() + "/live";
  const fs::path torn = directory.path() + "/torn";
  const std::unique_ptr<Rows> rows = open(live);
  const std::uint64_t synced = write_half_synced(*rows, live);
  const std::uint64_t whole = fs::file_size(newest_log(live));
  std::mt19937 random(2);
  for (int round = 0; round < 8; ++round) {
    fs::remove_all(torn);
    fs::copy(live, torn);
    constexpr std::uint64_t kBlock = 4096;
    const std::uint64_t at = synced + random() % (whole - synced - kBlock);
    std::fstream log(newest_log(torn), std::ios::in | std::ios::out | std::ios::binary);
    log.seekp(static_cast<std::streamoff>(at));
    log << std::string(kBlock, round % 2 == 0 ? '\0' : 'x');
    log.close();
    CHECK(count_survivors(torn) < kUnsynced);
  }
}

TEST_CASE("rocks rows: opened read-only they are read as they are, and no file changes") {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/queue";
  {
    const std::unique_ptr<Rows> rows = open(path);
    for (int i = 0; i < 100; ++i) put(*rows, Family::Messages, std::to_string(i), "row");
  }
  const auto files = [&path] {
    std::map<std::string, std::pair<std::uint64_t, fs::file_time_type>> found;
    for (const fs::directory_entry& file : fs::directory_iterator(path)) {
      found[file.path().filename().string()] = {file.file_size(), file.last_write_time()};
    }
    return found;
  };
  const auto before = files();
  {
    Result<std::unique_ptr<Rows>> rows = open_rocks_rows_read_only({path, {}});
    REQUIRE(rows);
    for (int i = 0; i < 100; ++i) CHECK(has(**rows, Family::Messages, std::to_string(i)));
    CHECK((*rows)->view()->last_key(Family::Messages).value() == "99");
    RowOperations operations;
    operations.put(Family::Messages, "new", "row");
    const RowOperations* const batch[] = {&operations};
    CHECK_FALSE((*rows)->write(batch, Sync::Yes));
  }
  CHECK(files() == before);
  CHECK_FALSE(open_rocks_rows_read_only({directory.path() + "/none", {}}));
  CHECK_FALSE(fs::exists(directory.path() + "/none"));
}

TEST_CASE("rocks rows: the space of bodies that are gone comes back") {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/queue";
  const std::unique_ptr<Rows> rows = open(path);
  constexpr std::uint64_t kBodies = 600;
  constexpr std::uint64_t kOctets = 100'000;
  for (std::uint64_t i = 0; i < kBodies; ++i) {
    put(*rows, Family::Bodies, body_key(sample_id(i), 0), std::string(kOctets, 'b'), Sync::No);
  }
  REQUIRE(rows->collect_garbage(Rows::Urgency::DiskFillsUp));
  REQUIRE(octets_in(path) > kBodies * kOctets);
  RowOperations removals;
  for (std::uint64_t i = 0; i < kBodies; ++i) {
    if (i % 10 != 0) removals.remove_single(Family::Bodies, body_key(sample_id(i), 0));
  }
  const RowOperations* const batch[] = {&removals};
  REQUIRE(rows->write(batch, Sync::Yes));
  REQUIRE(rows->collect_garbage(Rows::Urgency::Idle));
  wait_until_at_most(kBodies * kOctets / 5, path, ".blob");
  for (std::uint64_t i = 0; i < kBodies; i += 10) {
    CHECK(has(*rows, Family::Bodies, body_key(sample_id(i), 0)));
  }
}

TEST_CASE("rocks rows: merging does not copy bodies") {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/queue";
  const std::unique_ptr<Rows> rows = open(path);
  // Those of some large messages that come side by side, so that each table overlaps all others.
  constexpr std::uint64_t kMessages = 20;
  const auto put_chunks = [&](std::uint32_t from, std::uint32_t to) {
    for (std::uint32_t chunk = from; chunk < to; ++chunk) {
      for (std::uint64_t i = 0; i < kMessages; ++i) {
        const std::string octets(kBodyChunkOctets, 'b');
        put(*rows, Family::Bodies, body_key(sample_id(i), chunk), octets, Sync::No);
      }
    }
  };
  const auto blobs = [&path] {
    std::set<std::string> names;
    for (const fs::directory_entry& file : fs::directory_iterator(path)) {
      if (file.path().extension() == ".blob") names.insert(file.path().filename());
    }
    return names;
  };
  put_chunks(0, 8);  // two tables full
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (blobs().empty() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const std::set<std::string> first = blobs();
  REQUIRE_FALSE(first.empty());
  put_chunks(8, 30);
  REQUIRE(rows->collect_garbage(Rows::Urgency::Idle));  // waits for the merges under way
  const std::set<std::string> all = blobs();
  CHECK(all.size() > first.size());
  CHECK(std::includes(all.begin(), all.end(), first.begin(), first.end()));
}

TEST_CASE("rocks rows: a log of which little is needed is let go when the disk runs full") {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/queue";
  const std::unique_ptr<Rows> rows = open(path);
  put(*rows, Family::Messages, message_key(sample_id(0)), "a row that is in no file yet");
  constexpr std::uint64_t kBodies = 400;
  for (std::uint64_t i = 0; i < kBodies; ++i) {
    put(*rows, Family::Bodies, body_key(sample_id(i), 0), std::string(100'000, 'b'), Sync::No);
  }
  REQUIRE(rows->collect_garbage(Rows::Urgency::Idle));
  CHECK(octets_in(path, ".log") > kBodies * 100'000);
  REQUIRE(rows->collect_garbage(Rows::Urgency::DiskFillsUp));
  wait_until_at_most(1'000'000, path, ".log");
  CHECK(has(*rows, Family::Messages, message_key(sample_id(0))));
  CHECK(has(*rows, Family::Bodies, body_key(sample_id(kBodies - 1), 0)));
}

TEST_CASE("rocks rows: old history leaves the disk with its files, newer history stays") {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/queue";
  constexpr std::uint64_t kStarts = 12;
  constexpr std::uint64_t kRows = 40;
  std::uint64_t tick = 0;
  const auto key = [](std::uint64_t at) {
    return history_key({sample_id(at), 1}, kSampleTime, HistoryKind::Closing);
  };
  // A start writes what it found in the log to a file.
  for (std::uint64_t start = 0; start < kStarts; ++start) {
    const std::unique_ptr<Rows> rows = open(path);
    for (std::uint64_t i = 0; i < kRows; ++i) {
      put(*rows, Family::History, key(tick++), std::string(500, 'h'), Sync::No);
    }
  }
  const std::unique_ptr<Rows> rows = open(path);
  const auto patient_until = std::chrono::steady_clock::now() + kPatience;
  do {  // files go once they have been compacted, which happens in the background
    if (std::chrono::steady_clock::now() > patient_until) FAIL("the first history is still there");
    REQUIRE(rows->trim_history(message_key(sample_id(tick - 3))));
  } while (has(*rows, Family::History, key(0)));
  for (std::uint64_t kept = tick - 3; kept < tick; ++kept) {
    CHECK(has(*rows, Family::History, key(kept)));
  }
}

TEST_CASE("rocks rows: a file of the index that a crash left with two names is not written to") {
  const TemporaryDirectory directory;
  const fs::path path = directory.path() + "/queue";
  const auto ingest = [](Rows& rows, const std::string& key) {
    bool is_told = false;
    REQUIRE(rows.ingest([&]() -> std::optional<IndexRow> {
      if (std::exchange(is_told, true)) return std::nullopt;
      return IndexRow{key, "value"};
    }));
  };
  {
    const std::unique_ptr<Rows> rows = open(path);
    ingest(*rows, "one");
    fs::path newest;
    for (const fs::directory_entry& file : fs::directory_iterator(path)) {
      if (file.path().extension() == ".sst" && file.path() > newest) newest = file.path();
    }
    REQUIRE_FALSE(newest.empty());
    fs::create_hard_link(newest, path / "index.ingest");
    ingest(*rows, "two");
    CHECK_FALSE(fs::exists(path / "index.ingest"));
  }
  const std::unique_ptr<Rows> rows = open(path);
  CHECK(has(*rows, Family::Index, "one"));
  CHECK(has(*rows, Family::Index, "two"));
}
