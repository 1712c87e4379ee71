// Salvage of rows that RocksDB would not write in this way just for a test: logs made by hand.
#include <fstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "mta/mail/received.h"
#include "queue/codec.h"
#include "queue/keys.h"
#include "queue/salvage.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/queue/log_writer.h"
#include "tests/unit/queue/sample_mail.h"

using namespace rockdove;
using namespace rockdove::queue;
using namespace rockdove::tests;

namespace {

// A database that is nothing but a log of these rows.
class HandMadeLog {
 public:
  void put(unsigned family, std::uint64_t sequence, std::string_view key,
           const std::string& value = {}) {
    append_record(log_, log_record(sequence, family, key, &value));
  }

  void remove(unsigned family, std::uint64_t sequence, std::string_view key) {
    append_record(log_, log_record(sequence, family, key, nullptr));
  }

  void put(const Message& message) {
    std::string value;
    encode_message(message, value);
    put(kMessages, 100, message_key(message.id), value);
  }

  void put(MessageId id, const Delivery& delivery) {
    std::string value;
    encode_delivery(delivery, value);
    put(kDeliveries, 100, delivery_key({id, delivery.number}), value);
  }

  struct Salvaged {
    std::vector<StoredMessage> out;
    std::vector<HurtMessage> hurt;
  };

  [[nodiscard]] Salvaged salvaged() const {
    const TemporaryDirectory folder;
    std::ofstream(folder.path() + "/000007.log", std::ios::binary) << log_;
    Result<std::unique_ptr<Salvage>> opened = Salvage::open(folder.path());
    REQUIRE(opened);
    (*opened)->read();
    Salvaged result;
    (*opened)->bring_out(
        [&result](const StoredMessage& stored, const Salvage::ReadChunk&) -> Result<void> {
          result.out.push_back(stored);
          return {};
        });
    result.hurt = (*opened)->hurt();
    return result;
  }

  static constexpr unsigned kMessages = 2;
  static constexpr unsigned kDeliveries = 4;
  static constexpr unsigned kWaiting = 5;

 private:
  std::string log_;
};

}  // namespace

TEST_CASE("who waits by a row with the number zero is missed when his delivery is lost") {
  const Message message = sample_message(1, 2, "");
  const std::vector<Delivery> deliveries = sample_deliveries(message);
  HandMadeLog log;
  log.put(message);
  log.put(message.id, deliveries[0]);
  log.put(HandMadeLog::kWaiting, 102, waiting_key(message.id, deliveries[0]));
  // The second one was put off once; his row in `deliveries` is lost.
  Delivery later = deliveries[1];
  log.remove(HandMadeLog::kWaiting, 200, waiting_key(message.id, later));
  later.due += std::chrono::hours(1);
  log.put(HandMadeLog::kWaiting, 0, waiting_key(message.id, later));
  const HandMadeLog::Salvaged result = log.salvaged();
  REQUIRE(result.out.size() == 1);
  CHECK(result.out.front().deliveries.size() == 1);
  REQUIRE(result.hurt.size() == 1);
  CHECK(result.hurt.front().is_out);
  CHECK(result.hurt.front().why == "1 of its recipients could not be read");
}

TEST_CASE("an only recipient whose delivery is lost is known from our own Received field") {
  const mail::Address address{"bob", "example.net"};
  Message message = sample_message(1, 1, "");
  mail::ReceivedStamp stamp;
  stamp.helo = "client.example";
  stamp.hostname = "relay.example";
  stamp.id = message.id;
  stamp.only_recipient = &address;
  const std::string after = "Received: by other.example id " + base::format_id(message.id) +
                            "\r\n\tfor <eve@evil.example>;\r\n\tdate\r\nSubject: hi\r\n\r\n";
  Delivery delivery = sample_delivery(message, 1);
  delivery.state = DeliveryState::Held;
  const std::uint64_t sequence = GENERATE(as<std::uint64_t>{}, 0, 102);
  HandMadeLog log;
  log.put(HandMadeLog::kWaiting, sequence, waiting_key(message.id, delivery));
  SECTION("which names him") {
    message.header_block = mail::format_received(stamp) + after;
    log.put(message);
    const HandMadeLog::Salvaged result = log.salvaged();
    REQUIRE(result.out.size() == 1);
    REQUIRE(result.out.front().deliveries.size() == 1);
    const Delivery& found = result.out.front().deliveries.front();
    CHECK(found.recipient == "bob@example.net");
    CHECK(found.destination == "example.net");
    CHECK(found.state == DeliveryState::Held);
    CHECK(found.due == delivery.due);
    REQUIRE(result.hurt.size() == 1);
    CHECK(result.hurt.front().is_out);
    CHECK(result.hurt.front().recipients == std::vector<std::string>{"bob@example.net"});
  }
  SECTION("but not from one that the sender wrote") {
    stamp.only_recipient = nullptr;
    message.header_block = mail::format_received(stamp) + after;
    log.put(message);
    const HandMadeLog::Salvaged result = log.salvaged();
    CHECK(result.out.empty());
    CHECK(result.hurt.size() == 1);
  }
  SECTION("nor when he was one of several") {
    message.header_block = mail::format_received(stamp) + after;
    message.recipients = 2;
    log.put(message);
    CHECK(log.salvaged().out.empty());
  }
}
