// Sessions that are resumed: over contexts, as after a reload; each single-use one once; and never
// with less than what was asked of the first.
#include "mta/net/tls_sessions.h"
#include "mta/net/tls_tickets.h"
#include "tls_authority.h"
#include "tls_pair.h"
#include "tls_raw_peer.h"

namespace rockdove::net {

namespace {

using Client = std::shared_ptr<const TlsClientContext>;

// Whether both sides say that it was resumed.
bool is_resumed(const StartTlsAsServer& as_server, const StartTlsAsClient& as_client) {
  Pair pair(as_server, as_client);
  pair.run();
  REQUIRE(pair.client.is_open());
  REQUIRE(pair.server.is_open());
  // Tickets travel with the first words.
  pair.server.engine.send("220 hello\r\n");
  pair.run();
  const bool resumed = pair.client.engine.info().resumed;
  CHECK(pair.server.engine.info().resumed == resumed);
  return resumed;
}

}  // namespace

TEST_CASE("a session is resumed with another context of the same process") {
  const Client client = client_context();
  CHECK_FALSE(is_resumed({server_context()}, {client, "mx.example"}));
  CHECK(is_resumed({server_context()}, {client, "mx.example"}));
  CHECK(is_resumed({server_context({identity("mx.example", KeyKind::Rsa2048)})},
                   {client, "mx.example"}));
}

TEST_CASE("sessions of TLS 1.2 are resumed again and again") {
  const PemIdentity& own = identity("mx.example", KeyKind::P256);
  const auto server = server_context({own});
  RawHabits old;
  old.most = TlsVersion::V1_2;
  // Our client meets a server of its own version only in the wild, so a raw one makes the session.
  const Client client = client_context();
  for (int i = 0; i < 2; ++i) {
    RawPeer raw(old, &own);
    Side side(StartTlsAsClient{client, "old.example"});
    side.engine.begin();
    for (int turn = 0; turn < 4; ++turn) {
      side.hear(raw.hear(std::exchange(side.engine.unsent(), {})));
    }
    REQUIRE(side.is_open());
    CHECK(side.engine.info().version == TlsVersion::V1_2);
    CHECK(raw.is_open());
  }
}

TEST_CASE("a session is only for the host and port it was made with") {
  const Client client = client_context();
  const auto server = server_context();
  CHECK_FALSE(is_resumed({server}, {client, "mx.example"}));
  CHECK_FALSE(is_resumed({server}, {client, "other.example"}));
  CHECK_FALSE(is_resumed({server}, {client, "mx.example", 2525}));
  CHECK_FALSE(
      is_resumed({server}, {client, "mx.example", 25, TlsVerify::Nothing, TlsVersion::V1_3}));
  CHECK(is_resumed({server}, {client, "mx.example"}));
}

TEST_CASE("a session that was not verified is none for who verifies") {
  const Authority authority("Resuming");
  const auto server = server_context({authority.issue({{"mx.example"}})});
  const Client client = client_context();
  CHECK_FALSE(is_resumed({server}, {client, "mx.example"}));
  Pair pair({server}, {client, "mx.example", 25, TlsVerify::NameAndChain});
  pair.run();
  CHECK(pair.client.has_failed());
}

TEST_CASE("a handshake that failed leaves no session") {
  const Authority authority("Resuming");
  const auto server = server_context({authority.issue({{"mx.example"}})});
  const Client client = client_context();
  for (int i = 0; i < 2; ++i) {
    Pair pair({server}, {client, "mx.example", 25, TlsVerify::NameAndChain});
    pair.run();
    CHECK(pair.client.has_failed());
  }
}

TEST_CASE("ticket keys change with time, and the last ones still open") {
  TlsTicketKeys keys;
  const base::Instant begin{};
  const std::vector<std::uint8_t> session(300, 7);
  std::vector<std::uint8_t> ticket(session.size() + TlsTicketKeys::kOverheadMax);
  const auto sealed = keys.seal(session, ticket, begin);
  REQUIRE(sealed);
  ticket.resize(*sealed);
  std::vector<std::uint8_t> opened(ticket.size());
  const auto opens_at = [&](base::Instant at) {
    const auto octets = keys.open(ticket, opened, at);
    return octets &&
           std::vector<std::uint8_t>(
               opened.begin(), opened.begin() + static_cast<std::ptrdiff_t>(*octets)) == session;
  };
  CHECK(opens_at(begin));
  // New ones, twice.
  std::vector<std::uint8_t> other(session.size() + TlsTicketKeys::kOverheadMax);
  REQUIRE(keys.seal(session, other, begin + TlsTicketKeys::kLife));
  CHECK_FALSE(std::equal(ticket.begin(), ticket.begin() + 16, other.begin()));
  CHECK(opens_at(begin + TlsTicketKeys::kLife));
  CHECK_FALSE(opens_at(begin + 2 * TlsTicketKeys::kLife));
  REQUIRE(keys.seal(session, other, begin + 2 * TlsTicketKeys::kLife));
  CHECK_FALSE(opens_at(begin + TlsTicketKeys::kLife));
}

TEST_CASE("a ticket that was changed or cut is not opened") {
  TlsTicketKeys keys;
  const base::Instant now{};
  const std::vector<std::uint8_t> session(100, 7);
  std::vector<std::uint8_t> ticket(session.size() + TlsTicketKeys::kOverheadMax);
  ticket.resize(keys.seal(session, ticket, now).value());
  std::vector<std::uint8_t> opened(ticket.size());
  for (std::size_t i = 0; i < ticket.size(); ++i) {
    std::vector<std::uint8_t> changed = ticket;
    changed[i] ^= 1;
    CHECK_FALSE(keys.open(changed, opened, now));
    changed.resize(i);
    CHECK_FALSE(keys.open(changed, opened, now));
  }
  CHECK(keys.open(ticket, opened, now));
}

TEST_CASE("the client keeps a bounded number of sessions, the newest") {
  TlsSessions sessions;
  const bssl::UniquePtr<SSL_CTX> context(SSL_CTX_new(TLS_method()));
  for (std::size_t i = 0; i < TlsSessions::kSessionsMax + 100; ++i) {
    sessions.keep("host" + std::to_string(i),
                  bssl::UniquePtr<SSL_SESSION>(SSL_SESSION_new(context.get())));
  }
  CHECK(sessions.size() == TlsSessions::kSessionsMax);
  CHECK(sessions.take("host99") == nullptr);
  CHECK(sessions.take("host100") != nullptr);
  CHECK(sessions.take("host" + std::to_string(TlsSessions::kSessionsMax + 99)) != nullptr);
  for (int i = 0; i < 50; ++i) {
    sessions.keep("one", bssl::UniquePtr<SSL_SESSION>(SSL_SESSION_new(context.get())));
  }
  CHECK(sessions.size() == TlsSessions::kSessionsMax);
}

}  // namespace rockdove::net
