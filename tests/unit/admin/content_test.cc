// GET /v1/queue/content: the octets of a message, whole, in part, and never more in memory than the
// client takes.
#include "tests/unit/admin/admin_world.h"

namespace {

using namespace rockdove;
using namespace rockdove::test;

base::MessageId add_large(World& world, std::size_t chunks) {
  const base::MessageId id = world.store.add("a@here.example", {"b@example.net"});
  auto message = std::make_shared<queue::Message>(*world.store.messages[id].message);
  message->header_block = "Subject: x\r\n\r\n";
  message->body_chunks = static_cast<std::uint32_t>(chunks);
  world.store.messages[id].message = message;
  for (std::size_t i = 0; i < chunks; ++i) {
    world.store.bodies[id].emplace_back(queue::kBodyChunkOctets, static_cast<char>('a' + i % 26));
  }
  return id;
}

std::string target(base::MessageId id, const std::string& more = "") {
  return "/v1/queue/content?id=" + base::format_id(id) + more;
}

}  // namespace

TEST_CASE("admin: a message comes as it will be sent, whole or in part") {
  World world;
  Client client(world);
  const base::MessageId id = add_large(world, 3);
  client.ask({"GET", target(id), {}, ""});
  CHECK(client.status() == 200);
  CHECK(http::field_value(client.conversation.head()->fields, "content-type") == "message/rfc822");
  CHECK(client.body.size() == 14 + 3 * queue::kBodyChunkOctets);
  CHECK(client.body.starts_with("Subject: x\r\n\r\naaa"));
  CHECK(client.body.ends_with("ccc"));
  client.ask({"GET", target(id, "-1&part=header"), {}, ""});
  CHECK(client.body == "Subject: x\r\n\r\n");
  client.ask({"GET", target(id, "&part=body&octets=5"), {}, ""});
  CHECK(client.body == "aaaaa");
  client.ask({"GET",
              target(id, "&part=body&octets=" + std::to_string(queue::kBodyChunkOctets + 1)),
              {},
              ""});
  CHECK(client.body.size() == queue::kBodyChunkOctets + 1);
  CHECK(client.body.ends_with("ab"));
}

TEST_CASE("admin: content that is not there, or is asked for wrongly, says so") {
  World world;
  Client client(world);
  const base::MessageId id = add_large(world, 1);
  client.ask({"GET", "/v1/queue/content?id=" + base::format_id(base::MessageId{77}), {}, ""});
  CHECK(client.status() == 404);
  for (const char* more : {"&part=middle", "&octets=many", "&octets=-1", "&octets="}) {
    client.ask({"GET", target(id, more), {}, ""});
    CHECK(client.status() == 400);
  }
  client.ask({"GET", "/v1/queue/content", {}, ""});
  CHECK(client.status() == 400);
}

TEST_CASE("admin: a chunk that cannot be read leaves the answer without its end") {
  World world;
  Client client(world);
  const base::MessageId id = add_large(world, 3);
  world.store.bodies[id].pop_back();
  client.ask({"GET", target(id), {}, ""});
  CHECK(client.status() == 200);
  CHECK_FALSE(client.conversation.is_done());
  CHECK(client.protocol->is_over());
}

TEST_CASE("admin: of a message that nobody takes only a chunk is read") {
  World world;
  Client client(world);
  const base::MessageId id = add_large(world, 20);
  client.takes_output = false;
  client.ask({"GET", target(id), {}, ""});
  CHECK(world.store.chunks_read == 1);
  CHECK(client.protocol->output().size() < 2 * queue::kBodyChunkOctets);
  client.takes_output = true;
  client.run();
  CHECK(client.conversation.is_done());
  CHECK(world.store.chunks_read == 20);
}
