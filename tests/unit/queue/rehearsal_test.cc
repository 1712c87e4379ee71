// Mailings on the virtual clock of queue/rehearsal.h: what rates, connections and the next hop's
// time make of them, beside what the limiter itself and plain arithmetic say.
#include "queue/rehearsal.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

#include "mta/traffic/limiter.h"

namespace {

using namespace rockdove;
using namespace rockdove::queue;
using namespace std::chrono_literals;

// "10/s, 500/h"
std::vector<traffic::Rate> rates_of(const std::string& text) {
  std::vector<std::string_view> parts;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t end = std::min(rest.find(", "), rest.size());
    parts.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 2, rest.size()));
  }
  return traffic::parse_rates(parts).value();
}

struct Wanted {
  std::string rates = "off";
  std::string connection_rates = "off";
  std::uint32_t connections = 10;
  std::uint32_t connections_account = 0;
  std::uint32_t per_connection = 0;
};

std::shared_ptr<const AccountSpec> account(const std::string& name, const Wanted& wanted) {
  auto spec = std::make_shared<AccountSpec>();
  spec->name = name;
  spec->rates = rates_of(wanted.rates);
  spec->connection_rates = rates_of(wanted.connection_rates);
  spec->connections_max = wanted.connections_account;
  return spec;
}

RehearsedSite site(const std::string& name, std::uint64_t messages, const Wanted& wanted,
                   std::shared_ptr<const AccountSpec> of = nullptr) {
  auto spec = std::make_shared<SiteSpec>();
  spec->name = name;
  spec->account = of ? std::move(of) : account(name, wanted);
  spec->connections_max = wanted.connections;
  return {spec, messages, wanted.per_connection};
}

RehearsalSettings settings() {
  RehearsalSettings with;
  with.queue.connections_out = 1000;
  return with;
}

RehearsedAccount only(const std::vector<RehearsedSite>& sites,
                      const RehearsalSettings& with = settings()) {
  const auto accounts = rehearse(sites, with);
  REQUIRE(accounts.size() == 1);
  return accounts.front();
}

// When the limiter, asked as often as it likes, lets the n-th one go.
base::Duration granted(const std::string& rates, std::uint64_t n) {
  base::Now now{base::Instant{} + 1h, base::WallTime{} + 1h};
  const base::Instant begin = now.instant;
  traffic::Limiter limiter(rates_of(rates), now);
  while (n > 0) {
    const traffic::Limiter::Answer answer = limiter.take(now);
    if (answer.kind == traffic::Limiter::Answer::Kind::Go) {
      --n;
    } else if (answer.kind == traffic::Limiter::Answer::Kind::Store) {
      if (limiter.state_to_store(now)) limiter.stored();
    } else {
      now.wall += std::chrono::ceil<base::Duration>(answer.at - now.instant);
      now.instant = answer.at;
    }
    if (limiter.state_to_store(now)) limiter.stored();
  }
  return std::chrono::duration_cast<base::Duration>(now.instant - begin);
}

double seconds(base::Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

TEST_CASE("rehearsal: a rate decides to the second when a mailing is done") {
  for (const char* rates :
       {"60/min", "3/min", "10/s", "10/s, 500/h", "100/h", "5/s, 60/min burst 5"}) {
    const RehearsedAccount done = only({site("mx:a", 1200, {rates})});
    INFO(rates);
    CHECK(done.sent == 1200);
    CHECK(done.limit == Limit::Rate);
    // What is sent is answered 300 ms later. Where slots are further apart than connections stay
    // idle, each slot may cost the time that a connection takes.
    const double expected = seconds(granted(rates, 1200)) + 0.3;
    CHECK(seconds(done.last) >= expected - 0.01);
    CHECK(seconds(done.last) <= expected * 1.02 + 2);
  }
}

TEST_CASE("rehearsal: octets a minute decide by the size of the messages") {
  const auto spec = std::make_shared<AccountSpec>();
  spec->name = "a";
  spec->octet_rates = {traffic::parse_octet_rate("3M/min")->in_units()};
  RehearsalSettings with = settings();
  with.message_octets = 49'500;  // 50 units
  const RehearsedAccount done = only({site("mx:a", 300, {}, spec)}, with);
  CHECK(done.limit == Limit::Rate);
  // As after a start, the first window is taken for used up.
  CHECK(seconds(done.last) == Approx(60 + 300).epsilon(0.05));
  with.message_octets = 1;
  CHECK(seconds(only({site("mx:a", 300, {}, spec)}, with).last) < 60 + 20);
}

TEST_CASE("rehearsal: without rates connections and the time of each message decide") {
  const RehearsedAccount done = only({site("mx:a", 4000, {"off", "off", 4})});
  // 1000 messages on each of 4, of which every hundredth begins a new one.
  CHECK(seconds(done.last) == Approx(1000 * 0.3 + 10 * 0.3).epsilon(0.03));
  CHECK(done.limit == Limit::SiteConnections);
  CHECK(done.connections_most == 4);
  CHECK(done.connections >= 40);
  CHECK(done.connections <= 48);
}

TEST_CASE("rehearsal: what limits is told apart where connections nearly suffice for the rate") {
  CHECK(only({site("mx:a", 600, {"10/s", "off", 2})}).limit == Limit::SiteConnections);
  CHECK(only({site("mx:a", 600, {"6/s", "off", 2})}).limit == Limit::Rate);
  CHECK(only({site("mx:a", 600, {"6/s", "off", 10})}).limit == Limit::Rate);
}

TEST_CASE("rehearsal: sites of a provider share its connections and its rate") {
  Wanted wanted{"off", "off", 10, 3};
  const auto shared = account("provider:big", wanted);
  const RehearsedAccount done =
      only({site("mx:a", 900, wanted, shared), site("mx:b", 900, wanted, shared)});
  CHECK(done.name == "provider:big");
  CHECK(done.sites == 2);
  CHECK(done.sent == 1800);
  CHECK(done.connections_most <= 3);
  // Connections change hands between the sites, and each time one is made anew.
  CHECK(seconds(done.last) >= 1800 * 0.3 / 3);
  CHECK(seconds(done.last) <= 1800 * 0.3 / 3 * 1.2);
  CHECK(done.limit == Limit::AccountConnections);
  wanted.rates = "5/s";
  const auto paced = account("provider:big", wanted);
  const RehearsedAccount slow =
      only({site("mx:a", 500, wanted, paced), site("mx:b", 500, wanted, paced)});
  CHECK(seconds(slow.last) == Approx(200).epsilon(0.03));
  CHECK(slow.limit == Limit::Rate);
}

TEST_CASE("rehearsal: few messages a connection and few connections a minute") {
  const RehearsedAccount done = only({site("mx:a", 120, {"off", "30/min", 10, 0, 2})});
  CHECK(done.connections == 60);
  CHECK(seconds(done.last) == Approx(120).epsilon(0.05));
  CHECK(done.limit == Limit::ConnectionRate);
}

TEST_CASE("rehearsal: a learned pace holds below the rate") {
  RehearsalSettings with = settings();
  with.pace["mx:a"] = 0.5;
  const RehearsedAccount done = only({site("mx:a", 100, {"10/s"})}, with);
  CHECK(seconds(done.last) == Approx(200).epsilon(0.04));
  CHECK(done.limit == Limit::Rate);
}

TEST_CASE("rehearsal: mail that comes in slowly is done when it has come") {
  RehearsalSettings with = settings();
  with.accepted_per_second = 2;
  const RehearsedAccount done = only({site("mx:a", 200, {"10/s"})}, with);
  CHECK(seconds(done.last) >= 100);
  CHECK(seconds(done.last) <= 103);
}

TEST_CASE("rehearsal: what is not done in time is told, and other accounts are not held up") {
  RehearsalSettings with = settings();
  with.longest = 1h;
  const auto accounts =
      rehearse({site("mx:slow", 1000, {"3/min"}), site("mx:fast", 50, {"10/s"})}, with);
  REQUIRE(accounts.size() == 2);
  CHECK(accounts[0].name == "mx:fast");
  CHECK(accounts[0].sent == 50);
  CHECK(accounts[0].last < 10s);
  CHECK(accounts[1].sent < accounts[1].messages);
  CHECK(accounts[1].sent >= 170);
}

TEST_CASE("rehearsal: many sites are done, each by itself") {
  std::vector<RehearsedSite> sites;
  for (int i = 0; i < 500; ++i) sites.push_back(site("mx:" + std::to_string(i), 20, {"60/min"}));
  for (const RehearsedAccount& done : rehearse(sites, settings())) {
    CHECK(done.sent == 20);
    CHECK(done.last < 25s);
  }
}

TEST_CASE("rehearsal: nothing to do is done at once") {
  CHECK(rehearse({}, settings()).empty());
  CHECK(rehearse({site("mx:a", 0, {})}, settings()).empty());
}
