// Goal: what a sender wishes for reaches the queue, and nobody downstream; what a stranger writes
// has no effect. Method: headers alone, then receivers over what the test turns by hand.
#include "mta/inbound/wishes.h"

#include <catch2/catch.hpp>

#include "tests/unit/inbound/inbound_world.h"

namespace rockdove::inbound {
namespace {

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

const base::WallTime kNow = base::from_unix_milliseconds(1'795'293'965'000);  // 2026-11-21 20:46:05

std::string refused(const std::string& fields) {
  const base::Result<Wishes> wishes = read_wishes(fields, kNow);
  return wishes ? "" : wishes.error().text();
}

Wishes read(const std::string& fields) {
  const base::Result<Wishes> wishes = read_wishes(fields, kNow);
  INFO(fields);
  REQUIRE(wishes);
  return *wishes;
}

const std::string kWishes =
    "X-Rockdove-Tenant: Shop.Example\r\nx-rockdove-campaign: spring\r\n 2026\r\n"
    "X-Rockdove-Priority: urgent\r\nX-Rockdove-Send-At: 2026-11-22T08:00:00+01:00\r\n";

TEST_CASE("wishes: all four fields are read, folded and in any case") {
  const Wishes wishes = read("Subject: x\r\n" + kWishes);
  CHECK(wishes.tenant == "shop.example");
  CHECK(wishes.campaign == "spring 2026");
  CHECK(wishes.priority == kUrgentPriority);
  REQUIRE(wishes.send_at);
  CHECK(base::format_timestamp(*wishes.send_at) == "2026-11-22T07:00:00.000Z");
}

TEST_CASE("wishes: without fields, or without values, there are none") {
  for (const char* header : {"", "Subject: X-Rockdove-Tenant: a\r\n",
                             "X-Rockdove-Tenant:\r\nX-Rockdove-Campaign: \r\n"
                             "X-Rockdove-Priority:\r\nX-Rockdove-Send-At: \t\r\n"}) {
    const Wishes wishes = read(header);
    CHECK(wishes.tenant.empty());
    CHECK(wishes.campaign.empty());
    CHECK_FALSE(wishes.priority);
    CHECK_FALSE(wishes.send_at);
  }
}

TEST_CASE("wishes: priorities are words or the numbers of MT-PRIORITY") {
  const auto priority = [](const std::string& value) {
    return read("X-Rockdove-Priority: " + value + "\r\n").priority;
  };
  CHECK(priority("Normal") == 0);
  CHECK(priority("BULK") == kBulkPriority);
  for (int number = -9; number <= 9; ++number) CHECK(priority(std::to_string(number)) == number);
}

TEST_CASE("wishes: a time may be of RFC 3339 or RFC 5322, past or at most 30 days ahead") {
  const auto time = [](const std::string& value) {
    return read("X-Rockdove-Send-At: " + value + "\r\n").send_at.value();
  };
  CHECK(time("Sun, 22 Nov 2026 08:00:00 +0100") == kNow + 10h + 13min + 55s);
  CHECK(time("2026-11-22 07:00Z") == kNow + 10h + 13min + 55s);
  CHECK(time("2020-01-01T00:00:00Z") < kNow);
  CHECK(time("2026-12-21T20:46:05Z") == kNow + kSendAheadMax);
  CHECK_THAT(refused("X-Rockdove-Send-At: 2026-12-21T20:46:06Z\r\n"), Contains("within 30 days"));
}

TEST_CASE("wishes: what is wrong is said with the field, and how to write it") {
  CHECK_THAT(refused("X-Rockdove-Tenant: two words\r\n"),
             Contains("X-Rockdove-Tenant: \"two words\" is not 1 to 64 letters"));
  CHECK_THAT(refused("X-Rockdove-Tenant: " + std::string(65, 'a') + "\r\n"), Contains("1 to 64"));
  CHECK(refused("X-Rockdove-Tenant: " + std::string(64, 'a') + "\r\n").empty());
  CHECK_THAT(refused("X-Rockdove-Campaign: " + std::string(129, 'a') + "\r\n"),
             Contains("at most 128 printable"));
  CHECK_THAT(refused("X-Rockdove-Campaign: caf\xC3\xA9\r\n"), Contains("at most 128 printable"));
  CHECK_THAT(refused("X-Rockdove-Priority: high\r\n"), Contains("urgent, normal, bulk or"));
  CHECK_THAT(refused("X-Rockdove-Priority: 10\r\n"), Contains("from -9 to 9"));
  CHECK_THAT(refused("X-Rockdove-Send-At: tomorrow\r\n"), Contains("is not a date like 2026"));
  CHECK_THAT(refused("X-Rockdove-Send-At: 2026-11-22T08:00:00\r\n"), Contains("a date like"));
  CHECK_THAT(refused("X-Rockdove-Campain: a\r\n"),
             Contains("no header field X-Rockdove-Campain, did you mean `X-Rockdove-Campaign`?"));
  CHECK(refused("X-Rockdove-Tenant: a\r\nX-ROCKDOVE-TENANT: a\r\n") ==
        "X-Rockdove-Tenant is there twice");
}

TEST_CASE("wishes: all fields of the family are taken off, and no other octet") {
  CHECK(without_wishes("A: b\r\n" + kWishes + "X-Rockdove-Other: x\r\nC: d\r\n e\r\n") ==
        "A: b\r\nC: d\r\n e\r\n");
  CHECK_FALSE(without_wishes("A: b\r\nX-Rockdov: x\r\n"));
}

// Hands `content` in, as somebody at `ip`; the reply to it.
std::string send(World& world, const std::string& ip, const std::string& content,
                 const std::string& parameters = "") {
  auto client = world.client(ip);
  REQUIRE_THAT(command(*client, "MAIL FROM:<from@y.example>" + parameters), StartsWith("250"));
  REQUIRE_THAT(command(*client, "RCPT TO:<to@ours.example>"), StartsWith("250"));
  REQUIRE_THAT(command(*client, "DATA"), StartsWith("354"));
  client->say(content + ".\r\n");
  if (!world.store.commits.empty()) world.store.end_commit({});
  return last_line(*client);
}

TEST_CASE("receiver: who may relay gets what it wishes for, and the next hop does not see it") {
  World world;
  world.settings.listeners[0].tenant_from = {*base::parse_ip_network("192.0.2.1")};
  const base::WallTime at = world.loop.now().wall + 3h;
  const std::string fields =
      "X-Rockdove-Tenant: Shop\r\nX-Rockdove-Campaign: spring\r\nX-Rockdove-Priority: bulk\r\n"
      "X-Rockdove-Send-At: " +
      base::format_timestamp(at) + "\r\n";
  CHECK_THAT(send(world, "192.0.2.1", fields + kSmall), StartsWith("250 2.0.0 queued"));
  const World::HandedIn& mail = world.handed_in.at(0);
  CHECK(mail.message->tenant == "shop");
  CHECK(mail.message->campaign == "spring");
  CHECK_THAT(mail.message->header_block, !Contains("Rockdove-") && Contains("Date: Sat, 21 Nov"));
  const queue::Delivery& delivery = mail.deliveries.at(0);
  CHECK(delivery.tenant == "shop");
  CHECK(queue::priority_of(delivery.priority) == kBulkPriority);
  CHECK(delivery.due == at);
  CHECK(delivery.lives_from == at);
  CHECK(queue::is_scheduled(delivery, world.loop.now().wall));
}

TEST_CASE("receiver: a stranger's wishes are taken off without effect, the wrong ones, too") {
  World world;
  world.settings.relay.check = RecipientCheck::Any;
  world.settings.listeners[0].tenant_from = {*base::parse_ip_network("0.0.0.0/0")};
  CHECK_THAT(send(world, "198.51.100.1", kWishes + kWishes + kSmall), StartsWith("250"));
  const World::HandedIn& mail = world.handed_in.at(0);
  CHECK(mail.message->tenant.empty());
  CHECK(mail.message->campaign.empty());
  CHECK_THAT(mail.message->header_block, !Contains("ockdove-"));
  CHECK(mail.deliveries.at(0).priority == 0);
  CHECK(mail.deliveries.at(0).due == mail.message->accepted);
  CHECK(mail.deliveries.at(0).lives_from == base::WallTime{});
}

TEST_CASE("receiver: a wish that cannot be understood is 550, and nothing is accepted") {
  World world;
  CHECK(
      send(world, "192.0.2.1", "X-Rockdove-Priority: high\r\n" + kSmall) ==
      "550 5.6.0 X-Rockdove-Priority: \"high\" is not urgent, normal, bulk or a number from -9 to "
      "9");
  CHECK(world.handed_in.empty());
  CHECK(world.store.commits.empty());
}

TEST_CASE("receiver: the tenant is the field's, else the listener's, else the account's") {
  World world;
  const auto tenant_of = [&world](const std::string& ip, const std::string& fields) {
    REQUIRE_THAT(send(world, ip, fields + kSmall), StartsWith("250"));
    return world.handed_in.back().message->tenant;
  };
  CHECK(tenant_of("192.0.2.1", "") == "");
  CHECK(tenant_of("192.0.2.1", "X-Rockdove-Tenant: a\r\n") == "");  // nobody may say it
  world.settings.listeners[0].tenant = "lan";
  world.settings.listeners[0].tenant_from = {*base::parse_ip_network("192.0.2.1")};
  CHECK(tenant_of("192.0.2.1", "X-Rockdove-Tenant: a\r\n") == "a");
  CHECK(tenant_of("192.0.2.2", "X-Rockdove-Tenant: a\r\n") == "lan");
  CHECK(tenant_of("192.0.2.1", "") == "lan");
}

TEST_CASE("receiver: who has logged in is the tenant, and may wish") {
  World world;
  world.settings.listeners[0].auth = ListenerAuth::Optional;
  world.settings.listeners[0].auth_in_clear = {*base::parse_ip_network("0.0.0.0/0")};
  world.reception.authenticator = &world.logins;
  auto client = world.client("198.51.100.1");
  CHECK_THAT(command(*client, "MAIL FROM:<a@y.example> MT-PRIORITY=4"), StartsWith("555 5.5.4"));
  // NUL "Shop" NUL "secret"
  client->say("AUTH PLAIN AFNob3AAc2VjcmV0\r\n");
  world.logins.answer(LoginVerdict::Accepted);
  REQUIRE_THAT(last_line(*client), StartsWith("235"));
  client->say("EHLO client.example\r\n");
  CHECK_THAT(client->take_said(),
             Contains("MT-PRIORITY MIXER") && Contains("FUTURERELEASE 2592000 "));
  CHECK_THAT(command(*client, "MAIL FROM:<from@y.example> MT-PRIORITY=4"), StartsWith("250"));
  CHECK_THAT(command(*client, "RCPT TO:<to@x.example>"), StartsWith("250"));
  CHECK_THAT(command(*client, "DATA"), StartsWith("354"));
  client->say(kSmall + ".\r\n");
  world.store.end_commit({});
  CHECK(world.handed_in.at(0).message->tenant == "shop");
  CHECK(world.handed_in.at(0).deliveries.at(0).priority == queue::stored_priority(4));
}

TEST_CASE("receiver: what MAIL asks for counts before what the header does") {
  World world;
  const base::WallTime now = world.loop.now().wall;
  const std::string fields =
      "X-Rockdove-Priority: bulk\r\nX-Rockdove-Send-At: " + base::format_timestamp(now + 9h) +
      "\r\n";
  REQUIRE_THAT(send(world, "192.0.2.1", fields + kSmall, " MT-PRIORITY=2 HOLDFOR=60"),
               StartsWith("250"));
  const queue::Delivery& delivery = world.handed_in.at(0).deliveries.at(0);
  CHECK(queue::priority_of(delivery.priority) == 2);
  CHECK(delivery.due == world.handed_in.at(0).message->accepted + 60s);
  REQUIRE_THAT(send(world, "192.0.2.1", kSmall, " HOLDUNTIL=2020-01-01T00:00:00Z"),
               StartsWith("250"));
  CHECK(world.handed_in.at(1).deliveries.at(0).due == world.handed_in.at(1).message->accepted);
}

TEST_CASE("receiver: wishes of a message whose body comes in chunks are heard, too") {
  World world;
  const std::string line(998, 'x');
  std::string body;
  while (body.size() < 3 * queue::kBodyChunkOctets) body.append(line).append("\r\n");
  auto client = world.client();
  begin(*client);
  client->say("X-Rockdove-Campaign: spring\r\n" + kSmall);
  for (std::size_t said = 0; said < body.size(); said += 1000) {
    while (!client->wants_input()) world.store.end_chunk({});
    client->say(body.substr(said, 1000));
  }
  client->say(".\r\n");
  world.store.end_commit({});
  CHECK(world.handed_in.at(0).message->campaign == "spring");
}

}  // namespace
}  // namespace rockdove::inbound
