// Envelopes as JSON and back: nothing is lost, and nothing that a person or a stranger wrote gets
// past the reader.
#include "mta/admin/envelope_text.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace {

using namespace rockdove;
using namespace std::chrono_literals;
using admin::Envelope;
using admin::Layout;
using Json = nlohmann::ordered_json;

const base::WallTime kTime = base::from_unix_milliseconds(1'795'295'700'123);

Envelope full_envelope() {
  Envelope envelope;
  queue::Message& message = envelope.stored.message;
  message.id = {(base::to_unix_milliseconds(kTime) << 20) | 5};
  message.kind = queue::MessageKind::Report;
  message.sender = "alice@here.example";
  message.client = {base::IpAddress::v4({192, 0, 2, 7}), "client \xFF\x01", "lan", "scanner",
                    "TLSv1.3"};
  message.accepted = kTime;
  message.body_octets = 700'000;
  message.body_chunks = 3;
  message.eight_bit = true;
  message.smtputf8 = true;
  message.envelope_id = "QQ314159";
  message.returned = mail::ReturnContent::Headers;
  message.recipients = 4;
  message.about = {(base::to_unix_milliseconds(kTime) << 20) | 4};
  envelope.stored.header_octets = 500;
  envelope.stored.reports = {2, kTime + 1h};
  queue::Delivery delivery;
  delivery.number = 2;
  delivery.recipient =
      "b\xC3\xBC"
      "cher@example.net";
  delivery.destination = "example.net";
  delivery.state = queue::DeliveryState::Deleted;
  delivery.due = kTime + 24h;
  delivery.state_before = queue::DeliveryState::Held;
  delivery.due_before = kTime + 5min;
  delivery.attempts = 9;
  delivery.uncertain = 1;
  delivery.crashes = 2;
  delivery.hold_reason = "paused: user scanner";
  delivery.hold_detail = "dmarc: example.com asks for quarantine";
  delivery.expires = kTime + 720h;
  delivery.lives_from = kTime + 2h;
  delivery.priority = queue::stored_priority(7);
  delivery.last = {kTime + 1min, "mx.example.net[192.0.2.1]:25", "451 4.3.0 \xE9", "TLSv1.2",
                   1234ms};
  delivery.notify.success = true;
  delivery.notify.delay = true;
  delivery.original_recipient = "rfc822;bob@example.net";
  delivery.alias = "team@example.org";
  delivery.delay_told = true;
  delivery.final_status = "5.1.1";
  delivery.ending = queue::Ending::Relayed;
  delivery.route_to = "smtp://other.example:25";
  delivery.is_expired = true;
  envelope.stored.deliveries.push_back(delivery);
  queue::Delivery plain;
  plain.number = 4;
  plain.recipient = "root";
  plain.destination = "relay.example.org";
  plain.due = kTime;
  envelope.stored.deliveries.push_back(plain);
  envelope.sha256 = std::string(64, 'a');
  return envelope;
}

Json full_json() {
  return Json::parse(admin::format_envelope(full_envelope(), Layout::Line));
}

std::string why_not(const Json& json) {
  const base::Result<Envelope> parsed = admin::parse_envelope(json.dump());
  REQUIRE_FALSE(parsed);
  return parsed.error().text();
}

TEST_CASE("an envelope comes back as it was, in both layouts") {
  const Envelope envelope = full_envelope();
  const std::string line = admin::format_envelope(envelope, Layout::Line);
  CHECK(line.find('\n') == std::string::npos);
  for (const std::string& text : {line, admin::format_envelope(envelope, Layout::Page)}) {
    const base::Result<Envelope> parsed = admin::parse_envelope(text);
    REQUIRE(parsed);
    // Encoding is the same for the same values, and leaves nothing out.
    CHECK(admin::format_envelope(*parsed, Layout::Line) == line);
    const queue::Message& message = parsed->stored.message;
    CHECK(message.id == envelope.stored.message.id);
    CHECK(message.client.helo == "client \xFF\x01");
    CHECK(message.body_octets == 700'000);
    CHECK(message.body_chunks == 3);
    CHECK(message.about == envelope.stored.message.about);
    CHECK(message.returned == mail::ReturnContent::Headers);
    REQUIRE(parsed->stored.deliveries.size() == 2);
    const queue::Delivery& delivery = parsed->stored.deliveries.front();
    CHECK(delivery.state == queue::DeliveryState::Deleted);
    CHECK(delivery.state_before == queue::DeliveryState::Held);
    CHECK(delivery.due_before == kTime + 5min);
    CHECK(delivery.hold_detail == "dmarc: example.com asks for quarantine");
    CHECK(delivery.expires == kTime + 720h);
    CHECK(delivery.lives_from == kTime + 2h);
    CHECK(queue::priority_of(delivery.priority) == 7);
    CHECK(delivery.last.reply == "451 4.3.0 \xE9");
    CHECK(delivery.last.took == 1234ms);
    CHECK(delivery.notify == envelope.stored.deliveries.front().notify);
    CHECK(delivery.ending == queue::Ending::Relayed);
    CHECK(delivery.is_expired);
    CHECK(parsed->stored.deliveries.back().recipient == "root");
    CHECK(parsed->stored.reports.reports == 2);
    CHECK(parsed->sha256 == envelope.sha256);
  }
}

TEST_CASE("an envelope that makes no sense is refused by the key that is wrong") {
  CHECK_FALSE(admin::parse_envelope(""));
  CHECK_FALSE(admin::parse_envelope("[]"));
  CHECK_FALSE(admin::parse_envelope("{}"));
  CHECK_FALSE(admin::parse_envelope(std::string(1'000'000, '[')));
  CHECK_FALSE(admin::parse_envelope("{\"rockdove\": \"message\", \"version\": 1"));
  CHECK_FALSE(admin::parse_envelope(std::string(70 * 1024 * 1024, ' ')));
  Json json = full_json();
  json["version"] = 2;
  CHECK(why_not(json) == "it is an envelope of another version of rockdove");

  const auto without = [](const char* name) {
    Json less = full_json();
    less.erase(name);
    return why_not(less);
  };
  CHECK(without("id") == "id is no id of a message");
  CHECK(without("sender") == "sender is missing");
  CHECK(without("accepted") == "accepted is missing");
  CHECK(without("deliveries") == "deliveries names none");
  CHECK(without("content") == "content.header_octets is missing");

  const auto with = [](const char* name, const Json& value) {
    Json other = full_json();
    other[name] = value;
    return why_not(other);
  };
  CHECK(with("id", "../../etc/passwd") == "id is no id of a message");
  CHECK(with("sender", "a@b>\r\nRCPT TO:<c@d") == "sender has control characters");
  CHECK(with("sender", "no spaces @here") == "sender is no address");
  CHECK(with("sender", Json::array({1, 2})) == "sender is no text");
  CHECK(with("accepted", "yesterday") == "accepted is no time like 2026-11-22T07:00:00.000Z");
  CHECK(with("accepted", "2026-13-22T07:00:00.000Z") ==
        "accepted is no time like 2026-11-22T07:00:00.000Z");
  CHECK(with("kind", "odd") == "kind is none of the words that it may be");
  CHECK(with("eight_bit", "yes") == "eight_bit is neither true nor false");
  CHECK(with("recipients_at_acceptance", 3) ==
        "recipients_at_acceptance is less than the deliveries' numbers");
  CHECK(with("recipients_at_acceptance", -1) ==
        "recipients_at_acceptance is no number up to 100000");
  CHECK(with("recipients_at_acceptance", 1e300) ==
        "recipients_at_acceptance is no number up to 100000");
  CHECK(with("content", {{"octets", 10}, {"header_octets", 11}}) ==
        "content.header_octets is more than octets");
  CHECK(with("content", {{"octets", 1ULL << 60}, {"header_octets", 11}}) ==
        "content.octets is no number up to 2001000000");
  CHECK(with("about", "nonsense") == "about is no id of a message");
  CHECK(with("client", "me") == "client. is no object");
}

TEST_CASE("deliveries that make no sense are refused by their place") {
  const auto with = [](const char* name, const Json& value) {
    Json json = full_json();
    json["deliveries"][1][name] = value;
    return why_not(json);
  };
  CHECK(with("number", 2) == "deliveries are not in the order of their numbers");
  CHECK(with("number", 0) == "deliveries[1].number is missing");
  CHECK(with("recipient", "") == "deliveries[1].recipient is no address");
  CHECK(with("recipient", std::string("a\0b@c.example", 13)) ==
        "deliveries[1].recipient has control characters");
  CHECK(with("recipient", std::string(300, 'a') + "@c.example") ==
        "deliveries[1].recipient is no address");
  CHECK(with("destination", "") == "deliveries[1].destination is missing");
  CHECK(with("destination", std::string("a\0b", 3)) ==
        "deliveries[1].destination has control characters");
  CHECK(with("state", "lost") == "deliveries[1].state is none of the words that it may be");
  CHECK(with("notify", "NEVER,SUCCESS") == "deliveries[1].notify is no NOTIFY of RFC 3461");
  CHECK(with("priority", 10) == "deliveries[1].priority is no number from -9 to 9");
  CHECK(with("priority", "high") == "deliveries[1].priority is no number from -9 to 9");
  CHECK(with("last", {{"at", 5}}) == "deliveries[1].last.at is no text");
  CHECK(with("hold_reason", std::string(5000, 'x')) == "deliveries[1].hold_reason is too long");
  Json json = full_json();
  json["deliveries"][0]["state_before"] = "deleted";
  CHECK(why_not(json) == "deliveries[0].state_before is deleted, too");
}

}  // namespace
