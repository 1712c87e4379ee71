// `rockdove traffic replay` as a comparison of two sets of profiles over replies as the history has
// them.
#include "mta/cli/traffic_replay.h"

#include <catch2/catch.hpp>

#include "mta/daemon/traffic_file.h"

namespace {

using namespace rockdove;
using namespace rockdove::cli;
using Difference = TrafficReplay::Difference;

traffic::Profiles profiles(const std::string& text, const std::string& path) {
  daemon::Problems problems(path);
  const traffic::ProfileFile file = daemon::parse_profile_file(text, path, problems);
  REQUIRE_FALSE(problems.has_errors());
  return traffic::Profiles({file});
}

PastReply reply(const std::string& host, const std::string& text,
                const std::string& domain = "x.example") {
  return {"3ZzBCDFGHJKL-1", "2026-11-22T14:05:00.000Z", domain, host, text};
}

constexpr const char* kInUse = R"([provider.big]
mx = ["*.big.example"]
[[provider.big.on]]
reply = '^421 .*rate'
backoff = "x0.5"
samples = ["421 4.7.0 rate"]
[[provider.big.on]]
reply = '^550 .*blocked'
pause = "1h"
samples = ["550 5.7.1 blocked"]
)";

}  // namespace

TEST_CASE("replay: the same profiles differ in nothing, wherever their rules stand") {
  const traffic::Profiles in_use = profiles(kInUse, "a.toml");
  const traffic::Profiles moved = profiles(std::string("\n\n") + kInUse, "b.toml");
  TrafficReplay replay(in_use, moved);
  replay.add(reply("mx1.big.example[192.0.2.1]:25", "421 4.7.0 rate"));
  replay.add(reply("mx1.big.example[192.0.2.1]:25", "550 5.7.1 blocked"));
  replay.add(reply("mx.small.example[192.0.2.2]:25", "550 5.1.1 no"));
  CHECK(replay.groups().empty());
  CHECK(replay.totals().replies == 3);
}

TEST_CASE("replay: rules that are new, gone and changed are told with what they turn") {
  const traffic::Profiles in_use = profiles(kInUse, "a.toml");
  const traffic::Profiles changed = profiles(R"([provider.big]
mx = ["*.big.example"]
[[provider.big.on]]
reply = '^421 .*rate'
backoff = "x0.25"
samples = ["421 4.7.0 rate"]
[[provider.big.on]]
stage = "rcpt"
reply = '^450 .*grey'
bounce = true
samples = ["450 4.7.1 grey"]
)",
                                             "b.toml");
  TrafficReplay replay(in_use, changed);
  for (int i = 0; i < 5; ++i)
    replay.add(reply("MX1.big.example[192.0.2.1]:25", "421 4.7.0 rate " + std::to_string(i)));
  for (int i = 0; i < 2; ++i)
    replay.add(reply("mx1.big.example[192.0.2.1]:25", "550 5.7.1 blocked"));
  replay.add(reply("mx1.big.example[192.0.2.1]:25", "450 4.7.1 grey"));
  replay.add(reply("mx1.big.example[192.0.2.1]:25", "connection refused"));
  const auto groups = replay.groups();
  REQUIRE(groups.size() == 3);
  CHECK(groups[0].difference == Difference::Caught);
  CHECK(groups[0].in_use.rule == nullptr);
  CHECK(groups[0].changed.rule->origin.file == "b.toml");
  CHECK(groups[1].difference == Difference::Lost);
  CHECK(groups[1].replies == 2);
  CHECK(groups[1].is_permanent);
  CHECK(groups[2].difference == Difference::OtherAction);
  CHECK(groups[2].replies == 5);
  CHECK(groups[2].samples.size() == TrafficReplay::kSamplesMax);
  const TrafficReplay::Totals& totals = replay.totals();
  CHECK(totals.replies == 8);
  CHECK(totals.other_texts == 1);
  CHECK(totals.returned.begins == 1);  // the 450
  CHECK(totals.returned.ends == 0);    // a pause let the 550 go back all the same
  CHECK(totals.paused.ends == 2);
  CHECK(totals.slowed.begins + totals.slowed.ends == 0);
  const auto lines = replay_as_json(replay);
  REQUIRE(lines.size() == 4);
  CHECK(lines[0]["changed"]["rule"]["stages"] == nlohmann::ordered_json{"rcpt"});
  CHECK(lines[0]["changed"]["does"] == nlohmann::ordered_json{"bounce"});
  CHECK(lines[2]["samples"][0]["reply"] == "421 4.7.0 rate 0");
  CHECK(lines[3]["caught"] == 1);
  const std::string text = format_replay(replay);
  CHECK(text.find("5 replies treated in another way\n  in use   a.toml:3  ^421 .*rate (provider "
                  "big)\n           rate x0.5; ") != std::string::npos);
  CHECK(text.find("8 of 8 replies would be treated differently") != std::string::npos);
}

TEST_CASE("replay: a domain's own section and another provider are found by domain and host") {
  const traffic::Profiles in_use = profiles(kInUse, "a.toml");
  const traffic::Profiles changed = profiles(std::string(kInUse) + R"([provider.late]
mx = ["mx.small.example"]
[domain."gentle.example"]
[[domain."gentle.example".on]]
reply = '^421 .*rate'
pause = "1h"
samples = ["421 4.7.0 rate"]
)",
                                             "b.toml");
  TrafficReplay replay(in_use, changed);
  replay.add(reply("mx1.big.example[192.0.2.1]:25", "421 4.7.0 rate", "gentle.example"));
  replay.add(reply("mx1.big.example[192.0.2.1]:25", "421 4.7.0 rate", "other.example"));
  replay.add(reply("mx.small.example[192.0.2.2]:25", "451 4.3.0 later"));
  const auto groups = replay.groups();
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].difference == Difference::OtherAction);
  CHECK(groups[0].samples.front().domain == "gentle.example");
  CHECK(groups[1].difference == Difference::OtherProvider);
  CHECK(groups[1].changed.provider->name == "late");
}

TEST_CASE("replay: lines of a reply that the history joins with a semicolon match as blanks too") {
  const char* const pattern = R"([[default.on]]
reply = '^421 4\.7\.0 one two; three$'
pause = "1h"
samples = ["421 4.7.0 one two; three"]
)";
  const traffic::Profiles in_use = profiles("", "a.toml");
  const traffic::Profiles changed = profiles(pattern, "b.toml");
  TrafficReplay replay(in_use, changed);
  replay.add(reply("mx.x.example[192.0.2.1]:25", "421 4.7.0 one two; three"));
  CHECK(replay.totals().by_difference[static_cast<std::size_t>(Difference::Caught)] == 1);
  const char* const blank = R"([[default.on]]
reply = '^421 4\.7\.0 one two$'
pause = "1h"
samples = ["421 4.7.0 one two"]
)";
  const traffic::Profiles joined = profiles(blank, "c.toml");
  TrafficReplay again(in_use, joined);
  again.add(reply("mx.x.example[192.0.2.1]:25", "421 4.7.0 one; two"));
  CHECK(again.totals().by_difference[static_cast<std::size_t>(Difference::Caught)] == 1);
}

TEST_CASE("replay: many replies of different text are grouped in little memory") {
  const traffic::Profiles in_use = profiles("", "a.toml");
  const traffic::Profiles changed = profiles(kInUse, "b.toml");
  TrafficReplay replay(in_use, changed);
  constexpr int kReplies = 60'000;  // more than are remembered
  for (int i = 0; i < kReplies; ++i)
    replay.add(reply("mx1.big.example[192.0.2.1]:25", "421 4.7.0 rate " + std::to_string(i)));
  const auto groups = replay.groups();
  REQUIRE(groups.size() == 1);
  CHECK(groups[0].replies == kReplies);
  CHECK(replay.totals().slowed.begins == kReplies);
}
