// Stories about mail in quarantine: it goes only when a person releases it, and ends at its time.
// See tests/sim/stories.h.
#include "queue/quarantine.h"

#include <optional>

#include <catch2/catch.hpp>

#include "tests/sim/sim.h"
#include "tests/sim/stories.h"

namespace rockdove::sim {
namespace {

queue::Order order_to(queue::Act act) {
  return {act, "", "", "the test"};
}

// A message to b@example.net in quarantine, as the relay has it after a start.
Submission& plant_quarantined(Sim& sim, base::Duration time) {
  queue::Message message;
  message.sender = "forged@home.example";
  queue::Delivery delivery;
  delivery.recipient = "b@example.net";
  std::vector<queue::Delivery> deliveries{delivery};
  queue::quarantine(deliveries, "dmarc: home.example asks for quarantine", sim.now().wall, time);
  return sim.plant(std::move(message), std::move(deliveries), kBody);
}

SimSettings drawn_settings(base::Duration quarantine) {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 3U);
  settings.relay.queue.quarantine = quarantine;
  return settings;
}

std::string outcome_of(const Sim& sim, const Submission& mail) {
  const std::string* outcome = sim.truth.outcome(mail.id, "b@example.net");
  return outcome == nullptr ? "" : *outcome;
}

TEST_CASE("mail in quarantine is discarded at its time, across restarts, and nobody is told") {
  Sim sim(GENERATE(1U, 2U), drawn_settings(720h));
  RemoteServer& sender = home(sim);
  RemoteServer& remote = example_net(sim);
  Submission& mail = plant_quarantined(sim, 720h);
  sim.run_for(300h);
  sim.crash_and_restart();
  sim.run_for(400h);
  REQUIRE(sim.delivery(mail.id, "b@example.net").has_value());
  CHECK(sim.delivery(mail.id, "b@example.net")->state == queue::DeliveryState::Held);
  sim.run_for(19h + 58min);
  CHECK(outcome_of(sim, mail).empty());
  sim.run_for(3min);
  CHECK(outcome_of(sim, mail) == "quarantine-expired");
  CHECK(remote.received().empty());
  CHECK(sender.received().empty());
  rest(sim);
}

TEST_CASE(
    "mail whose quarantine ended while nothing ran is discarded ten minutes after the start") {
  Sim sim(GENERATE(1U, 2U), drawn_settings(24h));
  example_net(sim);
  Submission& mail = plant_quarantined(sim, 24h);
  sim.run_for(23h);
  sim.crash_and_restart(5h);
  sim.run_for(9min + 30s);
  CHECK(outcome_of(sim, mail).empty());
  sim.run_for(3min);
  CHECK(outcome_of(sim, mail) == "quarantine-expired");
  rest(sim);
}

TEST_CASE("a wall clock that jumps ahead for some minutes discards nothing from quarantine") {
  Sim sim(GENERATE(1U, 2U), drawn_settings(24h));
  RemoteServer& remote = example_net(sim);
  Submission& mail = plant_quarantined(sim, 24h);
  sim.run_for(1h);
  sim.move_wall_clock(1000h);
  sim.run_for(9min);
  sim.move_wall_clock(-1000h);
  sim.run_for(20h);
  CHECK(outcome_of(sim, mail).empty());
  sim.act(order_to(queue::Act::Release), {{mail.id, 0}});
  sim.run_for(1min);
  CHECK(remote.received().size() == 1);
  rest(sim);
}

TEST_CASE("what is released from quarantine lives its whole lifetime from then on") {
  SimSettings settings = drawn_settings(720h);
  settings.relay.queue.lifetime = 48h;
  settings.relay.queue.delay_notice = 4h;
  settings.relay.queue.retry = {1h};
  Sim sim(GENERATE(1U, 2U), settings);
  home(sim);
  RemoteServer& remote = example_net(sim);
  remote.recipients_go_by(refuse(451, "4.3.0"));
  Submission& mail = plant_quarantined(sim, 720h);
  sim.run_for(500h);
  sim.act(order_to(queue::Act::Release), {{mail.id, 0}});
  sim.run_for(3h);
  CHECK(sim.truth.reports_about(mail.id).empty());
  sim.run_for(3h);
  CHECK(sim.truth.reports_about(mail.id).size() == 1);  // that it is late
  sim.run_for(40h);
  CHECK(outcome_of(sim, mail).empty());
  if (GENERATE(true, false)) {
    remote.recipients_go_by({});
    rest(sim);
    CHECK(outcome_of(sim, mail) == "delivered");
  } else {
    sim.run_for(4h);
    rest(sim);
    CHECK(outcome_of(sim, mail) == "bounced");
  }
}

TEST_CASE("neither other acts nor the end of a pause let mail out of quarantine") {
  Sim sim(GENERATE(1U, 2U), drawn_settings(720h));
  RemoteServer& remote = example_net(sim);
  Submission& mail = plant_quarantined(sim, 720h);
  sim.run_for(1min);
  queue::QueueFilter filter;
  filter.destination = "example.net";
  for (const queue::Act act :
       {queue::Act::Hold, queue::Act::Retry, queue::Act::Bounce, queue::Act::Expire}) {
    sim.act(order_to(act), filter);
    sim.act(order_to(act), {{mail.id, 1}});
    sim.run_for(1min);
  }
  queue::Pause pause;
  pause.kind = queue::PauseKind::Destination;
  pause.pattern = "example.net";
  sim.pause(pause);
  sim.run_for(1min);
  sim.resume(pause.kind, pause.pattern);
  sim.run_for(5h);
  CHECK(remote.received().empty());
  REQUIRE(sim.delivery(mail.id, "b@example.net").has_value());
  CHECK(queue::is_quarantined(*sim.delivery(mail.id, "b@example.net")));
  sim.act(order_to(queue::Act::Delete), {{mail.id, 1}});
  sim.run_for(30min);
  sim.act(order_to(queue::Act::Undelete), {{mail.id, 1}});
  sim.run_for(1min);
  CHECK(queue::is_quarantined(*sim.delivery(mail.id, "b@example.net")));
  sim.act(order_to(queue::Act::Delete), {{mail.id, 1}});
  rest(sim);
  CHECK(outcome_of(sim, mail) == "deleted");
  CHECK(remote.received().empty());
}

}  // namespace
}  // namespace rockdove::sim
