// The engine against itself: handshakes of each version and key, cut anywhere; what is refused, and
// in which words; resumption; the end.
#include <map>
#include <utility>

#include "tls_pair.h"
#include "tls_raw_peer.h"

namespace rockdove::net {

namespace {

std::string pattern(std::size_t octets) {
  std::string text(octets, '\0');
  for (std::size_t i = 0; i < octets; ++i)
    text[i] = static_cast<char>('A' + (i * 31 + i / 257) % 61);
  return text;
}

}  // namespace

TEST_CASE("two engines shake hands and carry text both ways") {
  const auto server = server_context();
  const auto client = client_context();
  Pair pair({server}, {client, "mx.example"});
  pair.run();
  INFO(pair.server.engine.failure() << " / " << pair.client.engine.failure());
  REQUIRE(pair.server.is_open());
  REQUIRE(pair.client.is_open());
  const TlsInfo info = pair.server.engine.info();
  CHECK(describe(info) == "TLSv1.3 TLS_AES_128_GCM_SHA256");
  CHECK(info.server_name == "mx.example");
  CHECK_FALSE(info.resumed);
  CHECK_FALSE(info.verified);
  pair.client.engine.send("EHLO there\r\n");
  pair.server.engine.send(pattern(100'000));
  pair.run();
  CHECK(pair.server.text == "EHLO there\r\n");
  CHECK(pair.client.text == pattern(100'000));
  CHECK_FALSE(pair.server.engine.peer_has_closed());
  pair.client.engine.send("QUIT\r\n");
  pair.client.engine.close();
  pair.run();
  CHECK(pair.server.text == "EHLO there\r\nQUIT\r\n");
  CHECK(pair.server.engine.peer_has_closed());
  CHECK_FALSE(pair.server.has_failed());
}

TEST_CASE("a handshake and what follows may be cut at every octet") {
  const auto server = server_context();
  const auto client = client_context();
  for (const std::size_t piece :
       {std::size_t{1}, std::size_t{2}, std::size_t{5}, std::size_t{97}}) {
    Pair pair({server}, {client, "mx.example"});
    pair.run(piece);
    INFO(piece);
    REQUIRE(pair.server.is_open());
    REQUIRE(pair.client.is_open());
    pair.client.engine.send(pattern(40'000));
    pair.server.engine.send("250 ok\r\n");
    pair.run(piece);
    CHECK(pair.server.text == pattern(40'000));
    CHECK(pair.client.text == "250 ok\r\n");
  }
}

TEST_CASE("each version works with each kind of key, as server") {
  const auto both = server_context(
      {identity("mx.example", KeyKind::Rsa2048), identity("mx.example", KeyKind::P256)});
  const auto rsa = server_context({identity("mx.example", KeyKind::Rsa2048)});
  for (const TlsVersion version :
       {TlsVersion::V1_0, TlsVersion::V1_1, TlsVersion::V1_2, TlsVersion::V1_3}) {
    for (const auto& [context, key] : {std::pair{both, "EC"}, std::pair{rsa, "RSA"}}) {
      RawHabits habits;
      habits.most = version;
      RawPeer raw(habits, nullptr);
      Side side(StartTlsAsServer{context, TlsVersion::V1_0});
      for (int turn = 0; turn < 4; ++turn) {
        side.hear(raw.hear(std::exchange(side.engine.unsent(), {})));
      }
      INFO(tls_version_name(version) << " " << key << " " << side.engine.failure());
      REQUIRE(side.is_open());
      CHECK(side.engine.info().version == version);
      CHECK(raw.certificate_key() == key);
      raw.say("EHLO raw\r\n");
      side.hear(raw.hear({}));
      CHECK(side.text == "EHLO raw\r\n");
      side.engine.send("250 ok\r\n");
      raw.hear(std::exchange(side.engine.unsent(), {}));
      CHECK(raw.text() == "250 ok\r\n");
    }
  }
}

TEST_CASE("each version works with each kind of key, as client") {
  for (const TlsVersion version :
       {TlsVersion::V1_0, TlsVersion::V1_1, TlsVersion::V1_2, TlsVersion::V1_3}) {
    for (const KeyKind kind : {KeyKind::Rsa2048, KeyKind::P256}) {
      RawHabits habits;
      habits.most = version;
      RawPeer raw(habits, &identity("mx.example", kind));
      Side side(StartTlsAsClient{client_context(), "mx.example", 25, TlsVerify::Nothing,
                                 TlsVersion::V1_0});
      side.engine.begin();
      for (int turn = 0; turn < 4; ++turn) {
        side.hear(raw.hear(std::exchange(side.engine.unsent(), {})));
      }
      INFO(tls_version_name(version) << " " << side.engine.failure());
      REQUIRE(side.is_open());
      CHECK(side.engine.info().version == version);
      CHECK(raw.is_open());
    }
  }
}

TEST_CASE("a client's abilities choose between RSA and P-256") {
  const auto both = server_context(
      {identity("mx.example", KeyKind::P256), identity("mx.example", KeyKind::Rsa2048)});
  const auto key_for = [&](const RawHabits& habits) {
    RawPeer raw(habits, nullptr);
    Side side(StartTlsAsServer{both, TlsVersion::V1_0});
    for (int turn = 0; turn < 4; ++turn) {
      side.hear(raw.hear(std::exchange(side.engine.unsent(), {})));
    }
    INFO(side.engine.failure());
    CHECK(side.is_open());
    return raw.certificate_key();
  };
  CHECK(key_for({}) == "EC");
  RawHabits old;
  old.most = TlsVersion::V1_0;
  CHECK(key_for(old) == "EC");
  old.ciphers = "AES128-SHA";  // RSA's key exchange
  CHECK(key_for(old) == "RSA");
  old.ciphers = "ECDHE-RSA-AES128-SHA";
  CHECK(key_for(old) == "RSA");
  old.ciphers = "DES-CBC3-SHA";
  CHECK(key_for(old) == "RSA");
  RawHabits rsa_only;
  rsa_only.rsa_only = true;
  CHECK(key_for(rsa_only) == "RSA");
  rsa_only.most = TlsVersion::V1_2;
  CHECK(key_for(rsa_only) == "RSA");
  RawHabits other_group;
  other_group.most = TlsVersion::V1_2;
  other_group.groups = "X25519";
  CHECK(key_for(other_group) == "RSA");
  other_group.groups = "X25519:P-256";
  CHECK(key_for(other_group) == "EC");
}

TEST_CASE("the name that a client asks for chooses the certificate") {
  const auto context = server_context({identity("first.example", KeyKind::Rsa2048),
                                       identity("second.example", KeyKind::P256),
                                       identity("*.wild.example", KeyKind::P256)});
  const auto key_for = [&](const std::string& name) {
    RawHabits habits;
    habits.server_name = name;
    RawPeer raw(habits, nullptr);
    Side side(StartTlsAsServer{context});
    for (int turn = 0; turn < 4; ++turn) {
      side.hear(raw.hear(std::exchange(side.engine.unsent(), {})));
    }
    CHECK(side.is_open());
    CHECK(side.engine.info().server_name == name);
    return raw.certificate_key();
  };
  CHECK(key_for("first.example") == "RSA");
  CHECK(key_for("second.example") == "EC");
  CHECK(key_for("SECOND.example") == "EC");
  CHECK(key_for("mx.wild.example") == "EC");
  CHECK(key_for("stranger.example") == "RSA");
  CHECK(key_for("") == "RSA");
}

TEST_CASE("nothing is held while nothing is under way") {
  Pair pair({server_context()}, {client_context(), "mx.example"});
  pair.run();
  pair.server.engine.send(pattern(100'000));
  pair.run();
  CHECK(pair.server.engine.unsent().empty());
  pair.client.engine.close();
  pair.client.engine.close();
  pair.run();
  // The other way still works: RFC 8446 §6.1.
  pair.server.engine.send("221 bye\r\n");
  pair.server.engine.close();
  pair.run();
  CHECK(pair.client.text == pattern(100'000) + "221 bye\r\n");
  CHECK(pair.client.engine.peer_has_closed());
}

}  // namespace rockdove::net
