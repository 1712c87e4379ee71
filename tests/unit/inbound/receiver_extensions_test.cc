// The receiver's TLS, AUTH, chunks, reports and UTF-8, over what the test turns by hand.
#include <cstdio>
#include <fstream>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/inbound/inbound_world.h"

namespace rockdove::inbound {
namespace {

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

const net::TlsInfo kTls{net::TlsVersion::V1_3, "TLS_AES_128_GCM_SHA256", false, false, ""};

// "AUTH PLAIN" with the base64 of NUL "user" NUL "secret".
const std::string kLogin = "AUTH PLAIN AHVzZXIAc2VjcmV0";

struct TlsWorld : World {
  explicit TlsWorld(ListenerTls tls, ListenerAuth auth = ListenerAuth::Optional) {
    settings.tls = std::make_shared<const Context>();
    settings.listeners[0].tls = tls;
    settings.listeners[0].auth = auth;
    reception.authenticator = &logins;
  }

  // A stranger that has said EHLO under TLS.
  std::unique_ptr<tests::HandConnection> tls_client() {
    auto connection = client("198.51.100.1");
    REQUIRE_THAT(command(*connection, "STARTTLS"), StartsWith("220"));
    connection->begin_tls(kTls);
    connection->say("EHLO client.example\r\n");
    return connection;
  }
};

TEST_CASE("STARTTLS begins a handshake with the listener's context, and mail tells of it") {
  TlsWorld world(ListenerTls::Optional);
  world.settings.relay.check = RecipientCheck::Any;
  world.settings.listeners[0].tls_min = net::TlsVersion::V1_0;
  auto client = world.client("198.51.100.1");
  client->say("EHLO client.example\r\n");
  CHECK_THAT(client->take_said(), Contains("STARTTLS") && !Contains("AUTH"));
  CHECK_FALSE(client->tls_wanted());
  client->say("STARTTLS\r\nMAIL FROM:<injected@y.example>\r\n");
  CHECK_THAT(last_line(*client), StartsWith("220 2.0.0"));
  REQUIRE(client->tls_wanted());
  const auto& start = std::get<net::StartTlsAsServer>(*client->tls_wanted());
  CHECK(start.context == world.settings.tls);
  CHECK(start.least == net::TlsVersion::V1_0);
  client->begin_tls(kTls);
  CHECK(client->take_said() == "");
  client->say("EHLO client.example\r\n");
  CHECK_THAT(client->take_said(), !Contains("STARTTLS") && Contains("AUTH PLAIN LOGIN"));
  begin(*client, "user@ours.example");
  client->say(kSmall + ".\r\n");
  world.store.end_commit({});
  const queue::Message& message = *world.handed_in.at(0).message;
  CHECK(message.sender == "from@y.example");
  CHECK(message.client.tls == "TLSv1.3 TLS_AES_128_GCM_SHA256");
  CHECK(message.client.user == "");
  CHECK_THAT(message.header_block, Contains("with ESMTPS (TLSv1.3 TLS_AES_128_GCM_SHA256) id "));
}

TEST_CASE("a handshake that fails is logged with the peer and the reason") {
  TlsWorld world(ListenerTls::Optional);
  const std::string path = "receiver_test." + std::to_string(::getpid()) + ".log";
  {
    std::unique_ptr<base::LogSink> sink = *base::LogSink::open(path);
    base::Log log(*sink, base::Level::Info);
    Reception reception = world.reception_with(log);
    auto client = world.client_of(reception, "198.51.100.1");
    CHECK_THAT(command(*client, "STARTTLS"), StartsWith("220"));
    client->lose({net::Loss::How::TlsFailed, 0, "the peer offers only TLS 1.0"});
    CHECK(client->is_gone());
  }
  std::ifstream stream(path);
  const std::string logged{std::istreambuf_iterator<char>(stream), {}};
  std::remove(path.c_str());
  CHECK_THAT(logged, Contains("TLS failed") && Contains("client=198.51.100.1") &&
                         Contains("during=handshake") && Contains("the peer offers only TLS 1.0"));
}

TEST_CASE("with TLS required nothing that matters is taken before it") {
  TlsWorld world(ListenerTls::Required);
  auto client = world.client();
  CHECK_THAT(command(*client, "MAIL FROM:<from@y.example>"), StartsWith("530 5.7.0"));
  CHECK_THAT(command(*client, kLogin), StartsWith("530 5.7.0"));
  CHECK(world.logins.questions.empty());
}

TEST_CASE("without a certificate STARTTLS is 454") {
  TlsWorld world(ListenerTls::Optional);
  world.settings.tls = nullptr;
  auto client = world.client();
  CHECK_THAT(command(*client, "STARTTLS"), StartsWith("454 4.7.0"));
  CHECK_FALSE(client->tls_wanted());
}

TEST_CASE("a listener that requires TLS and has no certificate says so at once") {
  TlsWorld world(ListenerTls::Required);
  world.settings.tls = nullptr;
  auto client = world.silent_client("192.0.2.1");
  CHECK(client->take_said() ==
        "421 4.7.0 mail is taken only within TLS here, and there is no certificate at the moment; "
        "try again later\r\n");
  CHECK(client->is_gone());
}

TEST_CASE("an implicit listener says nothing before TLS, and then greets at once") {
  TlsWorld world(ListenerTls::Implicit);
  auto client = world.silent_client("198.51.100.1");
  CHECK(client->take_said() == "");
  REQUIRE(client->tls_wanted());
  SECTION("the handshake is done") {
    client->begin_tls(kTls);
    CHECK_THAT(client->take_said(), StartsWith("220 relay.example"));
    client->say("EHLO c\r\n");
    CHECK_THAT(client->take_said(), Contains("AUTH") && !Contains("STARTTLS"));
  }
  SECTION("the handshake takes too long") {
    CHECK(client->deadline() == world.loop.now().instant + 60s);
    world.loop.pass(60s);
    client->ring();
    CHECK(client->take_said() == "");
    CHECK(client->is_gone());
  }
  SECTION("a client that is refused hears nothing, and no handshake begins") {
    world.held.insert(*base::parse_ip_address("192.0.2.1"));
    auto held = world.silent_client("192.0.2.1");
    CHECK(held->take_said() == "");
    CHECK(held->is_gone());
  }
  SECTION("there is no certificate") {
    world.settings.tls = nullptr;
    CHECK(world.silent_client("192.0.2.1")->is_gone());
  }
}

TEST_CASE("who has authenticated may relay, and the message says who") {
  TlsWorld world(ListenerTls::Optional);
  auto client = world.tls_client();
  CHECK_THAT(command(*client, "MAIL FROM:<from@y.example>"), StartsWith("250"));
  CHECK_THAT(command(*client, "RCPT TO:<to@x.example>"), StartsWith("550 5.7.1"));
  CHECK_THAT(command(*client, "RSET"), StartsWith("250"));
  client->say(kLogin + "\r\nMAIL FROM:<from@y.example>\r\n");
  CHECK(last_line(*client) == "");
  REQUIRE(world.logins.questions.size() == 1);
  CHECK(world.logins.questions[0].login.user == "user");
  CHECK(world.logins.questions[0].login.password == "secret");
  CHECK(world.logins.questions[0].login.client == *base::parse_ip_address("198.51.100.1"));
  CHECK(client->deadline() == base::kNever);
  world.logins.answer(LoginVerdict::Accepted);
  client->settle();
  CHECK_THAT(client->take_said(), StartsWith("235 2.7.0") && Contains("\r\n250 2.1.0"));
  CHECK_THAT(command(*client, "RCPT TO:<to@x.example>"), StartsWith("250"));
  CHECK_THAT(command(*client, "DATA"), StartsWith("354"));
  client->say("Subject: x\r\n\r\nhello\r\n.\r\n");
  world.store.end_commit({});
  const queue::Message& message = *world.handed_in.at(0).message;
  CHECK(message.client.user == "user");
  CHECK_THAT(message.header_block,
             Contains("with ESMTPSA (TLSv1.3 TLS_AES_128_GCM_SHA256) id ") && Contains("\nDate:"));
  CHECK(world.destinations_asked.back() == "to@x.example from@y.example in 198.51.100.1 user");
}

TEST_CASE("a login that is not accepted has its reply, and the client goes on as before") {
  TlsWorld world(ListenerTls::Optional);
  auto client = world.tls_client();
  client->take_said();
  client->say(kLogin + "\r\n");
  SECTION("wrong") {
    world.logins.answer(LoginVerdict::Refused);
    CHECK_THAT(last_line(*client), StartsWith("535 5.7.8"));
  }
  SECTION("too many") {
    world.logins.answer(LoginVerdict::TooMany);
    CHECK_THAT(last_line(*client), StartsWith("454 4.7.0"));
  }
  SECTION("unavailable") {
    world.logins.answer(LoginVerdict::Unavailable);
    CHECK_THAT(last_line(*client), StartsWith("454 4.7.0"));
  }
  CHECK_THAT(command(*client, "MAIL FROM:<from@y.example>"), StartsWith("250"));
  CHECK_THAT(command(*client, "RCPT TO:<to@x.example>"), StartsWith("550 5.7.1"));
}

TEST_CASE("a login whose client is gone ends nowhere") {
  TlsWorld world(ListenerTls::Optional);
  auto client = world.tls_client();
  client->say(kLogin + "\r\n");
  SECTION("at once") {
    client->lose({net::Loss::How::Broken, 0, ""});
  }
  SECTION("slowly") {
    client->lose_slowly({net::Loss::How::Broken, 0, ""});
    world.logins.answer(LoginVerdict::Accepted);
    client->end();
    return;
  }
  world.logins.answer(LoginVerdict::Accepted);
}

TEST_CASE("with AUTH required no mail is taken without it, not even from relay_from") {
  TlsWorld world(ListenerTls::Optional, ListenerAuth::Required);
  world.settings.listeners[0].auth_in_clear = {*base::parse_ip_network("192.0.2.7/32")};
  auto client = world.client("192.0.2.1");
  CHECK_THAT(command(*client, "MAIL FROM:<from@y.example>"), StartsWith("530 5.7.0"));
  CHECK_THAT(command(*client, kLogin), StartsWith("538 5.7.11"));
  auto device = world.client("192.0.2.7");
  device->say(kLogin + "\r\n");
  REQUIRE(world.logins.questions.size() == 1);
  world.logins.answer(LoginVerdict::Accepted);
  CHECK_THAT(last_line(*device), StartsWith("235"));
  CHECK_THAT(command(*device, "MAIL FROM:<from@y.example>"), StartsWith("250"));
}

TEST_CASE("AUTH is not offered where there is nobody to ask") {
  TlsWorld world(ListenerTls::Optional);
  world.reception.authenticator = nullptr;
  auto client = world.tls_client();
  CHECK_THAT(client->take_said(), !Contains("AUTH"));
  CHECK_THAT(command(*client, kLogin), StartsWith("502 5.5.1"));
}

TEST_CASE("what the client asks of reports is kept with the message") {
  World world;
  auto client = world.client();
  command(*client, "MAIL FROM:<from@y.example> RET=HDRS ENVID=a+2Bb");
  command(*client, "RCPT TO:<a@x.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;first@z.example");
  command(*client, "RCPT TO:<b@x.example> NOTIFY=NEVER");
  command(*client, "RCPT TO:<c@x.example>");
  // Twice the same one: what either wants.
  command(*client, "RCPT TO:<b@x.example> NOTIFY=SUCCESS");
  command(*client, "RCPT TO:<c@x.example> NOTIFY=SUCCESS");
  command(*client, "DATA");
  client->say(kSmall + ".\r\n");
  world.store.end_commit({});
  const queue::Message& message = *world.handed_in.at(0).message;
  CHECK(message.envelope_id == "a+b");
  CHECK(message.returned == mail::ReturnContent::Headers);
  CHECK_FALSE(message.smtputf8);
  const auto& deliveries = world.handed_in[0].deliveries;
  REQUIRE(deliveries.size() == 3);
  CHECK(mail::format_notify(deliveries[0].notify) == "SUCCESS,DELAY");
  CHECK(deliveries[0].original_recipient == "rfc822;first@z.example");
  CHECK(mail::format_notify(deliveries[1].notify) == "SUCCESS");
  CHECK(mail::format_notify(deliveries[2].notify) == "SUCCESS,FAILURE");
}

TEST_CASE("an alias with several addresses reports that it was expanded (RFC 3461 5.2.7.3)") {
  World world;
  world.settings.local.aliases["one"] = {"c@x.example"};
  auto client = world.client();
  command(*client, "MAIL FROM:<from@y.example>");
  command(*client, "RCPT TO:<All@LOCAL.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;all@z.example");
  command(*client, "RCPT TO:<one@local.example> NOTIFY=SUCCESS ORCPT=rfc822;one@z.example");
  command(*client, "DATA");
  client->say(kSmall + ".\r\n");
  world.store.end_commit({});
  const auto& deliveries = world.handed_in.at(0).deliveries;
  REQUIRE(deliveries.size() == 4);
  CHECK(world.handed_in[0].message->recipients == 4);
  CHECK_THAT(world.handed_in[0].message->header_block, !Contains("for <"));
  for (const std::size_t i : {0U, 1U}) {
    CHECK(mail::format_notify(deliveries[i].notify) == "FAILURE");
    CHECK(deliveries[i].original_recipient == "rfc822;all@z.example");
    CHECK(deliveries[i].final_status.empty());
  }
  // One address behind an alias: the sender's wishes go on with it.
  CHECK(deliveries[2].recipient == "c@x.example");
  CHECK(mail::format_notify(deliveries[2].notify) == "SUCCESS");
  CHECK(deliveries[2].original_recipient == "rfc822;one@z.example");
  CHECK(deliveries[3].recipient == "All@local.example");
  CHECK(deliveries[3].destination == "local.example");
  CHECK(deliveries[3].number == 4);
  CHECK(deliveries[3].final_status == "2.1.5");
  CHECK(deliveries[3].ending == queue::Ending::Expanded);
  CHECK(mail::format_notify(deliveries[3].notify) == "SUCCESS");
  CHECK(deliveries[3].original_recipient == "rfc822;all@z.example");
}

TEST_CASE("who wanted to hear of success alone hears nothing of an alias's addresses") {
  World world;
  auto client = world.client();
  command(*client, "MAIL FROM:<from@y.example>");
  command(*client, "RCPT TO:<all@local.example> NOTIFY=SUCCESS");
  command(*client, "DATA");
  client->say(kSmall + ".\r\n");
  world.store.end_commit({});
  const auto& deliveries = world.handed_in.at(0).deliveries;
  REQUIRE(deliveries.size() == 3);
  CHECK(mail::format_notify(deliveries[0].notify) == "NEVER");
}

TEST_CASE("a message needs SMTPUTF8 if an address or its header does") {
  World world;
  world.settings.local.aliases["all"] = {"j\xc3\xb6rg@x.example"};
  auto client = world.client();
  const auto accepted = [&](const std::string& mail, const std::string& rcpt,
                            const std::string& header) -> const queue::Message& {
    REQUIRE_THAT(command(*client, "MAIL FROM:" + mail), StartsWith("250"));
    REQUIRE_THAT(command(*client, "RCPT TO:" + rcpt), StartsWith("250"));
    REQUIRE_THAT(command(*client, "DATA"), StartsWith("354"));
    client->say(header + kSmall + ".\r\n");
    world.store.end_commit({});
    return *world.handed_in.back().message;
  };
  const std::string utf8_header = "Subject: \xc3\xbc\r\n";
  CHECK_FALSE(accepted("<a@y.example>", "<b@x.example>", utf8_header).smtputf8);
  CHECK_FALSE(accepted("<a@y.example> SMTPUTF8", "<b@b\xc3\xbc.example>", "").smtputf8);
  CHECK_THAT(world.handed_in.back().message->header_block,
             Contains("with UTF8SMTP id") && Contains("for <b@xn--b-eha.example>"));
  CHECK(accepted("<a@y.example> SMTPUTF8", "<b@x.example>", utf8_header).smtputf8);
  CHECK(accepted("<\xc3\xb6@y.example> SMTPUTF8", "<b@x.example>", "").smtputf8);
  CHECK(accepted("<a@y.example> SMTPUTF8", "<\xc3\xb6@x.example>", "").smtputf8);
  CHECK_THAT(world.handed_in.back().message->header_block, Contains("for <\xc3\xb6@x.example>"));
  CHECK(accepted("<a@y.example>", "<all@local.example>", "").smtputf8);
}

TEST_CASE("a message has 8-bit text if there is some, whatever the client says of it") {
  World world;
  auto client = world.client();
  const auto is_eight_bit = [&](const std::string& parameter, const std::string& line) {
    command(*client, "MAIL FROM:<a@y.example>" + parameter);
    command(*client, "RCPT TO:<b@x.example>");
    command(*client, "DATA");
    client->say(kSmall + line + "\r\n.\r\n");
    world.store.end_commit({});
    return world.handed_in.back().message->eight_bit;
  };
  CHECK_FALSE(is_eight_bit("", "plain"));
  CHECK_FALSE(is_eight_bit(" BODY=8BITMIME", "plain"));
  CHECK(is_eight_bit("", "\xc3\xbc"));
  CHECK(is_eight_bit(" BODY=8BITMIME", "\xc3\xbc"));
  CHECK(is_eight_bit(" BODY=7BIT", "\xc3\xbc"));
}

TEST_CASE("a message comes in chunks") {
  World world;
  auto client = world.client();
  command(*client, "MAIL FROM:<from@y.example>");
  command(*client, "RCPT TO:<to@x.example>");
  client->say("BDAT " + std::to_string(kSmall.size()) + "\r\n" + kSmall + "BDAT 3 LAST\r\n.\r\n");
  client->settle();
  CHECK_THAT(client->take_said(), StartsWith("250 2.0.0 ") && Contains("octets received\r\n"));
  REQUIRE(world.store.commits.size() == 1);
  world.store.end_commit({});
  CHECK_THAT(last_line(*client), StartsWith("250 2.0.0 queued"));
  CHECK(*world.handed_in.at(0).message->body == "hello\r\n.\r\n");
}

}  // namespace
}  // namespace rockdove::inbound
