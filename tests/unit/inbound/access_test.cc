// Relay control: who may send what where, the tricks of old included. Recipients are read by the
// real parser, as they come in RCPT.
#include "mta/inbound/access.h"

#include <catch2/catch.hpp>

namespace rockdove::inbound {
namespace {

using Catch::Matchers::StartsWith;
using Texts = std::vector<std::string>;

InboundSettings make_settings() {
  InboundSettings settings;
  settings.hostname = "relay.example";
  settings.postmaster = "admin@x.example";
  settings.local.domains = {"local.example"};
  settings.local.aliases["info"] = {"a@x.example", "b@y.example"};
  settings.relay.domains = {"ours.example"};
  settings.relay.check = RecipientCheck::Any;
  return settings;
}

// "a@b, c@d" for Taken, "ask a@b", or the reply.
std::string decide(const InboundSettings& settings, const std::string& path,
                   bool client_may_relay = false) {
  const base::Result<mail::Path> parsed = mail::parse_path(path, mail::PathKind::Forward);
  REQUIRE(parsed);
  const RecipientDecision decision = decide_recipient(settings, parsed->address, client_may_relay);
  if (const auto* asked = std::get_if<AskNextHop>(&decision)) return "ask " + asked->address;
  if (const auto* refused = std::get_if<NotTaken>(&decision)) return one_line(refused->reply);
  std::string text;
  for (const std::string& address : std::get<Taken>(decision).addresses)
    text += (text.empty() ? "" : ", ") + address;
  return text;
}

TEST_CASE("only the networks of relay_from may relay") {
  ListenerSettings listener;
  const base::IpAddress client = *base::parse_ip_address("192.0.2.1");
  CHECK_FALSE(may_relay(listener, client));
  listener.relay_from = {*base::parse_ip_network("10.0.0.0/8"),
                         *base::parse_ip_network("192.0.2.0/31"),
                         *base::parse_ip_network("2001:db8::/32")};
  CHECK(may_relay(listener, client));
  CHECK(may_relay(listener, *base::parse_ip_address("::ffff:192.0.2.1")));
  CHECK(may_relay(listener, *base::parse_ip_address("2001:db8:1::1")));
  CHECK_FALSE(may_relay(listener, *base::parse_ip_address("192.0.2.2")));
  CHECK_FALSE(may_relay(listener, *base::parse_ip_address("2001:db9::1")));
  CHECK_FALSE(may_relay(listener, *base::parse_ip_address("127.0.0.1")));
}

TEST_CASE("a stranger may send to our domains only, a client that may relay anywhere") {
  const InboundSettings settings = make_settings();
  CHECK_THAT(decide(settings, "<a@else.example>"), StartsWith("550 5.7.1 relaying denied"));
  CHECK(decide(settings, "<a@Ours.Example>") == "a@ours.example");
  CHECK_THAT(decide(settings, "<a@sub.ours.example>"), StartsWith("550 5.7.1"));
  CHECK_THAT(decide(settings, "<a@notours.example>"), StartsWith("550 5.7.1"));
  CHECK_THAT(decide(settings, "<a@[192.0.2.1]>"), StartsWith("550 5.7.1"));
  CHECK_THAT(decide(settings, "<postmaster@else.example>"), StartsWith("550 5.7.1"));
  CHECK(decide(settings, "<a@else.example>", true) == "a@else.example");
  CHECK(decide(settings, "<a%b@else.example>", true) == "a%b@else.example");
  CHECK(decide(settings, "<Nobody@ours.example>", true) == "Nobody@ours.example");
}

TEST_CASE("without settings nothing is taken from strangers") {
  const InboundSettings settings;
  for (const char* path : {"<a@b.example>", "<postmaster>", "<\"\"@b.example>", "<a@localhost>"})
    CHECK_THAT(decide(settings, path), StartsWith("550 5."));
}

TEST_CASE("our domains are no way to other domains") {
  InboundSettings settings = make_settings();
  settings.relay.check = GENERATE(RecipientCheck::Any, RecipientCheck::Ask, RecipientCheck::File);
  settings.relay.recipients = {"@ours.example"};
  for (const char* path :
       {"<user%else.example@ours.example>", "<user%else.example%third.example@ours.example>",
        "<\"user@else.example\"@ours.example>", "<\"user%else.example\"@ours.example>",
        "<else.example!user@ours.example>", "<\"else.example!user\"@ours.example>",
        "<\"@else.example:user\"@ours.example>", "<postmaster%else.example@ours.example>"}) {
    INFO(path);
    CHECK_THAT(decide(settings, path), StartsWith("550 5.7.1 relaying denied"));
  }
  for (const char* path :
       {"<user%else.example@local.example>", "<\"user@else.example\"@local.example>",
        "<else.example!user@local.example>", "<info%else.example@local.example>"}) {
    INFO(path);
    CHECK_THAT(decide(settings, path), StartsWith("550 5.1.1 no such user"));
  }
  // RFC 5321 appendix C: source routes are dropped, so the last part counts and nothing else.
  CHECK_THAT(decide(settings, "<@ours.example:user@else.example>"), StartsWith("550 5.7.1"));
  CHECK_THAT(decide(settings, "<@ours.example,@local.example:user@else.example>"),
             StartsWith("550 5.7.1"));
  CHECK(decide(settings, "<@else.example:info@local.example>") == "a@x.example, b@y.example");
}

TEST_CASE("an address that the file lists is taken as it is") {
  InboundSettings settings = make_settings();
  settings.relay.check = RecipientCheck::File;
  settings.relay.recipients = {"user@ours.example", "50%off@ours.example", "@all.example"};
  settings.relay.domains.insert("all.example");
  CHECK(decide(settings, "<User@ours.example>") == "User@ours.example");
  CHECK(decide(settings, "<50%off@ours.example>") == "50%off@ours.example");
  CHECK(decide(settings, "<anybody@all.example>") == "anybody@all.example");
  CHECK(decide(settings, "<postmaster@ours.example>") == "postmaster@ours.example");
  CHECK_THAT(decide(settings, "<anybody@ours.example>"), StartsWith("550 5.1.1"));
  CHECK_THAT(decide(settings, "<50%more@all.example>"), StartsWith("550 5.7.1"));
  CHECK_THAT(decide(settings, "<user@else.example>"), StartsWith("550 5.7.1"));
}

TEST_CASE("the next hop is asked about everybody but its postmaster") {
  InboundSettings settings = make_settings();
  settings.relay.check = RecipientCheck::Ask;
  CHECK(decide(settings, "<a@ours.example>") == "ask a@ours.example");
  CHECK(decide(settings, "<PostMaster@ours.example>") == "PostMaster@ours.example");
  CHECK(decide(settings, "<a@ours.example>", true) == "a@ours.example");
}

TEST_CASE("local addresses are aliases and the postmaster, for everybody") {
  InboundSettings settings = make_settings();
  const bool client_may_relay = GENERATE(false, true);
  CHECK(decide(settings, "<INFO@local.example>", client_may_relay) == "a@x.example, b@y.example");
  CHECK_THAT(decide(settings, "<nobody@local.example>", client_may_relay),
             StartsWith("550 5.1.1 no such user here at relay.example"));
  CHECK(decide(settings, "<postmaster>", client_may_relay) == "admin@x.example");
  CHECK(decide(settings, "<POSTMASTER@local.example>", client_may_relay) == "admin@x.example");
  settings.local.aliases["postmaster"] = {"p@x.example"};
  CHECK(decide(settings, "<Postmaster>", client_may_relay) == "p@x.example");
  settings.local.aliases.clear();
  settings.postmaster.clear();
  CHECK_THAT(decide(settings, "<postmaster>", client_may_relay),
             StartsWith("550 5.1.1 this server has no postmaster yet"));
}

TEST_CASE("a domain that is local is so before it is relayed") {
  InboundSettings settings = make_settings();
  settings.relay.domains.insert("local.example");
  CHECK_THAT(decide(settings, "<nobody@local.example>"), StartsWith("550 5.1.1"));
}

TEST_CASE("reports of ours go where mail for that address would go") {
  const InboundSettings settings = make_settings();
  CHECK(expand_address(settings, "user@else.example") == Texts{"user@else.example"});
  CHECK(expand_address(settings, "info@local.example") == Texts{"a@x.example", "b@y.example"});
  CHECK(expand_address(settings, "postmaster") == Texts{"admin@x.example"});
  CHECK(expand_address(settings, "nobody@local.example").empty());
}

}  // namespace
}  // namespace rockdove::inbound
