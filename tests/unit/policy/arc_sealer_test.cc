#include "policy/arc_sealer.h"

#include <catch2/catch.hpp>

#include "tests/unit/policy/arc_chain.h"

namespace rockdove::policy {
namespace {

base::Result<std::string> seal(const TestMessage& message, std::string_view results) {
  ArcSealer sealer({"example.org", "ed", test_key(crypto::KeyKind::Ed25519)});
  sealer.take_body(message.body);
  sealer.body_ended();
  return sealer.seal(message.header, judge_arc(message), results, kSealedAt);
}

TEST_CASE("chains of 1 to 10 hops, RSA and Ed25519 in turn, verify at each") {
  TestMessage message;
  for (std::size_t hop = 1; hop <= 10; ++hop) {
    const auto kind = hop % 3 == 0 ? crypto::KeyKind::Ed25519 : crypto::KeyKind::Rsa;
    seal_arc(message, "hop" + std::to_string(hop) + ".example", kind);
    const ArcVerdict verdict = judge_arc(message);
    INFO(verdict.reason);
    REQUIRE(verdict.status == ArcStatus::Pass);
    CHECK(verdict.highest == hop);
    CHECK(verdict.oldest_pass == 0);
    CHECK(verdict.covers_from);
    CHECK(verdict.covers_body);
    REQUIRE(verdict.handlers.size() == hop);
    CHECK(verdict.handlers.back().domain == "hop" + std::to_string(hop) + ".example");
    CHECK(verdict.handlers.back().results == " hop" + std::to_string(hop) + ".example; spf=pass");
  }
}

TEST_CASE(
    "a hop that changes the message and seals it leaves a good chain with a younger oldest pass") {
  TestMessage message;
  seal_arc(message, "one.example");
  seal_arc(message, "two.example");
  message.body += "-- \r\nthe list\r\n";
  seal_arc(message, "list.example");  // judged the changed message: the chain is broken for it
  CHECK(judge_arc(message).status == ArcStatus::Fail);

  // A list judges what came, changes it, and seals what it sends.
  TestMessage other;
  seal_arc(other, "one.example");
  seal_arc(other, "two.example");
  const ArcVerdict as_it_came = judge_arc(other);
  other.body += "-- \r\nthe list\r\n";
  ArcSealer list({"list.example", "rsa", test_key(crypto::KeyKind::Rsa)});
  list.take_body(other.body);
  list.body_ended();
  const auto fields = list.seal(other.header, as_it_came, "list.example; arc=pass", kSealedAt);
  REQUIRE(fields);
  other.header = *fields + other.header;
  const ArcVerdict verdict = judge_arc(other);
  CHECK(verdict.status == ArcStatus::Pass);
  CHECK(verdict.oldest_pass == 3);
}

TEST_CASE("a broken chain is sealed once with cv=fail, and no more") {
  TestMessage message;
  seal_arc(message, "one.example");
  message.body = "other\r\n";
  seal_arc(message, "two.example");
  CHECK(message.header.find("ARC-Seal: i=2; a=rsa-sha256; cv=fail;") == 0);
  const ArcVerdict verdict = judge_arc(message);
  CHECK(verdict.status == ArcStatus::Fail);
  CHECK(verdict.is_ended);
  CHECK(verdict.reason == "the ARC-Seal of set 2 says cv=fail");
  const auto more = seal(message, "three.example; arc=fail");
  REQUIRE(more);
  CHECK(more->empty());
}

TEST_CASE("a chain has at most fifty sets") {
  TestMessage message;
  for (int hop = 0; hop < 50; ++hop) seal_arc(message, "x.example", crypto::KeyKind::Ed25519);
  CHECK(judge_arc(message).status == ArcStatus::Pass);
  const auto more = seal(message, "x.example; none");
  REQUIRE_FALSE(more);
  CHECK(more.error().text() == "the message has as many ARC sets as there may be");
}

TEST_CASE("results that would break out of their field are refused") {
  const TestMessage message;
  CHECK(seal(message, "mx.example;\r\n\tspf=pass").is_ok());
  CHECK_FALSE(seal(message, ""));
  CHECK_FALSE(seal(message, "mx.example;\r\nBcc: x"));
  CHECK_FALSE(seal(message, "mx.example;\n spf=pass"));
  CHECK_FALSE(seal(message, "mx.example; \r spf=pass"));
  CHECK_FALSE(seal(message, "mx.example;\r\n \r\n x"));
  CHECK_FALSE(seal(message, std::string_view("a\0b", 3)));
  CHECK_FALSE(seal(message, std::string(1000, 'x')));
  CHECK_FALSE(seal(message, std::string(kArcResultsOctetsMax + 1, 'x')));
}

TEST_CASE("a verdict of another message is noticed") {
  TestMessage message;
  seal_arc(message, "one.example");
  ArcSealer sealer({"two.example", "rsa", test_key(crypto::KeyKind::Rsa)});
  sealer.body_ended();
  const auto fields = sealer.seal(message.header, judge_arc(TestMessage()), "x; none", kSealedAt);
  REQUIRE_FALSE(fields);
  CHECK(fields.error().text() == "the verdict is not of this message's ARC sets");
}

TEST_CASE("the fields of a seal are folded, and sign each field that is there") {
  TestMessage message;
  message.header += "DKIM-Signature: v=1; d=a\r\nDKIM-Signature: v=1; d=b\r\nReceived: x\r\n";
  const auto fields = seal(message, "mx.example; none");
  REQUIRE(fields);
  std::size_t longest = 0;
  for (std::size_t start = 0; start < fields->size();) {
    const std::size_t end = fields->find("\r\n", start);
    longest = std::max(longest, end - start);
    start = end + 2;
  }
  CHECK(longest <= 100);
  CHECK(fields->find("\r\n\th=from:from:to:subject:dkim-signature:dkim-signature;") !=
        std::string::npos);
}

}  // namespace
}  // namespace rockdove::policy
