// Policy as clients meet it: strangers' mail judged, ours signed, over a DNS that is a table and
// workers that the test turns by hand.
#include <cstdio>
#include <fstream>

#include <catch2/catch.hpp>

#include "tests/support/fake_resolver.h"
#include "tests/support/hand_workers.h"
#include "tests/support/test_signer.h"
#include "tests/unit/inbound/inbound_world.h"

namespace rockdove::inbound {
namespace {

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using policy::CheckMode;

const std::string kStranger = "198.51.100.7";
const std::string kFromBank = "From: Bank <office@bank.example>\r\nSubject: hello\r\n\r\nhello\r\n";

struct PolicyWorld : World {
  PolicyWorld() {
    settings.judging = std::make_shared<const policy::JudgingSettings>(judging);
    reception.workers = &workers;
    reception.resolver = &resolver;
    reception.random = &random;
  }

  void judge_by(const policy::JudgingSettings& how) {
    settings.judging = std::make_shared<const policy::JudgingSettings>(how);
  }

  // Until nothing moves any more.
  void settle(tests::HandConnection& client) {
    for (unsigned idle = 0; idle < 2;) {
      bool has_moved = false;
      while (workers.run_one()) has_moved = true;
      if (resolver.waiting() > 0) has_moved = true;
      resolver.run();
      loop.run();
      client.settle();
      idle = has_moved ? 0 : idle + 1;
    }
  }

  // Up to 354, while nothing that was asked has an answer but the next hop.
  void begin_content(tests::HandConnection& client) {
    REQUIRE_THAT(command(client, "MAIL FROM:<a@thief.example>"), StartsWith("250"));
    client.say("RCPT TO:<to@ours.example>\r\n");
    client.settle();
    probe.questions.front().done(smtp::make_reply(250, "2.1.5", "yes"));
    client.settle();
    client.take_said();
    REQUIRE_THAT(command(client, "DATA"), StartsWith("354"));
  }

  // What the client hears behind its final dot, and what is left for it to be said.
  std::string send(tests::HandConnection& client, const std::string& content,
                   const std::string& sender = "a@thief.example") {
    REQUIRE_THAT(command(client, "MAIL FROM:<" + sender + ">"), StartsWith("250"));
    client.say("RCPT TO:<to@ours.example>\r\n");
    settle(client);
    if (!probe.questions.empty()) {
      probe.questions.front().done(smtp::make_reply(250, "2.1.5", "yes"));
      probe.questions.pop_front();
    }
    settle(client);
    client.take_said();
    REQUIRE_THAT(command(client, "DATA"), StartsWith("354"));
    client.say(content + ".\r\n");
    settle(client);
    if (!store.commits.empty()) {
      store.end_commit({});
      settle(client);
    }
    return client.take_said();
  }

  // Although nothing could be found out about it.
  void check_accepted_untold(tests::HandConnection& client) {
    client.settle();
    REQUIRE(store.commits.size() == 1);
    store.end_commit({});
    client.settle();
    CHECK_THAT(header(), Contains("spf=temperror"));
    CHECK_THAT(header(), Contains("dmarc=temperror"));
  }

  const std::string& header() const { return handed_in.back().message->header_block; }

  policy::JudgingSettings judging;
  tests::FakeResolver resolver;
  tests::HandWorkers workers;
  base::Random random{1};
};

TEST_CASE("mail that fails DMARC under p=reject is refused, and nothing of it stays") {
  PolicyWorld world;
  world.resolver.text("_dmarc.bank.example", "v=DMARC1; p=reject");
  auto client = world.client(kStranger);
  const std::string reply = world.send(*client, kFromBank);
  CHECK_THAT(reply, StartsWith("550 5.7.1 "));
  CHECK_THAT(reply, Contains("DMARC policy of bank.example (p=reject)"));
  CHECK(world.handed_in.empty());
  CHECK(world.store.commits.empty());
  // And the session goes on.
  CHECK_THAT(command(*client, "MAIL FROM:<a@b.example>"), StartsWith("250"));
  client.reset();
  CHECK(world.memory.used() == 0);
}

TEST_CASE("mail that SPF vouches for passes, and says so above everything else") {
  PolicyWorld world;
  world.resolver.text("_dmarc.bank.example", "v=DMARC1; p=reject");
  world.resolver.text("bank.example", "v=spf1 ip4:198.51.100.0/24 -all");
  auto client = world.client(kStranger);
  CHECK_THAT(world.send(*client, kFromBank, "office@bank.example"), StartsWith("250"));
  CHECK_THAT(world.header(), StartsWith("Authentication-Results: relay.example;"));
  CHECK_THAT(world.header(), Contains("spf=pass"));
  CHECK_THAT(world.header(), Contains("smtp.mailfrom=office@bank.example"));
  CHECK_THAT(world.header(), Contains("dkim=none"));
  CHECK_THAT(world.header(), Contains("dmarc=pass"));
  CHECK(world.header().ends_with("Subject: hello\r\n\r\n"));
}

TEST_CASE("what is checked only is never refused") {
  PolicyWorld world;
  world.judging.checks.dmarc = CheckMode::Check;
  world.judge_by(world.judging);
  world.resolver.text("_dmarc.bank.example", "v=DMARC1; p=reject");
  auto client = world.client(kStranger);
  CHECK_THAT(world.send(*client, kFromBank), StartsWith("250"));
  CHECK_THAT(world.header(), Contains("dmarc=fail"));
}

TEST_CASE("results in our name are taken out of strangers' mail, and stay in a filter's") {
  PolicyWorld world;
  const std::string forged = "Authentication-Results: Relay.example; dmarc=pass\r\n" + kFromBank;
  SECTION("a stranger") {
    auto client = world.client(kStranger);
    CHECK_THAT(world.send(*client, forged), StartsWith("250"));
    CHECK_THAT(world.header(), !Contains("Relay.example;"));
    CHECK_THAT(world.header(), Contains("dmarc=none"));
  }
  SECTION("one who may relay by his address") {
    auto client = world.client("192.0.2.1");
    CHECK_THAT(world.send(*client, forged), StartsWith("250"));
    CHECK_THAT(world.header(), Contains("Relay.example; dmarc=pass"));
  }
}

TEST_CASE("a recipient's answer waits for SPF where SPF refuses; the postmaster can be asked") {
  PolicyWorld world;
  world.judging.checks.spf = CheckMode::Enforce;
  world.judge_by(world.judging);
  world.resolver.text("thief.example", "v=spf1 -all");
  auto client = world.client(kStranger);
  REQUIRE_THAT(command(*client, "MAIL FROM:<a@thief.example>"), StartsWith("250"));
  CHECK(command(*client, "RCPT TO:<to@ours.example>") == "");
  world.settle(*client);
  const std::string refused = client->take_said();
  CHECK_THAT(refused, StartsWith("550 5.7.23 SPF: 198.51.100.7 matches -all of thief.example"));
  CHECK_THAT(command(*client, "RCPT TO:<other@ours.example>"), StartsWith("550 5.7.23"));
  CHECK_THAT(command(*client, "RCPT TO:<postmaster>"), StartsWith("250"));
}

TEST_CASE("a client that goes away while its mail is judged leaves nothing behind") {
  PolicyWorld world;
  world.resolver.text("_dmarc.bank.example", "v=DMARC1; p=none");
  auto client = world.client(kStranger);
  world.begin_content(*client);
  client->say("DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s; h=from; bh=YQ==; b=YQ==\r\n" +
              kFromBank + ".\r\n");
  client->settle();
  CHECK(client->take_said() == "");
  client.reset();
  while (world.workers.run_one()) continue;
  world.resolver.run();
  world.loop.pass(1min);
  CHECK(world.store.commits.empty());
  CHECK(world.memory.used() == 0);
}

TEST_CASE("DNS that does not answer holds mail up for 20 s, and refuses nobody") {
  PolicyWorld world;
  auto client = world.client(kStranger);
  world.begin_content(*client);
  client->say(kFromBank + ".\r\n");
  client->settle();
  world.loop.pass(kLookupTimeMax - 1s);
  CHECK(world.store.commits.empty());
  world.loop.pass(2s);
  world.check_accepted_untold(*client);
}

TEST_CASE("where RCPT waits for the DNS, too, it is 20 s in all") {
  PolicyWorld world;
  world.judging.checks.spf = CheckMode::Enforce;
  world.judging.checks.dmarc = CheckMode::Check;
  world.judge_by(world.judging);
  auto client = world.client(kStranger);
  REQUIRE_THAT(command(*client, "MAIL FROM:<a@thief.example>"), StartsWith("250"));
  client->say("RCPT TO:<to@ours.example>\r\n");
  client->settle();
  CHECK(world.probe.questions.empty());
  world.loop.pass(kLookupTimeAtRecipient);
  client->settle();
  REQUIRE(world.probe.questions.size() == 1);
  world.probe.questions.front().done(smtp::make_reply(250, "2.1.5", "yes"));
  client->settle();
  client->take_said();
  world.loop.pass(3min);  // of a slow client
  REQUIRE_THAT(command(*client, "DATA"), StartsWith("354"));
  client->say(kFromBank + ".\r\n");
  client->settle();
  world.loop.pass(kLookupTimeMax - kLookupTimeAtRecipient - 1ms);
  client->settle();
  CHECK(world.store.commits.empty());
  world.loop.pass(1ms);
  world.check_accepted_untold(*client);
}

TEST_CASE("a header over the limit may hide fields from all checks, so strangers' is refused") {
  PolicyWorld world;
  std::string content = "From: office@bank.example\r\n";
  while (content.size() < queue::kHeaderBlockOctetsMax) {
    content += "X-Long: " + std::string(900, 'x') + "\r\n";
  }
  content += "From: other@shop.example\r\n\r\nhello\r\n";
  auto stranger = world.client(kStranger);
  CHECK_THAT(world.send(*stranger, content), StartsWith("552 5.3.4 "));
  CHECK(world.handed_in.empty());
}

TEST_CASE("when too much waits for the workers, signed mail is to come again later") {
  PolicyWorld world;
  world.workers.room = 0;
  auto client = world.client(kStranger);
  const std::string reply = world.send(
      *client, "DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s; h=from; bh=YQ==; b=YQ==\r\n" +
                   kFromBank);
  CHECK_THAT(reply, StartsWith("451 4.3.2 "));
  CHECK(world.handed_in.empty());
}

TEST_CASE("a DNS list that cannot be used is told also when RCPT refuses, and not with each mail") {
  PolicyWorld world;
  policy::ClientPolicy clients;
  policy::DnsList ended;
  ended.zone = "ended.example";
  ended.weight = 5;
  policy::DnsList zen = ended;
  zen.zone = "zen.example";
  clients.dns_lists = {ended, zen};
  world.resolver.address("7.100.51.198.ended.example", "203.0.113.1");
  world.resolver.address("7.100.51.198.zen.example", "127.0.0.2");
  const std::string path = "/tmp/rockdove-lists-" + std::to_string(getpid());
  {
    std::unique_ptr<base::LogSink> sink = *base::LogSink::open(path);
    base::Log log(*sink, base::Level::Info);
    Reception reception = world.reception_with(log);
    reception.workers = &world.workers;
    reception.resolver = &world.resolver;
    reception.random = &world.random;
    reception.client_policy = std::make_shared<const policy::ClientPolicy>(clients);
    auto client = world.client_of(reception, kStranger);
    for (unsigned i = 0; i < 2; ++i) {
      REQUIRE_THAT(command(*client, "MAIL FROM:<a@thief.example>"), StartsWith("250"));
      client->say("RCPT TO:<to@ours.example>\r\nRSET\r\n");
      world.settle(*client);
      CHECK_THAT(client->take_said(), StartsWith("554 5.7.1 "));
    }
  }
  std::ifstream stream(path);
  const std::string logged{std::istreambuf_iterator<char>(stream), {}};
  std::remove(path.c_str());
  const std::string wanted = "a DNS list cannot be used";
  CHECK_THAT(logged, Contains(wanted) && Contains("ended.example answers 203.0.113.1"));
  CHECK(logged.find(wanted) == logged.rfind(wanted));
}

struct SealingWorld : PolicyWorld {
  SealingWorld() {
    auto arc = std::make_shared<policy::ArcIdentity>();
    arc->domain = "relay.example";
    arc->selector = "s1";
    arc->key = policy::SigningKey::make(crypto::KeyKind::Ed25519);
    settings.arc = std::move(arc);
  }
};

TEST_CASE("where nothing is looked at a seal says so, and the mail is accepted") {
  SealingWorld world;
  world.judging.checks = {CheckMode::Off,
                          CheckMode::Off,
                          CheckMode::Off,
                          CheckMode::Off,
                          {CheckMode::Off, CheckMode::Off, CheckMode::Off}};
  world.judge_by(world.judging);
  auto client = world.client(kStranger);
  CHECK_THAT(world.send(*client, kFromBank), StartsWith("250"));
  CHECK_THAT(world.header(), StartsWith("ARC-Seal: i=1;"));
  CHECK_THAT(world.header(),
             Contains("\r\nARC-Authentication-Results: i=1; relay.example; none\r\n"));
  CHECK_THAT(world.header(), !Contains("\r\nAuthentication-Results:"));
}

TEST_CASE("a message with as many seals as there may be is accepted without another one") {
  SealingWorld world;
  std::string content;
  for (unsigned i = 50; i > 0; --i) {
    const std::string instance = "i=" + std::to_string(i) + "; ";
    const std::string tags = "a=rsa-sha256; d=a.example; s=s; b=YQ==";
    content += "ARC-Seal: " + instance + tags + (i == 1 ? "; cv=none" : "; cv=pass") +
               "\r\nARC-Message-Signature: " + instance + tags +
               "; h=from; bh=YQ==" + "\r\nARC-Authentication-Results: " + instance +
               "a.example; none\r\n";
  }
  auto client = world.client(kStranger);
  CHECK_THAT(world.send(*client, content + kFromBank), StartsWith("250"));
  CHECK_THAT(world.header(), StartsWith("Authentication-Results: relay.example;"));
  CHECK_THAT(world.header(), Contains("arc=fail"));
  CHECK_THAT(world.header(), !Contains("i=51"));
}

struct SigningWorld : PolicyWorld {
  SigningWorld() { settings.signing = signer.table(); }

  // What a verifier says of the message as it was handed in.
  policy::DkimResult verified(const std::string& body) {
    return signer.verdict(header(), body, loop.now().wall);
  }

  tests::TestSigner signer{"bank.example"};
};

TEST_CASE("mail of those who may relay is signed as it will be sent") {
  SigningWorld world;
  auto client = world.client("192.0.2.1");
  CHECK_THAT(world.send(*client, kFromBank), StartsWith("250"));
  CHECK_THAT(world.header(), StartsWith("DKIM-Signature: "));
  CHECK_THAT(world.header(), Contains("\r\nDate: "));
  CHECK(world.verified("hello\r\n") == policy::DkimResult::Pass);
  CHECK(world.verified("changed\r\n") == policy::DkimResult::Fail);
  CHECK(world.resolver.asked().empty());
}

TEST_CASE("strangers' mail is never signed") {
  SigningWorld world;
  auto client = world.client(kStranger);
  CHECK_THAT(world.send(*client, kFromBank), StartsWith("250"));
  CHECK_THAT(world.header(), !Contains("DKIM-Signature"));
}

TEST_CASE("a large body streams past the signer, who is at most a MiB behind") {
  SigningWorld world;
  auto client = world.client("192.0.2.1");
  std::string body;
  while (body.size() < 2'000'000) body += "a line of a large message, which is signed\r\n";
  REQUIRE_THAT(command(*client, "MAIL FROM:<office@bank.example>"), StartsWith("250"));
  REQUIRE_THAT(command(*client, "RCPT TO:<to@x.example>"), StartsWith("250"));
  REQUIRE_THAT(command(*client, "DATA"), StartsWith("354"));
  client->say(kFromBank.substr(0, kFromBank.find("\r\n\r\n") + 4) + body + ".\r\n");
  for (unsigned i = 0; i < 100; ++i) {
    client->settle();
    while (world.store.chunks_ended < world.store.chunks.size()) world.store.end_chunk({});
    client->settle();
  }
  CHECK(world.store.commits.empty());
  CHECK(client->take_said() == "");
  // What waits for the signer is in memory, though the store has it on disk, and counts there.
  CHECK(world.memory.used() > 4 * queue::kBodyChunkOctets);
  for (unsigned i = 0; i < 100; ++i) {
    world.workers.run_one();
    world.settle(*client);
    while (world.store.chunks_ended < world.store.chunks.size()) world.store.end_chunk({});
  }
  REQUIRE(world.store.commits.size() == 1);
  world.store.end_commit({});
  world.settle(*client);
  CHECK(world.verified(body) == policy::DkimResult::Pass);
}

TEST_CASE("what a client that goes away leaves with the workers costs neither memory nor time") {
  SigningWorld world;
  auto client = world.client("192.0.2.1");
  begin(*client);
  std::string body;
  while (body.size() < 600'000) body += "a line of a large message, which is signed\r\n";
  client->say(kFromBank + body);
  for (std::size_t at = 0; at < 3; ++at) client->settle();
  CHECK(world.memory.used() > queue::kBodyChunkOctets);
  client.reset();
  CHECK(world.memory.used() == 0);
  while (world.workers.run_one()) continue;
  world.loop.run();
  CHECK(world.memory.used() == 0);
}

TEST_CASE("a header that is too large to be known whole is not signed") {
  SigningWorld world;
  std::string content = kFromBank.substr(0, kFromBank.find("\r\n\r\n") + 2);
  while (content.size() < queue::kHeaderBlockOctetsMax) {
    content += "X-Long: " + std::string(900, 'x') + "\r\n";
  }
  auto client = world.client("192.0.2.1");
  CHECK_THAT(world.send(*client, content + "\r\nhello\r\n"), StartsWith("250"));
  CHECK_THAT(world.header(), !Contains("DKIM-Signature"));
}

}  // namespace
}  // namespace rockdove::inbound
