// Certificates: what is made is what is read, and what cannot be read is told.
#include "mta/net/tls_certificate.h"

#include "tls_authority.h"
#include "tls_pair.h"

namespace rockdove::net {

using Catch::Matchers::Contains;

TEST_CASE("a self-signed certificate says what was asked for") {
  const base::WallTime now = base::from_unix_milliseconds(1'795'000'000'000);
  const auto made = make_self_signed("Relay.Example.net", KeyKind::P256, now, kMonth);
  REQUIRE(made);
  const auto facts = certificate_facts(made->certificate);
  REQUIRE(facts);
  CHECK(facts->names == std::vector<std::string>{"relay.example.net"});
  CHECK(facts->key == "P-256");
  CHECK(facts->is_self_signed);
  CHECK(facts->not_before == now - std::chrono::hours(1));
  CHECK(facts->not_after == now + kMonth);
}

TEST_CASE("a self-signed certificate may be RSA's, for an address, or for a very long name") {
  CHECK(certificate_facts(identity("mx.example", KeyKind::Rsa2048).certificate)->key == "RSA-2048");
  CHECK(certificate_facts(identity("192.0.2.7", KeyKind::P256).certificate)->names.front() ==
        "192.0.2.7");
  CHECK(certificate_facts(identity("2001:db8::1", KeyKind::P256).certificate)->names.front() ==
        "2001:db8::1");
  const std::string longest = std::string(60, 'a') + "." + std::string(60, 'b') + ".example";
  CHECK(certificate_facts(identity(longest, KeyKind::P256).certificate)->names.front() == longest);
}

TEST_CASE("an issued certificate is not self-signed, and the first of a file counts") {
  const Authority authority("An Authority");
  const PemIdentity issued = authority.issue({{"a.example", "*.b.example"}});
  const auto facts = certificate_facts(issued.certificate + authority.pem());
  REQUIRE(facts);
  CHECK_FALSE(facts->is_self_signed);
  CHECK(facts->names == std::vector<std::string>{"a.example", "*.b.example"});
}

TEST_CASE("what is no certificate is said to be none") {
  CHECK_THAT(certificate_facts("").error().text(), Contains("no PEM block"));
  CHECK_THAT(certificate_facts("hello").error().text(), Contains("no PEM block"));
  const PemIdentity& good = identity("mx.example", KeyKind::P256);
  CHECK_THAT(certificate_facts(good.key).error().text(), Contains("no certificate"));
  std::string cut = good.certificate.substr(0, good.certificate.size() / 2);
  CHECK_THAT(certificate_facts(cut).error().text(), Contains("certificate 1 in it cannot be read"));
  std::string wrong = good.certificate;
  wrong[wrong.size() / 2] = '!';
  CHECK_THAT(certificate_facts(wrong).error().text(), Contains("cannot be read"));
}

TEST_CASE("a server context names the source of an identity that is not good") {
  const PemIdentity& good = identity("mx.example", KeyKind::P256);
  const PemIdentity& other = identity("other.example", KeyKind::P256);
  CHECK_THAT(make_tls_server_context({}).error().text(), Contains("needs a certificate"));
  CHECK_THAT(
      make_tls_server_context({good, {good.certificate, other.key, "/etc/x.crt"}}).error().text(),
      Contains("/etc/x.crt") && Contains("does not belong"));
  CHECK_THAT(make_tls_server_context({{good.certificate, "nothing", "/etc/x.crt"}}).error().text(),
             Contains("/etc/x.crt") && Contains("private key cannot be read"));
  CHECK_THAT(make_tls_server_context({{"nothing", good.key, "/etc/x.crt"}}).error().text(),
             Contains("/etc/x.crt"));
  CHECK_THAT(make_tls_client_context({"/nonexistent/ca.pem"}).error().text(),
             Contains("/nonexistent/ca.pem"));
}

TEST_CASE("a wildcard covers one label") {
  CHECK(name_covers("mx.example", "mx.example"));
  CHECK(name_covers("*.example", "mx.example"));
  CHECK_FALSE(name_covers("*.example", "a.mx.example"));
  CHECK_FALSE(name_covers("*.example", "example"));
  CHECK_FALSE(name_covers("*.example", ".example"));
  CHECK_FALSE(name_covers("mx.example", "my.example"));
}

}  // namespace rockdove::net
