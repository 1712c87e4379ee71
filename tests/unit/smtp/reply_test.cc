#include "mta/smtp/reply.h"

#include <catch2/catch.hpp>

namespace rockdove::smtp {
namespace {

// One line a reply: code, enhanced code or "-", text; then "more" or what was malformed.
std::string parse_in_pieces(std::string_view wire, std::size_t octets) {
  ReplyParser parser;
  std::string seen;
  do {
    parser.receive(wire.substr(0, octets));
    wire.remove_prefix(std::min(octets, wire.size()));
    while (const auto next = parser.next()) {
      if (const auto* malformed = std::get_if<Malformed>(&*next))
        return seen + "malformed: " + malformed->what;
      const Reply& reply = std::get<Reply>(*next);
      seen += std::to_string(reply.code) + " ";
      seen += reply.enhanced ? mail::format_enhanced_code(*reply.enhanced) : "-";
      seen += " " + reply.text + "|";
    }
  } while (!wire.empty());
  return seen + (parser.is_between_replies() ? "" : "more");
}

std::string parse(std::string_view wire) {
  const std::string whole = parse_in_pieces(wire, wire.size() + 1);
  for (const std::size_t octets : {1U, 2U, 3U, 7U}) CHECK(parse_in_pieces(wire, octets) == whole);
  return whole;
}

TEST_CASE("replies are read, with several lines, enhanced codes and sloppy line ends") {
  CHECK(parse("250 ok\r\n") == "250 - ok|");
  CHECK(parse("250\r\n354 \r\n") == "250 - |354 - |");
  CHECK(parse("550-5.1.1 no such\r\n550 5.1.1 mailbox\n") == "550 5.1.1 no such\nmailbox|");
  CHECK(parse("550-5.1.1 no such\r\n550-see https://x.example\r\n550 5.7.1 other\r\n") ==
        "550 5.1.1 no such\nsee https://x.example\n5.7.1 other|");
  CHECK(parse("250 4.1.1 not of this class\r\n") == "250 - 4.1.1 not of this class|");
  CHECK(parse("550 5.1.1\r\n") == "550 5.1.1 |");
  CHECK(parse("220-a\r\n220") == "more");
  CHECK(parse(std::string("250 a\tb\0c\r\n", 11)) == "250 - a b?c|");
}

TEST_CASE("what is no reply is malformed, and stays so") {
  CHECK(parse("HTTP/1.1 400 Bad Request\r\n250 ok\r\n") ==
        "malformed: what came is no SMTP reply: \"HTTP/1.1 400 Bad Request\"");
  CHECK(parse("25 ok\r\n").starts_with("malformed"));
  CHECK(parse("150 ok\r\n").starts_with("malformed"));
  CHECK(parse("2500 ok\r\n").starts_with("malformed"));
  CHECK(parse("\r\n").starts_with("malformed"));
  CHECK(parse("250-a\r\n251 b\r\n")
            .starts_with("malformed: the lines of a reply have different codes"));
  CHECK(parse("250 ok\r\nrubbish\r\n250 ok\r\n").starts_with("250 - ok|malformed"));
}

TEST_CASE("a reply has limits: its line, its lines, its octets") {
  CHECK(parse("250 " + std::string(2000, 'x') + "\r\n").ends_with("x|"));
  CHECK(parse("250 " + std::string(2100, 'x') + "\r\n")
            .starts_with("malformed: a reply line is too long"));
  CHECK(parse("250 " + std::string(2100, 'x')).starts_with("malformed: a reply line is too long"));
  std::string lines;
  for (int i = 0; i < 127; ++i) lines += "250-x\r\n";
  CHECK(parse(lines + "250 x\r\n").ends_with("x|"));
  CHECK(parse(lines + "250-x\r\n250 x\r\n").starts_with("malformed: a reply is too long"));
  std::string octets;
  for (int i = 0; i < 9; ++i) octets += "250-" + std::string(2000, 'x') + "\r\n";
  CHECK(parse(octets).starts_with("malformed: a reply is too long"));
}

TEST_CASE("a reply is written with its codes on each line, clean and cut") {
  CHECK(format_reply(make_reply(250, "", "")) == "250 \r\n");
  CHECK(format_reply(make_reply(250, "2.0.0", "")) == "250 2.0.0\r\n");
  CHECK(format_reply(make_reply(550, "5.1.1", "no such\nmailbox")) ==
        "550-5.1.1 no such\r\n550 5.1.1 mailbox\r\n");
  CHECK(format_reply(make_reply(550, "", "a\rb\xc3\xa4")) == "550 a?b??\r\n");
  // RFC 5321 §4.5.3.1.5: 512 octets with codes and CRLF, whatever the codes are.
  for (const char* const code : {"", "5.1.1", "5.7.25", "5.999.999"}) {
    CHECK(format_reply(make_reply(550, code, std::string(600, 'x'))).size() == 512);
    CHECK(format_reply(make_reply(550, code, std::string(600, 'x') + "\ny")).find("x\r\n") == 509);
  }
}

TEST_CASE("what is written is read as the same again") {
  for (const Reply& reply : {make_reply(250, "2.1.5", "a\nb\n\nc"), make_reply(421, "", "x"),
                             make_reply(599, "5.999.999", "")}) {
    ReplyParser parser;
    parser.receive(format_reply(reply));
    const auto again = parser.next();
    REQUIRE(again);
    CHECK(std::get<Reply>(*again) == reply);
  }
}

TEST_CASE("a reply is shown in one line, bounded and printable") {
  CHECK(one_line(make_reply(550, "5.1.1", "no \"such\"\nmailbox")) ==
        "550 5.1.1 no \"such\"; mailbox");
  CHECK(one_line(make_reply(550, "", "a\x1b[1mb\xff")) == "550 a\\x1b[1mb\\xff");
  CHECK(one_line(make_reply(250, "", std::string(99, 'x')), 10) == "250 xxxxxx…");
  CHECK(one_line(Reply()) == "no reply");
}

TEST_CASE("each class of replies is told from the others") {
  CHECK(make_reply(250, "", "").is_success());
  CHECK(make_reply(354, "", "").is_intermediate());
  CHECK(make_reply(450, "", "").is_transient());
  CHECK(make_reply(550, "", "").is_permanent());
  CHECK_FALSE(Reply().is_success());
  CHECK(Reply().is_none());
}

}  // namespace
}  // namespace rockdove::smtp
