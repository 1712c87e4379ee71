#include "mta/smtp/command_tally.h"

#include <catch2/catch.hpp>

using namespace rockdove::smtp;

namespace {

void say(CommandTally& tally, std::string_view line, std::initializer_list<int> codes) {
  tally.given(parse_command(line));
  for (const int code : codes) tally.answered(make_reply(code, "", "x"));
}

}  // namespace

TEST_CASE("a tally counts each command, and those that were taken") {
  CommandTally tally;
  CHECK(tally.last() == "CONNECT");
  CHECK(tally.text() == "commands=0/0");
  say(tally, "EHLO x", {250});
  say(tally, "AUTH PLAIN", {334, 535});
  say(tally, "AUTH PLAIN", {334, 235});
  say(tally, "MAIL FROM:<a@b.example>", {250});
  say(tally, "RCPT TO:<c@d.example>", {250});
  say(tally, "RCPT TO:<e@f.example>", {550});
  say(tally, "DATA", {354, 250});
  CHECK(tally.last() == "DATA");
  say(tally, "XYZZY", {500});
  CHECK(tally.last() == "UNKNOWN");
  say(tally, "QUIT", {221});
  CHECK(tally.text() == "ehlo=1 auth=1/2 mail=1 rcpt=1/2 data=1 quit=1 unknown=0/1 commands=6/9");
}

TEST_CASE("a reply that ends the session counts for no command twice") {
  CommandTally tally;
  say(tally, "HELO x", {250, 250});
  CHECK(tally.text() == "helo=1 commands=1");
}
