// Stories about what is said of mail afterwards: to a person who acts while others do, and to one
// who traces it. See tests/sim/stories.h.
#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/sim/sim.h"
#include "tests/sim/stories.h"

namespace rockdove::sim {
namespace {

std::size_t steps_named(Sim& sim, queue::MessageId id, std::string_view what) {
  const std::vector<queue::HistoryStep> steps = sim.steps(id);
  return static_cast<std::size_t>(
      std::count_if(steps.begin(), steps.end(),
                    [what](const queue::HistoryStep& step) { return step.what == what; }));
}

queue::Order order_to(queue::Act act) {
  return {act, "", "", "the test"};
}

// Adds what it came to for the one delivery that is meant.
Sim::Told told(std::optional<queue::ActOutcome>& outcome) {
  return [&outcome](const queue::ActAnswer& answer) {
    outcome = answer.others.empty() ? queue::ActOutcome::Done : answer.others.front().second;
  };
}

TEST_CASE("a retry is done only if it was, whatever another person does meanwhile") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 2U);
  settings.relay.queue.retry = {1h};
  std::size_t held_first = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Sim sim(seed, settings);
    RemoteServer& remote = example_net(sim);
    remote.recipients_go_by(refuse(451, "4.3.0"));
    Submission& mail = sim.submit("", {"b@example.net"}, kBody);
    sim.run_for(1min);
    REQUIRE(steps_named(sim, mail.id, "deferred") == 1);
    std::optional<queue::ActOutcome> held;
    std::optional<queue::ActOutcome> retried;
    sim.act(order_to(queue::Act::Hold), {{mail.id, 1}}, told(held));
    sim.act(order_to(queue::Act::Retry), {{mail.id, 1}}, told(retried));
    sim.run_for(20s);
    REQUIRE(held);
    REQUIRE(retried);
    const bool has_retried = steps_named(sim, mail.id, "retried") == 1;
    CHECK((*retried == queue::ActOutcome::Done) == has_retried);
    CHECK((*held == queue::ActOutcome::Done) == (steps_named(sim, mail.id, "held") == 1));
    if (!has_retried) ++held_first;
    remote.heal();
    remote.recipients_go_by({});
    sim.act(order_to(queue::Act::Retry), {{mail.id, 1}});
    rest(sim);
  }
  CHECK(held_first > 0);  // else it has shown nothing
}

TEST_CASE("mail that was deleted while a user was paused goes out when it is brought back later") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 2U);
  settings.relay.queue.undo_time = 24h;
  const bool is_brought_back_early = GENERATE(false, true);
  Sim sim(GENERATE(1U, 2U), settings);
  example_net(sim);
  queue::Pause pause;
  pause.kind = queue::PauseKind::User;
  pause.pattern = "bob";
  sim.run_for(1s);
  sim.pause(pause);
  sim.run_for(1s);
  queue::Message message;
  message.sender = "a@home.example";
  message.client.user = "bob";
  queue::Delivery delivery;
  delivery.recipient = "b@example.net";
  Submission& mail = sim.plant(message, {delivery}, kBody);
  sim.run_for(1min);
  REQUIRE(sim.delivery(mail.id, "b@example.net")->state == queue::DeliveryState::Held);
  sim.act(order_to(queue::Act::Delete), {{mail.id, 1}});
  sim.run_for(1min);
  const auto undelete = [&] {
    sim.act(order_to(queue::Act::Undelete), {{mail.id, 1}});
    sim.run_for(1min);
  };
  if (is_brought_back_early) {
    undelete();
    CHECK(sim.delivery(mail.id, "b@example.net")->state == queue::DeliveryState::Held);
  }
  sim.resume(pause.kind, pause.pattern);
  sim.run_for(10min);
  if (!is_brought_back_early) {
    CHECK(sim.delivery(mail.id, "b@example.net")->state == queue::DeliveryState::Deleted);
    undelete();
  }
  CHECK(sim.truth.copies(mail.id, "b@example.net") == 1);
  rest(sim);
}

TEST_CASE("what failed for one of two recipients is traced as a failure while its report waits") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 3U);
  settings.relay.queue.retry = {10min};
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  home(sim);
  RemoteServer& remote = example_net(sim);
  remote.recipients_go_by([](const std::string& address) -> std::optional<smtp::Reply> {
    if (address.starts_with("no")) return smtp::make_reply(550, "5.1.1", "no such user");
    return smtp::make_reply(451, "4.3.0", "not now");
  });
  Submission& mail = sim.submit("a@home.example", {"no@example.net", "later@example.net"}, kBody);
  const base::WallTime sent = sim.now().wall;
  sim.run_for(2h);
  const std::vector<queue::HistoryStep> steps = sim.steps(mail.id);
  REQUIRE(steps.size() == 2);
  CHECK(steps[0].what == "failed");
  CHECK(steps[0].reply.starts_with("550"));
  CHECK(steps[1].what == "bounced");
  CHECK(steps[1].reply == steps[0].reply);
  CHECK(steps[1].host == steps[0].host);
  CHECK(steps[1].report.value != 0);
  CHECK(steps[1].at - sent < 2s);  // the report came later
  remote.heal();
  remote.recipients_go_by({});
  rest(sim);
}

TEST_CASE("a notice of delay is a step of mail that only waited behind a dead site") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 2U);
  settings.relay.queue.retry = {30min};
  settings.relay.queue.delay_notice = 1h;
  Sim sim(GENERATE(1U, 2U), settings);
  RemoteServer& sender = home(sim);
  example_net(sim);
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Refused);
  std::vector<const Submission*> all;
  for (int i = 0; i < 5; ++i) {
    all.push_back(&sim.submit("a@home.example", {"b@example.net"}, kBody));
    sim.run_for(1s);
  }
  sim.run_for(3h);
  const std::size_t notices = sender.received().size();
  CHECK(notices == 5);
  std::size_t named = 0;
  std::size_t without_attempt = 0;
  for (const Submission* mail : all) {
    for (const queue::HistoryStep& step : sim.steps(mail->id)) {
      if (step.report.value != 0) ++named;
      if (step.what == "delay-told") ++without_attempt;
    }
  }
  CHECK(named == notices);
  CHECK(without_attempt > 0);
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Open);
  rest(sim);
}

}  // namespace
}  // namespace rockdove::sim
