// Each fault that lint names is found in a file that was made to have it, and the file without it
// is clean; so are the profiles that come with the program.
#include <algorithm>

#include <catch2/catch.hpp>

#include "mta/daemon/traffic_file.h"
#include "mta/traffic/lint.h"

using namespace rockdove;
using namespace rockdove::daemon;
using Lines = std::vector<std::string>;

namespace {

// "LINE fault", and "other:LINE fault" for those of the second file.
Lines faults(const std::string& text, const std::string& other = "") {
  Problems problems("t");
  std::vector<traffic::ProfileFile> files = {parse_profile_file(text, "", problems)};
  if (!other.empty()) files.push_back(parse_profile_file(other, "other:", problems));
  Lines lines;
  for (const Problem& problem : problems.take_sorted()) lines.push_back(format_problem(problem));
  REQUIRE(lines == Lines{});
  for (const traffic::Finding& finding : traffic::lint(traffic::Profiles(files))) {
    lines.push_back(finding.at.file + std::to_string(finding.at.line) + " " +
                    std::string(traffic::name_of(finding.fault)));
    CHECK(!finding.text.empty());
    CHECK(!finding.text.ends_with('.'));
  }
  return lines;
}

const std::string kGood =
    "[provider.a]\n"
    "mx = [\"*.a.example\"]\n"
    "samples = [\"mx1.a.example\"]\n"
    "[[provider.a.on]]\n"
    "reply = '^421 4\\.7\\.0 \\[A1\\]'\n"
    "defer = true\n"
    "samples = [\"421 4.7.0 [A1] slow down\"]\n";

}  // namespace

TEST_CASE("lint finds nothing wrong with the profiles that come with the program") {
  const ReadProfiles read = load_profiles({ROCKDOVE_SOURCE_ROOT "/contrib/traffic"});
  Lines lines;
  for (const Problem& problem : read.problems) lines.push_back(format_problem(problem));
  REQUIRE(read.profiles);
  for (const traffic::Finding& finding : traffic::lint(*read.profiles))
    lines.push_back(traffic::format_origin(finding.at) + " " + finding.text);
  CHECK(lines == Lines{});
  // Every provider shows hosts of its own, and every rule a reply.
  for (const traffic::Provider& provider : read.profiles->providers()) {
    CAPTURE(provider.name);
    CHECK(provider.samples.value.has_value());
    CHECK(!provider.rules.empty());
  }
  for (const std::string name :
       {"google", "yahoo", "outlook", "microsoft365", "apple", "comcast", "gmx", "orange", "free",
        "laposte", "yahoojapan", "docomo", "qq", "netease", "mailru", "yandex", "mimecast",
        "proofpoint", "barracuda"}) {
    CAPTURE(name);
    CHECK(read.profiles->find_provider(name) != nullptr);
  }
}

TEST_CASE("lint finds nothing wrong with a good file") {
  CHECK(faults(kGood) == Lines{});
}

TEST_CASE("lint finds a section that names an unknown provider") {
  CHECK(faults(kGood, "[provider.b]\nrate = \"1/s\"\n") == Lines{"other:1 unknown-provider"});
  CHECK(faults(kGood, "[provider.a]\nrate = \"1/s\"\n") == Lines{});
}

TEST_CASE("lint finds a provider that none of its hosts leads to") {
  std::string text = kGood;
  text.replace(text.find("mx1.a.example"), 13, "mx1.b.example");
  CHECK(faults(text) == Lines{"2 unreachable", "3 unreachable"});
}

TEST_CASE("lint finds a pattern of hosts that another provider's shadows") {
  CHECK(faults(kGood, "[provider.b]\nmx = [\"*.a.example\"]\n") == Lines{"other:2 shadowed"});
  CHECK(faults(kGood, "[provider.b]\nmx = [\"*.b.example\",\n\"*.b.example\"]\n") ==
        Lines{"other:3 shadowed"});
  // One that says more is no fault.
  CHECK(faults(kGood, "[provider.b]\nmx = [\"*.b.a.example\"]\n") == Lines{});
  CHECK(faults(kGood,
               "[provider.b]\ndomains = [\"x.example\"]\n[provider.c]\ndomains = "
               "[\"x.example\"]\n") == Lines{"other:4 shadowed"});
}

TEST_CASE("lint finds a pattern of hosts that ends in a dot or is a regular expression") {
  std::string dot = kGood;
  dot.replace(dot.find("*.a.example"), 11, "*.a.example.");
  CHECK(faults(dot) == Lines{"2 ends-in-dot", "3 unreachable"});
  CHECK(faults(kGood, "[provider.b]\nmx = ['.*\\.b\\.example$']\n") ==
        Lines{"other:2 bad-pattern"});
}

TEST_CASE("lint finds a pattern of replies that ends in a dot") {
  std::string text = kGood;
  text.replace(text.find("\\[A1\\]'"), 7, "\\[A1.'");
  CHECK(faults(text) == Lines{"5 ends-in-dot"});
  text = kGood;
  text.replace(text.find("\\[A1\\]'"), 7, "\\[A1\\] slow down\\.'");
  CHECK(faults(text) == Lines{"7 does-not-fire"});  // a full stop that the sample lacks
}

TEST_CASE("lint finds a pattern that is escaped twice") {
  std::string text = kGood;
  text.replace(text.find("4\\.7\\.0"), 7, "4\\\\.7\\\\.0");
  CHECK(faults(text) == Lines{"5 escaped-twice", "7 does-not-fire"});
}

TEST_CASE("lint finds a rule without samples, and samples that are none") {
  std::string text = kGood;
  text.resize(text.rfind("samples"));
  CHECK(faults(text) == Lines{"4 no-sample"});
  CHECK(faults(text + "samples = [\"[A1] slow down\"]\n") == Lines{"7 bad-sample"});
  CHECK(faults(text + "samples = [\"250 2.0.0 queued\"]\n") == Lines{"7 bad-sample"});
}

TEST_CASE("lint finds a rule that does not fire on its sample") {
  std::string text = kGood;
  text.resize(text.rfind("samples"));
  CHECK(faults(text + "samples = [\"421 4.7.0 [A2] no\",\n\"421 4.7.0 [A1] yes\"]\n") ==
        Lines{"7 does-not-fire"});
}

TEST_CASE("lint finds a rule that another one fires before") {
  const std::string second =
      "[[provider.a.on]]\nreply = '^421 .*\\[A2\\]'\ndefer = true\nsamples = [\"421 4.7.0 [A2] "
      "no\"]\n";
  CHECK(faults(kGood + second) == Lines{});
  std::string wide = kGood;
  wide.replace(wide.find("\\[A1\\]'"), 7, "'");
  CHECK(faults(wide + second) == Lines{"11 other-fires"});
  // A later file's rules are asked first.
  CHECK(
      faults(kGood, "[[provider.a.on]]\nreply = '^421 '\nbounce = true\nsamples = [\"421 x\"]\n") ==
      Lines{"7 other-fires"});
  // A domain's rules come before the provider's, but for its own mail only.
  CHECK(faults(kGood,
               "[[domain.\"x.example\".on]]\nreply = '^421 '\nbounce = true\nsamples = "
               "[\"421 x\"]\n") == Lines{});
}

TEST_CASE("lint finds a rule that is there twice") {
  std::string twice = kGood + kGood.substr(kGood.find("[["));
  CHECK(faults(twice) == Lines{"8 shadowed", "11 other-fires"});
}

TEST_CASE("lint finds rates and limits that contradict each other") {
  const auto of = [](const std::string& keys) { return faults("[default]\n" + keys + "\n"); };
  CHECK(of("rate = [\"10/s\", \"5000/h\", \"20000/d\"]") == Lines{});
  CHECK(of("rate = [\"1/min\", \"100/h\"]") == Lines{"2 rates-contradict"});
  CHECK(of("rate = [\"6000/min\", \"5000/h\"]") == Lines{"2 rates-contradict"});
  CHECK(of("rate = [\"10/s\", \"60/min\"]") == Lines{"2 rates-contradict"});
  CHECK(of("rate = \"off\"\nconnection_rate = \"1/s\"\nmessages_per_connection = 1") == Lines{});
  CHECK(of("rate = \"10/s\"\nconnection_rate = \"1/s\"\nmessages_per_connection = 10") == Lines{});
  CHECK(of("rate = \"10/s\"\nconnection_rate = \"1/s\"\nmessages_per_connection = 9") ==
        Lines{"2 rates-contradict"});
  CHECK(of("connections = 5\nconnections_provider = 4") == Lines{"2 rates-contradict"});
  CHECK(of("connections_provider = 5\nconnections_source = 4") == Lines{"2 rates-contradict"});
  // They may come from two sections, of which each alone is right.
  CHECK(faults(kGood + "[default]\nconnections = 10\n",
               "[provider.a]\nconnections_provider = 5\n") == Lines{"9 rates-contradict"});
}

TEST_CASE("lint finds what is unset, but was not set") {
  CHECK(faults(kGood, "[provider.a]\nunset = [\"rate\"]\n") == Lines{"other:2 useless-unset"});
  CHECK(faults(kGood, "[provider.a]\nunset = [\"on\"]\n") == Lines{});
}
