#include "mta/daemon/monitor.h"

#include <catch2/catch.hpp>

using namespace rockdove;
using namespace rockdove::daemon;
using namespace std::chrono_literals;

namespace {

const base::WallTime kNow = base::from_unix_milliseconds(1'795'305'600'000);  // 2026-11-22

net::PemIdentity made(const std::string& name, net::KeyKind kind, base::Duration valid_for,
                      const char* source) {
  net::PemIdentity identity = net::make_self_signed(name, kind, kNow, valid_for).value();
  identity.source = source;
  return identity;
}

}  // namespace

TEST_CASE("each certificate is told of once, with its own end") {
  const net::PemIdentity first = made("a.example", net::KeyKind::P256, 24h * 90, "/a.pem");
  const net::PemIdentity second = made("a.example", net::KeyKind::Rsa2048, 24h * 3, "/b.pem");
  net::PemIdentity broken = second;
  broken.certificate = "no certificate";
  broken.source = "/c.pem";
  const std::vector<admin::CertificateEnd> ends = certificate_ends({first, second, broken, first});
  REQUIRE(ends.size() == 2);
  CHECK(ends[0].source == "/a.pem");
  CHECK(ends[0].name == "a.example");
  CHECK(ends[0].key == "P-256");
  CHECK(std::chrono::round<std::chrono::hours>(ends[0].not_after - kNow) == 24h * 90);
  CHECK(ends[1].source == "/b.pem");
  CHECK(ends[1].key == "RSA-2048");
  CHECK(std::chrono::round<std::chrono::hours>(ends[1].not_after - kNow) == 24h * 3);
}
