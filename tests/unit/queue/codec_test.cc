#include "queue/codec.h"

#include <random>

#include <catch2/catch.hpp>

#include "tests/unit/queue/sample_mail.h"

using namespace rockdove;
using namespace std::chrono_literals;
using namespace rockdove::queue;
using namespace rockdove::tests;

namespace {

Message odd_message() {
  Message message = sample_message(5, 3);
  message.kind = MessageKind::Report;
  message.sender = std::string("a\xFF\0b", 4);
  message.client.address = *base::parse_ip_address("2001:db8::7");
  message.body_octets = 100'000'000'000;
  message.body_chunks = 4711;
  message.eight_bit = true;
  message.tenant = "blue";
  message.campaign = "spring\xFF";
  message.smtputf8 = true;
  message.envelope_id = "QQ+=\x01";
  message.returned = mail::ReturnContent::Headers;
  message.client.user = "scanner";
  message.client.tls = "TLSv1.3 TLS_AES_128_GCM_SHA256";
  message.about = sample_id(4);
  message.header_block.append(std::string(100'000, 'x'));
  return message;
}

Delivery odd_delivery() {
  Delivery delivery = sample_delivery(sample_message(5), 9);
  delivery.tenant = "blue";
  delivery.priority = 255;
  delivery.state = DeliveryState::Held;
  delivery.attempts = 3;
  delivery.uncertain = 1;
  delivery.crashes = 2;
  delivery.hold_reason = "operator";
  delivery.last = {kSampleTime, "mx[192.0.2.1]:25", "451 4.7.1 Later\xFE", "TLSv1.2 X", 1500ms};
  delivery.last.rule = "/etc/traffic.toml:7";
  delivery.last.source = "192.0.2.10";
  delivery.last.wants_other_source = true;
  delivery.last.provider = "yahoo";
  delivery.final_status = "5.1.1";
  delivery.ending = Ending::Relayed;
  delivery.notify.success = true;
  delivery.notify.delay = true;
  delivery.original_recipient = "rfc822;Bob+9@example.net";
  delivery.delay_told = true;
  delivery.alias = "team@here.example";
  return delivery;
}

}  // namespace

TEST_CASE("codec: a message reads back as it was written") {
  const Message written = odd_message();
  std::string octets;
  encode_message(written, octets);
  const Result<Message> read = decode_message(written.id, octets);
  REQUIRE(read);
  CHECK(read->id == written.id);
  CHECK(read->kind == written.kind);
  CHECK(read->sender == written.sender);
  CHECK(read->client.address == written.client.address);
  CHECK(read->client.helo == written.client.helo);
  CHECK(read->client.listener == written.client.listener);
  CHECK(read->accepted == written.accepted);
  CHECK(read->header_block == written.header_block);
  CHECK(read->body_octets == written.body_octets);
  CHECK(read->body_chunks == written.body_chunks);
  CHECK(read->eight_bit);
  CHECK(read->recipients == 3);
  CHECK(read->tenant == "blue");
  CHECK(read->campaign == "spring\xFF");
  CHECK(read->smtputf8);
  CHECK(read->envelope_id == written.envelope_id);
  CHECK(read->returned == mail::ReturnContent::Headers);
  CHECK(read->client.user == "scanner");
  CHECK(read->client.tls == written.client.tls);
  CHECK(read->about == sample_id(4));
  CHECK(read->body == nullptr);
}

TEST_CASE("codec: a delivery reads back as it was written") {
  const Delivery written = odd_delivery();
  std::string octets;
  encode_delivery(written, octets);
  const Result<Delivery> read = decode_delivery({sample_id(5), 9}, octets);
  REQUIRE(read);
  CHECK(read->number == 9);
  CHECK(read->recipient == written.recipient);
  CHECK(read->alias == "team@here.example");
  CHECK(read->destination == written.destination);
  CHECK(read->tenant == written.tenant);
  CHECK(read->priority == 255);
  CHECK(read->state == DeliveryState::Held);
  CHECK(read->due == written.due);
  CHECK(read->attempts == 3);
  CHECK(read->uncertain == 1);
  CHECK(read->crashes == 2);
  CHECK(read->hold_reason == "operator");
  CHECK(read->last.at == kSampleTime);
  CHECK(read->last.host == written.last.host);
  CHECK(read->last.reply == written.last.reply);
  CHECK(read->final_status == "5.1.1");
  CHECK(read->ending == Ending::Relayed);
  CHECK(read->notify == written.notify);
  CHECK(read->original_recipient == written.original_recipient);
  CHECK(read->delay_told);
  CHECK(read->last.tls == "TLSv1.2 X");
  CHECK(read->last.rule == "/etc/traffic.toml:7");
  CHECK(read->last.source == "192.0.2.10");
  CHECK(read->last.wants_other_source);
  CHECK(read->last.provider == "yahoo");
}

TEST_CASE("codec: each NOTIFY reads back as it was written") {
  for (unsigned bits = 0; bits < 16; ++bits) {
    Delivery written = odd_delivery();
    written.notify = {(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0};
    std::string octets;
    encode_delivery(written, octets);
    const Result<Delivery> read = decode_delivery({sample_id(5), 9}, octets);
    REQUIRE(read);
    CHECK(read->notify == written.notify);
  }
}

TEST_CASE("codec: rows of issue 2, without the later fields, still open") {
  // As the version of 2026-11-21 wrote them.
  using namespace std::string_literals;
  const std::string message =
      "\x12\x01\x61\x1a\x04\xc0\x00\x02\x07\x22\x01\x63\x2a\x03lan\x30\x80\x80\xa8\x8a\xb1\x34"
      "\x38\x07\x40\x01\x50\x01\x7a\x06X: y\r\n"s;
  const Result<Message> read = decode_message(sample_id(5), message);
  REQUIRE(read);
  CHECK(read->sender == "a");
  CHECK(read->header_block == "X: y\r\n");
  CHECK_FALSE(read->smtputf8);
  CHECK(read->envelope_id.empty());
  CHECK(read->returned == mail::ReturnContent::Unset);
  CHECK(read->client.user.empty());
  CHECK(read->campaign.empty());
  WaitingNote note{"", 0, "", "", "of another row"};
  REQUIRE(decode_note("\x0a\x01\x61\x10\x07"s, note));
  CHECK(note.sender == "a");
  CHECK(note.octets == 7);
  CHECK(note.campaign.empty());
  const Result<Delivery> delivery =
      decode_delivery({sample_id(5), 9}, "\x0a\x03\x62@x\x12\x01x\x28\x01\x30\x01"s);
  REQUIRE(delivery);
  CHECK(delivery->recipient == "b@x");
  CHECK(delivery->notify.is_unset());
  CHECK_FALSE(delivery->delay_told);
  CHECK(delivery->final_status.empty());
}

TEST_CASE("codec: a closing record keeps who sent what to whom, and how it was secured") {
  Message message = sample_message(5);
  message.client.user = "scanner";
  message.client.tls = "TLSv1.2 IN";
  Attempt attempt = sample_attempt(kSampleTime);
  attempt.tls = "TLSv1.3 OUT";
  std::string octets;
  encode_closing(message, message_id_field(message.header_block), sample_delivery(message, 1),
                 Outcome::Bounced, attempt, octets);
  const Result<HistoryStep> step =
      decode_step({{message.id, 1}, kSampleTime, HistoryKind::Closing}, octets);
  REQUIRE(step);
  CHECK(step->what == "bounced");
  CHECK(step->sender == "alice@here.example");
  CHECK(step->recipient == "bob1@example.net");
  CHECK(step->reply == "250 2.0.0 Ok");
  CHECK(step->client_user == "scanner");
  CHECK(step->client_tls == "TLSv1.2 IN");
  CHECK(step->tls == "TLSv1.3 OUT");
  CHECK(step->message_id_field == "<1@here.example>");
  CHECK(step->outcome == Outcome::Bounced);
  CHECK(step->took == 12ms);
  CHECK(step->client_address == message.client.address);
  CHECK(step->client_helo == "client.example");
  CHECK(step->client_listener == "lan");
  CHECK(step->accepted == message.accepted);
  CHECK(step->octets == message.header_block.size() + message.body_octets);
}

TEST_CASE("codec: tenant, campaign and priority are in the note and in the closing record") {
  Message message = sample_message(5);
  message.tenant = "blue";
  message.campaign = "spring";
  Delivery delivery = sample_delivery(message, 1);
  delivery.priority = stored_priority(4);
  std::string octets;
  encode_note(note_of(message, delivery), octets);
  WaitingNote note;
  REQUIRE(decode_note(octets, note));
  CHECK(note.campaign == "spring");
  octets.clear();
  encode_closing(message, "", delivery, Outcome::Delivered, sample_attempt(kSampleTime), octets);
  const Result<HistoryStep> step =
      decode_step({{message.id, 1}, kSampleTime, HistoryKind::Closing}, octets);
  REQUIRE(step);
  CHECK(step->tenant == "blue");
  CHECK(step->campaign == "spring");
  CHECK(priority_of(step->priority) == 4);
}

TEST_CASE("types: a priority is stored so that 0 is normal and the urgent ones are above 246") {
  CHECK(stored_priority(9) == 247);
  CHECK(stored_priority(1) == 255);
  CHECK(stored_priority(0) == 0);
  CHECK(stored_priority(-9) == 9);
  for (int priority = -kPriorityMax; priority <= kPriorityMax; ++priority) {
    CHECK(priority_of(stored_priority(priority)) == priority);
  }
  CHECK(priority_of(128) == kPriorityMax);
  CHECK(priority_of(127) == -kPriorityMax);
}

TEST_CASE("types: scheduled is what waits, untried, for the time that its sender has set") {
  Delivery delivery = sample_delivery(sample_message(5), 1);
  const WallTime now = delivery.due - 1h;
  CHECK_FALSE(is_scheduled(delivery, now));
  delivery.lives_from = delivery.due;
  CHECK(is_scheduled(delivery, now));
  CHECK_FALSE(is_scheduled(delivery, delivery.due));
  delivery.attempts = 1;
  CHECK_FALSE(is_scheduled(delivery, now));
  delivery.attempts = 0;
  delivery.due -= 30min;  // a person has set another time
  CHECK_FALSE(is_scheduled(delivery, now));
}

TEST_CASE("codec: a closing record names its report, and a report's what it is about") {
  Message message = sample_message(5);
  message.kind = MessageKind::Report;
  message.about = sample_id(4);
  Attempt attempt{kSampleTime, {}, "", ""};
  attempt.report = sample_id(6);
  attempt.is_last = true;
  std::string octets;
  encode_closing(message, "", odd_delivery(), Outcome::Bounced, attempt, octets);
  const Result<HistoryStep> step =
      decode_step({{message.id, 9}, kSampleTime, HistoryKind::Closing}, octets);
  REQUIRE(step);
  CHECK(step->kind == MessageKind::Report);
  CHECK(step->about == sample_id(4));
  CHECK(step->report == sample_id(6));
  CHECK(step->status == "5.1.1");
  CHECK(step->original_recipient == "rfc822;Bob+9@example.net");
  CHECK(step->alias == "team@here.example");
  CHECK(step->took == 1500ms);  // of the attempt whose reply it is
  CHECK(step->attempts == 3);
}

TEST_CASE("codec: a Message-ID is found folded or not, and cut at a line's length") {
  const auto found = [](const std::string& block) { return std::string(message_id_field(block)); };
  CHECK(found("A: b\r\nMESSAGE-id:<1@x> \r\n\r\n") == "<1@x>");
  CHECK(found("Message-ID:\r\n\t<2@x>\r\nA: b\r\n\r\n") == "<2@x>");
  CHECK(found("Message-ID: \r\n \r\n  <3@x>") == "<3@x>");
  CHECK(found("Message-ID:\r\nA: <4@x>\r\n\r\n").empty());
  CHECK(found("Message-ID:").empty());
  CHECK(found("X-Message-ID: <5@x>\r\n Message-ID: <6@x>\r\n\r\n").empty());
  CHECK(found("Message-ID: <" + std::string(65'536, 'x') + "@x>\r\n\r\n").size() == 997);
  CHECK(found(std::string("Message-ID: <\0\xFF@x>\r\n", 20)) == std::string("<\0\xFF@x>", 6));
}

TEST_CASE("codec: damaged rows are errors that name the row, and never crash") {
  const Result<Message> none = decode_message(sample_id(5), "\xFF\xFF\xFF");
  REQUIRE_FALSE(none);
  CHECK(none.error().text().find(base::format_id(sample_id(5))) != std::string::npos);
  CHECK(none.error().text().find("messages") != std::string::npos);

  std::string message;
  encode_message(sample_message(5), message);
  std::string delivery;
  encode_delivery(odd_delivery(), delivery);
  std::string step;
  encode_attempt(odd_delivery(), sample_attempt(kSampleTime), step);
  std::mt19937 random(42);
  for (int round = 0; round < 20'000; ++round) {
    std::string octets = round % 3 == 0 ? message : round % 3 == 1 ? delivery : step;
    const std::size_t changes = 1 + random() % 4;
    for (std::size_t i = 0; i < changes; ++i) {
      octets[random() % octets.size()] = static_cast<char>(random());
    }
    if (random() % 4 == 0) octets.resize(random() % octets.size());
    if (const Result<Message> read = decode_message(sample_id(5), octets)) {
      CHECK(read->id == sample_id(5));
    }
    if (const Result<Delivery> read = decode_delivery({sample_id(5), 9}, octets)) {
      CHECK(read->number == 9);
    }
    if (const Result<HistoryStep> read =
            decode_step({{sample_id(5), 9}, kSampleTime, HistoryKind::Attempt}, octets)) {
      CHECK_FALSE(read->what.empty());
    }
  }
}

TEST_CASE("codec: a reply is kept up to its limit") {
  Delivery delivery = odd_delivery();
  delivery.last.reply.assign(5000, 'x');
  std::string octets;
  encode_delivery(delivery, octets);
  const Result<Delivery> read = decode_delivery({sample_id(5), 9}, octets);
  REQUIRE(read);
  CHECK(read->last.reply.size() == kReplyOctetsKept);
}

TEST_CASE("codec: a step keeps TLS and source of its attempt; a later end, those of the last one") {
  Attempt attempt = sample_attempt(kSampleTime);
  attempt.tls = "TLSv1.3 OUT";
  attempt.source = "192.0.2.11";
  std::string octets;
  encode_attempt(odd_delivery(), attempt, octets);
  const Result<HistoryStep> deferred =
      decode_step({{sample_id(5), 9}, kSampleTime, HistoryKind::Attempt}, octets);
  REQUIRE(deferred);
  CHECK(deferred->tls == "TLSv1.3 OUT");
  CHECK(deferred->source == "192.0.2.11");
  octets.clear();
  Attempt of_last{kSampleTime, {}, "", ""};
  of_last.is_last = true;
  encode_closing(sample_message(5), "", odd_delivery(), Outcome::Unreported, of_last, octets);
  const Result<HistoryStep> closed =
      decode_step({{sample_id(5), 9}, kSampleTime, HistoryKind::Closing}, octets);
  REQUIRE(closed);
  CHECK(closed->what == "unreported");
  CHECK(closed->tls == "TLSv1.2 X");
  CHECK(closed->source == "192.0.2.10");
}
