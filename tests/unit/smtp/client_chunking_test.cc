// BDAT (RFC 3030) with chunks that are too large to write down in a dialogue.
#include <catch2/catch.hpp>

#include "tests/unit/smtp/client_script.h"

namespace rockdove::smtp {
namespace {

constexpr std::string_view kPipelining =
    "220 mx\r\n250-mx\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 8BITMIME\r\n";
constexpr std::string_view kOneByOne = "220 mx\r\n250-mx\r\n250 CHUNKING\r\n";

// So many octets of lines.
std::string content_of(std::size_t octets) {
  std::string content;
  while (content.size() + 80 < octets) content += "." + std::string(77, 'x') + "\r\n";
  content.append(octets - content.size() - 2, 'y');
  return content + "\r\n";
}

class Chunking {
 public:
  explicit Chunking(std::string_view greeting, ClientTerms terms = {}) : script(std::move(terms)) {
    script.receive(greeting);
    script.output().clear();
    script.events().clear();
  }

  void start(std::size_t octets) {
    OutgoingMessage message;
    message.sender = "a@here.example";
    message.recipients = {{"b@x.example"}, {"c@x.example"}};
    message.octets = octets;
    script.session().start(message, script.now());
    script.drain();
  }

  void give(std::string_view content, BodyLast last) {
    REQUIRE(script.session().wants_body());
    script.session().body(content, last, script.now());
    script.drain();
  }

  bool wants_body() { return script.session().wants_body(); }

  std::string take_output() { return std::exchange(script.output(), {}); }

  std::string take_events() { return std::exchange(script.events(), {}); }

  ClientScript script;
};

const std::string kEnvelope =
    "MAIL FROM:<a@here.example>\r\nRCPT TO:<b@x.example>\r\nRCPT TO:<c@x.example>\r\n";

TEST_CASE("the first large chunk goes along with the envelope, with the header in it") {
  Chunking world(kPipelining);
  const std::string first = content_of(262'144);
  const std::string second = content_of(1000);
  world.start(300'000);
  world.give("Subject: x\r\n\r\n", BodyLast::No);
  CHECK(world.take_output() == kEnvelope);
  world.give(first, BodyLast::No);
  CHECK(world.take_output() == "BDAT 262158\r\nSubject: x\r\n\r\n" + first);
  CHECK_FALSE(world.wants_body());
  world.script.receive("250 ok\r\n250 ok\r\n550 no\r\n");
  world.give(second, BodyLast::Yes);
  CHECK(world.take_output() == "BDAT 1000 LAST\r\n" + second);
  // All has left, whatever reply is due first: who gives up now does not know what became of it.
  CHECK(world.script.session().stage() == Stage::FinalDot);
  world.script.receive("250 first\r\n");
  CHECK(world.take_events() == "");
  world.script.receive("250 taken\r\n");
  CHECK(world.take_events() == "ended final dot: [final dot 250 taken] [RCPT 550 no]\n");
}

TEST_CASE("without PIPELINING each chunk waits for the reply to the one before") {
  Chunking world(kOneByOne);
  const std::string part = content_of(65'536);
  world.start(200'000);
  world.script.receive("250 ok\r\n");
  world.script.receive("250 ok\r\n");
  world.script.receive("250 ok\r\n");
  world.take_output();
  world.give(part, BodyLast::No);
  CHECK(world.take_output() == "BDAT 65536\r\n" + part);
  CHECK_FALSE(world.wants_body());
  world.script.receive("250 ok\r\n");
  world.give(part, BodyLast::Yes);
  CHECK(world.take_output() == "BDAT 65536 LAST\r\n" + part);
  world.script.receive("250 taken\r\n");
  CHECK(world.take_events() == "ended final dot: [final dot 250 taken] [final dot 250 taken]\n");
}

TEST_CASE("a refused chunk ends the transaction once all chunks are answered, and RSET follows") {
  Chunking world(kPipelining);
  const std::string part = content_of(65'536);
  world.start(300'000);
  world.give(part, BodyLast::No);
  world.script.receive("250 ok\r\n250 ok\r\n250 ok\r\n");
  world.give(part, BodyLast::No);
  world.script.receive("452 4.3.1 disk full\r\n");
  CHECK_FALSE(world.wants_body());
  CHECK(world.take_events() == "");
  world.script.receive("503 no\r\n");
  CHECK(world.take_events() ==
        "ended body: [body 452 4.3.1 disk full] [body 452 4.3.1 disk full]\n");
  world.take_output();
  world.start(10);
  CHECK(world.take_output() == "RSET\r\n" + kEnvelope + "DATA\r\n");
}

TEST_CASE("nobody is delivered to when a chunk was refused, whatever LAST is answered with") {
  Chunking world(kPipelining);
  world.start(300'000);
  world.give(content_of(65'536), BodyLast::No);
  world.script.receive("250 ok\r\n250 ok\r\n250 ok\r\n");
  world.give("end\r\n", BodyLast::Yes);
  world.script.receive("552 5.3.4 too big\r\n");
  CHECK_FALSE(world.script.session().can_start_next());
  world.script.receive("250 taken\r\n");
  CHECK(world.take_events() == "ended body: [body 552 5.3.4 too big] [body 552 5.3.4 too big]\n");
}

TEST_CASE("a chunk that nobody is to get is answered before the transaction ends") {
  Chunking world(kPipelining);
  world.start(300'000);
  world.give(content_of(65'536), BodyLast::No);
  world.script.receive("250 ok\r\n450 later\r\n550 no\r\n");
  CHECK(world.take_events() == "");
  CHECK_FALSE(world.wants_body());
  CHECK_FALSE(world.script.session().is_ready());
  world.script.receive("554 no recipients\r\n");
  CHECK(world.take_events() == "ended RCPT: [RCPT 450 later] [RCPT 550 no]\n");
  CHECK(world.script.session().is_ready());
}

TEST_CASE("a message in chunks is uncertain only once LAST has left") {
  const bool has_left = GENERATE(false, true);
  Chunking world(kPipelining);
  world.start(300'000);
  world.give(content_of(65'536), BodyLast::No);
  world.script.receive("250 ok\r\n250 ok\r\n250 ok\r\n");
  if (!has_left) world.script.hold();
  world.give("end\r\n", BodyLast::Yes);
  world.script.session().lost(world.script.now());
  world.script.drain();
  const std::string stage = has_left ? "final dot" : "body";
  CHECK(world.take_events() ==
        "failed " + stage + " lost open" + (has_left ? " past final dot" : "") +
            ": (the connection broke) [" + stage + " no reply] [" + stage + " no reply]\n");
}

TEST_CASE("LAST that has not left yet has no answer") {
  Chunking world(kPipelining);
  world.start(300'000);
  world.give(content_of(65'536), BodyLast::No);
  world.script.receive("250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n");
  world.script.hold();
  world.give("end\r\n", BodyLast::Yes);
  world.script.receive("250 taken\r\n");
  CHECK(world.take_events() ==
        "failed body malformed open: (a reply that nobody asked for: 250 taken) "
        "[body no reply] [body no reply]\n");
}

TEST_CASE("LMTP answers LAST for each recipient") {
  ClientTerms terms;
  terms.dialect = Dialect::Lmtp;
  Chunking world(kPipelining, terms);
  world.start(300'000);
  world.give(content_of(65'536), BodyLast::No);
  world.script.receive("250 ok\r\n250 ok\r\n250 ok\r\n");
  world.give("end\r\n", BodyLast::Yes);
  world.script.receive("250 chunk\r\n250 b\r\n452 c\r\n");
  CHECK(world.take_events() == "ended final dot: [final dot 250 b] [final dot 452 c]\n");
}

TEST_CASE("small content goes by DATA to a peer that pipelines") {
  Chunking world(kPipelining);
  world.start(262'143);
  CHECK(world.take_output() == kEnvelope + "DATA\r\n");
}

}  // namespace
}  // namespace rockdove::smtp
