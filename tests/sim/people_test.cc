// Stories about people: who steer the queue and pause it, strangers that hand mail in for us, and
// hosts that nobody can reach. See tests/sim/stories.h.
#include <deque>
#include <optional>

#include <catch2/catch.hpp>

#include "tests/sim/sim.h"
#include "tests/sim/stories.h"

namespace rockdove::sim {
namespace {

TEST_CASE("mail for a host that has only IPv6 is bounced once its lifetime is over") {
  SimSettings settings = default_settings();
  settings.relay.queue.lifetime = 5h;
  settings.relay.queue.delay_notice = base::Duration::zero();
  settings.relay.queue.retry = {20min};
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  home(sim);
  example_net(sim, {"2001:db8::1"});
  const base::IpAddress address = *base::parse_ip_address("2001:db8::1");
  sim.internet.set_reach(address, Reach::NoRoute);
  Submission& mail = sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(5h);
  CHECK(sim.truth.reports_about(mail.id).empty());
  CHECK(sim.internet.connects_to(address) > 1);
  CHECK(sim.internet.connects_to(address) <= 31);  // each 10 minutes
  sim.run_for(90min);
  const std::vector<queue::MessageId> reports = sim.truth.reports_about(mail.id);
  REQUIRE(reports.size() == 1);
  CHECK(count(sim.truth.content(reports[0]), "no IPv6 route") > 0);
  rest(sim);
}

TEST_CASE("a queue that cannot be read at a start is looked for again") {
  SimSettings settings = default_settings();
  settings.loops = 2;
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& remote = example_net(sim);
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Refused);
  sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(10min);
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Open);
  sim.crash_and_restart(2h);
  sim.store().fail_looks(12);
  sim.run_for(5s);
  CHECK(remote.received().empty());
  sim.run_for(3min);
  CHECK(remote.received().size() == 1);
  rest(sim);
}

queue::Order order_to(queue::Act act) {
  return {act, "", "", "the test"};
}

// The outcome for one delivery, once it is durable.
std::optional<queue::ActOutcome> act_out(Sim& sim, const queue::Order& order, queue::MessageId id,
                                         std::uint32_t number = 1) {
  std::optional<queue::ActOutcome> outcome;
  sim.act(order, {{id, number}}, [&outcome](const queue::ActAnswer& told) {
    outcome = told.others.empty() ? queue::ActOutcome::Done : told.others.front().second;
  });
  sim.run_for(5s);
  return outcome;
}

RemoteServer::RecipientRule nobody() {
  return [](const std::string&) -> std::optional<smtp::Reply> {
    return smtp::make_reply(451, "4.3.0", "not now");
  };
}

TEST_CASE("a person deletes what waits on the disk, and nobody hears of it any more") {
  Sim sim(GENERATE(1U, 2U, 3U));
  RemoteServer& sender = home(sim);
  RemoteServer& remote = example_net(sim);
  remote.sessions_go_by([] {
    SessionScript script;
    script.greets_with(421, "4.3.2", "Busy");
    return script;
  });
  Submission& mail = sim.submit("a@home.example", {"b@example.net", "c@example.net"}, kBody);
  sim.run_for(2min);
  CHECK(act_out(sim, order_to(queue::Act::Delete), mail.id) == queue::ActOutcome::Done);
  CHECK(act_out(sim, order_to(queue::Act::Delete), mail.id) == queue::ActOutcome::Unchanged);
  CHECK(act_out(sim, order_to(queue::Act::Delete), mail.id, 3) == queue::ActOutcome::NotFound);
  sim.crash_and_restart();
  remote.heal();
  rest(sim);
  REQUIRE(sim.truth.outcome(mail.id, "b@example.net") != nullptr);
  CHECK(*sim.truth.outcome(mail.id, "b@example.net") == "deleted");
  CHECK(sim.truth.copies(mail.id, "b@example.net") == 0);
  CHECK(sim.truth.copies(mail.id, "c@example.net") == 1);
  CHECK(sender.received().empty());
}

TEST_CASE("what was deleted can be brought back until the undo time is over, across a restart") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 3U);
  settings.relay.queue.undo_time = 2h;
  Sim sim(GENERATE(1U, 2U), settings);
  RemoteServer& remote = example_net(sim);
  remote.recipients_go_by(nobody());
  Submission& mail = sim.submit("a@home.example", {"b@example.net"}, kBody);
  Submission& held = sim.submit("a@home.example", {"c@example.net"}, kBody);
  Submission& gone = sim.submit("a@home.example", {"d@example.net"}, kBody);
  sim.run_for(2min);
  const auto was = sim.delivery(mail.id, "b@example.net");
  queue::Order hold = order_to(queue::Act::Hold);
  hold.text = "let us see";
  CHECK(act_out(sim, hold, held.id) == queue::ActOutcome::Done);
  for (const Submission* one : {&mail, &held, &gone}) {
    CHECK(act_out(sim, order_to(queue::Act::Delete), one->id) == queue::ActOutcome::Done);
  }
  remote.heal();
  remote.recipients_go_by({});
  sim.run_for(1h);
  CHECK(remote.received().empty());
  sim.crash_and_restart();
  sim.run_for(30min);
  CHECK(act_out(sim, order_to(queue::Act::Undelete), held.id) == queue::ActOutcome::Done);
  const auto now_held = sim.delivery(held.id, "c@example.net");
  REQUIRE(now_held.has_value());
  CHECK(now_held->state == queue::DeliveryState::Held);
  CHECK(now_held->hold_reason == "let us see");
  CHECK(act_out(sim, order_to(queue::Act::Undelete), mail.id) == queue::ActOutcome::Done);
  CHECK(act_out(sim, order_to(queue::Act::Undelete), mail.id) != queue::ActOutcome::Done);
  sim.run_for(1min);
  CHECK(sim.truth.copies(mail.id, "b@example.net") == 1);
  REQUIRE(was.has_value());
  CHECK(act_out(sim, order_to(queue::Act::Release), held.id) == queue::ActOutcome::Done);
  sim.run_for(31min);
  CHECK_FALSE(sim.delivery(gone.id, "d@example.net").has_value());
  rest(sim);
  CHECK(*sim.truth.outcome(gone.id, "d@example.net") == "deleted");
  CHECK(sim.truth.copies(held.id, "c@example.net") == 1);
}

TEST_CASE("a person deletes what waits in memory behind another message") {
  SimSettings settings = default_settings();
  settings.loops = 2;
  settings.relay.queue.site_connections = 1;
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& remote = example_net(sim);
  remote.next_session().does(SessionScript::Deed::Stall, SessionScript::At::Data);
  Submission& first = sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(5s);
  Submission& second = sim.submit("a@home.example", {"c@example.net"}, kBody);
  sim.run_for(5s);
  CHECK(act_out(sim, order_to(queue::Act::Delete), first.id) == queue::ActOutcome::BeingSent);
  CHECK(act_out(sim, order_to(queue::Act::Bounce), first.id) == queue::ActOutcome::BeingSent);
  CHECK(act_out(sim, order_to(queue::Act::Delete), second.id) == queue::ActOutcome::Done);
  rest(sim);
  CHECK(sim.truth.copies(first.id, "b@example.net") == 1);
  CHECK(sim.truth.copies(second.id, "c@example.net") == 0);
}

TEST_CASE(
    "a person returns mail to its sender, also what is on hold, and many recipients at once") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 2U);
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& sender = home(sim);
  RemoteServer& remote = example_net(sim);
  remote.recipients_go_by(nobody());
  Submission& one = sim.submit("a@home.example", {"b@example.net"}, kBody);
  Submission& many = sim.submit("a@home.example", {"b@example.net", "c@example.net"}, kBody);
  Submission& other = sim.submit("x@home.example", {"b@example.net"}, kBody);
  sim.run_for(2min);
  CHECK(act_out(sim, order_to(queue::Act::Hold), many.id) == queue::ActOutcome::Done);
  queue::Order bounce = order_to(queue::Act::Bounce);
  bounce.text = "the mailing was stopped";
  queue::QueueFilter filter;
  filter.sender = "a@home.example";
  queue::ActAnswer answer;
  sim.act(bounce, filter, [&answer](const queue::ActAnswer& told) { answer.add(told); });
  sim.run_for(1min);
  CHECK(answer.count(queue::ActOutcome::Done) == 3);
  CHECK(sender.received().size() == 2);
  REQUIRE(sim.truth.reports_about(one.id).size() == 1);
  REQUIRE(sim.truth.reports_about(many.id).size() == 1);
  const std::string& report = sim.truth.content(sim.truth.reports_about(many.id)[0]);
  CHECK(count(report, "the mailing was stopped") > 0);
  CHECK(count(report, "Status: 5.0.0") == 2);
  remote.recipients_go_by({});
  rest(sim);
  CHECK(sim.truth.copies(other.id, "b@example.net") == 1);
  CHECK(sim.truth.copies(one.id, "b@example.net") == 0);
}

TEST_CASE("a person ends the lifetime of mail: one more attempt, and the report") {
  SimSettings settings = default_settings();
  settings.loops = 2;
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& sender = home(sim);
  RemoteServer& remote = example_net(sim);
  const base::IpAddress address = *base::parse_ip_address("192.0.2.1");
  const bool is_dead = GENERATE(true, false);
  if (is_dead) {
    sim.internet.set_reach(address, Reach::Refused);
  } else {
    remote.recipients_go_by(nobody());
  }
  std::vector<queue::MessageId> ids;
  for (int i = 0; i < 40; ++i) {
    ids.push_back(sim.submit("a@home.example", {"b@example.net"}, kBody).id);
    sim.run_for(1s);
  }
  Submission& last = sim.submit("a@home.example", {"c@example.net"}, kBody);
  sim.run_for(2min);
  queue::QueueFilter filter;
  filter.recipient = "b@example.net";
  sim.act(order_to(queue::Act::Expire), filter);
  sim.run_for(1h);
  CHECK(sender.received().size() == 40);
  REQUIRE(sim.delivery(last.id, "c@example.net").has_value());
  sim.internet.set_reach(address, Reach::Open);
  remote.recipients_go_by({});
  rest(sim);
  CHECK(sim.truth.copies(last.id, "c@example.net") == 1);
  CHECK(remote.received().size() == 1);
}

TEST_CASE("a hold counts, whoever else acts on the same mail in the same moment") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 3U);
  Sim sim(GENERATE(range(1U, 9U)), settings);
  RemoteServer& remote = example_net(sim);
  remote.recipients_go_by(nobody());
  Submission& mail = sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(2min);
  queue::QueueFilter waits;
  waits.state = queue::DeliveryState::Waiting;
  waits.sender = "a@home.example";
  // Who comes first is left alone by the other.
  std::uint64_t held = 0;
  sim.act(order_to(queue::Act::Hold), {{mail.id, 1}},
          [&held](const queue::ActAnswer& told) { held += told.count(queue::ActOutcome::Done); });
  for (int i = 0; i < 20; ++i) {
    sim.act(order_to(queue::Act::Retry), waits);
    sim.run_for(1ms);
  }
  sim.run_for(5s);
  REQUIRE(sim.delivery(mail.id, "b@example.net").has_value());
  const queue::DeliveryState state = sim.delivery(mail.id, "b@example.net")->state;
  CHECK((state == queue::DeliveryState::Held) == (held == 1));
  remote.recipients_go_by({});
  if (held == 0) return rest(sim);
  CHECK(act_out(sim, order_to(queue::Act::Release), mail.id) == queue::ActOutcome::Done);
  rest(sim);
  CHECK(sim.truth.copies(mail.id, "b@example.net") == 1);
}

TEST_CASE("a bounce of all mail for a domain leaves its own reports to that domain alone") {
  SimSettings settings = default_settings();
  settings.loops = 2;
  Sim sim(GENERATE(1U, 2U), settings);
  RemoteServer& home_server = home(sim);
  queue::Pause pause;
  pause.kind = queue::PauseKind::Destination;
  pause.pattern = "home.example";
  sim.run_for(1s);
  sim.pause(pause);
  sim.run_for(1s);
  constexpr std::size_t kMany = 3 * admin::BulkAct::kBouncesAtOnce;
  std::deque<Submission*> mails;
  for (std::size_t i = 0; i < kMany; ++i)
    mails.push_back(&sim.truth.submission("a@home.example", {"b@home.example"}, kBody));
  sim.submit(std::move(mails));
  sim.run_for(1min);
  queue::QueueFilter filter;
  filter.destination = "home.example";
  queue::ActAnswer answer;
  sim.act(order_to(queue::Act::Bounce), filter,
          [&answer](const queue::ActAnswer& told) { answer.add(told); });
  sim.run_for(1min);
  CHECK(answer.count(queue::ActOutcome::Done) == kMany);
  sim.resume(pause.kind, pause.pattern);
  rest(sim);
  CHECK(home_server.received().size() == kMany);
}

TEST_CASE("a clock that is set ahead for a while takes nobody the time to undelete") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 2U);
  settings.relay.queue.undo_time = 2h;
  Sim sim(GENERATE(1U, 2U), settings);
  RemoteServer& remote = example_net(sim);
  remote.recipients_go_by(nobody());
  Submission& mail = sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(20min);
  CHECK(act_out(sim, order_to(queue::Act::Delete), mail.id) == queue::ActOutcome::Done);
  sim.run_for(2min);
  sim.move_wall_clock(72h);
  sim.run_for(5min);
  sim.move_wall_clock(-72h);
  sim.run_for(5min);
  CHECK(act_out(sim, order_to(queue::Act::Undelete), mail.id) == queue::ActOutcome::Done);
  CHECK(act_out(sim, order_to(queue::Act::Delete), mail.id) == queue::ActOutcome::Done);
  sim.run_for(2h + 15min);
  CHECK_FALSE(sim.delivery(mail.id, "b@example.net").has_value());
  remote.recipients_go_by({});
  rest(sim);
}

TEST_CASE("a person sends mail another way, and the routes do not bring it back") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 3U);
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& remote = example_net(sim);
  RemoteServer& smart = sim.remote_server("smart.example", {"192.0.2.9"});
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Refused);
  Submission& mail = sim.submit("a@home.example", {"b@example.net"}, kBody);
  Submission& back = sim.submit("a@home.example", {"c@example.net"}, kBody);
  sim.run_for(2min);
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.9"), Reach::Refused);
  queue::Order reroute = order_to(queue::Act::Reroute);
  reroute.target = "smtp://smart.example:25";
  CHECK(act_out(sim, reroute, mail.id) == queue::ActOutcome::Done);
  CHECK(act_out(sim, reroute, back.id) == queue::ActOutcome::Done);
  sim.crash_and_restart();
  sim.run_for(2min);
  CHECK(sim.delivery(mail.id, "b@example.net")->destination == "to:smtp://smart.example:25");
  reroute.target.clear();
  CHECK(act_out(sim, reroute, back.id) == queue::ActOutcome::Done);
  sim.run_for(2min);
  CHECK(sim.delivery(back.id, "c@example.net")->destination == "example.net");
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.9"), Reach::Open);
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Open);
  rest(sim);
  CHECK(smart.received().size() == 1);
  CHECK(remote.received().size() == 1);
}

TEST_CASE("a paused destination gets nothing, also behind a restart, until its time is over") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 3U);
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& remote = example_net(sim);
  sim.dns.mx("other.example", 10, "mx.other.example");
  RemoteServer& other = sim.remote_server("mx.other.example", {"192.0.2.2"});
  queue::Pause pause;
  pause.kind =
      GENERATE(queue::PauseKind::Destination, queue::PauseKind::Site, queue::PauseKind::Everything);
  if (pause.kind == queue::PauseKind::Destination) pause.pattern = "EXAMPLE.*";
  if (pause.kind == queue::PauseKind::Site) pause.pattern = "mx.example.net";
  pause.until = sim.now().wall + 2h;
  const bool is_all = pause.kind == queue::PauseKind::Everything;
  sim.submit("a@home.example", {"early@example.net"}, kBody);
  sim.run_for(10s);
  CHECK(remote.received().size() == 1);
  sim.pause(pause);
  sim.run_for(1s);
  for (int i = 0; i < 30; ++i) sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.submit("a@home.example", {"b@other.example"}, kBody);
  sim.run_for(20min);
  CHECK(remote.received().size() == 1);
  CHECK(other.received().size() == (is_all ? 0 : 1));
  sim.crash_and_restart();
  sim.submit("a@home.example", {"c@example.net"}, kBody);
  queue::QueueFilter filter;
  filter.destination = "example.net";
  sim.act(order_to(queue::Act::Retry), filter);
  sim.run_for(90min);
  CHECK(remote.received().size() == 1);
  sim.run_for(15min);
  CHECK(remote.received().size() == 32);
  rest(sim);
}

TEST_CASE("a pause that begins takes back what waits in memory, and a person ends it") {
  SimSettings settings = default_settings();
  settings.loops = 2;
  settings.relay.queue.site_connections = 1;
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& remote = example_net(sim);
  remote.next_session().does(SessionScript::Deed::Stall, SessionScript::At::Data);
  for (int i = 0; i < 10; ++i) sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(5s);
  queue::Pause pause;
  pause.kind = GENERATE(queue::PauseKind::Destination, queue::PauseKind::Site);
  pause.pattern = "*example.net";
  sim.pause(pause);
  sim.run_for(3h);
  CHECK(remote.received().size() <= 1);
  sim.resume(pause.kind, pause.pattern);
  rest(sim);
  CHECK(remote.received().size() == 10);
}

TEST_CASE("mail of a paused user goes on hold, and is released when the pause ends") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 2U);
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& remote = example_net(sim);
  queue::Pause pause;
  pause.kind = queue::PauseKind::User;
  pause.pattern = "bob";
  const bool has_limit = GENERATE(true, false);
  sim.run_for(1s);
  if (has_limit) pause.until = sim.now().wall + 1h;
  sim.pause(pause);
  sim.run_for(1s);
  queue::Message message;
  message.sender = "a@home.example";
  message.client.user = "bob";
  queue::Delivery delivery;
  delivery.recipient = "b@example.net";
  Submission& mail = sim.plant(message, {delivery}, kBody);
  message.client.user = "alice";
  Submission& others = sim.plant(message, {delivery}, kBody);
  sim.run_for(5min);
  REQUIRE(sim.delivery(mail.id, "b@example.net").has_value());
  CHECK(sim.delivery(mail.id, "b@example.net")->hold_reason == "paused: user bob");
  CHECK(sim.truth.copies(others.id, "b@example.net") == 1);
  sim.crash_and_restart();
  sim.run_for(30min);
  CHECK(remote.received().size() == 1);
  if (!has_limit) sim.resume(pause.kind, pause.pattern);
  sim.run_for(1s);
  if (!has_limit) sim.crash_and_restart();
  sim.run_for(35min);
  CHECK(remote.received().size() == 2);
  rest(sim);
}

// A client that may not relay, as anybody on the internet.
Submission& submit_as_stranger(Sim& sim, std::vector<std::string> recipients) {
  Submission& mail = sim.truth.submission("x@stranger.example", std::move(recipients), kBody);
  sim.submit(std::deque<Submission*>{&mail}, "203.0.113.5");
  return mail;
}

SimSettings settings_for_strangers() {
  SimSettings settings = default_settings();
  settings.relay.inbound.relay.domains = {"example.net"};
  settings.relay.inbound.relay.check = inbound::RecipientCheck::Ask;
  return settings;
}

TEST_CASE("strangers reach whom the next hop knows, and nobody else") {
  SimSettings settings = settings_for_strangers();
  settings.loops = GENERATE(1U, 2U);
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& remote = example_net(sim);
  remote.recipients_go_by([](const std::string& address) -> std::optional<smtp::Reply> {
    if (address == "known@example.net") return std::nullopt;
    return smtp::make_reply(550, "5.1.1", "no such user");
  });
  Submission& known = submit_as_stranger(sim, {"known@example.net"});
  Submission& unknown = submit_as_stranger(sim, {"unknown@example.net"});
  Submission& both = submit_as_stranger(sim, {"unknown@example.net", "known@example.net"});
  Submission& elsewhere = submit_as_stranger(sim, {"b@other.example"});
  Submission& by_way_of_us = submit_as_stranger(sim, {"b%other.example@example.net"});
  sim.run_for(5min);
  CHECK(known.told == Submission::Told::Accepted);
  CHECK(unknown.told == Submission::Told::Refused);
  CHECK(both.told == Submission::Told::Accepted);
  CHECK(elsewhere.told == Submission::Told::Refused);
  CHECK(by_way_of_us.told == Submission::Told::Refused);
  CHECK(sim.truth.copies(both.id, "known@example.net") == 1);
  CHECK(remote.received().size() == 2);
  rest(sim);
}

TEST_CASE("strangers are told to come back while the next hop cannot be asked") {
  Sim sim(GENERATE(1U, 2U, 3U), settings_for_strangers());
  RemoteServer& remote = example_net(sim);
  const base::IpAddress address = *base::parse_ip_address("192.0.2.1");
  sim.internet.set_reach(address, GENERATE(Reach::Refused, Reach::TimesOut));
  Submission& early = submit_as_stranger(sim, {"b@example.net"});
  sim.run_for(10min);
  CHECK(early.told == Submission::Told::Refused);
  sim.internet.set_reach(address, Reach::Open);
  sim.run_for(1h);
  Submission& later = submit_as_stranger(sim, {"b@example.net"});
  sim.run_for(5min);
  CHECK(later.told == Submission::Told::Accepted);
  CHECK(remote.received().size() == 1);
  rest(sim);
}

}  // namespace
}  // namespace rockdove::sim
