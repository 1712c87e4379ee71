// Fills a queue with the history of messages that have gone, and indexes it, for
// contrib/bench/trace, which knows what it puts in:
//
//   history_fill DIRECTORY [records=5000000]
//
// Message i of n (five of six records; every fifth was deferred once) was accepted i steps behind
// the beginning, 80 days ago, the last one two minutes ago. Its sender is s(i % 1000)@senders.test,
// its recipient r(i % 50000)@d(i % 50000 % 20000).test, its client 10.0.(i % 200).1, its Message-ID
// <mi@bench.test>. Prints n, how long writing and indexing took, and the octets on disk.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "queue/codec.h"
#include "queue/indexer.h"
#include "queue/keys.h"
#include "queue/ledger.h"
#include "queue/rocks_rows.h"

namespace {

using namespace rockdove;
using namespace rockdove::queue;
using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& text) {
  std::fprintf(stderr, "history_fill: %s\n", text.c_str());
  std::exit(1);
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void put_message(RowOperations& rows, std::uint64_t number, WallTime accepted) {
  const std::uint64_t who = number % 50'000;
  Message message;
  message.id = MessageId{base::to_unix_milliseconds(accepted) << 20};
  message.sender = "s" + std::to_string(number % 1000) + "@senders.test";
  message.client = {base::IpAddress::v4({10, 0, static_cast<std::uint8_t>(number % 200), 1}),
                    "client.bench.test", "lan"};
  message.accepted = accepted;
  message.header_block = "Message-ID: <m" + std::to_string(number) + "@bench.test>\r\n\r\n";
  message.body_octets = 4096;
  message.recipients = 1;
  Delivery delivery;
  delivery.number = 1;
  delivery.destination = "d" + std::to_string(who % 20'000) + ".test";
  delivery.recipient = "r" + std::to_string(who) + "@" + delivery.destination;
  const DeliveryId id{message.id, 1};
  Attempt attempt{accepted + std::chrono::seconds(1), std::chrono::milliseconds(120),
                  "mx." + delivery.destination + "[192.0.2.1]:25", ""};
  if (number % 5 == 0) {
    attempt.reply = "451 4.7.1 Greylisted, try again later";
    delivery.attempts = 1;
    rows.put_written(Family::History, history_key(id, attempt.at, HistoryKind::Attempt),
                     [&](std::string& block) { encode_attempt(delivery, attempt, block); });
    attempt.at += std::chrono::minutes(5);
  }
  attempt.reply = "250 2.0.0 Ok: queued as 4bXyZ" + std::to_string(number);
  rows.put_written(Family::History, history_key(id, attempt.at, HistoryKind::Closing),
                   [&](std::string& block) {
                     encode_closing(message, message_id_field(message.header_block), delivery,
                                    Outcome::Delivered, attempt, block);
                   });
}

void fill(Rows& rows, std::uint64_t messages, WallTime now) {
  constexpr std::uint64_t kBatch = 1000;
  const WallTime begin = now - std::chrono::hours(24 * 80);
  const auto span = static_cast<std::uint64_t>((now - begin).count()) - 120'000;
  RowOperations operations;
  for (std::uint64_t number = 0; number < messages; ++number) {
    put_message(operations, number,
                begin + std::chrono::milliseconds(span * (number + 1) / messages));
    if ((number + 1) % kBatch != 0 && number + 1 < messages) continue;
    const RowOperations* const batch[] = {&operations};
    if (Result<void> written = rows.write(batch, Sync::No); !written) fail(written.error().text());
    operations.clear();
  }
}

std::uint64_t index_all(Rows& rows, WallTime now) {
  IndexFence fence;
  Indexer indexer(fence);
  std::uint64_t entries = 0;
  for (bool more = true; more;) {
    Damaged damaged;
    const MessageId until{base::to_unix_milliseconds(now - std::chrono::seconds(60)) << 20};
    const Result<Indexer::Step> step = indexer.step(rows, until, damaged);
    if (!step) fail(step.error().text());
    if (!damaged.empty()) fail(damaged.front().text());
    entries += step->entries;
    more = step->more;
  }
  return entries;
}

std::uintmax_t octets_in(const std::string& directory) {
  std::uintmax_t octets = 0;
  for (const auto& file : std::filesystem::directory_iterator(directory)) {
    if (file.is_regular_file()) octets += file.file_size();
  }
  return octets;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) fail("which directory?");
  const std::string directory = arguments[1];
  const std::uint64_t records = count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 5'000'000;
  const std::uint64_t messages = records * 5 / 6;
  std::filesystem::create_directories(directory);
  const WallTime now = base::read_clocks().wall;
  Result<std::unique_ptr<Rows>> rows = open_rocks_rows({directory, {}});
  if (!rows) fail(rows.error().text());
  {
    Ledger ledger(**rows);
    if (Result<void> opened = ledger.open(); !opened) fail(opened.error().text());
  }
  Clock::time_point start = Clock::now();
  fill(**rows, messages, now);
  const double filled = seconds_since(start);
  start = Clock::now();
  const std::uint64_t entries = index_all(**rows, now);
  const double indexed = seconds_since(start);
  rows->reset();
  std::printf(
      "{\"messages\": %llu, \"entries\": %llu, \"fill_s\": %.1f, \"index_s\": %.1f, "
      "\"octets\": %llu}\n",
      static_cast<unsigned long long>(messages), static_cast<unsigned long long>(entries), filled,
      indexed, static_cast<unsigned long long>(octets_in(directory)));
  return 0;
}
