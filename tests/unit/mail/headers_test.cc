#include "mta/mail/headers.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace rockdove::mail;
using End = HeaderSplitter::End;

namespace {

struct Outcome {
  std::string header, body;
  End end;

  bool operator==(const Outcome&) const = default;
};

Outcome split(std::string_view message, std::size_t part_octets,
              std::size_t octets_max = kHeaderOctetsMax) {
  HeaderSplitter splitter(octets_max);
  std::string rest;
  while (!message.empty()) {
    const std::string_view part = message.substr(0, part_octets);
    rest += part.substr(splitter.receive(part));
    message.remove_prefix(part.size());
  }
  splitter.finish();
  return {std::string(splitter.header()), std::string(splitter.body_start()) + rest,
          splitter.end()};
}

constexpr std::string_view kBlock =
    "Received: from x by y; date\r\n"
    "Subject: one\r\n\ttwo\r\n  three\r\n"
    "RECEIVED: from z by x; date\r\n"
    "Empty:\r\n"
    "Old \t: value\r\n"
    "Message-id: <1@example.net>\r\n";

}  // namespace

TEST_CASE("headers: the fields of a block, with names, raw values and folds") {
  std::vector<std::string> names, values;
  std::string whole;
  for (const HeaderField& field : HeaderFields(kBlock)) {
    names.emplace_back(field.name);
    values.emplace_back(field.value);
    whole += field.whole;
  }
  CHECK(names ==
        std::vector<std::string>{"Received", "Subject", "RECEIVED", "Empty", "Old", "Message-id"});
  CHECK(values[1] == " one\r\n\ttwo\r\n  three");
  CHECK(values[3].empty());
  CHECK(values[4] == " value");
  CHECK(whole == kBlock);
}

TEST_CASE("headers: fields are found and counted without regard to case") {
  CHECK(find_field(kBlock, "subject")->whole == "Subject: one\r\n\ttwo\r\n  three\r\n");
  CHECK_FALSE(find_field(kBlock, "Subj"));
  CHECK_FALSE(find_field(kBlock, "two"));
  CHECK(count_received(kBlock) == 2);
  CHECK(count_fields(kBlock, "old") == 1);
  CHECK(has_message_id(kBlock));
  CHECK_FALSE(has_date(kBlock));
  CHECK(has_date("DATE: x\r\n"));
  CHECK_FALSE(has_date("Subject: x\r\n Date: y\r\n"));
}

TEST_CASE("headers: a block ends early at a line that is no field") {
  CHECK(count_fields("A: 1\r\n\r\nA: 2\r\n", "A") == 1);
  CHECK(count_fields("A: 1\r\nno field\r\nA: 2\r\n", "A") == 1);
  CHECK(count_fields(" A: 1\r\n", "A") == 0);
  CHECK(count_fields("", "A") == 0);
  CHECK(count_fields("A: 1", "A") == 1);
  CHECK(find_field("A: 1\nA: 2\r\n", "A")->value == " 1\nA: 2");  // a bare LF ends no line
}

TEST_CASE("headers: the Message-ID is taken out of its field, when it can be shown") {
  CHECK(message_id_of("Message-ID: <a@b.example>\r\n") == "<a@b.example>");
  CHECK(message_id_of("Message-ID:\r\n <a@b.example> (x)\r\n") == "<a@b.example>");
  CHECK(message_id_of("Message-ID: bare@b.example x\r\n") == "bare@b.example");
  CHECK(message_id_of("Message-ID: <a@b\r\n c>\r\n").empty());
  CHECK(message_id_of("Message-ID: <a@b\r\n").empty());
  CHECK(message_id_of("Message-ID: <\xff>\r\n").empty());
  CHECK(message_id_of("Subject: x\r\n").empty());
  const std::string longest(996, 'x');
  CHECK(message_id_of("Message-ID: <" + longest + ">\r\n").size() == 998);
  CHECK(message_id_of("Message-ID: <" + longest + "x>\r\n").empty());
}

TEST_CASE("headers: one look tells all that is asked of every message") {
  const std::string block =
      "Received: from a by MX.example.net (Rockdove) with SMTP id 1; d\r\n"
      "Received: from b by other.example (Rockdove) with SMTP id 1; d\r\n"
      "From: a@b\r\nDate: x\r\nMessage-ID: <1@a>\r\nMessage-ID: <2@a>\r\n";
  const HeaderFacts facts = look_at_header(block, "mx.example.net");
  CHECK(facts.received == 2);
  CHECK(facts.received_own == 1);
  CHECK(facts.has_date);
  CHECK(facts.has_from);
  CHECK(facts.message_id == "<1@a>");
  const HeaderFacts nothing = look_at_header("", "mx.example.net");
  CHECK_FALSE(
      (nothing.has_date || nothing.has_from || nothing.has_message_id || nothing.received > 0));
}

TEST_CASE("header splitter: header and body part at the empty line, which belongs to neither") {
  CHECK(split("A: 1\r\nB: 2\r\n\r\nbody\r\n", 1000) ==
        Outcome{"A: 1\r\nB: 2\r\n", "body\r\n", End::EmptyLine});
  CHECK(split("A: 1\r\n\r\n\r\n", 1000) == Outcome{"A: 1\r\n", "\r\n", End::EmptyLine});
  CHECK(split("\r\nbody", 1000) == Outcome{"", "body", End::EmptyLine});
  CHECK(split("A: 1\r\n \r\n\r\nbody", 1000) == Outcome{"A: 1\r\n \r\n", "body", End::EmptyLine});
}

TEST_CASE("header splitter: what is no header is body") {
  CHECK(split("hello\r\nA: 1\r\n\r\n", 1000) == Outcome{"", "hello\r\nA: 1\r\n\r\n", End::NoField});
  CHECK(split(" folded\r\nA: 1\r\n", 1000) == Outcome{"", " folded\r\nA: 1\r\n", End::NoField});
  CHECK(split("From a@b Sat Nov 21 20:46:05\r\nA: 1\r\n", 1000).header.empty());
  CHECK(split("A: 1\r\nno field\r\n\r\nx", 1000) ==
        Outcome{"A: 1\r\n", "no field\r\n\r\nx", End::NoField});
  CHECK(split("A: 1\r\nno field", 1000) == Outcome{"A: 1\r\n", "no field", End::NoField});
  CHECK(split("", 1000) == Outcome{"", "", End::Message});
}

TEST_CASE("header splitter: a message that ends within its header has a whole last line") {
  CHECK(split("A: 1\r\nB: 2\r\n", 1000) == Outcome{"A: 1\r\nB: 2\r\n", "", End::Message});
  CHECK(split("A: 1\r\nB: 2", 1000) == Outcome{"A: 1\r\nB: 2\r\n", "", End::Message});
  CHECK(split("A: 1\r\nB: 2\r", 1000) == Outcome{"A: 1\r\nB: 2\r\n", "", End::Message});
}

TEST_CASE("header splitter: the limit holds at its edge, and cuts between fields") {
  const std::string_view message = "A: 1\r\nB: 22\r\n\r\nbody";  // the header has 13 octets
  CHECK(split(message, 1000, 13) == Outcome{"A: 1\r\nB: 22\r\n", "body", End::EmptyLine});
  CHECK(split(message, 1000, 12) == Outcome{"A: 1\r\n", "B: 22\r\n\r\nbody", End::TooBig});
  CHECK(split(message, 1000, 3) == Outcome{"", std::string(message), End::TooBig});
  HeaderSplitter splitter(3);
  splitter.receive(message);
  CHECK(splitter.separator().empty());
}

TEST_CASE("header splitter: every split of the octets gives the same result") {
  for (const std::string_view message :
       {"A: 1\r\n b\r\nC: 2\r\n\r\nbody\r\n", "no header\r\n\r\n", "A: 1\r\r\n\nB: 2\r\n\r\n",
        "A: 1\r\nbad\r\nC: 1", "A: 1\r\nB", "\r\n\r\n"}) {
    for (const std::size_t octets_max : {4U, 6U, 10U, 15U, 100U}) {
      const Outcome at_once = split(message, message.size(), octets_max);
      for (std::size_t part = 1; part < message.size(); ++part) {
        CAPTURE(message, octets_max, part);
        CHECK(split(message, part, octets_max) == at_once);
      }
    }
  }
}

TEST_CASE("header splitter: the header can be taken away, and nothing more is taken when done") {
  HeaderSplitter splitter;
  CHECK(splitter.receive("A: 1\r\n\r\nbody") == 8);
  CHECK(splitter.receive("more") == 0);
  CHECK(splitter.separator() == "\r\n");
  CHECK(splitter.take_header() == "A: 1\r\n");
  CHECK(splitter.header().empty());
}
