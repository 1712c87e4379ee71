// The receiver over a store, a clock and clients that the test turns by hand. What a client says
// goes in whole; what it is told is taken from its connection.
#include "mta/inbound/receiver.h"

#include <catch2/catch.hpp>

#include "tests/unit/inbound/inbound_world.h"

namespace rockdove::inbound {
namespace {

using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;

const base::Error kDiskError("writing the queue: No space left on device");

std::string lines(std::size_t octets) {
  std::string text;
  while (text.size() < octets) text += std::string(998, 'x') + "\r\n";
  return text;
}

TEST_CASE("250 comes only after the commit, and then the message goes on") {
  World world;
  auto client = world.client();
  begin(*client);
  client->say(kSmall + ".\r\nNOOP\r\n");
  REQUIRE(world.store.commits.size() == 1);
  CHECK(world.store.commits[0].change.kind() == queue::Change::Kind::Acceptance);
  CHECK(last_line(*client) == "");
  CHECK(world.handed_in.empty());
  world.store.end_commit({});
  REQUIRE(world.handed_in.size() == 1);
  const queue::Message& message = *world.handed_in[0].message;
  client->settle();
  CHECK_THAT(client->take_said(),
             StartsWith("250 2.0.0 queued as " + base::format_id(message.id) + "\r\n250 "));
  CHECK(message.sender == "from@y.example");
  CHECK(message.client.helo == "client.example");
  CHECK(message.client.listener == "in");
  CHECK(message.body_chunks == 1);
  REQUIRE(message.body != nullptr);
  CHECK(*message.body == "hello\r\n");
  REQUIRE(world.handed_in[0].deliveries.size() == 1);
  CHECK(world.handed_in[0].deliveries[0].number == 1);
  CHECK(world.handed_in[0].deliveries[0].recipient == "to@x.example");
  CHECK(world.handed_in[0].deliveries[0].destination == "x.example");
  client.reset();
  CHECK(world.memory.used() > 0);  // handed_in holds the message still
  world.handed_in.clear();
  CHECK(world.memory.used() == 0);
  CHECK(world.connections == 0);
  CHECK(world.clients.size() <= 1);
}

TEST_CASE("a commit that fails is 452, and the message does not go on") {
  World world;
  auto client = world.client();
  begin(*client);
  client->say(kSmall + ".\r\n");
  world.store.end_commit(kDiskError);
  CHECK_THAT(last_line(*client), StartsWith("452 4.3.1"));
  CHECK(world.handed_in.empty());
  CHECK(world.memory.used() == 0);
  begin(*client);  // the session goes on
}

TEST_CASE("a message whose client has gone goes on once it is durable") {
  World world;
  auto client = world.client();
  begin(*client);
  client->say(kSmall + ".\r\n");
  client->lose({net::Loss::How::Broken, 0});
  CHECK(client->is_gone());
  world.store.end_commit({});
  CHECK(world.handed_in.size() == 1);
}

TEST_CASE("a message whose client has closed its side is still answered") {
  World world;
  auto client = world.client();
  begin(*client);
  client->say(kSmall + ".\r\n");
  client->close();
  CHECK_FALSE(client->is_gone());
  world.store.end_commit({});
  CHECK_THAT(last_line(*client), StartsWith("250 2.0.0 queued"));
  CHECK(client->is_gone());
}

TEST_CASE("MAIL is 452 while the store takes nothing") {
  World world;
  auto client = world.client();
  for (const queue::Readiness readiness :
       {queue::Readiness::Busy, queue::Readiness::DiskFull, queue::Readiness::Failed}) {
    world.store.ready = readiness;
    CHECK_THAT(command(*client, "MAIL FROM:<a@y.example>"), StartsWith("452 4.3.1"));
  }
  world.store.ready = queue::Readiness::Ready;
  CHECK_THAT(command(*client, "MAIL FROM:<a@y.example>"), StartsWith("250"));
}

TEST_CASE("while memory is short, what is large and has begun is 452 and dropped") {
  World world;
  auto small = world.client();
  begin(*small);
  auto large = world.client();
  begin(*large);
  large->say(kSmall + lines(100'000));
  CHECK(world.memory.used() > 100'000);
  world.memory.take(60 * 1024 * 1024);
  large->say(lines(3 * queue::kBodyChunkOctets));
  CHECK(world.memory.used() < 60 * 1024 * 1024 + 20'000);
  CHECK(world.store.chunks.empty());
  large->say(".\r\n");
  CHECK_THAT(last_line(*large), StartsWith("452 4.3.1 too much mail at once"));
  CHECK(world.store.commits.empty());
  small->say(kSmall + ".\r\n");
  CHECK(world.store.commits.size() == 1);
}

TEST_CASE("MAIL is 452 while memory is short") {
  World world;
  world.memory.take(60 * 1024 * 1024);
  auto client = world.client();
  CHECK_THAT(command(*client, "MAIL FROM:<a@y.example>"), StartsWith("452 4.3.1"));
  world.memory.give_back(60 * 1024 * 1024);
  CHECK_THAT(command(*client, "MAIL FROM:<a@y.example>"), StartsWith("250"));
}

TEST_CASE("more messages than the rate allows are 450") {
  World world;
  world.settings.listeners[0].rate = {2, 60'000ms, 0};
  auto client = world.client();
  CHECK_THAT(command(*client, "MAIL FROM:<a@y.example>"), StartsWith("250"));
  CHECK_THAT(command(*client, "RSET"), StartsWith("250"));
  CHECK_THAT(command(*client, "MAIL FROM:<a@y.example>"), StartsWith("250"));
  CHECK_THAT(command(*client, "RSET"), StartsWith("250"));
  CHECK_THAT(command(*client, "MAIL FROM:<a@y.example>"), StartsWith("450 4.7.1"));
  world.loop.pass(30s);
  CHECK_THAT(command(*client, "MAIL FROM:<a@y.example>"), StartsWith("250"));
}

TEST_CASE("Received goes in front; Date and Message-ID are added for those who may relay") {
  World world;
  auto client = world.client();
  begin(*client);
  client->say("Subject: x\r\n\r\nhello\r\n.\r\n");
  world.store.end_commit({});
  const std::string& header = world.handed_in.at(0).message->header_block;
  CHECK_THAT(header, StartsWith("Received: from client.example"));
  CHECK_THAT(header, Contains("by relay.example (Rockdove)") && Contains("for <to@x.example>"));
  CHECK_THAT(header, Contains("\r\nSubject: x\r\nDate: Sat, 21 Nov 2026 "));
  CHECK_THAT(header,
             EndsWith("\r\nMessage-ID: <" + base::format_id(world.handed_in[0].message->id) +
                      "@relay.example>\r\n\r\n"));

  begin(*client);
  client->say(kSmall + ".\r\n");
  world.store.end_commit({});
  CHECK_THAT(world.handed_in.at(1).message->header_block,
             !Contains("@relay.example>") && Contains("Message-ID: <1@y.example>"));

  world.settings.relay.check = RecipientCheck::Any;
  auto stranger = world.client("198.51.100.1");
  begin(*stranger, "user@ours.example");
  stranger->say("Subject: x\r\n\r\nhello\r\n.\r\n");
  world.store.end_commit({});
  CHECK_THAT(world.handed_in.at(2).message->header_block,
             EndsWith("Subject: x\r\n\r\n") && !Contains("\nDate:") && !Contains("Message-ID"));
}

TEST_CASE("several recipients do not learn of each other") {
  World world;
  auto client = world.client();
  command(*client, "MAIL FROM:<from@y.example>");
  command(*client, "RCPT TO:<a@x.example>");
  command(*client, "RCPT TO:<b@x.example>");
  command(*client, "DATA");
  client->say(kSmall + ".\r\n");
  world.store.end_commit({});
  CHECK_THAT(world.handed_in.at(0).message->header_block, !Contains("for <"));
  CHECK(world.handed_in[0].deliveries.size() == 2);
}

TEST_CASE("the same address twice is one delivery, behind aliases too") {
  World world;
  auto client = world.client();
  command(*client, "MAIL FROM:<from@y.example>");
  for (const char* to : {"c@x.example", "c@X.Example", "all@local.example", "b@x.example",
                         "ALL@local.example", "C@x.example"}) {
    CHECK_THAT(command(*client, "RCPT TO:<" + std::string(to) + ">"), StartsWith("250"));
  }
  command(*client, "DATA");
  client->say(kSmall + ".\r\n");
  world.store.end_commit({});
  std::vector<std::string> recipients;
  for (const queue::Delivery& delivery : world.handed_in.at(0).deliveries)
    recipients.push_back(delivery.recipient);
  CHECK(recipients ==
        std::vector<std::string>{"c@x.example", "a@x.example", "b@x.example", "C@x.example"});
  CHECK(world.handed_in[0].message->recipients == 4);
}

TEST_CASE("a loop is refused with the names of its hops") {
  World world;
  auto client = world.client();
  begin(*client);
  std::string trace;
  for (int i = 0; i <= 50; ++i)
    trace += "Received: from a by hop" + std::to_string(i) + ".example with SMTP; x\r\n";
  client->say(trace + kSmall + ".\r\n");
  CHECK(world.store.commits.empty());
  const std::string reply = last_line(*client);
  CHECK_THAT(reply, StartsWith("554 5.4.6 mail loop"));
  CHECK_THAT(reply, Contains("hop0.example <- hop1.example"));

  begin(*client);
  trace.clear();
  for (int i = 0; i < 4; ++i)
    trace += "Received: from a by relay.example (Rockdove) with ESMTP id x; y\r\n";
  client->say(trace + kSmall + ".\r\n");
  CHECK_THAT(last_line(*client), StartsWith("554 5.4.6") && Contains("4 times this one"));
  CHECK(world.memory.used() == 0);
}

TEST_CASE("a large body goes to the store in chunks, and the client waits for it") {
  World world;
  auto client = world.client();
  begin(*client);
  const std::string body = lines(4 * queue::kBodyChunkOctets);
  client->say(kSmall.substr(0, kSmall.find("hello")));
  std::size_t said = 0;
  for (; said < body.size() && client->wants_input(); said += 1000)
    client->say(body.substr(said, 1000));
  CHECK(world.store.chunks.size() == 2);
  CHECK(said < 2 * queue::kBodyChunkOctets + 2000);
  CHECK(world.memory.used() < 2 * queue::kBodyChunkOctets);
  world.store.end_chunk({});
  CHECK(client->wants_input());
  for (; said < body.size(); said += 1000) {
    while (!client->wants_input()) world.store.end_chunk({});
    client->say(body.substr(said, 1000));
  }
  client->say(".\r\n");
  REQUIRE(world.store.commits.size() == 1);
  const auto& begins = world.store.commits[0].change.begins();
  REQUIRE(begins);
  CHECK(begins->chunks_before == world.store.chunks.size());
  std::string stored;
  for (std::uint32_t i = 0; i < world.store.chunks.size(); ++i) {
    CHECK(world.store.chunks[i].index == i);
    CHECK(world.store.chunks[i].id == begins->message);
    CHECK(world.store.chunks[i].octets->size() <= queue::kBodyChunkOctets);
    CHECK_FALSE(world.store.chunks[i].octets->empty());
    stored += *world.store.chunks[i].octets;
  }
  CHECK(stored == body);
  world.store.end_commit({});
  CHECK_THAT(last_line(*client), StartsWith("250 2.0.0"));
  const queue::Message& message = *world.handed_in.at(0).message;
  CHECK(message.body == nullptr);
  CHECK(message.body_octets == body.size());
  CHECK(message.body_chunks == world.store.chunks.size());
  while (world.store.chunks_ended < world.store.chunks.size()) world.store.end_chunk({});

  // What is accepted is the store's: nothing that follows in this session may drop it.
  command(*client, "MAIL FROM:<from@y.example>");
  command(*client, "RSET");
  command(*client, "MAIL FROM:<from@y.example>");
  client.reset();
  CHECK(world.store.dropped.empty());
}

TEST_CASE("the chunks of a message that is never accepted are dropped") {
  World world;
  auto client = world.client();
  begin(*client);
  const std::string body = lines(queue::kBodyChunkOctets + 2000);
  client->say("Subject: x\r\n\r\n" + body);
  REQUIRE(world.store.chunks.size() == 1);
  const base::MessageId id = world.store.chunks[0].id;
  SECTION("because the client is gone") {
    client->lose({net::Loss::How::Broken, 0});
    world.store.end_chunk({});
  }
  SECTION("because it is refused") {
    client->say("bare\nline feed\r\n.\r\n");
    CHECK_THAT(last_line(*client), StartsWith("554 5.6.0") || StartsWith("550 5.6.0"));
  }
  SECTION("because a chunk could not be written") {
    world.store.end_chunk(kDiskError);
    client->say(".\r\n");
    CHECK_THAT(last_line(*client), StartsWith("452 4.3.1"));
    CHECK(world.store.commits.empty());
  }
  CHECK(world.store.dropped == std::vector<tests::HandStore::Dropped>{{id, 1}});
  CHECK(world.memory.used() == 0);
}

TEST_CASE("the next hop is asked where the rules say so, and replies keep their order") {
  World world;
  auto client = world.client("198.51.100.1");
  client->say(
      "MAIL FROM:<a@y.example>\r\nRCPT TO:<one@ours.example>\r\nRCPT TO:<x@else.example>\r\n");
  CHECK_THAT(last_line(*client), StartsWith("250 2.1.0"));
  REQUIRE(world.probe.questions.size() == 1);
  CHECK(world.probe.questions[0].address == "one@ours.example");
  SECTION("it says yes") {
    world.probe.questions[0].done(smtp::make_reply(250, "2.1.5", "ok"));
    client->settle();
    CHECK_THAT(client->take_said(), StartsWith("250 2.1.5") && Contains("\r\n550 5.7.1"));
  }
  SECTION("it says no") {
    world.probe.questions[0].done(smtp::make_reply(550, "5.1.1", "never heard of"));
    client->settle();
    CHECK_THAT(client->take_said(),
               StartsWith("550 5.1.1 never heard of") && Contains("\r\n550 5.7.1"));
  }
  SECTION("the client is gone before it says anything") {
    client->lose({net::Loss::How::Broken, 0});
    world.probe.questions[0].done(smtp::make_reply(250, "2.1.5", "ok"));
  }
  SECTION("the connection is lost but not yet ended") {
    client->lose_slowly({net::Loss::How::Broken, 0});
    world.probe.questions[0].done(smtp::make_reply(250, "2.1.5", "ok"));
    client->end();
  }
  SECTION("the relay is stopped meanwhile") {
    world.reception.stopping = true;
    world.probe.questions[0].done(smtp::make_reply(250, "2.1.5", "ok"));
    client->settle();
    CHECK_THAT(client->take_said(), StartsWith("250 2.1.5"));
  }
}

TEST_CASE("a stranger is greeted after a pause, and is refused if he does not wait") {
  World world;
  auto client = world.silent_client("198.51.100.1");
  CHECK(client->take_said() == "");
  CHECK(client->deadline() == world.loop.now().instant + 200ms);
  SECTION("he waits") {
    world.loop.pass(200ms);
    client->ring();
    CHECK_THAT(client->take_said(), StartsWith("220 relay.example"));
  }
  SECTION("he does not") {
    client->say("EHLO spam.example\r\n");
    CHECK_THAT(last_line(*client), StartsWith("554 5.5.1"));
    CHECK(client->is_gone());
  }
  SECTION("those who may relay are greeted at once") {
    CHECK_THAT(world.silent_client()->take_said(), StartsWith("220 relay.example"));
  }
}

TEST_CASE("connections have limits, for each client and for all") {
  World world;
  world.settings.listeners[0].connections = 2;
  world.settings.connections_in = 3;
  auto first = world.client("192.0.2.1");
  auto second = world.client("192.0.2.1");
  auto third = world.silent_client("192.0.2.1");
  CHECK_THAT(last_line(*third), StartsWith("421 4.7.0"));
  CHECK(third->is_gone());
  CHECK(world.connections == 2);
  auto other = world.client("192.0.2.2");
  auto fourth = world.silent_client("192.0.2.3");
  CHECK_THAT(last_line(*fourth), StartsWith("421 4.3.2"));
  first.reset();
  CHECK_THAT(last_line(*world.silent_client("192.0.2.1")), StartsWith("220"));
  other.reset();
  second.reset();
  CHECK(world.connections == 0);
}

TEST_CASE("a held client is told so") {
  World world;
  world.held.insert(*base::parse_ip_address("192.0.2.1"));
  auto client = world.silent_client("192.0.2.1");
  CHECK_THAT(last_line(*client), StartsWith("421 4.3.0"));
  CHECK(client->is_gone());
  CHECK_THAT(last_line(*world.silent_client("192.0.2.2")), StartsWith("220"));
}

TEST_CASE("while the relay stops, a message that has begun is still taken") {
  World world;
  auto busy = world.client();
  auto idle = world.client();
  auto committing = world.client();
  begin(*busy);
  begin(*committing);
  committing->say(kSmall + ".\r\n");
  world.reception.stopping = true;
  CHECK_THAT(last_line(*world.silent_client()), StartsWith("421 4.3.2"));
  idle->want_turn();
  CHECK_THAT(last_line(*idle), StartsWith("421 4.3.2"));
  CHECK(idle->is_gone());
  world.store.end_commit({});
  committing->settle();
  CHECK_THAT(committing->take_said(), StartsWith("250 2.0.0") && Contains("\r\n421 4.3.2"));
  CHECK(committing->is_gone());
  busy->say(kSmall + ".\r\n");
  world.store.end_commit({});
  busy->settle();
  CHECK_THAT(busy->take_said(), StartsWith("250 2.0.0") && Contains("\r\n421 4.3.2"));
  CHECK(world.handed_in.size() == 2);
}

TEST_CASE("one message does not reach more than 10,000 addresses through aliases") {
  World world;
  for (int i = 0; i < 6; ++i) {
    auto& addresses = world.settings.local.aliases["list" + std::to_string(i)];
    for (int j = 0; j < 2000; ++j) addresses.push_back(std::to_string(i * 2000 + j) + "@x.example");
  }
  auto client = world.client();
  command(*client, "MAIL FROM:<from@y.example>");
  for (int i = 0; i < 5; ++i) {
    CHECK_THAT(command(*client, "RCPT TO:<list" + std::to_string(i) + "@local.example>"),
               StartsWith("250"));
  }
  CHECK_THAT(command(*client, "RCPT TO:<list5@local.example>"), StartsWith("452 4.5.3"));
}

TEST_CASE("who stands behind an alias knows which, and others have none") {
  World world;
  auto client = world.client();
  command(*client, "MAIL FROM:<from@y.example>");
  command(*client, "RCPT TO:<All@local.example>");
  command(*client, "RCPT TO:<c@x.example>");
  command(*client, "DATA");
  client->say("hi\r\n.\r\n");
  world.store.end_commit({});
  client->settle();
  REQUIRE(world.handed_in.size() == 1);
  const std::vector<queue::Delivery>& deliveries = world.handed_in[0].deliveries;
  REQUIRE(deliveries.size() == 3);
  CHECK(deliveries[0].alias == "All@local.example");
  CHECK(deliveries[1].alias == "All@local.example");
  CHECK(deliveries[2].alias.empty());
}

TEST_CASE("an alias that is too large for any transaction is refused for good") {
  World world;
  auto& addresses = world.settings.local.aliases["everybody"];
  for (int i = 0; i <= 10'000; ++i) addresses.push_back(std::to_string(i) + "@x.example");
  auto client = world.client();
  command(*client, "MAIL FROM:<from@y.example>");
  CHECK_THAT(command(*client, "RCPT TO:<everybody@local.example>"), StartsWith("550 5.5.3"));
  CHECK_THAT(command(*client, "RCPT TO:<all@local.example>"), StartsWith("250"));
  // A client that tries again hears it then, as the first of a transaction.
  CHECK_THAT(command(*client, "RCPT TO:<everybody@local.example>"), StartsWith("452 4.5.3"));
}

}  // namespace
}  // namespace rockdove::inbound
