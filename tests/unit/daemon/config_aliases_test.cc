#include "mta/daemon/config_aliases.h"

#include <catch2/catch.hpp>

using namespace rockdove::daemon;

namespace {

struct Read {
  Aliases aliases;
  std::vector<std::string> problems;
};

Read read(const std::string& text, Severity refused = Severity::Error) {
  const std::unordered_set<std::string> domains = {"here.example", "localhost"};
  Problems problems("a");
  Read result{
      parse_aliases(text, AliasesContext{"here.example", "admin@example.com", domains, refused},
                    problems),
      {}};
  for (const Problem& problem : problems.take_sorted())
    result.problems.push_back(format_problem(problem));
  return result;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("aliases name addresses, over several lines and in quotes") {
  const Read result = read(
      "# comment\n"
      "Root: anna@x.example,\n"
      "\tbob@Y.Example # no comment within a line in this syntax\n");
  CHECK(result.problems.size() == 1);
  const Read plain =
      read("Root: anna@x.example,\r\n  bob@Y.Example\r\n\r\n\"odd name\" : \"c d\"@x.example\n");
  CHECK(plain.problems.size() == 1);
  CHECK(read("\"odd\" : \"c d\"@x.example\n").aliases.at("odd") == Lines{"\"c d\"@x.example"});
  CHECK(read("Root: anna@x.example,\n bob@Y.Example\n").aliases.at("root") ==
        Lines{"anna@x.example", "bob@y.example"});
}

TEST_CASE("chains are followed to their ends, each address once") {
  const Read result = read(
      "a: b, c\nb: c, x@x.example\nc: y@y.example, postmaster, x@x.example\nd: a@here.example\n");
  CHECK(result.problems.empty());
  CHECK(result.aliases.at("a") == Lines{"x@x.example", "y@y.example", "admin@example.com"});
  CHECK(result.aliases.at("d") == Lines{"x@x.example", "y@y.example", "admin@example.com"});
}

TEST_CASE("loops are reported once, with the way") {
  const Read result = read("a: b\nb: c\nc: a\nd: d\ne: a, z@z.example\n");
  CHECK(result.problems == Lines{"a:1:1: error: aliases in a loop: a → b → c → a",
                                 "a:4:1: error: aliases in a loop: d → d"});
}

TEST_CASE("programs, files and includes are refused by line") {
  const std::string text =
      "a: \"|/bin/program -x\", b@b.example\nb: /var/mail/b\nc: :include:/etc/list\nd: "
      ":Include:/x\n";
  CHECK(
      read(text).problems ==
      Lines{"a:1:4: error: `|/bin/program -x` is left out: mail is never given to a program; give "
            "it an address",
            "a:2:4: error: `/var/mail/b` is left out: mail is never written to a file; a route "
            "with `to = \"maildir:/path\"` can do that",
            "a:3:4: error: `:include:/etc/list` is left out: lists are not read from other "
            "files; write the addresses here",
            "a:4:4: error: `:Include:/x` is left out: lists are not read from other files; write "
            "the addresses here"});
  const Read warned = read(text, Severity::Warning);
  CHECK(warned.problems.at(0) ==
        "a:1:4: warning: `|/bin/program -x` is left out: mail is never given to a program; give it "
        "an address");
  CHECK(warned.aliases.size() == 1);
  CHECK(warned.aliases.at("a") == Lines{"b@b.example"});
}

TEST_CASE("what cannot be an alias is refused") {
  CHECK(read("nocolon\n").problems ==
        Lines{"a:1:1: error: a line is `name: address, address`; the colon is missing"});
  CHECK(read("a: x@x.example\nA: y@y.example\n").problems ==
        Lines{"a:2:1: error: `a` stands already in line 1"});
  CHECK(read("u@far.example: x@x.example\n").problems ==
        Lines{"a:1:1: error: `u@far.example`: far.example is not in `local.domains`"});
  CHECK(read("a: @\n").problems.size() == 1);
  CHECK(read(": x@x.example\n").problems.size() == 1);
}

TEST_CASE("a name that leads nowhere is warned of and goes to its address here") {
  const Read result = read("root: alice\ncron: root\n");
  CHECK(
      result.problems ==
      Lines{"a:1:1: warning: mail for `root` goes to `alice`, which is no alias, and there are no "
            "mailboxes here: it bounces unless a route takes alice@here.example; or add `alice: "
            "you@example.com`"});
  CHECK(result.aliases.at("cron") == Lines{"alice@here.example"});
}

TEST_CASE("aliases that multiply each other come to an end") {
  std::string text;
  for (int i = 0; i < 3000; ++i) {
    text += "a" + std::to_string(i) + ": ";
    for (int j = 1; j <= 5; ++j) text += "a" + std::to_string((i + j * 7) % 3000) + ", ";
    text += "x" + std::to_string(i) + "@x.example\n";
  }
  CHECK_FALSE(read(text).problems.empty());
}
