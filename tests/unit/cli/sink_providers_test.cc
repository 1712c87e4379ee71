#include <catch2/catch.hpp>

#include "mta/cli/sink_provider_file.h"

using rockdove::base::Duration;
using rockdove::base::Instant;
using rockdove::base::IpAddress;
using namespace rockdove::cli;
using namespace std::chrono_literals;

namespace {

const Instant kBegin{1000s};
const IpAddress kClient = IpAddress::v4({192, 0, 2, 1});

std::vector<SinkRateChange> schedule(std::initializer_list<SinkRateChange> changes) {
  return changes;
}

std::vector<std::string> problems_of(std::string_view text) {
  rockdove::daemon::Problems problems("f");
  (void)parse_sink_providers(text, problems);
  std::vector<std::string> found;
  for (const auto& problem : problems.take_sorted())
    found.push_back(rockdove::daemon::format_problem(problem));
  return found;
}

SinkProviderSettings settings_of(const std::string& keys) {
  rockdove::daemon::Problems problems("f");
  auto all = parse_sink_providers("[provider.p]\nlisten = \"127.0.0.1:0\"\n" + keys, problems);
  INFO(keys);
  REQUIRE_FALSE(problems.has_errors());
  REQUIRE(all.size() == 1);
  return all.front();
}

// One that has had its first connection at kBegin.
struct Provider {
  explicit Provider(const std::string& keys) : provider(settings_of(keys), log) {
    REQUIRE_FALSE(provider.connected(kClient, kBegin).reply);
  }

  // The code that MAIL (or another stage) gets; 0: what is usual.
  int ask(Duration at, SinkStage stage = SinkStage::Mail, std::uint32_t messages = 0) {
    const SinkProvider::Question question{kClient, messages, "a@x.example", "b@y.example"};
    const SinkTreatment treatment = provider.judge(stage, question, kBegin + at);
    return treatment.reply ? treatment.reply->code : 0;
  }

  SinkLog log;
  SinkProvider provider;
};

}  // namespace

TEST_CASE("sink: rates are a count and a time") {
  CHECK(*parse_sink_rate("50/min") == SinkRate{50, 60s});
  CHECK(*parse_sink_rate(" 25 / 10s ") == SinkRate{25, 10s});
  CHECK(*parse_sink_rate("1/d") == SinkRate{1, 24h});
  for (const char* wrong : {"", "50", "/min", "0/min", "-1/min", "1000001/s", "5/", "5/0s", "5/m2"})
    CHECK_FALSE(parse_sink_rate(wrong));
  const std::vector<SinkRate> rates = {{50, 60s}, {3, 500ms}};
  CHECK(format_sink_rates(rates) == "50/1m, 3/500ms");
  CHECK(format_sink_rates({}) == "off");
}

TEST_CASE("sink: no half-open window of a sliding limit holds more than its count") {
  const auto rates = schedule({{0s, {{3, 10s}, {5, 60s}}}});
  SinkLimit limit(SinkWindow::Sliding, rates, kBegin);
  CHECK(limit.take(kBegin));
  CHECK(limit.take(kBegin + 4s));
  CHECK(limit.take(kBegin + 9s));
  CHECK_FALSE(limit.take(kBegin + 9999ms));
  CHECK(limit.take(kBegin + 10s));
  CHECK_FALSE(limit.take(kBegin + 13s));
  CHECK(limit.take(kBegin + 20s));
  CHECK_FALSE(limit.take(kBegin + 59s));  // five in the minute
  CHECK(limit.take(kBegin + 60s));
}

TEST_CASE("sink: a bucket of tokens is full at first, and fills up at its rate") {
  const auto rates = schedule({{0s, {{4, 2s}}}});
  SinkLimit limit(SinkWindow::Tokens, rates, kBegin);
  for (int i = 0; i < 4; ++i) CHECK(limit.take(kBegin));
  CHECK_FALSE(limit.take(kBegin + 499ms));
  CHECK(limit.take(kBegin + 500ms));
  CHECK_FALSE(limit.has_room(kBegin + 999ms));
  for (int i = 0; i < 4; ++i) CHECK(limit.take(kBegin + 1h));
  CHECK_FALSE(limit.take(kBegin + 1h));
}

TEST_CASE("sink: a limit changes at its times") {
  SECTION("a window remembers what was taken under another limit") {
    const auto rates = schedule({{0s, {{2, 10s}}}, {5s, {{4, 10s}}}, {20s, {{1, 10s}}}, {40s, {}}});
    SinkLimit limit(SinkWindow::Sliding, rates, kBegin);
    CHECK(limit.take(kBegin));
    CHECK(limit.take(kBegin + 1s));
    CHECK_FALSE(limit.take(kBegin + 4s));
    CHECK(limit.take(kBegin + 5s));
    CHECK(limit.take(kBegin + 5s));
    CHECK_FALSE(limit.take(kBegin + 6s));
    CHECK(limit.take(kBegin + 19s));
    CHECK_FALSE(limit.take(kBegin + 28s));
    CHECK(limit.take(kBegin + 29s));
    for (int i = 0; i < 100; ++i) CHECK(limit.take(kBegin + 40s));
    CHECK(format_sink_rates(rates_at(rates, 4999ms)) == "2/10s");
    CHECK(format_sink_rates(rates_at(rates, 5s)) == "4/10s");
    CHECK(format_sink_rates(rates_at(rates, 1h)) == "off");
  }
  SECTION("a bucket stays as empty as it was") {
    const auto rates = schedule({{0s, {{10, 10s}}}, {5s, {{100, 100s}}}});
    SinkLimit limit(SinkWindow::Tokens, rates, kBegin);
    for (int i = 0; i < 10; ++i) CHECK(limit.take(kBegin));
    for (int i = 0; i < 50; ++i) CHECK(limit.take(kBegin + 5s));  // half full, of 100
    CHECK_FALSE(limit.take(kBegin + 5s));
  }
}

TEST_CASE("sink: a provider's file is read with its places, and what is wrong is named") {
  const SinkProviderSettings settings = settings_of(
      "limit = [\"3/s\", \"100/h\"]\nwindow = \"tokens\"\nover_limit_at = \"connect\"\n"
      "over_limit = [\"421-4.7.28 one\", \"421 4.7.28 two\"]\nover_connections = \"close\"\n"
      "[[provider.p.change]]\nat = \"5s\"\nlimit = \"off\"\n");
  CHECK(settings.name == "p");
  CHECK(settings.window == SinkWindow::Tokens);
  CHECK(settings.over_limit_at == SinkStage::Connect);
  CHECK(settings.over_limit.text == "one\ntwo");
  CHECK_FALSE(settings.over_connections);
  REQUIRE(settings.limits.size() == 2);
  CHECK(format_sink_rates(settings.limits[0].rates) == "3/1s, 100/1h");
  CHECK(settings.limits[1].at == 5s);
  CHECK(settings.limits[1].rates.empty());

  CHECK(problems_of("") ==
        std::vector<std::string>{"f: error: there is no section [provider.NAME]"});
  CHECK(problems_of("[provider.p]\nlimt = \"3/s\"\n") ==
        std::vector<std::string>{
            "f:1:11: error: it listens nowhere: add listen = [\"127.0.0.1:2525\"]",
            "f:2:1: error: unknown key `limt`, did you mean `limit`?"});
  for (const char* wrong :
       {"limit = 3", "limit = \"3\"", "over_limit = \"250 fine\"", "over_limit = \"nonsense\"",
        "over_limit = [\"421-4.7.0 a\", \"450 4.7.0 b\"]", "over_limit = []", "window = \"fixed\"",
        "over_limit_at = \"helo\"", "connections = 0", "greylist = \"0s\"", "tarpit = 5",
        "change = 1", "[[provider.p.change]]\nat = \"1s\"",
        "[[provider.p.change]]\nat = \"1s\"\nlimit = \"1/s\"\n[[provider.p.change]]\nat = "
        "\"1s\"\nlimit = "
        "\"1/s\""}) {
    INFO(wrong);
    CHECK(problems_of(std::string("[provider.p]\nlisten = \"127.0.0.1:0\"\n") + wrong).size() == 1);
  }
}

TEST_CASE("sink: a provider refuses what is above its limit, with the client's address") {
  Provider one("limit = \"2/10s\"\nover_limit = \"421 4.7.0 not from {client}, {client}\"");
  CHECK(one.ask(0s) == 0);
  CHECK(one.ask(1s) == 0);
  const SinkTreatment refused = one.provider.judge(SinkStage::Mail, {kClient}, kBegin + 2s);
  REQUIRE(refused.reply);
  CHECK(format_reply(*refused.reply) == "421 4.7.0 not from 192.0.2.1, 192.0.2.1\r\n");
  const IpAddress other = IpAddress::v4({192, 0, 2, 2});
  CHECK_FALSE(one.provider.judge(SinkStage::Mail, {other}, kBegin + 2s).reply);
  CHECK(one.ask(10s) == 0);
}

TEST_CASE("sink: a limit at the banner counts messages and refuses connections") {
  Provider one("limit = \"1/10s\"\nover_limit_at = \"connect\"");
  CHECK_FALSE(one.provider.connected(kClient, kBegin).reply);
  CHECK(one.ask(0s) == 0);
  CHECK(one.provider.connected(kClient, kBegin + 9s).reply);
  CHECK(one.ask(9s) == 451);
  CHECK_FALSE(one.provider.connected(kClient, kBegin + 10s).reply);
}

TEST_CASE("sink: a provider takes so many connections at once, and messages on each") {
  Provider one("connections = 2\nmessages_per_connection = 3");
  CHECK_FALSE(one.provider.connected(kClient, kBegin).reply);
  CHECK(one.provider.connected(kClient, kBegin).reply->code == 421);
  CHECK(one.provider.connections_open() == 2);
  one.provider.disconnected(kClient);
  CHECK_FALSE(one.provider.connected(kClient, kBegin).reply);
  CHECK(one.provider.counts().connections == 4);
  CHECK(one.ask(0s, SinkStage::Mail, 2) == 0);
  CHECK(one.ask(0s, SinkStage::Mail, 3) == 421);
  Provider closes("connections = 1\nover_connections = \"close\"");
  CHECK(closes.provider.connected(kClient, kBegin).closes);
}

TEST_CASE("sink: whoever goes on above the limit is blocked for a time") {
  Provider one(
      "limit = \"1/1h\"\nblock_after = 3\nblock_within = \"10s\"\nblock_for = \"1m\"\n"
      "blocked = \"550 5.7.1 on our block list (S3150)\"");
  CHECK(one.ask(0s) == 0);
  CHECK(one.ask(1s) == 451);
  CHECK(one.ask(2s) == 451);
  CHECK(one.ask(13s) == 451);  // three, but not within 10 s
  CHECK(one.ask(14s) == 451);
  CHECK(one.ask(15s) == 451);
  CHECK(one.ask(16s) == 550);
  CHECK(one.ask(74s) == 550);
  CHECK(one.ask(75s) == 451);
}

TEST_CASE("sink: greylisting defers until its time has passed since the first try") {
  Provider one("greylist = \"5m\"\nlimit = \"1/s\"\nover_limit_at = \"rcpt\"");
  CHECK(one.ask(0s, SinkStage::Rcpt) == 451);
  CHECK(one.ask(299s, SinkStage::Rcpt) == 451);
  CHECK(one.ask(300s, SinkStage::Rcpt) == 0);
  CHECK(one.ask(300s, SinkStage::Rcpt) == 451);  // by the limit now, which greylisting has spared
}

TEST_CASE("sink: a tarpit delays whatever is answered at its stage") {
  Provider one("tarpit = \"2s\"\ntarpit_at = \"mail\"");
  CHECK(one.provider.judge(SinkStage::Mail, {kClient}, kBegin).delay == 2s);
  CHECK(one.provider.judge(SinkStage::Rcpt, {kClient}, kBegin).delay == 0s);
}

TEST_CASE("sink: a provider counts recipients by what they were answered") {
  Provider one("");
  const std::vector<std::string> two = {"a@x.example", "b@x.example"};
  using rockdove::smtp::make_reply;
  one.provider.answered(SinkStage::Mail, make_reply(250, "", "Ok"), {}, kBegin);
  one.provider.answered(SinkStage::Data, make_reply(354, "", "go"), {}, kBegin);
  one.provider.answered(SinkStage::Dot, make_reply(250, "", "Ok"), two, kBegin);
  one.provider.answered(SinkStage::Mail, make_reply(421, "", "no"), {}, kBegin);
  one.provider.answered(SinkStage::Dot, make_reply(550, "", "no"), two, kBegin);
  CHECK(one.provider.counts().accepted == 2);
  CHECK(one.provider.counts().deferred == 1);
  CHECK(one.provider.counts().rejected == 2);
}
