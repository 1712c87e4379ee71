// What a client that verifies takes for good, and in which words it refuses the rest.
#include <fstream>

#include "tests/support/temporary_directory.h"
#include "tls_authority.h"
#include "tls_pair.h"

namespace rockdove::net {

using Catch::Matchers::Contains;

namespace {

const Authority& authority() {
  static const Authority one("The Test Authority");
  return one;
}

std::shared_ptr<const TlsClientContext> knowing(const std::string& pem) {
  const tests::TemporaryDirectory directory;
  const std::string path = directory.path() + "/ca.pem";
  std::ofstream(path) << pem;
  return client_context(path);
}

// What a client that wants `host` and knows the authorities of `pem` says of the server: nothing
// when it is good.
std::string verdict(const PemIdentity& server, const std::string& host, const std::string& pem,
                    std::string* told_server = nullptr) {
  StartTlsAsClient as_client{knowing(pem), host};
  as_client.verify = TlsVerify::NameAndChain;
  Pair pair({server_context({server})}, as_client);
  pair.run();
  if (told_server != nullptr) *told_server = pair.server.engine.failure();
  if (pair.client.is_open()) {
    CHECK(pair.client.engine.info().verified);
    CHECK_FALSE(pair.server.engine.info().verified);
    return {};
  }
  CHECK(pair.server.has_failed());
  return pair.client.engine.failure();
}

}  // namespace

TEST_CASE("a certificate of a known authority for the name that was asked for is good") {
  const PemIdentity issued =
      authority().issue({{"mx.example", "*.wild.example", "192.0.2.1", "2001:db8::1"}});
  for (const char* host :
       {"mx.example", "MX.Example", "mx.example.", "a.wild.example", "192.0.2.1", "2001:db8::1"}) {
    INFO(host);
    CHECK(verdict(issued, host, authority().pem()).empty());
  }
}

TEST_CASE("a certificate for another name is refused, and both names are told") {
  std::string told;
  CHECK(verdict(authority().issue({{"a.example"}}), "b.example", authority().pem(), &told) ==
        "the certificate is for a.example, not for b.example");
  CHECK(told == "the peer does not trust our certificate (alert bad_certificate)");
  CHECK(verdict(authority().issue({{"a.example", "b.example", "c.example", "d.example"}}),
                "x.example", authority().pem()) ==
        "the certificate is for a.example, b.example, c.example and 1 more, not for x.example");
  CHECK_THAT(verdict(authority().issue({{"*.example"}}), "a.b.example", authority().pem()),
             Contains("not for a.b.example"));
  CHECK_THAT(verdict(authority().issue({{"mx.example"}}), "192.0.2.1", authority().pem()),
             Contains("is for mx.example, not for 192.0.2.1"));
  CHECK_THAT(verdict(authority().issue({{"192.0.2.2"}}), "192.0.2.1", authority().pem()),
             Contains("is for 192.0.2.2, not for 192.0.2.1"));
}

TEST_CASE("a common name is no name of a host") {
  Issue only_common;
  only_common.common_name = "mx.example";
  CHECK_THAT(verdict(authority().issue(only_common), "mx.example", authority().pem()),
             Contains("is for no name at all"));
}

TEST_CASE("a certificate is refused before and after its time") {
  Issue old{{"mx.example"}};
  old.begins = base::Duration(-7'200'000);
  old.ends = base::Duration(-3'600'000);
  std::string told;
  CHECK(verdict(authority().issue(old), "mx.example", authority().pem(), &told) ==
        "the certificate has expired");
  CHECK(told == "the peer says that our certificate has expired (alert certificate_expired)");
  Issue early{{"mx.example"}};
  early.begins = base::Duration(3'600'000);
  early.ends = base::Duration(7'200'000);
  CHECK(verdict(authority().issue(early), "mx.example", authority().pem()) ==
        "the certificate is not valid yet");
}

TEST_CASE("an authority that is not known is named") {
  const Authority stranger("A Stranger");
  std::string told;
  CHECK(verdict(stranger.issue({{"mx.example"}}), "mx.example", authority().pem(), &told) ==
        "the certificate's issuer is not known here: it was issued by \"A Stranger\"");
  CHECK(told == "the peer does not trust our certificate (alert unknown_ca)");
}

TEST_CASE("a self-signed certificate is refused, but where its own file is named") {
  const PemIdentity& own = identity("mx.example", KeyKind::P256);
  CHECK(verdict(own, "mx.example", authority().pem()) == "the certificate is self-signed");
  CHECK(verdict(own, "mx.example", own.certificate).empty());
  CHECK_THAT(verdict(own, "other.example", own.certificate), Contains("not for other.example"));
}

TEST_CASE("a chain is followed through what the server shows, and no further") {
  const auto middle = authority().below("The Middle");
  PemIdentity issued = middle->issue({{"mx.example"}});
  CHECK_THAT(verdict(issued, "mx.example", authority().pem()), Contains("\"The Middle\""));
  // Who names the middle one knows enough.
  CHECK(verdict(issued, "mx.example", middle->pem()).empty());
  issued.certificate += middle->pem();
  CHECK(verdict(issued, "mx.example", authority().pem()).empty());
}

TEST_CASE("a certificate for clients is none for a server") {
  Issue wanted{{"mx.example"}};
  wanted.for_servers = false;
  CHECK(verdict(authority().issue(wanted), "mx.example", authority().pem()) ==
        "the certificate is not for servers");
}

TEST_CASE("who verifies nothing takes any certificate, and calls it so") {
  Issue old{{"else.example"}};
  old.begins = base::Duration(-7'200'000);
  old.ends = base::Duration(-3'600'000);
  Pair pair({server_context({authority().issue(old)})}, {client_context(), "mx.example"});
  pair.run();
  REQUIRE(pair.client.is_open());
  CHECK_FALSE(pair.client.engine.info().verified);
}

TEST_CASE("the system's authorities do not know our own") {
  StartTlsAsClient as_client{client_context(), "mx.example"};
  as_client.verify = TlsVerify::NameAndChain;
  Pair pair({server_context({authority().issue({{"mx.example"}})})}, as_client);
  pair.run();
  CHECK_THAT(pair.client.engine.failure(),
             Contains("issued by \"The Test Authority\"") || Contains("ca-certificates"));
}

}  // namespace rockdove::net
