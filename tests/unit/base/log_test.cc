// Lines go through a real file, so that what a reader of the log sees is what is tested.
#include "mta/base/log.h"

#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>
#include <unistd.h>
#include <vector>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

using namespace rockdove::base;

namespace {

// A folder that goes away with all in it.
class Folder {
 public:
  Folder() {
    std::string pattern = "/tmp/rockdove-log-XXXXXX";
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }

  ~Folder() {
    for (const char* name : {"/log", "/log.1"}) (void)std::remove((path_ + name).c_str());
    (void)rmdir(path_.c_str());
  }

  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

WallTime example_time() {
  return from_unix_milliseconds(1795293965123);
}

struct TestLog {
  explicit TestLog(LogFormat format, Level level = Level::Info)
      : sink(LogSink::open(folder.path("log")).value()),
        log(*sink, level, format, [] { return example_time(); }) {}

  std::vector<std::string> lines() {
    log.flush();
    return lines_of(folder.path("log"));
  }

  Folder folder;
  std::unique_ptr<LogSink> sink;
  Log log;
};

// Reads a text line as a script would: time, level, message, then name=value with quotes undone.
std::map<std::string, std::string> parse_text(const std::string& line) {
  std::map<std::string, std::string> fields;
  std::istringstream words(line);
  words >> fields["time"] >> fields["level"] >> fields["message"];
  std::size_t at = static_cast<std::size_t>(words.tellg());
  if (!words) return fields;
  while (at < line.size()) {
    REQUIRE(line[at] == ' ');
    const std::size_t equals = line.find('=', at);
    REQUIRE(equals != std::string::npos);
    std::string& value = fields[line.substr(at + 1, equals - at - 1)];
    at = equals + 1;
    if (at < line.size() && line[at] == '"') {
      for (++at; line.at(at) != '"'; ++at) {
        if (line[at] != '\\') {
          value += line[at];
        } else if (line.at(++at) == 'x') {
          value += static_cast<char>(std::stoi(line.substr(at + 1, 2), nullptr, 16));
          at += 2;
        } else {
          value += line[at];
        }
      }
      ++at;
    } else {
      while (at < line.size() && line[at] != ' ') value += line[at++];
    }
  }
  return fields;
}

void write_delivery(Log& log) {
  log.line(Level::Info, "delivered")
      .id(MessageId{0x123456789ABCDEF})
      .path("from", "a@b.example")
      .path("to", "c@d.example")
      .field("host", "mx.example.net[192.0.2.1]:25")
      .field("delay", Duration(1200))
      .field("size", 4096)
      .field("reply", "250 2.0.0 Ok");
}

}  // namespace

TEST_CASE("a text line has the form that the header shows") {
  TestLog test(LogFormat::Text);
  write_delivery(test.log);
  const std::string id = format_id(MessageId{0x123456789ABCDEF});
  CHECK(test.lines() ==
        std::vector<std::string>{"2026-11-21T20:46:05.123Z info delivered id=" + id +
                                 " from=<a@b.example> to=<c@d.example>"
                                 " host=mx.example.net[192.0.2.1]:25 delay=1.2s size=4096"
                                 " reply=\"250 2.0.0 Ok\""});
}

TEST_CASE("a json line carries the same names") {
  TestLog test(LogFormat::Json);
  write_delivery(test.log);
  REQUIRE(test.lines().size() == 1);
  const auto line = nlohmann::json::parse(test.lines()[0]);
  CHECK(line["time"] == "2026-11-21T20:46:05.123Z");
  CHECK(line["level"] == "info");
  CHECK(line["message"] == "delivered");
  CHECK(line["id"] == format_id(MessageId{0x123456789ABCDEF}));
  CHECK(line["from"] == "a@b.example");
  CHECK(line["host"] == "mx.example.net[192.0.2.1]:25");
  CHECK(line["delay"] == 1.2);
  CHECK(line["size"] == 4096);
  CHECK(line["reply"] == "250 2.0.0 Ok");
  CHECK(line.size() == 10);
}

TEST_CASE("hostile values stay within their line and parse back in both formats") {
  const std::vector<std::string> values = {"",
                                           " ",
                                           "a b",
                                           "a=b",
                                           "\"",
                                           "\\",
                                           "\\x41",
                                           "x\r\n2026 info forged id=1",
                                           std::string("\0\x1b[31m", 6),
                                           "\x7f",
                                           "plain",
                                           "näher",
                                           "<>",
                                           "a\tb"};
  TestLog text(LogFormat::Text);
  TestLog json(LogFormat::Json);
  for (const std::string& value : values) {
    text.log.line(Level::Info, "x").field("value", value).path("path", value).field("last", "end");
    json.log.line(Level::Info, "x").field("value", value).path("path", value).field("last", "end");
  }
  const auto text_lines = text.lines();
  const auto json_lines = json.lines();
  REQUIRE(text_lines.size() == values.size());
  REQUIRE(json_lines.size() == values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    INFO(text_lines[i]);
    for (const char c : text_lines[i]) CHECK((c >= 32 && c < 127));
    auto fields = parse_text(text_lines[i]);
    CHECK(fields["value"] == values[i]);
    CHECK(fields["path"] == "<" + values[i] + ">");
    CHECK(fields["last"] == "end");
    const auto parsed = nlohmann::json::parse(json_lines[i]);
    CHECK(parsed["value"] == values[i]);
    CHECK(parsed["path"] == values[i]);
  }
}

TEST_CASE("json stays valid with octets that are no UTF-8") {
  const std::vector<std::string> values = {
      "\xff",      "\xc0\xaf",  "\xed\xa0\x80",     "\xf4\x90\x80\x80",
      "a\xe2\x82", "\xe2(\xa1", "\xf0\x8f\xbf\xbf", "\x80"};
  TestLog test(LogFormat::Json);
  for (const std::string& value : values) test.log.line(Level::Info, "x").field("value", value);
  for (const std::string& line : test.lines()) {
    INFO(line);
    const auto parsed = nlohmann::json::parse(line);
    CHECK(parsed["value"].get<std::string>().find("\xEF\xBF\xBD") != std::string::npos);
  }
}

TEST_CASE("long values are cut, in a message of several octets too") {
  for (const LogFormat format : {LogFormat::Text, LogFormat::Json}) {
    TestLog test(format);
    std::string umlauts = "x";
    for (int i = 0; i < 2000; ++i) umlauts += "ä";
    test.log.line(Level::Info, "x")
        .field("value", std::string(5000, 'y'))
        .field("umlauts", umlauts);
    const std::string line = test.lines().at(0);
    CHECK(line.find(std::string(kLogValueOctetsMax, 'y') + "…") != std::string::npos);
    CHECK(line.size() < 8 * kLogValueOctetsMax);
    if (format == LogFormat::Json) CHECK(nlohmann::json::accept(line));
  }
}

TEST_CASE("numbers and durations keep sign and size") {
  TestLog test(LogFormat::Text);
  test.log.line(Level::Info, "x")
      .field("a", std::numeric_limits<std::int64_t>::min())
      .field("b", std::numeric_limits<std::uint64_t>::max())
      .field("c", -1)
      .field("d", Duration(5))
      .field("e", Duration(-61'050))
      .field("f", std::chrono::hours(5))
      .field("g", example_time());
  CHECK(test.lines().at(0).substr(25) ==
        "info x a=-9223372036854775808 b=18446744073709551615 c=-1 d=0.005s e=-61.05s f=18000s"
        " g=2026-11-21T20:46:05.123Z");
}

TEST_CASE("lines above the level are not written") {
  TestLog test(LogFormat::Text, Level::Warning);
  test.log.line(Level::Info, "no")
      .field("a", 1)
      .path("b", "c")
      .id(MessageId{1})
      .field("d", Duration(1));
  test.log.line(Level::Warning, "yes");
  CHECK(test.lines().size() == 1);
  test.log.change(Level::Debug, LogFormat::Json);
  test.log.line(Level::Debug, "now");
  CHECK(test.lines().size() == 2);
}

TEST_CASE("lines wait for the end of the turn, errors do not") {
  TestLog test(LogFormat::Text);
  test.log.line(Level::Info, "first");
  CHECK(lines_of(test.folder.path("log")).empty());
  test.log.line(Level::Error, "second");
  CHECK(lines_of(test.folder.path("log")).size() == 2);
  CHECK_FALSE(test.log.has_unflushed());
}

TEST_CASE("a turn that logs without end hands over in between") {
  TestLog test(LogFormat::Text);
  for (int i = 0; i < 2000; ++i)
    test.log.line(Level::Info, "x").field("text", std::string(100, 'z'));
  CHECK(lines_of(test.folder.path("log")).size() > 1000);
}

TEST_CASE("after a rotation reopen() goes on in a new file") {
  TestLog test(LogFormat::Text);
  test.log.line(Level::Error, "old");
  REQUIRE(std::rename(test.folder.path("log").c_str(), test.folder.path("log.1").c_str()) == 0);
  REQUIRE(test.sink->reopen().is_ok());
  test.log.line(Level::Error, "new");
  CHECK(lines_of(test.folder.path("log.1")).size() == 1);
  CHECK(lines_of(test.folder.path("log")).size() == 1);
}

TEST_CASE("a log may move to another file, and stays where it is when that cannot be had") {
  TestLog test(LogFormat::Text);
  test.log.line(Level::Error, "old");
  REQUIRE(test.sink->change(test.folder.path("other")).is_ok());
  test.log.line(Level::Error, "new");
  CHECK_FALSE(test.sink->change(test.folder.path("none/log")).is_ok());
  test.log.line(Level::Error, "newer");
  CHECK(lines_of(test.folder.path("log")).size() == 1);
  CHECK(lines_of(test.folder.path("other")).size() == 2);
  REQUIRE(std::rename(test.folder.path("other").c_str(), test.folder.path("gone").c_str()) == 0);
  REQUIRE(test.sink->reopen().is_ok());
  test.log.line(Level::Error, "newest");
  CHECK(lines_of(test.folder.path("other")).size() == 1);
}

TEST_CASE("a log that cannot be written counts what it loses and goes on") {
  auto sink = LogSink::open("/dev/full").value();
  Folder folder;
  // What it says on standard error is caught, and is one report for both losses.
  const int saved = dup(STDERR_FILENO);
  const int caught = open(folder.path("log").c_str(), O_WRONLY | O_CREAT, 0600);
  REQUIRE(dup2(caught, STDERR_FILENO) >= 0);
  {
    Log log(*sink);
    log.line(Level::Info, "lost");
    log.line(Level::Error, "lost too");
    log.line(Level::Error, "and this");
  }
  dup2(saved, STDERR_FILENO);
  close(saved);
  close(caught);
  CHECK(sink->lines_lost() == 3);
  const auto said = lines_of(folder.path("log"));
  REQUIRE(said.size() == 1);
  CHECK(said[0] == "rockdove: writing the log /dev/full: No space left on device; lines lost: 2");
}

TEST_CASE("a log file that cannot be opened is an error that names it") {
  const auto sink = LogSink::open("/nonexistent/rockdove.log");
  REQUIRE_FALSE(sink.is_ok());
  CHECK(sink.error().text() ==
        "opening the log /nonexistent/rockdove.log: No such file or directory");
}

TEST_CASE("lines of several threads do not mix") {
  Folder folder;
  const auto sink = LogSink::open(folder.path("log")).value();
  std::vector<std::thread> threads;
  for (int number = 0; number < 4; ++number) {
    threads.emplace_back([&sink, number] {
      Log log(*sink, Level::Info, LogFormat::Json, [] { return example_time(); });
      for (int i = 0; i < 500; ++i) {
        log.line(Level::Info, "x").field("thread", number).field("i", i);
        if (i % 7 == 0) log.flush();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto lines = lines_of(folder.path("log"));
  CHECK(lines.size() == 2000);
  for (const std::string& line : lines) CHECK(nlohmann::json::accept(line));
}
