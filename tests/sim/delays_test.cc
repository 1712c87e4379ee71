// Notices of delay (outbound/delay_notices.h): who hears of what, when, and how often.
#include <deque>

#include "tests/sim/stories.h"

namespace rockdove::sim {
namespace {

TEST_CASE("a sender hears once of each delivery that is delayed") {
  Sim sim(GENERATE(1U, 2U, 3U));
  home(sim);
  example_net(sim);
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Refused);
  Submission& mail =
      sim.submit("a@home.example", {"b@example.net", "c@example.net", "d@example.net"}, kBody);
  sim.run_for(4h);
  CHECK(sim.truth.reports_about(mail.id).empty());
  sim.run_for(5h);
  CHECK_FALSE(sim.truth.reports_about(mail.id).empty());
  sim.crash_and_restart();
  sim.run_for(40h);
  std::size_t named = 0;
  for (const queue::MessageId report : sim.truth.reports_about(mail.id)) {
    const std::string& content = sim.truth.content(report);
    named += count(content, "\r\nAction: delayed\r\n");
    CHECK(count(content, "\r\nWill-Retry-Until: ") == count(content, "\r\nAction: delayed\r\n"));
  }
  CHECK(named == 3);  // each once
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Open);
  rest(sim);
}

TEST_CASE("what waits in memory behind another attempt is told of with it") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 2U);
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  home(sim);
  example_net(sim);
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Refused);
  std::vector<Submission*> mails;
  for (int i = 0; i < 12; ++i) {
    mails.push_back(&sim.submit("s" + std::to_string(i) + "@home.example",
                                {"c" + std::to_string(i) + "@example.net", "d@example.net"},
                                kBody));
  }
  // The site is tried after 3 h 50 at the earliest, then 4 h to 4 h 30 later: one message each
  // time.
  sim.run_for(3h);
  for (const Submission* mail : mails) CHECK(sim.truth.reports_about(mail->id).empty());
  sim.run_for(6h);
  std::vector<std::size_t> reports;
  for (const Submission* mail : mails) {
    reports.push_back(sim.truth.reports_about(mail->id).size());
    CHECK(reports.back() >= 1);
    for (const std::string& recipient : mail->recipients)
      CHECK(sim.delivery(mail->id, recipient)->delay_told);
  }
  sim.crash_and_restart();
  sim.run_for(20h);
  for (std::size_t i = 0; i < mails.size(); ++i)
    CHECK(sim.truth.reports_about(mails[i]->id).size() == reports[i]);
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Open);
  rest(sim);
  for (const Submission* mail : mails) CHECK(sim.truth.copies(mail->id, "d@example.net") == 1);
}

TEST_CASE("behind a dead smarthost all senders hear of the delay, and nobody is flooded") {
  SimSettings settings = default_settings();
  settings.loops = 2;
  Sim sim(GENERATE(1U, 2U), settings);
  RemoteServer& inbox = home(sim);
  example_net(sim);
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Refused);
  std::vector<queue::MessageId> of_others;
  std::deque<Submission*> mails;
  for (int i = 0; i < 300; ++i) {
    mails.push_back(&sim.truth.submission("bulk@home.example",
                                          {"b" + std::to_string(i) + "@example.net"}, kBody));
  }
  const std::deque<Submission*> bulk = mails;
  sim.submit(std::move(mails));
  std::vector<Submission*> others;
  for (int i = 0; i < 10; ++i) {
    others.push_back(&sim.submit("s" + std::to_string(i) + "@home.example",
                                 {"c" + std::to_string(i) + "@example.net"}, kBody));
  }
  sim.run_for(40h);
  std::size_t notices = 0;
  for (const Submission* mail : bulk) notices += sim.truth.reports_about(mail->id).size();
  CHECK(notices >= 10);
  CHECK(notices <= 110);
  CHECK(inbox.received().size() == notices + 10);
  for (const Submission* mail : others) CHECK(sim.truth.reports_about(mail->id).size() == 1);
  sim.internet.set_reach(*base::parse_ip_address("192.0.2.1"), Reach::Open);
  rest(sim);
}

}  // namespace
}  // namespace rockdove::sim
