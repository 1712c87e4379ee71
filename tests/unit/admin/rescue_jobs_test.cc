// The control socket's part of export and import: envelopes out, messages in piece by piece.
#include "mta/admin/rescue_jobs.h"

#include "mta/admin/envelope_text.h"
#include "queue/codec.h"
#include "tests/unit/admin/admin_world.h"

namespace {

using namespace rockdove;
using namespace rockdove::test;

constexpr std::string_view kHeader = "Received: by here\r\nSubject: hi\r\n\r\n";

// What somebody wants to import.
struct Upload {
  explicit Upload(std::size_t body_octets, std::uint64_t counter = 1) {
    queue::Message& message = envelope.stored.message;
    message.id = {(1'795'295'600'000ULL << 20) + counter};
    message.sender = "a@one.example";
    message.accepted = kStart - 1h;
    message.recipients = 2;
    message.body_octets = body_octets;
    message.body_chunks = queue::body_chunks_of(body_octets);
    envelope.stored.header_octets = kHeader.size();
    for (std::uint32_t number = 1; number <= 2; ++number) {
      queue::Delivery delivery;
      delivery.number = number;
      delivery.recipient = "r" + std::to_string(number) + "@x.example";
      delivery.destination = "x.example";
      delivery.due = kStart;
      envelope.stored.deliveries.push_back(delivery);
    }
    content = std::string(kHeader);
    for (std::size_t i = 0; i < body_octets; ++i) {
      content.push_back(static_cast<char>('a' + i / 1000 % 26));
    }
  }

  [[nodiscard]] std::string octets() const {
    return admin::format_envelope(envelope, admin::Layout::Line) + content;
  }

  [[nodiscard]] http::Request piece(std::size_t at, std::size_t size) const {
    const std::string all = octets();
    const std::string target =
        "/v1/queue/import?id=" + base::format_id(envelope.stored.message.id) +
        "&envelope=" + std::to_string(all.size() - content.size()) +
        "&content=" + std::to_string(content.size()) + "&at=" + std::to_string(at) + more;
    return {"POST", target, {}, all.substr(at, size)};
  }

  // All of it; the last answer.
  Json send(World& world, std::size_t piece_octets = 60'000) const {
    const std::size_t size = octets().size();
    Client client(world);
    for (std::size_t at = 0; at < size; at += piece_octets) {
      client.ask(piece(at, piece_octets));
      if (client.status() != 200) return client.lines().front();
      const Json answer = client.lines().front();
      if (answer["outcome"] != "more") return answer;
    }
    return {};
  }

  admin::Envelope envelope;
  std::string content;
  std::string more;  // of the request
};

const base::MessageId kOwnFrom{(base::to_unix_milliseconds(kStart) - 60'000) << 20};

TEST_CASE("the envelope of a message in the queue is told whole") {
  World world;
  const base::MessageId id = world.store.add("a@one.example", {"b@x.example", "c@y.example"});
  Client client(world);
  client.ask({"GET", "/v1/queue/envelope?id=" + base::format_id(id), {}, ""});
  REQUIRE(client.status() == 200);
  const Json json = client.lines().front();
  CHECK(json["id"] == base::format_id(id));
  CHECK(json["sender"] == "a@one.example");
  CHECK(json["deliveries"].size() == 2);
  CHECK(json["deliveries"][1]["recipient"] == "c@y.example");
  client.ask({"GET", "/v1/queue/envelope?id=0ZzBCDFGHJKL", {}, ""});
  CHECK(client.status() == 404);
  client.ask({"GET", "/v1/queue/envelope", {}, ""});
  CHECK(client.status() == 400);
}

TEST_CASE("a small message is taken in one request, and its deliveries are made known") {
  World world;
  const Upload upload(100);
  const Json answer = upload.send(world);
  CHECK(answer["outcome"] == "taken");
  CHECK(answer["id"] == base::format_id(upload.envelope.stored.message.id));
  REQUIRE(world.store.committed.size() == 1);
  CHECK(world.store.committed.front().kind() == queue::Change::Kind::Acceptance);
  CHECK(world.acts.came_back == 2);
  bool has_body = false;
  world.store.committed.front().rows().for_each([&](const queue::RowOperations::Row& row) {
    if (row.family == queue::Family::Bodies) {
      has_body = true;
      CHECK(row.value == upload.content.substr(kHeader.size()));
    }
  });
  CHECK(has_body);
  CHECK(world.logged().find("imported id=" + base::format_id(upload.envelope.stored.message.id)) !=
        std::string::npos);
}

TEST_CASE("a large message comes in pieces of any size, and its chunks are written on the way") {
  const std::size_t piece = GENERATE(as<std::size_t>{}, 60'000, 33'333);
  World world;
  const Upload upload(600'000);
  CHECK(upload.send(world, piece)["outcome"] == "taken");
  REQUIRE(world.store.written.size() == 1);
  const std::vector<std::string>& chunks = world.store.written.begin()->second;
  REQUIRE(chunks.size() == 3);
  CHECK(chunks[0].size() == queue::kBodyChunkOctets);
  CHECK(chunks[2].size() == 600'000 - 2 * queue::kBodyChunkOctets);
  CHECK((std::string(kHeader) + chunks[0] + chunks[1] + chunks[2] == upload.content));
  REQUIRE(world.store.committed.size() == 1);
  CHECK(world.store.committed.front().begins()->chunks_before == 3);
}

TEST_CASE("a message without a body is one") {
  World world;
  CHECK(Upload(0).send(world)["outcome"] == "taken");
}

TEST_CASE("a message that the queue has is known, and one of another machine gets another id") {
  World world;
  const base::MessageId id = world.store.add("a@one.example", {"r1@x.example", "r2@x.example"});
  Upload upload(1234, 0);
  REQUIRE(upload.envelope.stored.message.id == id);
  auto there = std::make_shared<queue::Message>(*world.store.messages[id].message);
  there->header_block = kHeader;
  there->accepted = kStart - 1h;
  world.store.messages[id].message = there;
  const Json known = upload.send(world);
  CHECK(known["outcome"] == "known");
  CHECK(known["id"] == base::format_id(id));
  CHECK(world.store.committed.empty());

  upload.envelope.stored.message.sender = "z@else.example";
  const Json renamed = upload.send(world);
  CHECK(renamed["outcome"] == "taken");
  CHECK(renamed["id"] ==
        base::format_id(queue::ids_for(upload.envelope.stored.message, kStart)[1]));
}

TEST_CASE(
    "a message may not have an id that the relay gives, and an id that is only known is no loss") {
  World world({kOwnFrom, 4});
  Upload upload(600'000);
  upload.envelope.stored.message.id = {kOwnFrom.value + (2U << 14)};
  const Json answer = upload.send(world);
  CHECK(answer["outcome"] == "taken");
  CHECK(answer["id"] == base::format_id(queue::ids_for(upload.envelope.stored.message, kStart)[1]));
  CHECK(world.store.written.begin()->first ==
        queue::ids_for(upload.envelope.stored.message, kStart)[1]);
}

TEST_CASE("what a person has deleted here is left, or taken by another id") {
  World world;
  const base::MessageId id = world.store.add("a@one.example", {"r1@x.example", "r2@x.example"});
  Upload upload(1234, 0);
  auto& there = world.store.messages[id];
  auto message = std::make_shared<queue::Message>(*there.message);
  message->header_block = kHeader;
  message->accepted = kStart - 1h;
  there.message = message;
  for (queue::Delivery& delivery : there.deliveries) {
    delivery.state = queue::DeliveryState::Deleted;
  }
  CHECK(upload.send(world)["outcome"] == "deleted");
  CHECK(world.store.committed.empty());
  upload.more = "&deleted=take";
  CHECK(upload.send(world)["outcome"] == "taken");
  CHECK(world.store.committed.size() == 1);
}

TEST_CASE("content that is no mail is refused, whatever its envelope says, and leaves nothing") {
  World world;
  const auto refusal = [&world](std::size_t body_octets, std::size_t at, std::string_view octets) {
    Upload upload(body_octets);
    upload.content.replace(at, octets.size(), octets);
    return upload.send(world).value("error", "");
  };
  const std::size_t body_at = kHeader.size();
  CHECK(refusal(100, body_at + 50, "\n.\r\n").find("line feed alone") != std::string::npos);
  CHECK(refusal(100, body_at + 50, "\rX").find("carriage return alone") != std::string::npos);
  CHECK(refusal(100, body_at + 99, "\r").find("carriage return alone") != std::string::npos);
  CHECK(refusal(100, body_at, std::string_view("\0", 1)).find("zero octet") != std::string::npos);
  CHECK(refusal(100, 3, "\n").find("line feed alone") != std::string::npos);
  CHECK(refusal(100, body_at - 1, "x").find("no header") != std::string::npos);
  CHECK(refusal(100, 0, "\r\n").find("no header") != std::string::npos);
  CHECK(refusal(100, 5, "\r\n\r\n").find("no header") != std::string::npos);
  CHECK(refusal(600'000, body_at + 599'000, "\n").find("line feed alone") != std::string::npos);
  CHECK(world.store.committed.empty());
  CHECK(world.store.written.empty());
}

TEST_CASE("content with 8-bit text is known to have it, whatever its envelope says") {
  World world;
  Upload upload(100);
  upload.content[kHeader.size() + 7] = '\xE9';
  CHECK(upload.send(world)["outcome"] == "taken");
  bool is_eight_bit = false;
  world.store.committed.front().rows().for_each([&](const queue::RowOperations::Row& row) {
    if (row.family != queue::Family::Messages) return;
    is_eight_bit = queue::decode_message({1}, row.value)->eight_bit;
  });
  CHECK(is_eight_bit);
}

TEST_CASE("a piece that is out of its place ends the import and leaves nothing") {
  World world;
  const Upload upload(600'000);
  Client client(world);
  for (std::size_t at = 0; at < 360'000; at += 60'000) {
    client.ask(upload.piece(at, 60'000));
    REQUIRE(client.status() == 200);
  }
  REQUIRE_FALSE(world.store.written.empty());
  client.ask(upload.piece(420'000, 1000));
  CHECK(client.status() == 409);
  // Who begins anew has to wait until the first one has been silent for long.
  client.ask(upload.piece(0, 60'000));
  CHECK(client.status() == 503);
  world.loop.passed += 11s;
  CHECK(upload.send(world)["outcome"] == "taken");
  REQUIRE(world.store.written.size() == 1);
  CHECK(world.store.written.begin()->second.size() == 3);
}

TEST_CASE("what is no message, or another one than was said, is refused") {
  World world;
  Client client(world);
  Upload upload(100);
  http::Request request = upload.piece(0, 60'000);
  request.body[0] = 'x';
  client.ask(request);
  CHECK(client.status() == 400);
  request = upload.piece(0, 60'000);
  request.body += "more";
  client.ask(request);
  CHECK(client.status() == 400);
  request = upload.piece(0, 60'000);
  request.target.replace(request.target.find("content=") + 8, 3, "999");
  client.ask(request);
  CHECK(client.status() == 400);
  request.target = "/v1/queue/import?id=nonsense&envelope=1&content=1&at=0";
  client.ask(request);
  CHECK(client.status() == 400);
  request.target = "/v1/queue/import?id=" + base::format_id(upload.envelope.stored.message.id) +
                   "&envelope=999999999999&content=1&at=0";
  client.ask(request);
  CHECK(client.status() == 400);
  CHECK(world.store.committed.empty());
  CHECK(upload.send(world)["outcome"] == "taken");
}

TEST_CASE("a write that fails is told, and a second import may begin") {
  World world;
  const Upload upload(100);
  world.store.write_fails = true;
  CHECK(upload.send(world)["error"] == "the disk is full");
  CHECK(world.acts.came_back == 0);
  world.store.write_fails = false;
  CHECK(upload.send(world)["outcome"] == "taken");
}

}  // namespace
