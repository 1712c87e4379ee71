#include "queue/tally.h"

#include <ctime>

#include <catch2/catch.hpp>

#include "tests/unit/queue/sample_mail.h"

using namespace rockdove;
using namespace std::chrono_literals;
using namespace rockdove::queue;
using namespace rockdove::tests;

namespace {

std::tm utc(WallTime time) {
  const std::time_t seconds =
      std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return parts;
}

TracedDelivery ended(const std::string& recipient, Outcome how, base::Duration after) {
  TracedDelivery delivery;
  delivery.recipient = recipient;
  delivery.outcome = how;
  delivery.ended = kSampleTime + after;
  return delivery;
}

TracedMessage traced(const std::string& sender, std::vector<TracedDelivery> deliveries) {
  TracedMessage message;
  message.id = sample_id(0);
  message.is_whole = true;
  message.sender = sender;
  message.client = {base::IpAddress::v4({192, 0, 2, 7}), "h", "lan"};
  message.accepted = kSampleTime;
  message.octets = 1000;
  message.deliveries = std::move(deliveries);
  return message;
}

}  // namespace

TEST_CASE("tally: what came of each recipient adds up to their number") {
  Tally tally(TallyBy::Hour, utc);
  TracedDelivery waits;
  waits.recipient = "d@x.example";
  waits.waiting = Delivery{};
  waits.deferrals = 2;
  tally.add(traced("a@b.example", {ended("a@x.example", Outcome::Delivered, 2s),
                                   ended("b@x.example", Outcome::Bounced, 1s),
                                   ended("c@x.example", Outcome::Unreported, 1s), waits,
                                   ended("list@x.example", Outcome::Expanded, 0s)}));
  const std::vector<TallyLine> lines = tally.lines();
  REQUIRE(lines.size() == 1);
  const TallyLine& line = lines.front();
  CHECK(line.name == "2027-01-15T08:00");  // kSampleTime
  CHECK(line.messages == 1);
  CHECK(line.octets == 1000);
  CHECK(line.recipients == 4);
  CHECK(line.delivered == 1);
  CHECK(line.bounced == 2);
  CHECK(line.waiting == 1);
  CHECK(line.deferrals == 2);
  const auto median = line.delays.percentile(50);
  REQUIRE(median);
  CHECK(*median > 1900ms);
  CHECK(*median < 2100ms);
}

TEST_CASE("tally: a recipient whose end was not written down does not wait for ever") {
  Tally tally(TallyBy::Hour, utc);
  TracedDelivery unknown;
  unknown.recipient = "d@x.example";
  unknown.deferrals = 2;
  tally.add(traced("a@b.example", {ended("a@x.example", Outcome::Delivered, 2s), unknown}));
  CHECK(tally.total().recipients == 1);
  CHECK(tally.total().waiting == 0);
}

TEST_CASE("tally: a message counts once for each destination, sender and client that it has") {
  const TracedMessage message =
      traced("A@b.example", {ended("a@X.example", Outcome::Delivered, 1s),
                             ended("b@x.example", Outcome::Delivered, 1s),
                             ended("c@y.example", Outcome::Delivered, 1s)});
  Tally destinations(TallyBy::Destination, utc);
  destinations.add(message);
  const std::vector<TallyLine> lines = destinations.lines();
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].name == "x.example");  // the larger one first
  CHECK(lines[0].messages == 1);
  CHECK(lines[0].recipients == 2);
  CHECK(lines[1].name == "y.example");
  CHECK(destinations.total().messages == 1);
  CHECK(destinations.total().octets == 1000);
  CHECK(destinations.total().delivered == 3);
  Tally senders(TallyBy::Sender, utc);
  senders.add(message);
  senders.add(traced("", {ended("a@x.example", Outcome::Delivered, 1s)}));
  CHECK(senders.lines().at(0).name == "a@b.example");
  CHECK(senders.lines().at(1).name == "<>");
  Tally clients(TallyBy::Client, utc);
  clients.add(message);
  CHECK(clients.lines().at(0).name == "192.0.2.7");
}

TEST_CASE("tally: of too many names the large ones stay, and the rest is counted together") {
  constexpr std::size_t kNames = 10;
  Tally tally(TallyBy::Sender, utc, kNames);
  std::uint64_t told = 0;
  for (int round = 0; round < 20; ++round) {
    for (int large = 0; large < 3; ++large) {
      tally.add(traced("large" + std::to_string(large), {ended("a@x", Outcome::Delivered, 1s)}));
      ++told;
    }
    for (int small = 0; small < 5; ++small) {
      tally.add(
          traced("s" + std::to_string(round * 5 + small), {ended("a@x", Outcome::Delivered, 1s)}));
      ++told;
    }
  }
  const std::vector<TallyLine> lines = tally.lines();
  CHECK(lines.size() <= 2 * kNames);
  for (std::size_t large = 0; large < 3; ++large) {
    CHECK(lines.at(large).name.starts_with("large"));
    CHECK(lines.at(large).recipients == 20);
  }
  std::uint64_t counted = tally.others().recipients;
  for (const TallyLine& line : lines) counted += line.recipients;
  CHECK(counted == told);
  CHECK(tally.names_left_out() > 0);
}

TEST_CASE("tally: percentiles are within 7 % of the true ones, from a millisecond to days") {
  DelayCounts counts;
  CHECK_FALSE(counts.percentile(50));
  for (int i = 1; i <= 1000; ++i) counts.add(base::Duration(i * 1000));
  for (const unsigned percent : {50U, 95U, 99U}) {
    const double found = static_cast<double>(counts.percentile(percent)->count());
    const double truth = percent * 10'000.0;
    CHECK(found > truth * 0.93);
    CHECK(found < truth * 1.07);
  }
  DelayCounts odd;
  odd.add(base::Duration(-5));
  odd.add(std::chrono::hours(24 * 3650));
  CHECK(odd.percentile(1)->count() == 1);
  CHECK(*odd.percentile(99) > std::chrono::hours(24 * 40));
}
