#include "policy/dkim_key.h"

#include <catch2/catch.hpp>

#include "mta/base/base64.h"

namespace rockdove::policy {
namespace {

constexpr std::string_view kEd25519 = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

std::string ed25519(std::string_view before = "") {
  return std::string(before) + "k=ed25519; p=" + std::string(kEd25519);
}

std::string problem(std::string_view record) {
  const auto key = parse_dkim_key(record);
  return key ? "" : key.error().text();
}

void add(RecordedDns& dns, dns::Status status, std::vector<std::string> texts = {}) {
  dns::Answer answer;
  answer.status = status;
  answer.texts = std::move(texts);
  dns.add({"s._domainkey.example.org", dns::RecordType::TXT},
          std::make_shared<const dns::Answer>(std::move(answer)));
}

TEST_CASE("a key record gives its key and its flags") {
  const auto plain = parse_dkim_key(ed25519("v=DKIM1; "));
  REQUIRE(plain);
  CHECK(plain->key.kind() == crypto::KeyKind::Ed25519);
  CHECK_FALSE(plain->is_testing);
  CHECK_FALSE(plain->is_exact_domain);
  const auto flags = parse_dkim_key(ed25519("t=y : s; n=a note; g=*; "));
  REQUIRE(flags);
  CHECK(flags->is_testing);
  CHECK(flags->is_exact_domain);
  const crypto::PrivateKey rsa = crypto::PrivateKey::make(crypto::KeyKind::Rsa);
  const auto key = parse_dkim_key("p=" + base::encode_base64(rsa.public_octets()));
  REQUIRE(key);
  CHECK(key->key.kind() == crypto::KeyKind::Rsa);
}

TEST_CASE("a record that is no key for mail says why") {
  CHECK(problem("v=spf1 -all") == "it is not a DKIM1 record");
  CHECK(problem("no tags") == "a tag has no \"=\"");
  CHECK(problem("v=DKIM2; p=x") == "it is not a DKIM1 record");
  CHECK(problem(ed25519("n=first; v=DKIM1; ")) == "it is not a DKIM1 record");
  CHECK(problem("v=DKIM1; k=rsa") == "it has no p= tag");
  CHECK(problem("v=DKIM1; p=") == "the key was revoked");
  CHECK(problem("v=DKIM1; p=???") == "its p= tag is not base64");
  CHECK(problem("v=DKIM1; p=YWJj") == "it is no public key");
  CHECK(problem("k=dsa; p=YWJj") == "its key type is not known");
  CHECK(problem(ed25519("h=sha1; ")) == "it does not allow SHA-256");
  CHECK(problem(ed25519("h=sha1:sha256; ")).empty());
  CHECK(problem(ed25519("s=tlsrpt; ")) == "it is not for mail");
  CHECK(problem(ed25519("s=tlsrpt:email; ")).empty());
  CHECK(problem(ed25519("s=*; ")).empty());
  CHECK(problem(std::string(kKeyRecordOctetsMax + 1, 'x')) == "it is too long");
}

TEST_CASE("a key is asked for, and found once the answer is there") {
  RecordedDns dns;
  CHECK_FALSE(find_dkim_key(dns, "s", "Example.ORG"));
  const auto missing = dns.take_missing();
  REQUIRE(missing.size() == 1);
  CHECK(missing[0].name == "s._domainkey.example.org");
  CHECK(missing[0].type == dns::RecordType::TXT);
  add(dns, dns::Status::Ok, {"v=spf1 -all", ed25519()});
  const auto found = find_dkim_key(dns, "s", "Example.ORG");
  REQUIRE(found);
  CHECK(std::holds_alternative<DkimKey>(*found));
}

TEST_CASE("no key says whether the DNS may have one later") {
  for (const auto& [status, is_temporary] :
       {std::pair(dns::Status::TimedOut, true), std::pair(dns::Status::ServerFailure, true),
        std::pair(dns::Status::NxDomain, false), std::pair(dns::Status::NoData, false)}) {
    RecordedDns dns;
    add(dns, status);
    const auto found = find_dkim_key(dns, "s", "example.org");
    REQUIRE(found);
    REQUIRE(std::holds_alternative<NoDkimKey>(*found));
    CHECK(std::get<NoDkimKey>(*found).is_temporary == is_temporary);
  }
}

TEST_CASE("names that cannot be in the DNS are not asked for") {
  RecordedDns dns;
  for (const std::string_view domain : {"example..org", "", "example.org."}) {
    const auto found = find_dkim_key(dns, "s", domain);
    REQUIRE(found);
    CHECK(std::holds_alternative<NoDkimKey>(*found));
  }
  CHECK(dns.take_missing().empty());
}

TEST_CASE("an internationalised domain is asked for in A-labels") {
  CHECK(dkim_key_name("s",
                      "b\xc3\xbc"
                      "cher.example")
            .value() == "s._domainkey.xn--bcher-kva.example");
}

}  // namespace
}  // namespace rockdove::policy
