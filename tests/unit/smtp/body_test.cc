#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "mta/smtp/body_reader.h"
#include "mta/smtp/body_writer.h"

namespace rockdove::smtp {
namespace {

struct Outcome {
  std::string content;
  std::string rest;  // what followed the end
  bool ended = false;
  BodyEnd how = BodyEnd::Dot;
  std::uint64_t fixed = 0;
  std::size_t longest_line = 0;

  bool operator==(const Outcome&) const = default;
};

Outcome read_in_pieces(std::string_view wire, const BodyLimits& limits, std::size_t octets) {
  BodyReader reader(limits);
  Outcome outcome;
  while (!wire.empty() && !reader.is_ended()) {
    std::string_view piece = wire.substr(0, octets);
    std::size_t taken = 0;
    while (taken < piece.size() && !reader.is_ended()) {
      const BodyReader::Part part = reader.read(piece.substr(taken));
      outcome.content.append(part.octets);
      taken += part.taken;
    }
    wire.remove_prefix(taken);
  }
  CHECK(reader.octets() == outcome.content.size());
  outcome.rest = wire;
  outcome.ended = reader.is_ended();
  outcome.how = reader.how();
  outcome.fixed = reader.fixed_line_endings();
  outcome.longest_line = reader.longest_line();
  return outcome;
}

Outcome read(std::string_view wire, const BodyLimits& limits = {}) {
  return read_in_pieces(wire, limits, wire.size());
}

BodyLimits fixing() {
  BodyLimits limits;
  limits.line_endings = LineEndings::Fix;
  return limits;
}

std::string write(std::string_view content, std::size_t octets) {
  BodyWriter writer;
  base::ByteBuffer wire;
  for (; !content.empty(); content.remove_prefix(std::min(octets, content.size()))) {
    writer.write(content.substr(0, octets), wire);
  }
  writer.finish(wire);
  return std::string(wire.view());
}

TEST_CASE("content ends at the line of one dot, and what follows is not touched") {
  const Outcome outcome = read("a\r\nb\r\n.\r\nQUIT\r\n");
  CHECK(outcome.ended);
  CHECK(outcome.content == "a\r\nb\r\n");
  CHECK(outcome.rest == "QUIT\r\n");
  CHECK(outcome.longest_line == 1);
  CHECK(read(".\r\n").ended);
  CHECK(read(".\r\n").content.empty());
}

TEST_CASE("doubled dots are made single, and a dot elsewhere is text") {
  CHECK(read("..\r\n...\r\n.a\r\na.\r\n a\r\n.\r\n").content == ".\r\n..\r\na\r\na.\r\n a\r\n");
}

TEST_CASE("a bare CR, a bare LF and a NUL refuse the message and do not end it") {
  CHECK(read("a\n.\r\nb\r\n.\r\n").how == BodyEnd::BareLineFeed);
  CHECK(read("a\n.\r\nb\r\n.\r\nX").rest == "X");
  CHECK(read("a\r.\r\nb\r\n.\r\n").how == BodyEnd::BareCarriageReturn);
  CHECK(read("a\r\n.\r\r\n.\r\nX").rest == "X");
  CHECK(read(std::string("a\0b\r\n.\r\n", 8)).how == BodyEnd::NullOctet);
  CHECK(read("\n\r\0").how == BodyEnd::BareLineFeed);  // the first fault counts
}

TEST_CASE("with Fix each bare CR or LF becomes one line end, CR CR LF too, and is counted") {
  const Outcome outcome = read("a\nb\rc\r\r\nd\r\n.\r\n", fixing());
  CHECK(outcome.how == BodyEnd::Dot);
  CHECK(outcome.content == "a\r\nb\r\nc\r\nd\r\n");
  CHECK(outcome.fixed == 3);
  CHECK(read("a\r\rb\r\n.\r\n", fixing()).content == "a\r\n\r\nb\r\n");
  CHECK(read("a\r\rb\r\n.\r\n", fixing()).fixed == 2);
  CHECK(read(std::string("a\0b\r\n.\r\n", 8), fixing()).how == BodyEnd::NullOctet);
}

TEST_CASE("with Fix a dot after a repaired line end is text and goes out doubled") {
  const Outcome outcome = read("a\n.\r\nb\r\n.\r\n", fixing());
  CHECK(outcome.content == "a\r\n.\r\nb\r\n");
  CHECK(write(outcome.content, 100) == "a\r\n..\r\nb\r\n.\r\n");
}

TEST_CASE("content is cut exactly at the limit of octets, and a limit met is not crossed") {
  BodyLimits limits;
  limits.octets_max = 5;
  CHECK(read("abc\r\n.\r\n", limits).how == BodyEnd::Dot);
  const Outcome outcome = read("abcd\r\n.\r\nX", limits);
  CHECK(outcome.how == BodyEnd::TooBig);
  CHECK(outcome.content == "abcd\r");
  CHECK(outcome.rest == "X");
}

TEST_CASE("a line is as long as allowed, without its CRLF and its stuffed dot") {
  BodyLimits limits;
  limits.line_octets_max = 3;
  CHECK(read("abc\r\n..bc\r\n.\r\n", limits).how == BodyEnd::Dot);
  CHECK(read("abcd\r\n.\r\n", limits).how == BodyEnd::LineTooLong);
  const std::string long_line(5000, 'x');
  limits.line_octets_max = 5000;
  CHECK(read(long_line + "\r\n.\r\n", limits).longest_line == 5000);
  CHECK(read(long_line + "x\r\n.\r\n", limits).how == BodyEnd::LineTooLong);
}

// Goal: what comes out depends on the octets, not on how they arrive. Method: short texts of the
// few octets that matter, made by chance, read whole and in pieces.
TEST_CASE("any cut of the same octets gives the same content and end") {
  std::mt19937 random(1);
  constexpr std::string_view kOctets("\r\n..\r\na\0", 8);
  BodyLimits limits[4];
  limits[1].line_endings = LineEndings::Fix;
  limits[2].octets_max = 6;
  limits[2].line_endings = LineEndings::Fix;
  limits[3].line_octets_max = 2;
  limits[3].octets_max = 9;
  for (int round = 0; round < 20'000; ++round) {
    std::string wire;
    for (std::size_t i = random() % 24; i > 0; --i)
      wire += kOctets[random() % (round % 4 == 0 ? 8 : 7)];
    wire += "\r\n.\r\nrest";
    for (const BodyLimits& each : limits) {
      const Outcome whole = read(wire, each);
      REQUIRE(whole.ended);
      for (const std::size_t octets : {1U, 2U, 3U, 5U})
        REQUIRE(read_in_pieces(wire, each, octets) == whole);
      if (whole.how != BodyEnd::Dot) continue;
      // What was taken goes out clean, ends once, and is read as the same again.
      const std::string again = write(whole.content, 1 + random() % 7);
      REQUIRE(again.ends_with(whole.content.empty() ? ".\r\n" : "\r\n.\r\n"));
      REQUIRE(read(again).ended);
      REQUIRE(read(again).rest.empty());
      REQUIRE(read(again).content == whole.content);
      REQUIRE(write(whole.content, again.size()) == again);
    }
  }
}

TEST_CASE("a body without an end of its last line gets one before the final dot") {
  CHECK(write("a", 1) == "a\r\n.\r\n");
  CHECK(write("", 1) == ".\r\n");
  CHECK(write(".", 1) == "..\r\n.\r\n");
  CHECK(write("a\r\n.b", 2) == "a\r\n..b\r\n.\r\n");
}

TEST_CASE("a body with a bare CR, LF or NUL is not written further than there, and never ended") {
  const auto fault_of = [](std::string_view content, std::string_view written) {
    BodyWriter writer;
    base::ByteBuffer wire;
    for (const char c : content) writer.write({&c, 1}, wire);
    writer.finish(wire);
    CHECK(wire.view() == written);
    return writer.fault();
  };
  CHECK(fault_of("a\n.\r\n", "a") == BodyFault::BareLineFeed);
  CHECK(fault_of("a\r.\r\n", "a") == BodyFault::BareCarriageReturn);
  CHECK(fault_of("a\r\n.\r", "a\r\n..") == BodyFault::BareCarriageReturn);
  CHECK(fault_of({"\0", 1}, "") == BodyFault::NullOctet);
}

}  // namespace
}  // namespace rockdove::smtp
