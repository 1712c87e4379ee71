#include "mta/daemon/traffic_file.h"

#include <catch2/catch.hpp>

using namespace rockdove;
using namespace rockdove::daemon;
using Lines = std::vector<std::string>;

namespace {

Lines problems_of(const std::string& text) {
  Problems problems("t");
  static_cast<void>(parse_profile_file(text, "t", problems));
  Lines lines;
  for (const Problem& problem : problems.take_sorted()) lines.push_back(format_problem(problem));
  return lines;
}

traffic::ProfileFile accepted(const std::string& text) {
  Problems problems("t");
  traffic::ProfileFile file = parse_profile_file(text, "t", problems);
  Lines lines;
  for (const Problem& problem : problems.take_sorted()) lines.push_back(format_problem(problem));
  CHECK(lines == Lines{});
  return file;
}

}  // namespace

TEST_CASE("a file of profiles is read with all that may stand in it, and where") {
  const traffic::ProfileFile file = accepted(R"(
[default]
connections = 10
connections_source = 200
rate = ["10/s", "5000/h"]
connection_rate = "off"
retry = ["5m", "1h"]

[provider.yahoo]
mx = ["*.YahooDNS.net", "*.bücher.example"]
samples = ["mta5.am0.yahoodns.net"]
connections_provider = 20
messages_per_connection = 20
recipients_per_transaction = 1
rate = "50/min burst 5"
bytes = "100M/min"
tls = "verify"
ip = "v4"
port = 26
connect_timeout = "30s"
reply_timeout = "5m"
idle_timeout = "10s"
host_tries = 3

[[provider.yahoo.on]]
reply = '^421 4\.7\.0 \[TSS04\]'
stage = ["mail", "final-dot"]
after = "3 in 10m"
backoff = "x0.5"
backoff_floor = "5/min"
pause = "2h"
pause_of = "source"
set = { connections = 1, rate = ["1/s", "100/h"] }
set_for = "1h"
retry_in = "30m"
next_source = true
bounce = false
defer = true
samples = ["421 4.7.0 [TSS04] Messages"]

[domain."*.Example.com"]
unset = ["rate", "on"]

[source."192.0.2.1"]
connections_source = 5
)");
  CHECK(file.defaults.origin.line == 2);
  CHECK(file.defaults.knobs.connections.value == 10u);
  CHECK(file.defaults.knobs.connections.origin == traffic::Origin{"t", 3, 1});
  CHECK(file.defaults.knobs.rate.value->size() == 2);
  CHECK(file.defaults.knobs.connection_rate.value->empty());
  CHECK(file.defaults.knobs.retry.value->size() == 2);
  REQUIRE(file.providers.size() == 1);
  const traffic::ProviderSection& yahoo = file.providers[0];
  CHECK(yahoo.name == "yahoo");
  REQUIRE(yahoo.mx.value->size() == 2);
  CHECK(yahoo.mx.value->at(0).text == "*.yahoodns.net");
  CHECK(yahoo.mx.value->at(1).text == "*.xn--bcher-kva.example");
  CHECK(traffic::list_knobs(yahoo.knobs).size() == 12);
  CHECK(traffic::format_rates(*yahoo.knobs.rate.value) == "50/min burst 5");
  REQUIRE(yahoo.rules.size() == 1);
  const traffic::Rule& rule = yahoo.rules[0];
  CHECK(rule.origin.line == 25);
  CHECK(rule.reply_at.line == 26);
  CHECK(rule.stages == std::vector{smtp::Stage::Mail, smtp::Stage::FinalDot});
  CHECK(traffic::describe(rule.actions) ==
        Lines{"pause the source for 2h", "rate x0.5, not below 5/min",
              "connections = 1, rate = 1/s, 100/h for 1h",
              "next attempt from another source address", "try again in 30m"});
  REQUIRE(file.domains.size() == 1);
  CHECK(file.domains[0].pattern == "*.example.com");
  CHECK(file.domains[0].unset.size() == 2);
  REQUIRE(file.sources.size() == 1);
}

TEST_CASE("sections and keys that do not exist are told with what was probably meant") {
  CHECK(problems_of("[defualt]\nrate = \"1/s\"\n") ==
        Lines{"t:1:2: error: unknown section `defualt`, did you mean `default`?"});
  CHECK(problems_of("[default]\nconections = 1\n") ==
        Lines{"t:2:1: error: unknown key `conections` in [default], did you mean `connections`?"});
  CHECK(problems_of("[provider.x]\nmxs = \"a\"\n") ==
        Lines{"t:2:1: error: unknown key `mxs` in [provider.x], did you mean `mx`?"});
  CHECK(problems_of("[[default.on]]\nreplay = 'a'\ndefer = true\nreply = 'a'\n") ==
        Lines{"t:2:1: error: unknown key `replay` in [[default.on]], did you mean `reply`?"});
  CHECK(problems_of("[default]\nmx = [\"a.example\"]\n") ==
        Lines{"t:2:1: error: unknown key `mx` in [default]"});
  CHECK(problems_of("[domain.x.example]\nrate = \"1/s\"\n") ==
        Lines{"t:1:11: error: unknown key `example` in [domain.\"x\"]; a name with dots stands in "
              "quotes, as in [domain.\"x.example\"] or [source.\"192.0.2.1\"]"});
  CHECK(problems_of("[default]\nunset = [\"rat\"]\n") ==
        Lines{"t:2:10: error: there is no key \"rat\" in [default], did you mean `rate`?"});
  CHECK(problems_of("[source.\"192.0.2.1\"]\nunset = [\"on\"]\n").size() == 1);
}

TEST_CASE("what is no section is told how to be one") {
  CHECK(problems_of("default = 1\n") ==
        Lines{"t:1:1: error: `default` is a section: write [default]"});
  CHECK(problems_of("[provider]\nmx = \"a\"\n") ==
        Lines{"t:2:1: error: `mx` stands in no section: write [provider.NAME] above it"});
  CHECK(problems_of("[provider.\"a b\"]\n").size() == 1);
  CHECK(problems_of("[source.relay]\n") ==
        Lines{"t:1:9: error: \"relay\" is no IP address; write [source.\"192.0.2.1\"]"});
  CHECK(problems_of("[domain.\"a b\"]\n").size() == 1);
  CHECK(problems_of("[default.on]\nreply = 'a'\n") ==
        Lines{"t:1:10: error: `on` is a list of sections: write [[default.on]]"});
}

TEST_CASE("values that cannot be are errors") {
  for (const std::string text :
       {"connections = 0", "connections = \"10\"", "rate = 10", "rate = \"10 a second\"",
        "rate = []", "rate = [\"off\", \"1/s\"]", "bytes = \"100M\"", "tls = \"yes\"", "ip = 4",
        "port = 70000", "connect_timeout = \"0s\"", "connect_timeout = 30",
        "retry = [\"5m\", \"x\"]", "retry = []", "unset = [\"unset\"]"}) {
    CAPTURE(text);
    CHECK(!problems_of("[default]\n" + text + "\n").empty());
  }
  CHECK(problems_of("[provider.x]\nmx = \"a\"\nconnections_source = 3\n") ==
        Lines{"t:3:22: error: `connections_source` counts connections to everywhere; it belongs to "
              "[default] or [source.\"…\"]"});
}

TEST_CASE("a rule needs a reply and an action, and the halves of an action belong together") {
  const std::string rule = "[[default.on]]\nreply = 'a'\n";
  CHECK(problems_of("[[default.on]]\ndefer = true\n").size() == 1);
  CHECK(problems_of(rule).size() == 1);
  for (const std::string text : {"defer = false",
                                 "pause_of = \"site\"",
                                 "defer = true\npause_of = \"site\"",
                                 "defer = true\nbackoff_floor = \"1/min\"",
                                 "set = { rate = \"1/s\" }",
                                 "defer = true\nset_for = \"1h\"",
                                 "bounce = true\ndefer = true",
                                 "bounce = true\nretry_in = \"1h\"",
                                 "bounce = true\nnext_source = true",
                                 "backoff = 0.5",
                                 "backoff = \"x2\"",
                                 "backoff = \"x0.5\"\nbackoff_floor = [\"1/s\", \"9/h\"]",
                                 "pause = \"1h\"\npause_of = \"all\"",
                                 "defer = \"yes\"",
                                 "defer = true\nafter = \"often\"",
                                 "defer = true\nstage = \"eol\"",
                                 "set = 1\nset_for = \"1h\"",
                                 "set = {}\nset_for = \"1h\"",
                                 "set = { rats = \"1/s\" }\nset_for = \"1h\"",
                                 "defer = true\nsamples = [1]"}) {
    CAPTURE(text);
    CHECK(!problems_of(rule + text + "\n").empty());
  }
  CHECK(problems_of("[[default.on]]\nreply = '(a'\ndefer = true\n").size() == 1);
  CHECK(problems_of(rule + "defer = true\nstage = \"final_dot\"\n") ==
        Lines{"t:4:9: error: there is no stage \"final_dot\", did you mean `final-dot`?"});
}

TEST_CASE("a file is bounded in all that it counts") {
  std::string rules;
  for (std::size_t i = 0; i <= kRulesMax; ++i)
    rules += "[[default.on]]\nreply = 'a'\ndefer = true\n";
  CHECK(problems_of(rules).size() == 1);
  std::string providers;
  for (std::size_t i = 0; i <= kProvidersMax; ++i)
    providers += "[provider.p" + std::to_string(i) + "]\n";
  CHECK(problems_of(providers).size() == 1);
  std::string patterns = "[provider.p]\nmx = [";
  for (std::size_t i = 0; i <= kNamePatternsMax; ++i) patterns += "\"a.example\",";
  CHECK(problems_of(patterns + "]\n").size() == 1);
  std::string samples = "[[default.on]]\nreply = 'a'\ndefer = true\nsamples = [";
  for (std::size_t i = 0; i <= kSamplesMax; ++i) samples += "\"450 a\",";
  CHECK(problems_of(samples + "]\n").size() == 1);
  CHECK(problems_of(std::string(2 * 1024 * 1024, '#')) ==
        Lines{"t: error: the file is larger than 1 MiB"});
  CHECK(problems_of("[[[[\n").size() == 1);
}

TEST_CASE("a file or folder that is not there is told") {
  const ReadProfiles nothing = load_profiles({"/nonexistent/traffic.toml"});
  CHECK(!nothing.profiles);
  REQUIRE(nothing.problems.size() == 1);
  CHECK(format_problem(nothing.problems[0]) ==
        "/nonexistent/traffic.toml: error: there is no such file");
  CHECK(!load_profiles({ROCKDOVE_SOURCE_ROOT "/tests/unit/daemon"}).profiles);
}
