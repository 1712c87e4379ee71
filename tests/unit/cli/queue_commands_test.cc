// The queue commands against a source that says what it is told to, and the control client against
// a daemon of canned answers on a Unix socket.
#include "mta/cli/queue_commands.h"

#include <cstdlib>
#include <ctime>

#include <CLI/CLI.hpp>

#include "mta/cli/queue_options.h"
#include "mta/cli/queue_show.h"
#include "mta/cli/queue_tables.h"
#include "mta/daemon/lock.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/cli/cli_world.h"

namespace {

using namespace rockdove;
using namespace rockdove::cli;
using namespace rockdove::test;
using base::Result;

const std::string kListed =
    R"({"queue_name":"deferred","queue_id":"3ZzBCDFGHJKL","arrival_time":1795295600,)"
    R"("message_size":123456,"sender":"a@here.example","recipients":[{"address":"b@example.net",)"
    R"("id":"3ZzBCDFGHJKL-1","why":"waits until 21:15 (in 4m30s) because )"
    R"(mx.example.net[192.0.2.1]:25 answered \"451 4.3.2 try again later, we are busy\", attempt 3"}]})";

}  // namespace

TEST_CASE("queue list: prints a table that fits the columns, or the lines as they are") {
  ToldSource source;
  source.lines = {kListed};
  Printed table;
  FilterOptions filter;
  filter.given["sender"] = "a@here.example";
  filter.given["older_than"] = "1h";
  CHECK(run_queue_list(source, filter, {}, table.output) == Ended::Done);
  CHECK(source.asked == admin::Parameters{{"older_than", "1h"}, {"sender", "a@here.example"}});
  CHECK(table.out.str() ==
        "ID                 AGE     SIZE  SENDER AND RECIPIENTS\n"
        "3ZzBCDFGHJKL     1m40s   123.5K  a@here.example\n"
        "  -1   b@example.net\n"
        "       waits until 21:15 (in 4m30s) because mx.example.net[192.0.2.1]:25 answered \"451 "
        "4.3.2 try\n"
        "       again later, we are busy\", attempt 3\n"
        "1 message\n");
  Printed json(Show::Json);
  CHECK(run_queue_list(source, {}, {}, json.output) == Ended::Done);
  CHECK(json.out.str() == kListed + "\n");
}

TEST_CASE("queue list: an empty queue, no match and a failure are told apart") {
  ToldSource source;
  Printed empty;
  CHECK(run_queue_list(source, {}, {}, empty.output) == Ended::Done);
  CHECK(empty.out.str() == "The queue is empty\n");
  Printed unmatched;
  FilterOptions filter;
  filter.given["state"] = "held";
  CHECK(run_queue_list(source, filter, {}, unmatched.output) == Ended::Done);
  CHECK(unmatched.out.str() == "Nothing in the queue matches\n");
  source.error = base::Error("the answer was cut short");
  Printed failed;
  CHECK(run_queue_list(source, {}, {}, failed.output) == Ended::Failed);
  CHECK(failed.error.str() == "rockdove: the answer was cut short\n");
}

TEST_CASE("queue tables: strangers' control characters and broken lines reach no terminal") {
  const std::string line =
      R"({"queue_id":"3ZzBCDFGHJKL","sender":"\u001b[2J\u009bx@y","recipients":[7,{"address":3}]})";
  const std::string entry = list_entry(line, kNow);
  CHECK(entry.find('\x1b') == std::string::npos);
  CHECK(entry.find("\xc2\x9b") == std::string::npos);
  CHECK_FALSE(list_entry("no json", kNow).empty());
  CHECK_FALSE(message_page("[1]", kNow).empty());
  CHECK_FALSE(summary_entry("{}", "destination", Ages::Shown, kNow).empty());
  CHECK_FALSE(route_page("{}").empty());
}

TEST_CASE("queue tables: sizes are plain, and long words are broken") {
  CHECK(plain_size(0) == "0");
  CHECK(plain_size(999) == "999");
  CHECK(plain_size(1000) == "1.0K");
  CHECK(plain_size(999'999) == "1.0M");
  CHECK(plain_size(12'345'678) == "12.3M");
  CHECK(wrapped("", 2) == "  \n");
  const std::string text = wrapped(std::string(200, 'x'), 6);
  CHECK(text == "      " + std::string(90, 'x') + "\n      " + std::string(90, 'x') + "\n      " +
                    std::string(20, 'x') + "\n");
}

TEST_CASE("queue summary: sums up, with ages and the next time") {
  ToldSource source;
  source.lines = {
      R"({"state":"waiting","destination":"example.net","deliveries":12,"octets":1234567,)"
      R"("earliest_due":"2026-11-21T21:20:00.000Z","oldest":"2026-11-21T20:15:00.000Z"})",
      R"({"state":"held","destination":"example.org","deliveries":1,)"
      R"("earliest_due":"2026-11-21T21:20:00.000Z","oldest":"2026-11-21T20:15:00.000Z"})"};
  Printed printed;
  CHECK(run_queue_summary(source, {}, printed.output) == Ended::Done);
  CHECK(printed.out.str() ==
        "STATE     DELIVERIES   OCTETS    OLDEST   NEXT IN  DESTINATION\n"
        "waiting           12     1.2M        1h        5m  example.net\n"
        "held               1        0        1h         -  example.org\n"
        "13 deliveries\n");
}

TEST_CASE("queue summary: of senders, with the ages, and what was left out") {
  ToldSource source;
  source.lines = {
      R"({"state":"waiting","sender":"","deliveries":3,"octets":10,)"
      R"("earliest_due":"2026-11-21T21:15:00.000Z","oldest":"2026-11-21T21:05:00.000Z",)"
      R"("by_age":[0,1,2,0,0,0,0,0,0,0]})",
      R"({"lines_left_out":7,"deliveries_in_all":40})"};
  Printed printed;
  CHECK(run_queue_summary(source, {"sender", "1", true}, printed.output) == Ended::Done);
  const std::string text = printed.out.str();
  CHECK_THAT(text, Catch::Matchers::Contains("    <5m   <10m   <20m") &&
                       Catch::Matchers::Contains("  older  SENDER\n") &&
                       Catch::Matchers::Contains("      0      1      2      0") &&
                       Catch::Matchers::Contains("0  -\n"));
  CHECK_THAT(text, Catch::Matchers::EndsWith("7 smaller lines were left out\n40 deliveries\n"));
  CHECK(source.asked == admin::Parameters{{"by", "sender"}, {"limit", "1"}});
}

TEST_CASE("queue list: sorted, the first so many are kept; counted, nothing is listed") {
  ToldSource source;
  const auto message = [](const char* id, int size, int attempts) {
    return R"({"queue_id":")" + std::string(id) + R"(","arrival_time":1795295600,"message_size":)" +
           std::to_string(size) + R"(,"sender":"a@here.example","recipients":[{"address":"b@x",)" +
           R"("attempts":)" + std::to_string(attempts) + "}]}";
  };
  source.lines = {message("one", 10, 3), message("two", 30, 1), message("three", 20, 9)};
  Printed by_size(Show::Json);
  CHECK(run_queue_list(source, {}, {2, "size", false}, by_size.output) == Ended::Done);
  CHECK(by_size.out.str() == source.lines[1] + "\n" + source.lines[2] + "\n");
  CHECK(source.asked.empty());  // the limit is ours, behind the sorting
  Printed by_attempts;
  CHECK(run_queue_list(source, {}, {1, "attempts", false}, by_attempts.output) == Ended::Done);
  CHECK_THAT(by_attempts.out.str(), Catch::Matchers::Contains("three") &&
                                        !Catch::Matchers::Contains("one") &&
                                        Catch::Matchers::EndsWith("2 more were left out\n"));
  Printed limited(Show::Json);
  CHECK(run_queue_list(source, {}, {2, "", false}, limited.output) == Ended::Done);
  CHECK(source.asked == admin::Parameters{{"limit", "2"}});
  source.lines = {R"({"deliveries":12})"};
  Printed counted;
  CHECK(run_queue_list(source, {}, {0, "", true}, counted.output) == Ended::Done);
  CHECK(counted.out.str() == "12 deliveries\n");
}

TEST_CASE("queue delete: a filter prints its counts first and needs a yes") {
  ToldSource source;
  source.lines = {R"({"done":2,"being_sent":0,"not_found":0,"failed":0})"};
  FilterOptions filter;
  filter.given["destination"] = "example.net";
  Printed unsure;
  CHECK(run_queue_act(source, {admin::Act::Delete}, {}, filter, Confirmation::Missing,
                      unsure.output) == Ended::Usage);
  CHECK(unsure.out.str() == "3 deliveries match\n");
  CHECK(unsure.error.str().find("--yes") != std::string::npos);
  Printed dry;
  CHECK(run_queue_act(source, {admin::Act::Delete}, {}, filter, Confirmation::DryRun, dry.output) ==
        Ended::Done);
  CHECK(source.acts == 0);
  Printed sure;
  CHECK(run_queue_act(source, {admin::Act::Delete}, {}, filter, Confirmation::Yes, sure.output) ==
        Ended::Done);
  CHECK(source.acts == 1);
  CHECK(sure.out.str() ==
        "3 deliveries match\n2 deliveries deleted; `rockdove queue undelete` undoes that for a "
        "while\n");
}

TEST_CASE("queue retry: what did not go as asked is named and fails the command") {
  ToldSource source;
  source.lines = {R"({"id":"3ZzBCDFGHJKL-1","outcome":"done"})",
                  R"({"id":"3ZzBCDFGHJKL-2","outcome":"being-sent"})",
                  R"({"done":1,"being_sent":1,"not_found":0,"failed":0})"};
  Printed printed;
  CHECK(run_queue_act(source, {admin::Act::Retry}, {"3ZzBCDFGHJKL"}, {}, Confirmation::Missing,
                      printed.output) == Ended::Failed);
  CHECK(printed.out.str() ==
        "3ZzBCDFGHJKL-2 is being sent right now\n1 delivery to be tried again, 1 being sent\n");
  CHECK(run_queue_act(source, {admin::Act::Retry}, {}, {}, Confirmation::Yes, printed.output) ==
        Ended::Usage);
  FilterOptions filter;
  filter.given["sender"] = "a";
  CHECK(run_queue_act(source, {admin::Act::Retry}, {"x"}, filter, Confirmation::Yes,
                      printed.output) == Ended::Usage);
}

TEST_CASE("queue retry: more ids than a request takes go in several") {
  ToldSource source;
  source.lines = {R"({"done":5,"being_sent":0,"not_found":0,"failed":0})"};
  Printed printed(Show::Json);
  const std::vector<std::string> ids(2500, "3ZzBCDFGHJKL-1");
  CHECK(run_queue_act(source, {admin::Act::Retry}, ids, {}, Confirmation::Missing,
                      printed.output) == Ended::Done);
  CHECK(source.acts == 3);
  CHECK(source.most_ids == 1000);
  CHECK(printed.out.str() ==
        "{\"done\":15,\"unchanged\":0,\"being_sent\":0,\"not_found\":0,\"failed\":0}\n");
}

TEST_CASE(
    "queue show: a page has envelope, history, decoded header and the beginning of the body") {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  ToldSource source;
  source.lines = {
      R"({"message":{"queue_id":"3ZzBCDFGHJKL","arrival_time":1795295600,"message_size":20000,)"
      R"("sender":"a@here.example","client":"192.0.2.7","helo":"pc","listener":"lan","recipients":)"
      R"([{"address":"b@example.net","id":"3ZzBCDFGHJKL-1","why":"waits"}],"body_size":18192,)"
      R"("header":[{"name":"Received","value":"by us"},{"name":"Subject","value":"Jörg \u001b[2J"}]},)"
      R"("history":[{"id":"3ZzBCDFGHJKL-1","at":"2026-11-21T21:14:00.000Z","what":"deferred",)"
      R"("host":"mx.example.net[192.0.2.1]:25","reply":"451 later"}]})"};
  source.body = "Hello\r\n\x1b]0;lie\x07\r\n" + std::string(18192, 'x');
  Printed page;
  CHECK(run_queue_show(source, {"3ZzBCDFGHJKL"}, ShowWhat::Page, page.output) == Ended::Done);
  const std::string text = page.out.str();
  CHECK(
      text.starts_with("Message   3ZzBCDFGHJKL\n"
                       "Sender    a@here.example\n"
                       "Accepted  1m40s ago, 20000 octets\n"
                       "Client    192.0.2.7 (pc), listener lan\n"
                       "Recipients\n"
                       "  -1   b@example.net\n"
                       "       waits\n"
                       "History\n"
                       "  2026-11-21 21:14:00  3ZzBCDFGHJKL-1  deferred\n"
                       "       mx.example.net[192.0.2.1]:25 said: 451 later\n"
                       "Header\n"
                       "  Subject: Jörg ?[2J\n"
                       "  1 more: --headers\n"
                       "Body\n"
                       "Hello\n"
                       "?]0;lie?\n"
                       "xxx"));
  CHECK(text.ends_with("x\n[10.0K octets more: --body]\n"));
  CHECK(source.asked_content.body_octets_max == 8192);
  Printed headers;
  CHECK(run_queue_show(source, {"x"}, ShowWhat::Headers, headers.output) == Ended::Done);
  CHECK(headers.out.str() == "Received: by us\nSubject: Jörg ?[2J\n");
  Printed body;
  source.body = "one\r\ntwo";
  CHECK(run_queue_show(source, {"x"}, ShowWhat::Body, body.output) == Ended::Done);
  CHECK(body.out.str() == "one\ntwo\n");
}

TEST_CASE("queue show: --raw gives the octets to a file, and to a terminal what is safe") {
  ToldSource source;
  source.header = "Subject: \x1b[2J\r\n\r\n";
  source.body =
      "a\x9b"
      "\r\n";
  Printed file;
  file.output.onto = Onto::File;
  CHECK(run_queue_show(source, {"x"}, ShowWhat::Raw, file.output) == Ended::Done);
  CHECK(file.out.str() == source.header + source.body);
  Printed terminal;
  CHECK(run_queue_show(source, {"x"}, ShowWhat::Raw, terminal.output) == Ended::Done);
  CHECK(terminal.out.str() == "Subject: ?[2J\n\na\xEF\xBF\xBD\n");
  source.error = base::Error("the answer was cut short");
  CHECK(run_queue_show(source, {"x"}, ShowWhat::Raw, file.output) == Ended::Failed);
  CHECK(file.error.str() == "rockdove: x: the answer was cut short\n");
}

TEST_CASE("queue show: a message that has left the queue has its history only") {
  ToldSource source;
  source.lines = {
      R"({"message":null,"history":[{"id":"3ZzBCDFGHJKL-1","at":"t","what":"delivered"}]})"};
  Printed page;
  CHECK(run_queue_show(source, {"3ZzBCDFGHJKL"}, ShowWhat::Page, page.output) == Ended::Done);
  CHECK(page.out.str() ==
        "It is no longer in the queue.\nHistory\n  t  3ZzBCDFGHJKL-1  delivered\n");
  CHECK(run_queue_show(source, {"3ZzBCDFGHJKL"}, ShowWhat::Body, page.output) == Ended::Failed);
}

TEST_CASE("control client: hands over lines as they come, also those cut by chunks") {
  const tests::TemporaryDirectory directory;
  const std::string path = directory.path() + "/control.sock";
  std::vector<std::string> lines;
  const auto collect = [&lines](std::string_view line) { lines.emplace_back(line); };
  SECTION("a good answer") {
    const CannedDaemon daemon(path,
                              "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                              "chunked\r\n\r\n3\r\n{}\n\r\n4\r\n[1]\n\r\n0\r\n\r\n");
    CHECK(connected(path)->ask({"GET", "/queue", {}, ""}, collect));
    CHECK(lines == std::vector<std::string>{"{}", "[1]"});
  }
  SECTION("a refusal in the daemon's words") {
    const CannedDaemon daemon(
        path,
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 25\r\n\r\n{\"error\":\"no such thing\"}");
    CHECK(error_of(connected(path)->ask({"GET", "/queue", {}, ""}, collect)) == "no such thing");
    CHECK(lines.empty());
  }
  SECTION("an answer that breaks off") {
    const CannedDaemon daemon(path,
                              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n");
    CHECK(error_of(connected(path)->ask({"GET", "/queue", {}, ""}, collect)) ==
          "the answer was cut short");
    CHECK(lines.size() == 1);
  }
  SECTION("no answer in time") {
    const CannedDaemon daemon(path, "");
    CHECK(error_of(connected(path)->ask({"GET", "/queue", {}, ""}, collect, base::Duration(20))) ==
          "no answer within 20ms");
  }
}

TEST_CASE("queue source: without a daemon the rows are opened, and a silent holder is named") {
  const tests::TemporaryDirectory directory;
  const QueuePaths paths{directory.path(), directory.path()};
  auto lock = daemon::StateLock::take_alone(directory.path());
  REQUIRE(lock);
  const auto silent = open_queue_source(paths, no_rows);
  REQUIRE_FALSE(silent);
  CHECK(silent.error().text().starts_with("rockdove (process " + std::to_string(::getpid()) +
                                          ") holds " + directory.path() + " but does not answer"));
  lock.value().reset();
  const auto alone = open_queue_source(paths, no_rows);
  REQUIRE_FALSE(alone);
  CHECK(alone.error().text() == "opened " + directory.path());
  const auto too_long = open_queue_source({std::string(120, 'x'), directory.path()}, no_rows);
  REQUIRE_FALSE(too_long);
  CHECK(too_long.error().text().find("at most 107 octets") != std::string::npos);
}

TEST_CASE("queue source: asks the daemon in its paths and parameters") {
  const tests::TemporaryDirectory directory;
  CannedDaemon daemon(directory.path() + "/control.sock",
                      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  auto source = open_queue_source({directory.path(), directory.path()}, no_rows);
  REQUIRE(source);
  CHECK(source.value()->list({{"sender", "a+b@x"}}, [](std::string_view) {}));
  CHECK(daemon.request.starts_with("GET /v1/queue?sender=a%2Bb%40x HTTP/1.1\r\n"));
}

TEST_CASE("queue options: filters, ids and confirmations are read from the command line") {
  const tests::TemporaryDirectory directory;
  const QueuePaths paths{directory.path(), directory.path()};
  CLI::App app;
  const auto run =
      add_queue_options(app, {[&paths] { return Result<QueuePaths>(paths); }, no_rows, no_rows});
  SECTION("a listing") {
    CannedDaemon daemon(directory.path() + "/control.sock",
                        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    app.parse("list --state held --older-than 4h --json");
    CHECK(run() == 0);
    CHECK(daemon.request.starts_with("GET /v1/queue?older_than=4h&state=held HTTP/1.1\r\n"));
  }
  SECTION("no daemon and no queue") {
    app.parse("summary");
    CHECK(run() == 1);
  }
  SECTION("what contradicts itself or is missing") {
    CHECK_THROWS_AS(app.parse("delete --sender a --yes --dry-run"), CLI::ParseError);
    // A script's variable that is empty: the act would be on all that is held. Last word first.
    CHECK_THROWS_AS(
        app.parse(std::vector<std::string>{"--yes", "", "--sender", "held", "--state", "delete"}),
        CLI::ParseError);
    CHECK_THROWS_AS(app.parse("show"), CLI::ParseError);
    CHECK_THROWS_AS(app.parse(""), CLI::ParseError);
  }
}
