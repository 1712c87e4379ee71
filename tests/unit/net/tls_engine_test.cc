// The engine against itself: handshakes of each version and key, cut anywhere; what is refused, and
// in which words; resumption; the end.
#include <map>
#include <utility>

#include "tls_pair.h"

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

}  // namespace rockdove::net
