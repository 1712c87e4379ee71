// Mail that is given back because there is no room for it, in memory or among the connections: it
// is delivered later, exactly once, and other mail goes its way meanwhile.
#include <algorithm>

#include "tests/sim/stories.h"

namespace rockdove::sim {
namespace {

constexpr int kSites = 12;
constexpr int kMailsEach = 40;

std::string domain(int site) {
  return "d" + std::to_string(site) + ".example";
}

base::IpAddress address(int site) {
  return base::IpAddress::v4({198, 51, 100, static_cast<std::uint8_t>(site + 1)});
}

// Sites that are not well, with mail for each of them.
struct Suffering {
  explicit Suffering(Sim& sim) : sim_(sim) {
    for (int site = 0; site < kSites; ++site) {
      sim.dns.mx(domain(site), 10, "mx." + domain(site));
      sites.push_back(
          &sim.remote_server("mx." + domain(site), {base::format_ip_address(address(site))}));
    }
  }

  void submit(int mails_each) {
    for (int number = 0; number < mails_each; ++number) {
      std::deque<Submission*> of_each;
      for (int site = 0; site < kSites; ++site) {
        of_each.push_back(&sim_.truth.submission(
            "a@home.example", {"b" + std::to_string(number) + "@" + domain(site)}, kBody));
        mails.push_back(of_each.back());
      }
      sim_.submit(std::move(of_each));
      sim_.run_for(1s);
    }
  }

  void check_all_arrived_once() {
    for (const Submission* mail : mails) {
      INFO(mail->recipients[0]);
      REQUIRE(mail->told == Submission::Told::Accepted);
      CHECK(sim_.truth.copies(mail->id, mail->recipients[0]) == 1);
    }
  }

  std::vector<RemoteServer*> sites;
  std::vector<Submission*> mails;

 private:
  Sim& sim_;
};

// Mail to a site that is well is there within a minute.
void check_others_go_on(Sim& sim, RemoteServer& healthy) {
  const std::size_t before = healthy.received().size();
  sim.submit("a@home.example", {"b@example.net"}, kBody);
  sim.run_for(1min);
  CHECK(healthy.received().size() == before + 1);
}

TEST_CASE("what waits in memory for paused sites gives way when memory is short") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 2U);
  settings.relay.queue.memory = 100'000;
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& healthy = example_net(sim);
  Suffering suffering(sim);
  for (int site = 0; site < kSites; ++site)
    sim.internet.set_reach(address(site), GENERATE(Reach::Refused, Reach::TimesOut));
  suffering.submit(kMailsEach);
  // Too much of it for the memory: what was full is much less full in the next second, though
  // nothing can have been delivered.
  std::uint64_t most = 0;
  std::uint64_t most_given_back = 0;
  std::uint64_t before = sim.relay().memory_used();
  for (int i = 0; i < 3600; ++i) {
    sim.run_for(1s);
    const std::uint64_t now = sim.relay().memory_used();
    if (now < before) most_given_back = std::max(most_given_back, before - now);
    most = std::max(most, now);
    before = now;
  }
  // What is being read when the memory is full comes on top.
  CHECK(most < settings.relay.queue.memory / 4 * 5);
  CHECK(most_given_back > settings.relay.queue.memory / 8);
  check_others_go_on(sim, healthy);
  for (int site = 0; site < kSites; ++site) sim.internet.set_reach(address(site), Reach::Open);
  rest(sim);
  suffering.check_all_arrived_once();
}

TEST_CASE("attempts that give way to others for their connection are made again") {
  SimSettings settings = default_settings();
  settings.loops = GENERATE(1U, 2U);
  settings.relay.connections_out = 8;  // of which unproven sites share four
  Sim sim(GENERATE(1U, 2U, 3U), settings);
  RemoteServer& healthy = example_net(sim);
  Suffering suffering(sim);
  const SessionScript::At stage =
      GENERATE(SessionScript::At::Banner, SessionScript::At::Mail, SessionScript::At::Rcpt,
               SessionScript::At::Data, SessionScript::At::Body);
  for (RemoteServer* site : suffering.sites) {
    site->sessions_go_by(
        [stage] { return SessionScript().does(SessionScript::Deed::Stall, stage); });
  }
  suffering.submit(3);
  // Each of these waits would be minutes long (RFC 5321 section 4.5.3.2), and there are three times
  // as many sites as connections.
  sim.run_for(2min);
  // Behind the final dot only the next hop's word counts, so nothing gives way there.
  const bool gives_way = stage != SessionScript::At::Body;
  CAPTURE(settings.loops, static_cast<int>(stage));
  for (std::size_t i = 0; i < suffering.sites.size(); ++i) {
    CAPTURE(i);
    CHECK((suffering.sites[i]->sessions() > 0 || !gives_way));
  }
  check_others_go_on(sim, healthy);
  for (RemoteServer* site : suffering.sites) site->heal();
  rest(sim);
  suffering.check_all_arrived_once();
}

TEST_CASE(
    "what is out when the process stops is tried again, with little memory and few connections") {
  SimSettings settings = default_settings();
  settings.loops = 2;
  settings.relay.queue.memory = 100'000;
  settings.relay.connections_out = 4;
  Sim sim(GENERATE(1U, 2U, 3U, 4U, 5U), settings);
  Suffering suffering(sim);
  for (int site = 0; site < kSites; ++site) sim.internet.set_reach(address(site), Reach::Refused);
  suffering.submit(kMailsEach);
  sim.run_for(base::Duration(sim.random().below(600'000)));
  sim.crash_and_restart();
  sim.run_for(base::Duration(sim.random().below(600'000)));
  for (int site = 0; site < kSites; ++site) sim.internet.set_reach(address(site), Reach::Open);
  rest(sim);
  suffering.check_all_arrived_once();
}

}  // namespace
}  // namespace rockdove::sim
