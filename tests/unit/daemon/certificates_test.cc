#include "mta/daemon/certificates.h"

#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include "tests/support/temporary_directory.h"

using namespace rockdove;
using namespace rockdove::daemon;
using namespace std::chrono_literals;

namespace {

const base::WallTime kNow = base::from_unix_milliseconds(1'795'305'600'000);  // 2026-11-22

std::string content(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

net::PemIdentity made(const std::string& name, base::Duration valid_for, const char* source) {
  net::PemIdentity identity =
      net::make_self_signed(name, net::KeyKind::P256, kNow, valid_for).value();
  identity.source = source;
  return identity;
}

}  // namespace

TEST_CASE("certificates of our own are made once, both kinds, and for nobody else to read") {
  const tests::TemporaryDirectory directory;
  const auto first = own_certificates(directory.path(), "relay.example.net", kNow);
  REQUIRE(first.is_ok());
  REQUIRE(first->size() == 2);
  CHECK(net::certificate_facts((*first)[0].certificate)->key == "P-256");
  CHECK(net::certificate_facts((*first)[1].certificate)->key == "RSA-2048");
  for (const net::PemIdentity& identity : *first) {
    struct stat status {};

    REQUIRE(::stat(identity.source.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
  }
  const auto again = own_certificates(directory.path(), "relay.example.net", kNow + 24h);
  REQUIRE(again.is_ok());
  CHECK(net::make_tls_server_context(*again).is_ok());
  CHECK((*again)[0].certificate == content(directory.path() + "/tls/p256.pem"));
  CHECK((*again)[0].certificate.find((*first)[0].certificate) != std::string::npos);
}

TEST_CASE(
    "a certificate of our own is made anew before it ends, for another name, and when broken") {
  const tests::TemporaryDirectory directory;
  const std::string path = directory.path() + "/tls/p256.pem";
  REQUIRE(own_certificates(directory.path(), "a.example", kNow).is_ok());
  const std::string first = content(path);
  const base::WallTime late = kNow + kSelfSignedValidFor - kCertificateNotice - 2h;
  REQUIRE(own_certificates(directory.path(), "a.example", late).is_ok());
  CHECK(content(path) == first);
  REQUIRE(own_certificates(directory.path(), "a.example", late + 24h).is_ok());
  const std::string second = content(path);
  CHECK(second != first);
  REQUIRE(own_certificates(directory.path(), "b.example", late + 24h).is_ok());
  const std::string third = content(path);
  CHECK(third != second);
  CHECK(net::certificate_facts(third)->names == std::vector<std::string>{"b.example"});
  std::ofstream(path) << "torn";
  REQUIRE(own_certificates(directory.path(), "b.example", late + 24h).is_ok());
  CHECK(net::certificate_facts(content(path)).is_ok());
}

TEST_CASE("a key that belongs to another certificate is an error with both paths") {
  net::PemIdentity identity = made("a.example", 24h, "/c.crt with the key /k.key");
  identity.key = made("a.example", 24h, "").key;
  Configuration configuration;
  const base::Result<void> result = make_tls_contexts(configuration, {identity});
  REQUIRE_FALSE(result.is_ok());
  CHECK(result.error().text().find("/c.crt with the key /k.key") != std::string::npos);
}

TEST_CASE(
    "contexts are made for listeners, mail exchangers and routes with authorities of their own") {
  const tests::TemporaryDirectory directory;
  const std::string ca_file = directory.path() + "/ca.pem";
  std::ofstream(ca_file) << made("ca.example", 24h, "").certificate;
  Configuration configuration;
  configuration.outbound.routes.resize(2);
  configuration.outbound.routes[0].name = "plain";
  configuration.outbound.routes[1].name = "own";
  configuration.ca_files["own"] = ca_file;
  REQUIRE(make_tls_contexts(configuration, {made("a.example", 24h, "/c")}).is_ok());
  CHECK(configuration.inbound.tls != nullptr);
  CHECK(configuration.outbound.tls != nullptr);
  CHECK(configuration.outbound.routes[0].tls_context == nullptr);
  CHECK(configuration.outbound.routes[1].tls_context != nullptr);
  configuration.ca_files["own"] = directory.path() + "/none.pem";
  CHECK_FALSE(make_tls_contexts(configuration, {}).is_ok());
}

TEST_CASE("an operator hears of a certificate's end thirty days before, and after") {
  const std::vector<net::PemIdentity> identities = {made("a.example", 40 * 24h, "/a.crt")};
  CHECK(certificate_notices(identities, kNow).empty());
  CHECK(certificate_notices(identities, kNow + 9 * 24h).empty());
  const auto soon = certificate_notices(identities, kNow + 11 * 24h);
  REQUIRE(soon.size() == 1);
  CHECK(soon[0].level == base::Level::Warning);
  CHECK(soon[0].text == "the certificate /a.crt expires on 2027-01-01, in 29 days");
  const auto late = certificate_notices(identities, kNow + 41 * 24h);
  REQUIRE(late.size() == 1);
  CHECK(late[0].level == base::Level::Error);
  CHECK(late[0].text ==
        "the certificate /a.crt has expired on 2027-01-01; it is served all the same");
  const auto early = certificate_notices(identities, kNow - 24h * 2);
  REQUIRE(early.size() == 1);
  CHECK(early[0].text.find("is not valid before 2026-11-21") != std::string::npos);
}

TEST_CASE("a certificate is described by names, key and end") {
  const net::CertificateFacts facts =
      net::certificate_facts(made("a.example", 40 * 24h, "").certificate).value();
  CHECK(describe_certificate(facts, kNow) ==
        "a.example, P-256, until 2027-01-01 (40 days), self-signed");
  CHECK(describe_certificate(facts, kNow + 50 * 24h) ==
        "a.example, P-256, EXPIRED on 2027-01-01, self-signed");
}
