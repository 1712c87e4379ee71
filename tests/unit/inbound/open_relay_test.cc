// Plays tests/data/dialogues/relay: the tricks by which strangers have made mail servers send to
// other domains. The next hops of our domains take every address, so that nothing but our own rules
// refuses. Whatever is accepted by the end of a dialogue must go to our domains.
#include <catch2/catch.hpp>

#include "tests/unit/inbound/inbound_world.h"
#include "tests/unit/smtp/dialogue.h"

namespace rockdove::inbound {
namespace {

bool is_ours(const std::string& recipient) {
  return recipient.ends_with("@ours.example") &&
         recipient.find_first_of("%!\"") == std::string::npos &&
         recipient.find('@') == recipient.rfind('@');
}

void play(const smtp::Dialogue& dialogue) {
  World world;
  world.settings.relay.check = RecipientCheck::Any;
  world.settings.local.domains = {"local.example", "relay.example"};
  auto client = world.client("198.51.100.1");
  std::size_t refused = 0;
  for (const smtp::DialogueLine& line : dialogue.lines) {
    INFO(dialogue.name << ":" << line.number);
    if (line.key == "S") {
      client->settle();
      const std::string said = client->take_said();
      CHECK(said == line.text + "\r\n");
      if (said.starts_with('5')) ++refused;
      continue;
    }
    REQUIRE(line.key == "C");
    // Each transaction is sent whole, to see where it would go.
    if (line.text == "RSET") {
      client->say("DATA\r\n");
      if (client->take_said().starts_with("354")) {
        client->say("Subject: x\r\n\r\n.\r\n");
        world.store.end_commit({});
      }
      client->settle();
      client->take_said();
    }
    client->say(smtp::unescape(line.text) + "\r\n");
  }
  CHECK(refused > 0);
  for (const auto& mail : world.handed_in) {
    for (const queue::Delivery& delivery : mail.deliveries) {
      INFO(dialogue.name << ": " << delivery.recipient);
      CHECK(is_ours(delivery.recipient));
    }
  }
}

TEST_CASE("no trick makes a stranger's mail go to a domain that is not ours") {
  for (const smtp::Dialogue& dialogue : smtp::read_dialogues("relay")) play(dialogue);
}

}  // namespace
}  // namespace rockdove::inbound
