// `rockdove trace` and `rockdove stats` against a source that says what it is told to, and their
// options against a daemon of canned answers.
#include <algorithm>
#include <cstdlib>
#include <ctime>

#include <CLI/CLI.hpp>

#include "mta/cli/trace_options.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/cli/cli_world.h"

namespace {

using namespace rockdove;
using namespace rockdove::cli;
using namespace rockdove::test;
using base::Result;

}  // namespace

TEST_CASE("trace command: pages for people, lines for scripts, and what was cut is said") {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  const std::string line =
      R"({"queue_id":"3ZzBCDFGHJKL","kind":"ordinary","accepted":"2026-11-22T06:50:01.123Z",)"
      R"("sender":"a@here.example","message_size":7,"recipients":[]})";
  ToldSource source;
  source.lines = {line, line, R"({"more": true})"};
  const admin::Parameters question{{"sender", "a@here.example"}};
  Printed printed;
  CHECK(run_trace(source, question, printed.output) == Ended::Done);
  CHECK(source.asked == question);
  const std::string page =
      "3ZzBCDFGHJKL, from <a@here.example>, 7 octets\n"
      "  2026-11-22 06:50:01 accepted from rockdove itself\n";
  CHECK(printed.out.str() ==
        page + "\n" + page + "\nThere are older ones, too: --limit shows more\n");
  Printed json(Show::Json);
  CHECK(run_trace(source, question, json.output) == Ended::Done);
  CHECK(json.out.str() == line + "\n" + line + "\n{\"more\": true}\n");
  source.lines.clear();
  Printed none;
  CHECK(run_trace(source, question, none.output) == Ended::Done);
  CHECK(none.out.str() == "Nothing is known of such a message\n");
  source.error = base::Error("no answer");
  Printed broken;
  CHECK(run_trace(source, question, broken.output) == Ended::Failed);
  CHECK(broken.error.str() == "rockdove: no answer\n");
}

TEST_CASE("trace and stats commands: a wrong question is one of usage, and nobody is asked") {
  ToldSource source;
  Printed trace;
  CHECK(run_trace(source, {{"sender", "*@x"}}, trace.output) == Ended::Usage);
  CHECK(trace.error.str().starts_with("rockdove: sender: "));
  Printed stats;
  CHECK(run_stats(source, {{"by", "moon"}}, stats.output) == Ended::Usage);
  CHECK(source.asked.empty());
}

TEST_CASE("stats command: a header, a line a name, and the total") {
  ToldSource source;
  source.lines = {R"({"name":"x.example","accepted":3})", R"({"name":"","total":true})"};
  Printed printed;
  CHECK(run_stats(source, {{"by", "destination"}}, printed.output) == Ended::Done);
  const std::string out = printed.out.str();
  CHECK(std::count(out.begin(), out.end(), '\n') == 3);
  CHECK(out.ends_with("(all)\n"));
}

TEST_CASE("trace and stats options: questions are read from the command line") {
  const tests::TemporaryDirectory directory;
  const QueuePaths paths{directory.path(), directory.path()};
  const QueueEnvironment environment{[&paths] { return Result<QueuePaths>(paths); }, no_rows,
                                     no_rows};
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  CLI::App app;
  SECTION("trace") {
    const auto run = add_trace_options(app, environment);
    CannedDaemon daemon(directory.path() + "/control.sock", answer);
    app.parse("--recipient b@x.example --since 3d --json");
    CHECK(run() == 0);
    CHECK(
        daemon.request.starts_with("GET /v1/trace?recipient=b%40x.example&since=3d HTTP/1.1\r\n"));
  }
  SECTION("stats") {
    const auto run = add_stats_options(app, environment);
    CannedDaemon daemon(directory.path() + "/control.sock", answer);
    app.parse("--by day --limit 7 --json");
    CHECK(run() == 0);
    CHECK(daemon.request.starts_with("GET /v1/stats?by=day&limit=7 HTTP/1.1\r\n"));
  }
  SECTION("what is no question") {
    const auto run = add_trace_options(app, environment);
    CannedDaemon daemon(directory.path() + "/control.sock", answer);
    app.parse("");
    CHECK(run() == 2);
  }
}
