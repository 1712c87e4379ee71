// Plays tests/data/dialogues/client: what the server says (lines that follow each other come
// together), what we must say, what must be told to the application. Each dialogue is played whole,
// and with the server's octets cut into pieces of 1 and 7.
#include <catch2/catch.hpp>

#include "tests/unit/smtp/client_script.h"
#include "tests/unit/smtp/dialogue.h"

namespace rockdove::smtp {
namespace {

// What a message looks at.
struct Content {
  std::string header;
  std::string body;
};

// "start SENDER RECIPIENT,RECIPIENT [OCTETS] [8bit] [utf8] [header=…] [body=…] [envid=…] [ret=…]
// [notify=…] [orcpt=…] [priority=…]"; "<>" is the null sender. "probe" is the same without a
// message.
OutgoingMessage message_of(const std::vector<std::string>& words, Content& content) {
  OutgoingMessage message;
  if (words.at(1) != "<>") message.sender = unescape(words[1]);
  std::string recipients = words.at(2) + ",";
  for (std::size_t end = recipients.find(','); end != std::string::npos;
       end = recipients.find(',')) {
    message.recipients.push_back({unescape(recipients.substr(0, end))});
    recipients.erase(0, end + 1);
  }
  if (words[0] == "probe") message.extent = Extent::RecipientsOnly;
  for (std::size_t i = 3; i < words.size(); ++i) {
    const std::string name = words[i].substr(0, words[i].find('='));
    const std::string value = unescape(words[i].substr(std::min(name.size() + 1, words[i].size())));
    if (name.find_first_not_of("0123456789") == std::string::npos)
      message.octets = std::stoul(name);
    if (name == "8bit") message.eight_bit = true;
    if (name == "utf8") message.smtputf8 = true;
    if (name == "header") content.header = value;
    if (name == "body") message.body = content.body = value;
    if (name == "envid") message.envelope_id = value;
    if (name == "priority") message.priority = std::stoi(value);
    if (name == "ret")
      message.returned = value == "full" ? mail::ReturnContent::Full : mail::ReturnContent::Headers;
    for (OutgoingRecipient& recipient : message.recipients) {
      if (name == "notify") recipient.notify = mail::parse_notify(value).value();
      if (name == "orcpt") recipient.original = value;
    }
  }
  message.header = content.header;
  return message;
}

// "terms", first in a dialogue, with any of: lmtp, tls (if offered), require, inside, login (as
// user "user" with the password "secret"), clear (so even without TLS).
ClientTerms terms_of(const Dialogue& dialogue) {
  ClientTerms terms;
  if (!dialogue.lines.front().text.starts_with("terms ")) return terms;
  for (const std::string& word : words_of(dialogue.lines.front().text)) {
    if (word == "lmtp") terms.dialect = Dialect::Lmtp;
    if (word == "tls") terms.tls = UseTls::IfOffered;
    if (word == "require") terms.tls = UseTls::Required;
    if (word == "inside") terms.inside_tls = true;
    if (word == "login")
      terms.credentials = std::make_shared<ClientCredentials>(ClientCredentials{"user", "secret"});
    if (word == "clear") terms.auth_in_clear = true;
  }
  return terms;
}

void act(ClientScript& script, const std::string& text) {
  const std::vector<std::string> words = words_of(text);
  ClientSession& session = script.session();
  if (words[0] == "start" || words[0] == "probe") {
    Content content;
    session.start(message_of(words, content), script.now());
  } else if (words[0] == "body") {
    session.body(unescape(text.substr(5)), BodyLast::No, script.now());
  } else if (words[0] == "last") {
    session.body(text.size() > 5 ? unescape(text.substr(5)) : "", BodyLast::Yes, script.now());
  } else if (words[0] == "tls") {
    REQUIRE(session.wants_tls());
    session.tls_started(script.now());
  } else if (words[0] == "quit") {
    session.quit(script.now());
  } else if (words[0] == "abandon") {
    session.abandon(script.now());
  } else if (words[0] == "close") {
    session.peer_closed(script.now());
  } else if (words[0] == "lost") {
    session.lost(script.now());
  } else if (words[0] == "hold") {
    script.hold();
  } else if (words[0] == "release") {
    script.release();
  } else if (words[0] == "wait") {
    script.pass(std::chrono::seconds(std::stoi(words.at(1))));
  } else if (words[0] == "ready") {
    CHECK(session.is_ready());
  } else if (words[0] == "next") {
    CHECK(session.can_start_next());
  } else if (words[0] == "no") {
    CHECK_FALSE(session.can_start_next());
  } else if (words[0] == "over") {
    CHECK(session.is_over());
  } else if (words[0] != "terms") {
    FAIL("what is " << text << "?");
  }
  script.drain();
}

void take_line(std::string& text, const std::string& expected) {
  REQUIRE(text.substr(0, text.find('\n') + 1) == expected);
  text.erase(0, expected.size());
}

void play(const Dialogue& dialogue, std::size_t octets) {
  ClientScript script(terms_of(dialogue));
  std::string said;
  const auto flush = [&] {
    for (std::string_view rest = said; !rest.empty();
         rest.remove_prefix(std::min(octets, rest.size()))) {
      script.receive(rest.substr(0, octets));
    }
    said.clear();
  };
  for (const DialogueLine& line : dialogue.lines) {
    INFO(dialogue.name << ":" << line.number << " in pieces of " << octets);
    if (line.key == "S") {
      said += unescape(line.text) + "\r\n";
      continue;
    }
    flush();
    script.drain();
    if (line.key == "C") take_line(script.output(), unescape(line.text) + "\r\n");
    if (line.key == "E") take_line(script.events(), line.text + "\n");
    if (line.key == "!") act(script, line.text);
    // Whatever it waits for, it waits with a deadline; only an idle session has none.
    const ClientSession& session = script.session();
    CHECK((session.deadline() == base::kNever) == (session.is_ready() || session.is_over()));
  }
  flush();
  INFO(dialogue.name << " in pieces of " << octets);
  REQUIRE(script.output() == "");
  REQUIRE(script.events() == "");
  REQUIRE(script.events_after_the_end() == 0);
}

TEST_CASE("a client's dialogues go as written, however the server's octets are cut") {
  for (const Dialogue& dialogue : read_dialogues("client")) {
    for (const std::size_t octets : {1U << 20, 1U, 7U}) play(dialogue, octets);
  }
}

TEST_CASE("content is asked for until 128 KiB are unsent") {
  ClientScript script;
  script.receive("220 x\r\n250 x\r\n");
  script.session().start({"", {{"a@x.example"}}, 0, false}, script.now());
  script.receive("250 ok\r\n250 ok\r\n354 go\r\n");
  script.hold();
  const std::string line = std::string(998, 'x') + "\r\n";
  int lines = 0;
  for (; script.session().wants_body(); ++lines)
    script.session().body(line, BodyLast::No, script.now());
  CHECK(lines == 132);
  script.release();
  CHECK(script.session().wants_body());
}

TEST_CASE("what the peer said of itself is known") {
  ClientScript script;
  script.receive("220 mx.example hello there\r\n");
  script.receive(
      "250-mx.example greets you\r\n250-pipelining\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-DSN\r\n"
      "250-SMTPUTF8\r\n250-CHUNKING\r\n250-AUTH=LOGIN\r\n250-STARTTLS\r\n250 "
      "ENHANCEDSTATUSCODES\r\n");
  const PeerCapabilities& peer = script.session().peer();
  CHECK(peer.banner == "mx.example hello there");
  CHECK(peer.name == "mx.example");
  CHECK((peer.extended && peer.pipelining && peer.size && peer.eight_bit_mime &&
         peer.enhanced_codes));
  CHECK((peer.dsn && peer.smtputf8 && peer.chunking && peer.starttls));
  CHECK(peer.size_octets_max == 1000);
}

}  // namespace
}  // namespace rockdove::smtp
