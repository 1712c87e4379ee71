// Users of this machine as clients, over submit.sock and by the files that `sendmail` leaves.
#include "mta/inbound/local_user.h"

#include <catch2/catch.hpp>

#include "mta/inbound/submission.h"
#include "tests/unit/inbound/inbound_world.h"

namespace rockdove::inbound {
namespace {

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

struct LocalWorld : World {
  LocalWorld() {
    reception.name_of_user = [](std::uint32_t user) {
      return user == 33 ? std::string("www-data") : std::string();
    };
  }

  std::shared_ptr<const ListenerContext> context() {
    return make_submission_context(std::make_shared<const InboundSettings>(settings));
  }

  std::unique_ptr<tests::HandConnection> user(std::uint32_t number) {
    net::ConnectionInfo info;
    info.credentials = net::PeerCredentials{number, number, 4711};
    auto client = std::make_unique<tests::HandConnection>(
        loop, net::ConnectRequest{info.peer, {}}, make_receiver(reception, context(), info));
    client->accept(info);
    client->say("EHLO localhost\r\n");
    return client;
  }

  // Runs the loop, and ends commits well, until nothing is left to do.
  void settle() {
    do {
      loop.run();
      if (!store.commits.empty()) store.end_commit({});
      loop.run();
    } while (!store.commits.empty());
  }
};

struct Handed {
  std::optional<SubmissionResult> result;
  std::unique_ptr<Submission> submission;
};

std::unique_ptr<Handed> submit(LocalWorld& world, const std::vector<std::string>& recipients,
                               std::string content) {
  auto handed = std::make_unique<Handed>();
  SubmittedFile file{"0123456789abcdef0123456789abcdef", {33, 33, 0}, {}};
  file.envelope.sender = "www-data";
  for (const std::string& recipient : recipients) file.envelope.recipients.push_back({recipient});
  file.envelope.octets = content.size();
  Submission::Handlers handlers;
  handlers.content_wanted = [handed = handed.get(), content = std::move(content),
                             at = 0U]() mutable {
    const std::string part = content.substr(at, 100'000);
    at += static_cast<unsigned>(part.size());
    handed->submission->give_content(
        part, at == content.size() ? smtp::BodyLast::Yes : smtp::BodyLast::No);
  };
  handlers.done = [handed = handed.get()](const SubmissionResult& result) {
    handed->result = result;
    handed->submission.reset();
  };
  handed->submission = std::make_unique<Submission>(world.reception, world.context(),
                                                    std::move(file), std::move(handlers));
  handed->submission->begin();
  return handed;
}

TEST_CASE("a user of this machine may send anywhere, and is named in message, queue and header") {
  LocalWorld world;
  auto client = world.user(33);
  CHECK_THAT(command(*client, "MAIL FROM:<www-data>"), StartsWith("250"));
  CHECK_THAT(command(*client, "RCPT TO:<bob@anywhere.example>"), StartsWith("250"));
  CHECK_THAT(command(*client, "DATA"), StartsWith("354"));
  client->say("Subject: x\r\n\r\nhello\r\n.\r\n");
  world.store.end_commit({});
  REQUIRE(world.handed_in.size() == 1);
  const queue::Message& message = *world.handed_in[0].message;
  CHECK(message.sender == "www-data@relay.example");
  CHECK(message.client.user == "uid 33 (www-data)");
  CHECK(message.client.listener == "sendmail");
  CHECK_THAT(message.header_block,
             StartsWith("Received: by relay.example (Rockdove, from userid 33)\r\n\tid " +
                        base::format_id(message.id)));
  CHECK_THAT(message.header_block, Contains("\r\nDate: "));
  CHECK_THAT(world.destinations_asked.back(), Contains(" uid 33 (www-data)"));
}

TEST_CASE("mail of this machine to a user in no alias is the postmaster's") {
  LocalWorld world;
  auto client = world.user(33);
  CHECK_THAT(command(*client, "MAIL FROM:<>"), StartsWith("250"));
  CHECK_THAT(command(*client, "RCPT TO:<nobody-knows>"), StartsWith("250"));
  CHECK_THAT(command(*client, "RCPT TO:<all>"), StartsWith("250"));
  CHECK_THAT(command(*client, "DATA"), StartsWith("354"));
  client->say("\r\n.\r\n");
  world.store.end_commit({});
  REQUIRE(world.handed_in.size() == 1);
  REQUIRE(world.handed_in[0].deliveries.size() == 3);
  CHECK(world.handed_in[0].deliveries[0].recipient == "admin@relay.example");
  CHECK(world.handed_in[0].deliveries[1].recipient == "a@x.example");
  CHECK(world.handed_in[0].message->sender.empty());
  world.settings.postmaster.clear();
  auto other = world.user(33);
  command(*other, "MAIL FROM:<>");
  CHECK_THAT(command(*other, "RCPT TO:<nobody-knows>"), StartsWith("550 5.1.1"));
}

TEST_CASE("strangers still need a domain") {
  LocalWorld world;
  auto client = world.client();
  CHECK_THAT(command(*client, "MAIL FROM:<root>"), StartsWith("501"));
  command(*client, "MAIL FROM:<a@x.example>");
  CHECK_THAT(command(*client, "RCPT TO:<root>"), StartsWith("501"));
}

TEST_CASE("limits count for each user") {
  LocalWorld world;
  world.settings.submission.listener.rate = {2, 60s, 0};
  world.settings.submission.listener.connections = 1;
  auto client = world.user(33);
  for (int i = 0; i < 2; ++i) {
    CHECK_THAT(command(*client, "MAIL FROM:<a@x.example>"), StartsWith("250"));
    command(*client, "RSET");
  }
  CHECK_THAT(command(*client, "MAIL FROM:<a@x.example>"),
             StartsWith("450 4.7.1 too many messages of this user"));
  auto second = world.user(33);
  CHECK(second->is_gone());
  auto other = world.user(34);
  CHECK_THAT(command(*other, "MAIL FROM:<a@x.example>"), StartsWith("250"));
}

TEST_CASE("the settings may name who may send") {
  LocalWorld world;
  world.settings.submission.users = {"www-data", "1000"};
  CHECK_FALSE(world.user(33)->is_gone());
  CHECK_FALSE(world.user(1000)->is_gone());
  auto refused = world.user(1001);
  CHECK(refused->is_gone());
  CHECK_THAT(refused->take_said(), StartsWith("554 5.7.1 this user may not send"));
}

TEST_CASE("keys of users are no addresses of hosts, and tell the user back") {
  CHECK(describe_client(key_of_local_user(33)) == "uid 33");
  CHECK(describe_client(key_of_local_user(4'294'967'295U)) == "uid 4294967295");
  CHECK(describe_client(*base::parse_ip_address("192.0.2.1")) == "192.0.2.1");
  CHECK(describe_client(*base::parse_ip_address("0:1::1")) == "0:1::1");
  CHECK(base::client_key(key_of_local_user(1)) != base::client_key(key_of_local_user(2)));
  CHECK(describe_local_user(7, "a\nb") == "uid 7 (a\\x0ab)");
}

TEST_CASE("a file is handed in like a connection's message, and its name is noted with it") {
  LocalWorld world;
  const auto handed =
      submit(world, {"root@x.example", "b@y.example"}, "Subject: x\r\n\r\n.\r\nhello\r\n");
  world.settle();
  REQUIRE(handed->result);
  CHECK(handed->result->how == SubmissionResult::How::Accepted);
  REQUIRE(world.handed_in.size() == 1);
  CHECK(*world.handed_in[0].message->body == ".\r\nhello\r\n");
  CHECK(world.handed_in[0].message->client.user == "uid 33 (www-data)");
  CHECK(world.handed_in[0].deliveries.size() == 2);
}

TEST_CASE("a large file is handed in by pieces") {
  LocalWorld world;
  std::string content = "Subject: x\r\n\r\n";
  while (content.size() < 1'000'000) content += std::string(998, 'x') + "\r\n";
  const auto handed = submit(world, {"root@x.example"}, content);
  for (int turn = 0; turn < 100 && !handed->result; ++turn) {
    world.loop.run();
    while (world.store.chunks_ended < world.store.chunks.size()) world.store.end_chunk({});
    world.loop.run();
    if (!world.store.commits.empty()) world.store.end_commit({});
  }
  REQUIRE(handed->result);
  CHECK(handed->result->how == SubmissionResult::How::Accepted);
  CHECK(world.store.chunks.size() == 4);
}

TEST_CASE("of a file, a recipient that nobody has becomes a report") {
  LocalWorld world;
  world.settings.postmaster.clear();
  const auto handed = submit(world, {"nobody-knows", "b@y.example"}, "Subject: x\r\n\r\nhello\r\n");
  world.settle();
  REQUIRE(handed->result);
  CHECK(handed->result->how == SubmissionResult::How::Accepted);
  REQUIRE(world.handed_in.size() == 1);
  CHECK(world.handed_in[0].message->recipients == 2);
  const queue::Delivery& refused = world.handed_in[0].deliveries.at(1);
  CHECK(refused.recipient == "nobody-knows");
  CHECK(refused.final_status == "5.1.1");
  CHECK(refused.ending == queue::Ending::Failed);
  CHECK_THAT(refused.last.reply, StartsWith("550 5.1.1 no such user"));
}

TEST_CASE("a file that cannot be taken whole is not taken at all") {
  LocalWorld world;
  SECTION("the queue is busy") {
    world.store.ready = queue::Readiness::Busy;
    const auto handed = submit(world, {"a@x.example"}, "\r\n");
    world.settle();
    CHECK(handed->result.value().how == SubmissionResult::How::NotNow);
    CHECK_THAT(handed->result->text, StartsWith("452 4.3.1"));
  }
  SECTION("its commit failed") {
    const auto handed = submit(world, {"a@x.example"}, "\r\n");
    world.loop.run();
    world.store.end_commit(base::Error("no space"));
    world.loop.run();
    CHECK(handed->result.value().how == SubmissionResult::How::NotNow);
  }
  SECTION("it is too large") {
    world.settings.submission.listener.max_message_size = 100;
    const auto handed = submit(world, {"a@x.example"}, "\r\n" + std::string(200, 'x'));
    world.settle();
    CHECK(handed->result.value().how == SubmissionResult::How::Refused);
    CHECK_THAT(handed->result->text, StartsWith("552"));
  }
  SECTION("its content has bare line ends") {
    const auto handed = submit(world, {"a@x.example"}, "\r\na\nb\r\n");
    world.settle();
    CHECK(handed->result.value().how == SubmissionResult::How::Refused);
  }
  SECTION("its owner may not send") {
    world.settings.submission.users = {"root"};
    const auto handed = submit(world, {"a@x.example"}, "\r\n");
    world.settle();
    CHECK(handed->result.value().how == SubmissionResult::How::Refused);
    CHECK_THAT(handed->result->text, Contains("5.7.1"));
  }
  SECTION("the session takes a recipient for no command") {
    const auto handed =
        submit(world, {"a@x.example", std::string(3'000, 'b') + "@x.example"}, "\r\n");
    world.settle();
    CHECK(handed->result.value().how == SubmissionResult::How::NotNow);
  }
  SECTION("the relay is being stopped") {
    world.reception.stopping = true;
    const auto handed = submit(world, {"a@x.example"}, "\r\n");
    world.settle();
    CHECK(handed->result.value().how == SubmissionResult::How::NotNow);
  }
  CHECK(world.handed_in.empty());
  CHECK(world.memory.used() == 0);
  CHECK(world.connections == 0);
}

}  // namespace
}  // namespace rockdove::inbound
