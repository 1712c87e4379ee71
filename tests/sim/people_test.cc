// Stories about people: who deletes what waits, strangers that hand mail in for us, and hosts that
// nobody can reach. See tests/sim/stories.h.
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

// The act's outcome, once it is durable.
std::optional<admin::ActOutcome> act_out(Sim& sim, admin::Act act, queue::MessageId id,
                                         std::uint32_t number = 1) {
  std::optional<admin::ActOutcome> outcome;
  sim.act(act, {id, number}, [&outcome](admin::ActOutcome told) { outcome = told; });
  sim.run_for(5s);
  return outcome;
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
  CHECK(act_out(sim, admin::Act::Delete, mail.id) == admin::ActOutcome::Done);
  CHECK(act_out(sim, admin::Act::Delete, mail.id) == admin::ActOutcome::NotFound);
  CHECK(act_out(sim, admin::Act::Delete, mail.id, 3) == admin::ActOutcome::NotFound);
  sim.crash_and_restart();
  remote.heal();
  rest(sim);
  REQUIRE(sim.truth.outcome(mail.id, "b@example.net") != nullptr);
  CHECK(*sim.truth.outcome(mail.id, "b@example.net") == "deleted");
  CHECK(sim.truth.copies(mail.id, "b@example.net") == 0);
  CHECK(sim.truth.copies(mail.id, "c@example.net") == 1);
  CHECK(sender.received().empty());
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
  CHECK(act_out(sim, admin::Act::Delete, first.id) == admin::ActOutcome::BeingSent);
  CHECK(act_out(sim, admin::Act::Delete, second.id) == admin::ActOutcome::Done);
  rest(sim);
  CHECK(sim.truth.copies(first.id, "b@example.net") == 1);
  CHECK(sim.truth.copies(second.id, "c@example.net") == 0);
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
