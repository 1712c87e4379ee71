// Plays tests/data/dialogues/server: what the client says (lines that follow each other leave in
// one write), what we must answer, what the application must be told. Each dialogue is played
// whole, and cut into pieces of 1 and 7 octets.
#include <catch2/catch.hpp>

#include "tests/unit/smtp/dialogue.h"
#include "tests/unit/smtp/server_script.h"

namespace rockdove::smtp {
namespace {

// "! limit NAME VALUE" at the top of a dialogue.
void set_limit(ServerLimits& limits, const std::vector<std::string>& words) {
  const std::string& name = words.at(1);
  if (name == "line_endings") {
    REQUIRE(words.at(2) == "fix");
    limits.line_endings = LineEndings::Fix;
    return;
  }
  const auto value = static_cast<unsigned>(std::stoul(words.at(2)));
  if (name == "recipients")
    limits.recipients_max = value;
  else if (name == "octets")
    limits.message_octets_max = value;
  else if (name == "dropped")
    limits.dropped_octets_max = value;
  else if (name == "line")
    limits.text_line_octets_max = value;
  else if (name == "command")
    limits.command_octets_max = value;
  else if (name == "commands")
    limits.commands_max = value;
  else if (name == "errors")
    limits.errors_max = value;
  else if (name == "logins")
    limits.failed_logins_max = value;
  else
    FAIL("there is no limit " << name);
}

// "! offer NAME [VALUE]", likewise.
void set_offer(ServerOffers& offers, const std::vector<std::string>& words) {
  const std::string offer = words.at(1) + (words.size() > 2 ? " " + words[2] : "");
  if (offer == "tls optional")
    offers.tls = ServerOffers::Tls::Optional;
  else if (offer == "tls required")
    offers.tls = ServerOffers::Tls::Required;
  else if (offer == "tls unavailable")
    offers.tls = ServerOffers::Tls::Unavailable;
  else if (offer == "auth tls")
    offers.auth = ServerOffers::Auth::UnderTls;
  else if (offer == "auth always")
    offers.auth = ServerOffers::Auth::Always;
  else if (offer == "auth required")
    offers.auth_required = true;
  else if (offer == "wishes always")
    offers.wishes = ServerOffers::Wishes::Always;
  else if (offer == "wishes auth")
    offers.wishes = ServerOffers::Wishes::WithAuth;
  else if (offer == "dsn off")
    offers.dsn = ServerOffers::Dsn::Off;
  else
    FAIL("what is offered is not " << offer);
}

void play(const Dialogue& dialogue, std::size_t octets) {
  ServerLimits limits;
  ServerOffers offers;
  offers.hold_for_max = std::chrono::hours(24);
  offers.hold_until_max = base::from_unix_milliseconds(1'795'293'965'999);  // 2026-11-21
  std::size_t at = 0;
  for (; at < dialogue.lines.size(); ++at) {
    const std::vector<std::string> words = words_of(dialogue.lines[at].text);
    if (words.at(0) == "limit")
      set_limit(limits, words);
    else if (words.at(0) == "offer")
      set_offer(offers, words);
    else
      break;
  }
  ServerScript script(limits, offers);
  std::string events;
  std::string said;
  const auto flush = [&] { script.receive_in_pieces(std::exchange(said, {}), octets); };
  std::string replies;
  for (; at < dialogue.lines.size(); ++at) {
    const DialogueLine& line = dialogue.lines[at];
    INFO(dialogue.name << ":" << line.number << " in pieces of " << octets);
    if (line.key == "C") {
      said += unescape(line.text) + "\r\n";
      continue;
    }
    if (line.key == "C|") {
      said += unescape(line.text);
      continue;
    }
    flush();
    replies += script.take_output();
    if (line.key == "S") {
      const std::string expected = unescape(line.text) + "\r\n";
      REQUIRE(replies.substr(0, replies.find('\n') + 1) == expected);
      replies.erase(0, expected.size());
    } else if (line.key == "E") {
      const std::string expected = unescape(line.text) + "\n";
      REQUIRE(script.events().substr(events.size(), script.events().find('\n', events.size()) + 1 -
                                                        events.size()) == expected);
      events += expected;
    } else if (line.text == "body") {
      FAIL("body needs its text");
    } else if (line.text.starts_with("body ")) {
      REQUIRE_FALSE(script.bodies().empty());
      REQUIRE(script.bodies().back() == unescape(line.text.substr(5)));
    } else if (line.text == "greet") {
      script.greet();
    } else if (line.text == "begin with tls") {
      script.session().begin_with_tls(script.now());
    } else if (line.text == "handshake") {
      script.tls_started();
    } else if (line.text == "close") {
      script.peer_closed();
    } else if (line.text == "shut down") {
      script.session().close_with(make_reply(421, "4.3.2", "going down"), script.now());
      script.drain();
    } else if (line.text.starts_with("wait ")) {
      script.pass(std::chrono::seconds(std::stoi(line.text.substr(5))));
    } else {
      FAIL("what is " << line.text << "?");
    }
  }
  INFO(dialogue.name << " in pieces of " << octets);
  flush();
  replies += script.take_output();
  REQUIRE(replies == "");
  REQUIRE(script.events() == events);
  REQUIRE(script.events_after_the_end() == 0);
}

TEST_CASE("a server's dialogues go as written, however the client's octets are cut") {
  for (const Dialogue& dialogue : read_dialogues("server")) {
    for (const std::size_t octets : {std::size_t{1} << 20, std::size_t{1}, std::size_t{7}})
      play(dialogue, octets);
  }
}

}  // namespace
}  // namespace rockdove::smtp
