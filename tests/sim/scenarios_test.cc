// What issue 2 promises, as stories on the virtual clock. Each ends with everything at rest and the
// truth checked: see tests/sim/truth.h.
#include <algorithm>
#include <optional>

#include <catch2/catch.hpp>

#include "tests/sim/sim.h"
#include "tests/sim/stories.h"

namespace rockdove::sim {
namespace {

TEST_CASE("a 421 banner defers, and the retry delivers exactly once") {
  Sim sim(GENERATE(1U, 2U, 3U, 4U));
  RemoteServer& remote = example_net(sim);
  remote.next_session().greets_with(421, "4.3.2", "Busy");
  Submission& mail = sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(1min);
  REQUIRE(mail.told == Submission::Told::Accepted);
  CHECK(remote.received().empty());
  REQUIRE(sim.delivery(mail.id, "b@example.net"));
  CHECK(sim.delivery(mail.id, "b@example.net")->attempts == 1);
  sim.crash_and_restart();
  sim.run_for(1h);
  CHECK(remote.received().size() == 1);
  rest(sim);
}

TEST_CASE("a lost reply to the final dot waits 15 minutes once, then goes by the schedule") {
  SimSettings settings = default_settings();
  settings.relay.queue.retry = {1min};
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& remote = example_net(sim);
  for (int i = 0; i < 2; ++i) {
    remote.next_session().does(SessionScript::Deed::Drop, SessionScript::At::Taken);
  }
  Submission& mail = sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(1min);
  REQUIRE(sim.delivery(mail.id, "b@example.net"));
  CHECK(sim.delivery(mail.id, "b@example.net")->uncertain == 1);
  sim.run_for(40min);
  REQUIRE(remote.session_times().size() == 3);
  CHECK(remote.session_times()[1] - remote.session_times()[0] >= 15min);
  CHECK(remote.session_times()[1] - remote.session_times()[0] < 18min);
  CHECK(remote.session_times()[2] - remote.session_times()[1] < 3min);
  CHECK(sim.truth.copies(mail.id, "b@example.net") == 3);
  rest(sim);
}

TEST_CASE("without an IPv6 route the next address is taken, and AAAA are left alone") {
  Sim sim(GENERATE(1U, 2U, 3U));
  RemoteServer& remote = example_net(sim, {"2001:db8::1", "192.0.2.1"});
  sim.internet.set_reach(*base::parse_ip_address("2001:db8::1"), Reach::NoRoute);
  sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(1min);
  sim.submit("a@home.example", {"c@example.net"}, kBody);
  sim.run_for(1min);
  CHECK(remote.received().size() == 2);
  CHECK(sim.internet.connects_to(*base::parse_ip_address("2001:db8::1")) == 1);
  rest(sim);
}

TEST_CASE("a host that has only IPv6 costs no attempt while there is no route") {
  Sim sim(GENERATE(1U, 2U, 3U));
  RemoteServer& remote = example_net(sim, {"2001:db8::1"});
  const base::IpAddress address = *base::parse_ip_address("2001:db8::1");
  sim.internet.set_reach(address, Reach::NoRoute);
  Submission& mail = sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(9min);
  REQUIRE(sim.delivery(mail.id, "b@example.net"));
  CHECK(sim.delivery(mail.id, "b@example.net")->attempts == 0);
  CHECK(sim.internet.connects_to(address) == 1);
  sim.internet.set_reach(address, Reach::Open);
  sim.run_for(1h);
  CHECK(remote.received().size() == 1);
  rest(sim);
}

TEST_CASE("what fails within a minute shares the next report") {
  Sim sim(GENERATE(1U, 2U, 3U));
  home(sim);
  std::vector<std::string> recipients;
  for (int i = 0; i < 6; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    sim.dns.mx(domain, 10, "mx." + domain);
    sim.remote_server("mx." + domain, {"192.0.2." + std::to_string(i + 1)})
        .recipients_go_by(refuse(550, "5.1.1"));
    recipients.push_back("x@" + domain);
  }
  Submission& mail = sim.submit("a@home.example", recipients, kBody);
  sim.run_for(5min);
  CHECK(sim.truth.reports_about(mail.id).size() <= 2);
  for (const std::string& recipient : recipients) {
    REQUIRE(sim.truth.outcome(mail.id, recipient) != nullptr);
    CHECK(*sim.truth.outcome(mail.id, recipient) == "bounced");
  }
  rest(sim);
}

TEST_CASE("a message has at most ten reports, and the last names all that is left") {
  SimSettings settings = default_settings();
  settings.loops = 2;
  settings.relay.queue.retry = {1min};
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  home(sim);
  std::vector<std::string> recipients;
  const base::Instant start = sim.now().instant;
  for (int i = 0; i < 14; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    sim.dns.mx(domain, 10, "mx." + domain);
    sim.remote_server("mx." + domain, {"192.0.2." + std::to_string(i + 1)})
        .recipients_go_by([&sim, start, i](const std::string&) -> std::optional<smtp::Reply> {
          const bool is_time = sim.now().instant - start >= i * 5min;
          return is_time ? smtp::make_reply(550, "5.1.1", "nobody")
                         : smtp::make_reply(450, "4.7.1", "later");
        });
    recipients.push_back("x@" + domain);
  }
  Submission& mail = sim.submit("a@home.example", recipients, kBody);
  sim.run_for(6h);
  const std::vector<queue::MessageId> reports = sim.truth.reports_about(mail.id);
  REQUIRE(reports.size() == 10);
  CHECK(count(sim.truth.content(reports.back()), "\r\nFinal-Recipient: ") == 5);
  rest(sim);
}

TEST_CASE("mail with the null sender is reported to the postmaster once, then it is unreturnable") {
  Sim sim(GENERATE(1U, 2U, 3U));
  home(sim).recipients_go_by(refuse(550, "5.1.1"));
  example_net(sim).recipients_go_by(refuse(550, "5.1.1"));
  Submission& mail = sim.submit("", {"b@example.net"}, kBody);
  sim.run_for(10min);
  const std::vector<queue::MessageId> reports = sim.truth.reports_about(mail.id);
  REQUIRE(reports.size() == 1);
  REQUIRE(sim.truth.outcome(reports[0], kPostmaster) != nullptr);
  CHECK(*sim.truth.outcome(reports[0], kPostmaster) == "unreturnable");
  rest(sim);
}

TEST_CASE("nobody is bounced for age before an attempt behind his time, in this run") {
  SimSettings settings = default_settings();
  settings.relay.queue.lifetime = 2h;
  settings.relay.queue.retry = {20min};
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  home(sim);
  example_net(sim);
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Refused);
  Submission& mail = sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(100min);
  CHECK(sim.truth.reports_about(mail.id).empty());
  sim.crash_and_restart(3h);
  sim.run_for(9min);
  CHECK(sim.truth.reports_about(mail.id).empty());
  sim.run_for(1h);
  CHECK(sim.truth.reports_about(mail.id).size() == 1);
  rest(sim);
}

TEST_CASE("a site that is back after a long stop gets its mail, however old") {
  SimSettings settings = default_settings();
  settings.relay.queue.lifetime = 2h;
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& remote = example_net(sim);
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Refused);
  sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(1h);
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Open);
  sim.crash_and_restart(72h);
  sim.run_for(1min);
  CHECK(remote.received().size() == 1);
  rest(sim);
}

TEST_CASE("a dead site is tried seldom and delays nobody") {
  SimSettings settings = default_settings();
  settings.relay.connections_out = 4;  // of which unproven sites share two
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& remote = example_net(sim);
  sim.dns.mx("dead.example", 10, "mx.dead.example");
  sim.remote_server("mx.dead.example", {"192.0.2.2"});
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.2"), Reach::TimesOut);
  for (int i = 0; i < 40; ++i) {
    sim.submit("a@home.example", {"b" + std::to_string(i) + "@dead.example"}, kBody);
  }
  sim.run_for(5s);
  for (int i = 0; i < 20; ++i) {
    sim.submit("a@home.example", {"c" + std::to_string(i) + "@example.net"}, kBody);
  }
  sim.run_for(20s);
  CHECK(remote.received().size() == 20);
  sim.run_for(30min);
  CHECK(sim.internet.connects_to(*base::parse_ip_address("192.0.2.2")) <= 6);
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.2"), Reach::Open);
  rest(sim);
}

TEST_CASE("destinations that share a site take turns") {
  SimSettings settings = default_settings();
  settings.relay.queue.site_connections = 1;
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& remote = example_net(sim);
  sim.dns.mx("small.example", 10, "mx.example.net");
  std::deque<Submission*> many;
  for (int i = 0; i < 200; ++i) {
    many.push_back(
        &sim.truth.submission("a@home.example", {"b" + std::to_string(i) + "@example.net"}, kBody));
  }
  sim.submit(std::move(many));
  while (remote.received().size() < 20) sim.run_for(100ms);
  sim.submit("a@home.example", {"only@small.example"}, kBody);
  const auto has_it = [&remote] {
    return std::any_of(
        remote.received().begin(), remote.received().end(),
        [](const ReceivedMail& mail) { return mail.recipients[0] == "only@small.example"; });
  };
  for (int i = 0; i < 100 && !has_it(); ++i) sim.run_for(100ms);
  CHECK(has_it());
  CHECK(remote.received().size() < 150);
  rest(sim);
}

TEST_CASE("a full queue survives a crash and is delivered exactly once") {
  SimSettings settings = default_settings();
  settings.loops = 2;
  settings.relay.queue.loaded_max = 50;
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& remote = example_net(sim);
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Refused);
  std::deque<Submission*> many;
  for (int i = 0; i < 300; ++i) {
    many.push_back(
        &sim.truth.submission("a@home.example", {"b" + std::to_string(i) + "@example.net"}, kBody));
  }
  sim.submit(std::move(many));
  sim.run_for(10min);
  CHECK(sim.waiting().size() == 300);
  sim.crash_and_restart();
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Open);
  rest(sim);
  CHECK(remote.received().size() == 300);
}

TEST_CASE("results are kept while the disk is full, and nothing new starts") {
  Sim sim(GENERATE(1U, 2U, 3U));
  RemoteServer& remote = example_net(sim);
  remote.next_session().does(SessionScript::Deed::Stall, SessionScript::At::Hello);
  Submission& mail = sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(1min);
  REQUIRE(mail.told == Submission::Told::Accepted);
  sim.fill_disk();
  sim.run_for(20min);  // the session times out, and its result cannot be written
  CHECK(sim.store().has_failed());
  Submission& refused = sim.submit("a@home.example", {"c@example.net"}, kBody);
  sim.run_for(1h);
  CHECK(refused.told == Submission::Told::Refused);
  CHECK(remote.sessions() == 1);
  sim.free_disk();
  sim.run_for(10min);
  CHECK(remote.received().size() == 1);
  rest(sim);
}

TEST_CASE("mail that was accepted before the clock was set back by days is not held for days") {
  Sim sim(GENERATE(1U, 2U, 3U));
  RemoteServer& remote = example_net(sim);
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Refused);
  sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(1min);
  sim.move_wall_clock(-72h);
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Open);
  sim.run_for(10h);
  CHECK(remote.received().size() == 1);
  rest(sim);
}

TEST_CASE("a server that says 421 right behind its reply to EHLO is left, and tried again") {
  Sim sim(GENERATE(range(1U, 12U)));
  RemoteServer& remote = example_net(sim);
  remote.next_session().does(SessionScript::Deed::Busy, SessionScript::At::Hello);
  sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(1h);
  CHECK(remote.received().size() == 1);
  rest(sim);
}

queue::Delivery asks(std::string recipient, std::string_view notify) {
  queue::Delivery delivery;
  delivery.recipient = std::move(recipient);
  if (!notify.empty()) delivery.notify = *mail::parse_notify(notify);
  return delivery;
}

queue::Message from(std::string sender) {
  queue::Message message;
  message.sender = std::move(sender);
  return message;
}

TEST_CASE("300 recipients that are refused with 1 KiB each are told of once each, however long") {
  Sim sim(GENERATE(1U, 2U, 3U));
  RemoteServer& inbox = home(sim);
  example_net(sim).recipients_go_by([](const std::string&) -> std::optional<smtp::Reply> {
    return smtp::make_reply(550, "5.1.1", std::string(1000, 'x'));
  });
  std::vector<std::string> recipients;
  for (int i = 0; i < 300; ++i) recipients.push_back("b" + std::to_string(i) + "@example.net");
  Submission& mail = sim.submit("a@home.example", recipients, kBody);
  sim.run_for(10min);
  const std::vector<queue::MessageId> reports = sim.truth.reports_about(mail.id);
  REQUIRE_FALSE(reports.empty());
  CHECK(reports.size() <= 2);
  CHECK(inbox.received().size() == reports.size());
  std::size_t named = 0;
  std::size_t longest = 0;
  for (const queue::MessageId report : reports) {
    const std::string& content = sim.truth.content(report);
    named += count(content, "\r\nFinal-Recipient: ");
    longest = std::max(longest, content.size());
    REQUIRE(sim.truth.outcome(report, "a@home.example") != nullptr);
    CHECK(*sim.truth.outcome(report, "a@home.example") == "delivered");
  }
  CHECK(named == 300);
  CHECK(longest > 100'000);
  rest(sim);
}

TEST_CASE("two dozen failing recipients of one new destination give one report") {
  Sim sim(GENERATE(1U, 2U, 3U));
  home(sim);
  example_net(sim).recipients_go_by(refuse(550, "5.1.1"));
  std::vector<std::string> recipients;
  for (int i = 0; i < 24; ++i) recipients.push_back("b" + std::to_string(i) + "@example.net");
  Submission& mail = sim.submit("a@home.example", recipients, kBody);
  sim.run_for(5min);
  CHECK(sim.truth.reports_about(mail.id).size() == 1);
  rest(sim);
}

TEST_CASE("with NOTIFY=NEVER nobody hears of anything") {
  SimSettings settings = default_settings();
  settings.relay.queue.delay_notice = 1min;
  settings.relay.queue.lifetime = 2h;
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  home(sim);
  RemoteServer& remote = example_net(sim);
  remote.recipients_go_by([](const std::string& address) -> std::optional<smtp::Reply> {
    if (address.starts_with("no")) return smtp::make_reply(550, "5.1.1", "not here");
    if (address.starts_with("late")) return smtp::make_reply(450, "4.2.0", "later");
    return std::nullopt;
  });
  const std::string sender = GENERATE("a@home.example", "", "nobody@relay.example");
  Submission& mail = sim.plant(from(sender),
                               {asks("ok@example.net", "NEVER"), asks("no@example.net", "NEVER"),
                                asks("late@example.net", "NEVER")},
                               kBody);
  sim.run_for(6h);
  CHECK(sim.truth.reports_about(mail.id).empty());
  CHECK(*sim.truth.outcome(mail.id, "ok@example.net") == "delivered");
  CHECK(*sim.truth.outcome(mail.id, "no@example.net") == "unreported");
  CHECK(*sim.truth.outcome(mail.id, "late@example.net") == "unreported");
  rest(sim);
}

TEST_CASE("who asks for success hears once of each recipient, with ENVID and ORCPT") {
  SimSettings settings = default_settings();
  settings.loops = 2;
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  home(sim);
  RemoteServer& remote = example_net(sim);
  remote.hide_dsn();
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Refused);
  queue::Message message = from("a@home.example");
  message.envelope_id = "QQ314";
  std::vector<queue::Delivery> deliveries;
  for (int i = 0; i < 5; ++i) {
    deliveries.push_back(asks("b" + std::to_string(i) + "@example.net", "SUCCESS,FAILURE"));
    deliveries.back().original_recipient = "rfc822;Bob" + std::to_string(i) + "@example.org";
  }
  Submission& mail = sim.plant(std::move(message), std::move(deliveries), kBody);
  sim.run_for(1min);
  sim.crash_and_restart();  // with the options read back from the disk
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Open);
  sim.run_for(2h);
  CHECK_FALSE(remote.received().empty());
  const std::vector<queue::MessageId> reports = sim.truth.reports_about(mail.id);
  // What was sent within seconds shares a report.
  CHECK(reports.size() < 5);
  std::string all;
  for (const queue::MessageId report : reports) {
    const std::string& content = sim.truth.content(report);
    CHECK(count(content, "\r\nOriginal-Envelope-Id: QQ314\r\n") == 1);
    CHECK(count(content, "Content-Type: text/rfc822-headers") == 1);
    all += content;
  }
  CHECK(count(all, "\r\nAction: relayed\r\n") == 5);
  CHECK(count(all, "\r\nStatus: 2.") == 5);
  CHECK(count(all, "\r\nOriginal-Recipient: rfc822; Bob3@example.org\r\n") == 1);
  rest(sim);
}

TEST_CASE("what was taken is not sent again while its report waits for others") {
  Sim sim(GENERATE(1U, 2U, 3U, 4U, 5U));
  home(sim);
  RemoteServer& remote = example_net(sim);
  remote.hide_dsn();
  Submission& mail =
      sim.plant(from("a@home.example"),
                {asks("b@example.net", "SUCCESS"), asks("c@example.net", "SUCCESS")}, kBody);
  while (remote.received().empty()) sim.run_for(10ms);
  sim.run_for(500ms);
  sim.crash_and_restart();
  sim.run_for(10min);
  CHECK(remote.received().size() == 1);
  CHECK(sim.truth.reports_about(mail.id).size() == 1);
  rest(sim);
}

TEST_CASE("an alias in the place of which others stand is reported as expanded") {
  Sim sim(GENERATE(1U, 2U, 3U));
  home(sim);
  example_net(sim);
  queue::Delivery alias = asks("team@relay.example", "SUCCESS");
  alias.final_status = "2.1.5";
  alias.ending = queue::Ending::Expanded;
  Submission& mail =
      sim.plant(from("a@home.example"),
                {asks("b@example.net", "NEVER"), asks("c@example.net", "NEVER"), alias}, kBody);
  sim.run_for(10min);
  const std::vector<queue::MessageId> reports = sim.truth.reports_about(mail.id);
  REQUIRE(reports.size() == 1);
  CHECK(count(sim.truth.content(reports[0]),
              "\r\nFinal-Recipient: rfc822; team@relay.example\r\nAction: expanded\r\n") == 1);
  CHECK(count(sim.truth.content(reports[0]), "\r\nFinal-Recipient: ") == 1);
  CHECK(*sim.truth.outcome(mail.id, "team@relay.example") == "expanded");
  rest(sim);
}

TEST_CASE("mail from an address of ours that does not exist is reported to the postmaster") {
  Sim sim(GENERATE(1U, 2U));
  RemoteServer& inbox = home(sim);
  example_net(sim).recipients_go_by(refuse(550, "5.1.1"));
  std::deque<Submission*> mails;
  for (int i = 0; i < 100; ++i) {
    mails.push_back(&sim.truth.submission("nobody@relay.example",
                                          {"b" + std::to_string(i) + "@example.net"}, kBody));
  }
  const std::deque<Submission*> all = mails;
  sim.submit(std::move(mails));
  sim.run_for(30min);
  std::size_t untold = 0;
  for (const Submission* mail : all) {
    const std::string* outcome =
        sim.truth.outcome(mail->id, sim.truth.submission(mail->number).recipients[0]);
    REQUIRE(outcome != nullptr);
    if (*outcome == "unreturnable") ++untold;
  }
  CHECK(untold == 40);
  CHECK(inbox.received().size() == 60);
  rest(sim);
}

}  // namespace
}  // namespace rockdove::sim
