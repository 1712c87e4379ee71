// Handshakes and records that are not good, and the words for them; what is not TLS at all.
#include "tls_pair.h"
#include "tls_raw_peer.h"

namespace rockdove::net {

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

void add(std::string& out, std::uint16_t number) {
  out += static_cast<char>(number >> 8);
  out += static_cast<char>(number & 0xff);
}

// A ClientHello of old, without any extension (RFC 5246 §7.4.1.2), in one record.
std::string client_hello(std::uint16_t version, const std::vector<std::uint16_t>& ciphers) {
  std::string body;
  add(body, version);
  body.append(32, 'r');
  body += '\0';
  add(body, static_cast<std::uint16_t>(ciphers.size() * 2));
  for (const std::uint16_t cipher : ciphers) add(body, cipher);
  body += std::string("\x01\0", 2);
  std::string record("\x16\x03\x00", 3);
  add(record, static_cast<std::uint16_t>(body.size() + 4));
  record += std::string("\x01\0", 2);
  add(record, static_cast<std::uint16_t>(body.size()));
  return record + body;
}

std::string server_says(std::string_view octets, TlsVersion least = TlsVersion::V1_2) {
  Side side(StartTlsAsServer{server_context(), least});
  side.hear(octets);
  CHECK_FALSE(side.is_open());
  return side.engine.failure();
}

std::string client_says(std::string_view octets) {
  Side side(StartTlsAsClient{client_context(), "mx.example"});
  side.engine.begin();
  CHECK_FALSE(side.engine.unsent().empty());
  side.hear(octets);
  CHECK_FALSE(side.is_open());
  return side.engine.failure();
}

}  // namespace

TEST_CASE("a version below the least is refused by name") {
  CHECK(server_says(client_hello(0x0301, {0x002F})) ==
        "the peer offers only TLSv1.0, and at least TLSv1.2 is asked for here (tls_min)");
  CHECK(server_says(client_hello(0x0300, {0x002F}), TlsVersion::V1_0) ==
        "the peer offers only SSLv3, and at least TLSv1.0 is asked for here (tls_min)");
  RawHabits old;
  old.most = TlsVersion::V1_1;
  RawPeer raw(old, nullptr);
  CHECK(server_says(raw.hear({})) ==
        "the peer offers only TLSv1.1, and at least TLSv1.2 is asked for here (tls_min)");
}

TEST_CASE("a client is told by an alert that its version is too old") {
  Side side(StartTlsAsServer{server_context()});
  side.hear(client_hello(0x0301, {0x002F}));
  CHECK(side.has_failed());
  // fatal (2), protocol_version (70)
  CHECK(side.engine.unsent().substr(5) == "\x02\x46");
}

TEST_CASE("a server that knows old versions only is refused") {
  RawHabits old;
  old.most = TlsVersion::V1_1;
  RawPeer raw(old, &identity("mx.example", KeyKind::P256));
  Side side(StartTlsAsClient{client_context(), "mx.example"});
  side.engine.begin();
  side.hear(raw.hear(std::exchange(side.engine.unsent(), {})));
  CHECK(side.has_failed());
  CHECK_THAT(side.engine.failure(), Contains("TLSv1.2 or higher"));
}

TEST_CASE("ciphers that this side has not are named by their kind") {
  CHECK(server_says(client_hello(0x0303, {0x0004, 0x0005, 0x00FF})) ==
        "no cipher in common; the peer offers only RC4");
  CHECK(server_says(client_hello(0x0303, {0x0033, 0x0039, 0x0005})) ==
        "no cipher in common; the peer offers only RC4, DHE");
  CHECK(server_says(client_hello(0x0301, {0x0003, 0x0009, 0x1234}), TlsVersion::V1_0) ==
        "no cipher in common; the peer offers only export, DES, 1 more");
}

TEST_CASE("clear text instead of TLS is shown") {
  CHECK(server_says("EHLO client.example\r\n") ==
        "the peer spoke clear text: \"EHLO client.example\"");
  CHECK(server_says("GET / HTTP/1.1\r\n\r\n") == "the peer spoke clear text: \"GET / HTTP/1.1\"");
  CHECK(client_says("220 mx.example ESMTP\r\n") ==
        "the peer spoke clear text: \"220 mx.example ESMTP\"");
  CHECK_THAT(client_says("554 5.7.1 " + std::string(200, 'x') + "\r\n"),
             StartsWith("the peer spoke clear text: \"554 5.7.1 xxx"));
}

TEST_CASE("octets that are neither TLS nor text are refused") {
  CHECK_THAT(server_says(std::string(300, '\xff')), Contains("not TLS"));
  CHECK_THAT(client_says(std::string(300, '\0')), Contains("not TLS"));
  // A record that is longer than any may be.
  CHECK_FALSE(server_says(std::string("\x16\x03\x01\xff\xff\x01", 6)).empty());
}

TEST_CASE("a first flight of any garbage ends in words or in waiting") {
  std::uint32_t seed = 1;
  for (int i = 0; i < 300; ++i) {
    std::string octets = i % 2 == 0 ? client_hello(0x0303, {0xC02B, 0x002F}) : std::string(80, 'x');
    for (char& octet : octets) {
      seed = seed * 1'664'525 + 1'013'904'223;
      if (seed >> 29 == 0) octet = static_cast<char>(seed >> 20);
    }
    Side side(StartTlsAsServer{server_context(), TlsVersion::V1_0});
    side.hear(octets);
    CHECK_FALSE(side.is_open());
    CHECK(side.has_failed() == !side.engine.failure().empty());
    CHECK(side.engine.unsent().size() < 8'192);
  }
}

TEST_CASE("a record that was changed on the way ends the connection") {
  Pair pair({server_context()}, {client_context(), "mx.example"});
  pair.run();
  pair.client.engine.send("MAIL FROM:<a@b.example>\r\n");
  std::string& record = pair.client.engine.unsent();
  record[record.size() - 3] = static_cast<char>(record[record.size() - 3] ^ 1);
  pair.run();
  CHECK(pair.server.has_failed());
  CHECK(pair.server.text.empty());
  CHECK(pair.server.engine.failure() == "a record of the peer was damaged on the way or forged");
  CHECK(pair.client.has_failed());
  CHECK(pair.client.engine.failure() == "the peer gave up (alert bad_record_mac)");
}

TEST_CASE("a record longer than allowed ends the connection") {
  Pair pair({server_context()}, {client_context(), "mx.example"});
  pair.run();
  std::string record("\x17\x03\x03\x48\x00", 5);  // 18,432 octets
  record.append(18'432, 'x');
  pair.server.hear(record);
  CHECK(pair.server.has_failed());
}

TEST_CASE("an end within the handshake is a failure") {
  Side side(StartTlsAsServer{server_context()});
  side.hear(std::string("\x15\x03\x01\x00\x02\x01\x00", 7));  // close_notify
  CHECK(side.has_failed());
  CHECK_THAT(side.engine.failure(), Contains("closed") || Contains("gave up"));
}

}  // namespace rockdove::net
