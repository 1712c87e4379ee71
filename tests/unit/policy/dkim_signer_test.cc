// What the signer makes is judged by the verifier, which has OpenDKIM behind it. Messages of every
// odd kind are put to other people's verifiers by tests/probe/dkim_interop_test.py.
#include "policy/dkim_signer.h"

#include <algorithm>

#include <catch2/catch.hpp>

#include "policy/dkim_verifier.h"
#include "policy/signature_text.h"
#include "tests/unit/policy/arc_chain.h"

namespace rockdove::policy {
namespace {

using crypto::KeyKind;
using mail::Canonicalization;

DkimIdentity identity_with(KeyKind kind) {
  const std::string selector = kind == KeyKind::Rsa ? "rsa" : "ed";
  return {"example.net",
          selector,
          test_key(kind),
          default_signed_headers(),
          default_oversigned_headers(),
          Canonicalization::Relaxed,
          Canonicalization::Relaxed};
}

std::string sign(const TestMessage& message, const std::vector<DkimIdentity>& identities) {
  std::vector<std::shared_ptr<const DkimIdentity>> shared;
  for (const DkimIdentity& identity : identities)
    shared.push_back(std::make_shared<const DkimIdentity>(identity));
  DkimSigner signer(std::move(shared));
  signer.take_body(std::string_view(message.body).substr(0, 3));
  signer.take_body(
      std::string_view(message.body).substr(std::min<std::size_t>(3, message.body.size())));
  signer.body_ended();
  return signer.sign(message.header, kSealedAt);
}

TestMessage signed_with(TestMessage message, const std::vector<DkimIdentity>& identities) {
  message.header = sign(message, identities) + message.header;
  return message;
}

// "pass", or why not, of each signature.
std::vector<std::string> judge(const TestMessage& message) {
  DkimVerifier verifier(message.header, kSealedAt);
  RecordedDns dns;
  verifier.take_body(message.body);
  verifier.body_ended();
  auto results = verifier.judge(dns);
  while (!results) {
    for (Question& question : dns.take_missing()) {
      auto answer = TestZone().answer(question);
      dns.add(std::move(question), std::move(answer));
    }
    results = verifier.judge(dns);
  }
  std::vector<std::string> verdicts;
  for (const DkimSignature& signature : *results)
    verdicts.push_back(
        signature.result == DkimResult::Pass && signature.covers_body ? "pass" : signature.reason);
  return verdicts;
}

// Of the first field of a header.
std::string tag_of(const std::string& header, std::string_view name) {
  const mail::HeaderField field = *mail::HeaderFields(header).begin();
  const auto tags = TagList::parse(field.value);
  REQUIRE(tags);
  const Tag* const tag = tags->find(name);
  return tag == nullptr ? "" : without_blanks(tag->value);
}

const std::vector<std::string> kPass = {"pass"};

TEST_CASE("a signature is made in each canonical form, with either kind of key") {
  for (const auto kind : {KeyKind::Rsa, KeyKind::Ed25519}) {
    for (const auto header : {Canonicalization::Simple, Canonicalization::Relaxed}) {
      for (const auto body : {Canonicalization::Simple, Canonicalization::Relaxed}) {
        DkimIdentity identity = identity_with(kind);
        identity.header = header;
        identity.body = body;
        for (const char* text : {"", "\r\n", "Hello \t world\r\n\r\n", "a\r\n \r\n\r\n"}) {
          TestMessage message = signed_with({.body = text}, {identity});
          CHECK(judge(message) == kPass);
          message.body = "x" + message.body;
          CHECK(judge(message) != kPass);
        }
      }
    }
  }
}

TEST_CASE("the field has the tags that a reader expects, in one order, and is folded") {
  const std::string field = sign({}, {identity_with(KeyKind::Rsa)});
  CHECK(
      field.starts_with("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
                        "\td=example.net; s=rsa; t=1795000000;\r\n"
                        "\th=from:from:reply-to:subject:subject:date:to:to:message-id;\r\n"
                        "\tbh="));
  CHECK(field.find(";\r\n\tb=") != std::string::npos);
  CHECK(field.ends_with("\r\n"));
  for (std::size_t start = 0; start < field.size();) {
    const std::size_t end = field.find("\r\n", start);
    CHECK(end - start <= 78);
    start = end + 2;
  }
  CHECK(sign({}, {identity_with(KeyKind::Rsa)}) == field);
}

TEST_CASE("fields that are over-signed cannot be added, others can") {
  DkimIdentity identity = identity_with(KeyKind::Ed25519);
  const TestMessage message = signed_with({}, {identity});
  for (const char* field : {"From: x@example.net\r\n", "Subject: other\r\n",
                            "To: c@example.org\r\n", "Date: Sun, 22 Nov 2026 12:00:00 +0000\r\n",
                            "Reply-To: x@example.com\r\n", "Message-ID: <1@x>\r\n"}) {
    TestMessage changed = message;
    changed.header = field + changed.header;
    CHECK(judge(changed) != kPass);
    changed = message;
    changed.header += field;
    CHECK(judge(changed) != kPass);
  }
  TestMessage changed = message;
  changed.header = "Received: from x by y\r\nComments: x\r\n" + changed.header;
  CHECK(judge(changed) == kPass);
  // Who does not want it gets it not.
  identity.oversign.clear();
  changed = signed_with({}, {identity});
  CHECK(tag_of(changed.header, "h") == "from:subject:to");
  changed.header += "Reply-To: x@example.com\r\n";
  CHECK(judge(changed) == kPass);
}

TEST_CASE("From is signed although nobody names it, and what is absent is not named") {
  DkimIdentity identity = identity_with(KeyKind::Ed25519);
  identity.headers = {"cc", "subject"};
  identity.oversign = {};
  const TestMessage message = signed_with({}, {identity});
  CHECK(tag_of(message.header, "h") == "from:subject");
  CHECK(judge(message) == kPass);
}

TEST_CASE("each field of a name is signed, of very many the last ones") {
  DkimIdentity identity = identity_with(KeyKind::Ed25519);
  identity.headers = {"comments"};
  identity.oversign = {};
  TestMessage message;
  for (int i = 0; i < 3; ++i) message.header += "Comments: " + std::to_string(i) + "\r\n";
  message = signed_with(message, {identity});
  CHECK(tag_of(message.header, "h") == "from:comments:comments:comments");
  CHECK(judge(message) == kPass);
  replace_once(message.header, "Comments: 0", "Comments: x");
  CHECK(judge(message) != kPass);

  identity.oversign = {"comments"};
  message = {};
  for (int i = 0; i < 300; ++i) message.header += "Comments: " + std::to_string(i) + "\r\n";
  message = signed_with(message, {identity});
  const std::string names = tag_of(message.header, "h");
  CHECK(static_cast<std::size_t>(std::count(names.begin(), names.end(), ':')) ==
        kSignedFieldsOfANameMax);
  CHECK(judge(message) == kPass);
}

TEST_CASE("several keys sign one body, each in its own form, and hash it once a form") {
  DkimIdentity simple = identity_with(KeyKind::Rsa);
  simple.header = Canonicalization::Simple;
  simple.body = Canonicalization::Simple;
  const std::string fields = sign({}, {identity_with(KeyKind::Rsa), identity_with(KeyKind::Ed25519),
                                       simple, identity_with(KeyKind::Rsa)});
  TestMessage message;
  message.header = fields + message.header;
  CHECK(judge(message) == std::vector<std::string>(4, "pass"));
  const auto second = fields.find("DKIM-Signature:", 1);
  const auto third = fields.find("DKIM-Signature:", second + 1);
  CHECK(tag_of(fields.substr(0, second), "bh") ==
        tag_of(fields.substr(second, third - second), "bh"));
  CHECK(tag_of(fields.substr(second, third - second), "a") == "ed25519-sha256");
  CHECK(sign({}, {}).empty());
}

TEST_CASE("a body of many pieces gives what one of a single piece gives") {
  TestMessage message;
  message.body.clear();
  for (int i = 0; i < 5000; ++i) message.body += "line " + std::to_string(i) + " \t x\r\n\r\n";
  const auto identity = std::make_shared<const DkimIdentity>(identity_with(KeyKind::Ed25519));
  DkimSigner whole({identity});
  whole.take_body(message.body);
  whole.body_ended();
  DkimSigner pieces({identity});
  for (std::size_t at = 0; at < message.body.size(); at += 7)
    pieces.take_body(std::string_view(message.body).substr(at, 7));
  pieces.body_ended();
  CHECK(whole.sign(message.header, kSealedAt) == pieces.sign(message.header, kSealedAt));
}

TEST_CASE("OpenSSL signs with RSA as BoringSSL does") {
  const auto key = crypto::PrivateKey::make(KeyKind::Rsa, 1024);
  const auto sealed = SigningKey::from_pem(key.to_pem());
  REQUIRE(sealed);
  const crypto::Digest digest = crypto::sha256("x");
  CHECK((*sealed)->bits() == 1024);
  CHECK((*sealed)->sign(digest) == key.sign(digest));
  CHECK((*sealed)->algorithm() == "rsa-sha256");
  CHECK((*sealed)->key_record().starts_with("v=DKIM1; k=rsa; p=MI"));
  CHECK_FALSE(SigningKey::from_pem("nothing"));
  CHECK(SealedRsaKey("nothing").sign_rsa_sha256(digest).empty());
  CHECK(SealedRsaKey(test_key(KeyKind::Ed25519)->to_pem()).sign_rsa_sha256(digest).empty());
}

}  // namespace
}  // namespace rockdove::policy
