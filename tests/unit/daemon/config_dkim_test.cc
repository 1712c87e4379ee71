// [[dkim]]: what makes a signing table, and what is refused.
#include "mta/daemon/config_dkim.h"

#include <catch2/catch.hpp>

#include "parsed.h"
#include "policy/signing_key.h"

using namespace rockdove;
using namespace rockdove::daemon;

namespace {

const std::string& key_text(crypto::KeyKind kind) {
  static const std::string kRsa = policy::SigningKey::make(crypto::KeyKind::Rsa)->to_pem();
  static const std::string kEd25519 = policy::SigningKey::make(crypto::KeyKind::Ed25519)->to_pem();
  return kind == crypto::KeyKind::Rsa ? kRsa : kEd25519;
}

const std::map<std::string, std::string>& files() {
  static const std::map<std::string, std::string> kFiles = {
      {"/rsa", key_text(crypto::KeyKind::Rsa)},
      {"/ed", key_text(crypto::KeyKind::Ed25519)},
      {"/weak", policy::SigningKey::make(crypto::KeyKind::Rsa, 1024)->to_pem()},
      {"/open", key_text(crypto::KeyKind::Rsa)},
      {"/secret", key_text(crypto::KeyKind::Rsa)},
      {"/text", "no key\n"}};
  return kFiles;
}

std::string section(const std::string& rest = "", const std::string& selector = "s1",
                    const std::string& key = "/rsa") {
  return "[[dkim]]\ndomain = \"Example.com\"\nselector = \"" + selector + "\"\nkey = \"" + key +
         "\"\n" + rest;
}

std::vector<policy::SigningRule> rules_of(const std::string& text) {
  const Configuration configuration = accepted(text, files());
  REQUIRE(configuration.inbound.signing != nullptr);
  return configuration.inbound.signing->rules();
}

base::WallTime at(const std::string& moment) {
  return rules_of(section("active_from = " + moment + "\n")).front().active_from;
}

TEST_CASE("a section [[dkim]] says who signs, and what holds unless it is said") {
  CHECK(accepted("").inbound.signing == nullptr);
  const auto rules = rules_of(section());
  REQUIRE(rules.size() == 1);
  const policy::DkimIdentity& identity = *rules.front().identity;
  CHECK(identity.domain == "example.com");
  CHECK(identity.selector == "s1");
  CHECK(identity.key->bits() == 2048);
  CHECK(identity.headers == policy::default_signed_headers());
  CHECK(identity.oversign == policy::default_oversigned_headers());
  CHECK(identity.header == mail::Canonicalization::Relaxed);
  CHECK(identity.body == mail::Canonicalization::Relaxed);
  CHECK(rules.front().active_from == base::WallTime());
  policy::SigningConditions conditions;
  conditions.from = {"example.com"};
  CHECK(rules.front().conditions == conditions);
}

TEST_CASE("all keys of [[dkim]] are read") {
  const auto rules = rules_of(
      "[[listener]]\nname = \"lan\"\naddress = \":2525\"\n" +
      section("from = [\"*.example.org\", \"bücher.example\", \"*\"]\nsender = \"*@Bulk.example\"\n"
              "user = \"shop-*\"\ntenant = \"Blue*\"\nclient = \"10.0.0.0/8\"\nlistener = \"lan\"\n"
              "headers = [\"From\", \"X-Mailer\", \"from\"]\noversign = [\"From\"]\n"
              "canonicalization = \"relaxed/simple\"\n",
              "s1", "/ed"));
  const policy::SigningConditions& conditions = rules.front().conditions;
  CHECK(conditions.from == std::vector<std::string>{"*", "*.example.org", "xn--bcher-kva.example"});
  CHECK(conditions.sender == "*@bulk.example");
  CHECK(conditions.user == "shop-*");
  CHECK(conditions.tenant == "Blue*");
  CHECK(conditions.listener == "lan");
  CHECK(conditions.client.size() == 1);
  const policy::DkimIdentity& identity = *rules.front().identity;
  CHECK(identity.headers == std::vector<std::string>{"from", "x-mailer"});
  CHECK(identity.oversign == std::vector<std::string>{"from"});
  CHECK(identity.header == mail::Canonicalization::Relaxed);
  CHECK(identity.body == mail::Canonicalization::Simple);
  CHECK(identity.key->kind() == crypto::KeyKind::Ed25519);
  CHECK(rules_of(section("oversign = []\n")).front().identity->oversign.empty());
}

TEST_CASE("a day begins at midnight in UTC, and a time may have an offset") {
  CHECK(at("2026-12-01") == base::from_unix_milliseconds(1'796'083'200'000));
  CHECK(at("2026-12-01T00:00:01") == base::from_unix_milliseconds(1'796'083'201'000));
  CHECK(at("2026-12-01T02:00:00+02:00") == at("2026-12-01"));
  CHECK(at("2026-12-01T00:00:00Z") == at("2026-12-01"));
  const std::string wanted =
      "c:6:15: error: `dkim.active_from` wants a date, as in 2026-12-01 (without quotes)";
  CHECK(problems_of(section("active_from = \"2026-12-01\"\n"), files()) ==
        Lines{wanted + ", this is a text"});
  CHECK(problems_of(section("active_from = 07:00:00\n"), files()) ==
        Lines{wanted + ", not before 1970"});
  CHECK(problems_of(section("active_from = 1969-12-31\n"), files()) ==
        Lines{wanted + ", not before 1970"});
}

TEST_CASE("what a section needs is asked for, and what it cannot have refused") {
  CHECK(problems_of("[[dkim]]\n") == Lines{"c:2:1: error: this [[dkim]] has no `domain`",
                                           "c:2:1: error: this [[dkim]] has no `selector`",
                                           "c:2:1: error: this [[dkim]] has no `key`"});
  CHECK(problems_of("[dkim]\n") == Lines{"c:2:2: error: `dkim` is a section: write [[dkim]]"});
  CHECK(problems_of(section("", "a b"), files()).at(1) ==
        "c:4:12: error: `a b` is no selector; it is a part of a name in the DNS");
  CHECK(problems_of(section("listener = \"lam\"\n"), files()) ==
        Lines{"c:6:12: error: there is no listener `lam`"});
  CHECK(problems_of(section("from = [\"a b\"]\n"), files()).size() == 1);
  CHECK(problems_of(section("from = []\n"), files()).size() == 1);
  CHECK(problems_of(section("canonicalization = \"relaxed\"\n"), files()).size() == 1);
  CHECK(problems_of(section("headers = [\"a b\"]\n"), files()) ==
        Lines{"c:6:12: error: `a b` is no name of a header field"});
  CHECK(problems_of(section("headers = [\"Received\"]\n"), files()) ==
        Lines{"c:6:12: error: `Received` is added or changed on the way of mail: the signature "
              "would fail"});
  CHECK(problems_of(section("headers = [\"DKIM-Signature\"]\n"), files()).empty());
  CHECK(problems_of(section("oversign = [\"DKIM-Signature\"]\n"), files()).size() == 1);
}

TEST_CASE("key files are the operator's alone, and hold a key that may be used") {
  CHECK(problems_of(section("", "s1", "/open"), files()) ==
        Lines{"c:5:7: error: `dkim.key`: every user of this machine may read `/open`; do: chmod "
              "o-rwx /open"});
  CHECK(problems_of(section("", "s1", "/none"), files()) ==
        Lines{"c:5:7: error: `dkim.key`: there is no file `/none`"});
  CHECK(problems_of(section("", "s1", "/secret"), files()) ==
        Lines{"c:5:7: error: `dkim.key`: the user rockdove, who the daemon becomes, cannot read "
              "/secret"});
  CHECK(problems_of(section("", "s1", "/text"), files()) ==
        Lines{"c:5:7: error: `dkim.key`: `/text`: there is no private key in it, or it is "
              "encrypted"});
  CHECK(problems_of(section("", "s1", "relative"), files()).size() == 2);
  CHECK(problems_of(section("", "s1", "/weak"), files()) ==
        Lines{"c:5:7: warning: `dkim.key`: `/weak`: an RSA key of 1024 bits is weak; make one of "
              "2048 (RFC 8301)"});
}

TEST_CASE("sections of which only one could sign are told of") {
  CHECK(problems_of(section() + section("", "s2"), files()) ==
        Lines{"c:6:1: error: this section and the one of line 2 are for the same mail, and from "
              "the same time; set `active_from` where the key is the next one"});
  CHECK(
      problems_of(section() + section("", "s1", "/ed"), files()) ==
      Lines{"c:6:1: error: the section of line 2 has another key at `s1._domainkey.example.com`"});
  CHECK(rules_of(section() + section("active_from = 2026-12-01\n", "s2") +
                 section("", "ed", "/ed") + section("sender = \"*@bulk.example\"\n"))
            .size() == 4);
}

}  // namespace
