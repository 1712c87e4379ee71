// The readers of damaged files, each alone: packed data, the log, blob files. The tables are read
// from a real database in salvage_test.cc.
#include <algorithm>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "queue/rocks_checksum.h"
#include "queue/salvage_blob.h"
#include "queue/salvage_log.h"
#include "queue/salvage_table.h"
#include "tests/unit/queue/log_writer.h"

using namespace rockdove::queue;
using namespace rockdove::tests;

namespace {

std::vector<std::string> whole_records(std::string_view log, std::vector<std::string>& partial,
                                       int& holes) {
  std::vector<std::string> records;
  holes = 0;
  DamagedLog(log).for_each(
      [&](const LogRecord& record) {
        (record.is_whole ? records : partial).emplace_back(record.octets);
      },
      [&holes](const Hole&) { ++holes; });
  return records;
}

std::string blob_record(std::string_view key, std::string_view value) {
  std::string record;
  append_number(record, key.size(), 8);
  append_number(record, value.size(), 8);
  append_number(record, 0, 8);
  append_number(record, masked_checksum(rocks_checksum(0, record)), 4);
  append_number(record, masked_checksum(rocks_checksum(rocks_checksum(0, key), value)), 4);
  return record.append(key).append(value);
}

}  // namespace

TEST_CASE("packed data is unpacked, and tells where it ends") {
  // Five literals, then a match of 9 that reaches into itself, then the last three literals.
  const std::string packed = std::string("\x55") + "abcde" + std::string("\x02\x00", 2) + "\x30xyz";
  const std::string exact = "abcdedededededxyz";
  REQUIRE(lz4_extent(packed + "behind", 17) == packed.size());
  CHECK(lz4_unpack(packed, 17) == exact);
  CHECK_FALSE(lz4_unpack(packed, 16).has_value());
  CHECK_FALSE(lz4_unpack(packed.substr(0, 9), 17).has_value());
  CHECK_FALSE(lz4_extent("", 1).has_value());
  // A match that reaches in front of the beginning.
  CHECK_FALSE(lz4_extent(std::string("\x15"
                                     "a\x09\x00\x10z",
                                     6),
                         11)
                  .has_value());
}

TEST_CASE("records of a log come whole, and what is damaged costs no more than its block") {
  std::string log;
  std::vector<std::string> written;
  for (int i = 0; i < 40; ++i) {
    written.push_back(
        std::string(static_cast<std::size_t>(i) * 700 + 3, static_cast<char>('a' + i % 26)));
    append_record(log, written.back());
  }
  std::vector<std::string> partial;
  int holes = 0;
  CHECK(whole_records(log, partial, holes) == written);
  CHECK(holes == 0);
  CHECK(partial.empty());

  std::string hurt = log;
  hurt.replace(5 * 32 * 1024 + 100, 4096, 4096, '#');
  const std::vector<std::string> found = whole_records(hurt, partial, holes);
  CHECK(holes == 1);
  CHECK(found.size() >= written.size() - 4);
  CHECK(found.size() < written.size());
  for (const std::string& record : found) {
    CHECK(std::find(written.begin(), written.end(), record) != written.end());
  }
  // What comes in part is the beginning of what was written.
  for (const std::string& record : partial) {
    const auto same = std::find_if(written.begin(), written.end(), [&](const std::string& one) {
      return one.starts_with(record) && one.size() > record.size();
    });
    CHECK(same != written.end());
  }
}

TEST_CASE("a log that ends in the middle of a record has all records in front of it") {
  std::string log;
  append_record(log, "one");
  append_record(log, std::string(50'000, 'x'));
  std::vector<std::string> partial;
  int holes = 0;
  const auto found = whole_records(std::string_view(log).substr(0, log.size() - 5), partial, holes);
  CHECK(found == std::vector<std::string>{"one"});
  CHECK(holes == 1);
  REQUIRE(partial.size() == 1);
  CHECK(partial.front().size() < 50'000);
  // Room that was reserved and never written is nothing.
  CHECK(whole_records(log + std::string(100'000, '\0'), partial, holes).size() == 2);
  CHECK(holes == 0);
}

TEST_CASE("rows of a log's record end where its octets do") {
  std::string record;
  append_number(record, 1000, 8);
  append_number(record, 3, 4);
  record += std::string("\x05\x04\x03key\x05value", 12);
  record += std::string(
      "\x08\x04\x03"
      "abc",
      6);
  record += std::string("\x04\x02\x01z", 4);
  const auto rows_in = [](std::string_view octets, bool& is_whole) {
    std::vector<std::string> rows;
    is_whole = for_each_logged(octets, [&rows](const LogRow& row) {
      rows.push_back(std::to_string(row.sequence) + " " + std::to_string(row.family_id) + " " +
                     std::string(row.key) + "=" + std::string(row.value));
    });
    return rows;
  };
  bool is_whole = false;
  CHECK(rows_in(record, is_whole) ==
        std::vector<std::string>{"1000 4 key=value", "1001 4 abc=", "1002 2 z="});
  CHECK(is_whole);
  for (std::size_t octets = 0; octets < record.size(); ++octets) {
    CHECK(rows_in(std::string_view(record).substr(0, octets), is_whole).size() < 3);
    CHECK_FALSE(is_whole);
  }
}

TEST_CASE("bodies are found in a blob file without a table, and only those that are whole") {
  std::string file(30, 'h');
  std::vector<std::uint64_t> starts;
  for (int i = 0; i < 10; ++i) {
    starts.push_back(file.size());
    file +=
        blob_record("key" + std::to_string(100 + i), std::string(5000, static_cast<char>('a' + i)));
  }
  std::string footer;
  append_number(footer, 2395959, 4);
  file += footer + std::string(28, 'f');
  const auto keys_in = [](std::string_view octets, const std::vector<std::uint64_t>& known) {
    std::string keys;
    for_each_blob(
        octets, known,
        [&keys](const BlobRecord& record) {
          CHECK(record.value.size() == 5000);
          keys += record.key.substr(5);
        },
        [](const Hole&) {});
    return keys;
  };
  CHECK(keys_in(file, {}) == "0123456789");
  std::string hurt = file;
  hurt.replace(starts[3] + 2000, 100, 100, '#');  // a body
  CHECK(keys_in(hurt, {}) == "012456789");
  hurt.replace(starts[6], 10, 10, '#');  // a head
  CHECK(keys_in(hurt, {}) == "01245789");
  CHECK(keys_in(hurt, starts) == "01245789");
  CHECK(keys_in(std::string_view(file).substr(0, 20'000), {}) == "012");
}

TEST_CASE("a mail that looks like bodies of others is not read for them") {
  // Its own head is damaged; what tables know shows where the next body begins.
  const std::string forged = blob_record("victim", std::string(600, 'f'));
  std::string file(30, 'h');
  const std::uint64_t first = file.size();
  file += blob_record("mail01", "some text" + forged + forged + "more");
  const std::uint64_t second = file.size();
  file += blob_record("mail02", "hello");
  file.replace(static_cast<std::size_t>(first), 8, 8, '#');
  std::string keys;
  for_each_blob(
      file, {first, second}, [&keys](const BlobRecord& record) { keys += record.key; },
      [](const Hole&) {});
  CHECK(keys == "mail02");
}
