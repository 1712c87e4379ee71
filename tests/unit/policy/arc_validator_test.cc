#include "policy/arc_validator.h"

#include <catch2/catch.hpp>

#include "mta/base/text.h"
#include "policy/tag_list.h"
#include "tests/unit/policy/arc_chain.h"

namespace rockdove::policy {
namespace {

TestMessage sealed(int hops) {
  TestMessage message;
  for (int hop = 0; hop < hops; ++hop) {
    seal_arc(message, "example.org", crypto::KeyKind::Ed25519);
  }
  return message;
}

std::string reason_for(const TestMessage& message, const TestZone& zone = {}) {
  const ArcVerdict verdict = judge_arc(message, zone);
  CHECK(verdict.status == ArcStatus::Fail);
  CHECK(verdict.handlers.empty());
  return verdict.reason;
}

// A sealed message whose sealer made its message signature with `to` in the place of `from`.
TestMessage with_tags(std::string_view from, std::string_view to) {
  TestMessage message;
  ArcSealer sealer({"example.org", "ed", test_key(crypto::KeyKind::Ed25519)});
  sealer.take_body(message.body);
  sealer.body_ended();
  const std::string fields =
      sealer.seal(message.header, judge_arc(message), "example.org; none", kSealedAt).value();
  const std::size_t start = fields.find("ARC-Message-Signature:");
  const std::size_t end = fields.find("ARC-Authentication-Results:");
  std::string signature = fields.substr(start, end - start);
  replace_once(signature, from, to);
  signature.resize(signature.rfind("b=") + 2);
  const HeaderIndex index(message.header);
  std::vector<std::string> names;
  const auto tags = TagList::parse(std::string_view(signature).substr(22));
  REQUIRE(tags);
  for (const std::string_view name : split_at_colons(tags->find("h")->value)) {
    names.push_back(base::lower_case(name));
  }
  crypto::Sha256 hash;
  index.add_fields(hash, names, mail::Canonicalization::Relaxed);
  add_field(hash, signature, mail::Canonicalization::Relaxed);
  const auto& key = test_key(crypto::KeyKind::Ed25519);
  signature += base::encode_base64(key->sign(hash.finish())) + "\r\n";
  const std::string results = fields.substr(end);
  std::string seal = fields.substr(0, start);
  seal.resize(seal.rfind("b=") + 2);
  crypto::Sha256 chain;
  for (const std::string& field : {results, signature, seal}) {
    add_field(chain, field, mail::Canonicalization::Relaxed);
  }
  seal += base::encode_base64(key->sign(chain.finish())) + "\r\n";
  message.header = seal + signature + results + message.header;
  return message;
}

TEST_CASE("a message without ARC fields has no chain, and its body is not looked at") {
  const TestMessage message;
  const ArcValidator validator(message.header, kSealedAt);
  CHECK_FALSE(validator.wants_body());
  const ArcVerdict verdict = judge_arc(message);
  CHECK(verdict.status == ArcStatus::None);
  CHECK(verdict.reason == "the message has no ARC sets");
}

TEST_CASE("keys can be asked for before the body comes, each once") {
  const TestMessage message = sealed(3);
  const ArcValidator validator(message.header, kSealedAt);
  CHECK(validator.wants_body());
  RecordedDns dns;
  validator.want_keys(dns);
  const auto missing = dns.take_missing();
  REQUIRE(missing.size() == 1);
  CHECK(missing[0].name == "ed._domainkey.example.org");
}

TEST_CASE("a change to the body or to a signed field breaks the chain, one to others does not") {
  TestMessage message = sealed(2);
  message.body += "\r\n";  // relaxed
  message.header += "X-Other: x\r\n";
  CHECK(judge_arc(message).status == ArcStatus::Pass);
  TestMessage other = message;
  other.body += "x\r\n";
  CHECK(reason_for(other) ==
        "the ARC-Message-Signature of set 2 is of another body: it was changed after that");
  other = message;
  replace_once(other.header, "Subject:  x", "Subject: z");
  CHECK(reason_for(other) == "the ARC-Message-Signature of set 2 does not verify");
  other = message;
  other.header = "From: mallory@example.com\r\n" + other.header;
  CHECK(reason_for(other) == "the ARC-Message-Signature of set 2 does not verify");
  other = message;
  other.header += "From: mallory@example.com\r\n";
  CHECK(reason_for(other) == "the ARC-Message-Signature of set 2 does not verify");
}

TEST_CASE("a change to results or to an older seal breaks the chain") {
  const TestMessage message = sealed(2);
  TestMessage other = message;
  replace_once(other.header, "i=1; example.org; spf=pass", "i=1; example.org; spf=fail");
  CHECK(reason_for(other) == "the ARC-Seal of set 1 does not verify");
  other = message;
  replace_once(other.header, "i=2; example.org; spf=pass", "i=2; example.org; spf=fail");
  CHECK(reason_for(other) == "the ARC-Seal of set 2 does not verify");
}

TEST_CASE("sets must be whole, in sequence and single") {
  const TestMessage message = sealed(2);
  TestMessage other = message;
  replace_once(other.header, "ARC-Seal: i=1;", "X-Seal: i=1;");
  CHECK(reason_for(other) == "set 1 has no ARC-Seal field");
  other = message;
  replace_once(other.header, "ARC-Authentication-Results: i=2;",
               "ARC-Authentication-Results: i=1;");
  CHECK(reason_for(other) == "set 1 has two ARC-Authentication-Results fields");
  for (const std::string_view instance : {"i=0;", "i=51;", "i=x;", "i=100;", "", "i=-1;", "i=1"}) {
    other = message;
    replace_once(other.header, "ARC-Authentication-Results: i=2;",
                 "ARC-Authentication-Results: " + std::string(instance));
    CHECK(reason_for(other) == "an ARC-Authentication-Results field has no valid instance");
  }
}

TEST_CASE("the instance of results may have comments around it") {
  const ArcFields fields = collect_arc_fields(
      "ARC-Authentication-Results: (a (b\\) c)) i (x) =\r\n (y) 7 (z) ; mx.example; none\r\n");
  CHECK(fields.highest == 7);
  CHECK(fields.sets[6].results_text() == " mx.example; none");
}

TEST_CASE("a key that cannot be had breaks the chain, and it is told whether for good") {
  const TestMessage message = sealed(1);
  TestZone zone;
  zone.broken["ed._domainkey.example.org"] = dns::Status::NxDomain;
  CHECK_FALSE(judge_arc(message, zone).is_temporary);
  CHECK(reason_for(message, zone) ==
        "the ARC-Message-Signature of set 1 cannot be verified: there is no key at "
        "ed._domainkey.example.org (no such domain)");
  zone.broken["ed._domainkey.example.org"] = dns::Status::TimedOut;
  CHECK(judge_arc(message, zone).status == ArcStatus::Fail);
  CHECK(judge_arc(message, zone).is_temporary);
}

TEST_CASE("a key of the other algorithm does not verify") {
  TestMessage message = sealed(1);
  for (int i = 0; i < 2; ++i) replace_once(message.header, "a=ed25519-sha256", "a=rsa-sha256");
  CHECK(reason_for(message) ==
        "the ARC-Message-Signature of set 1 names another algorithm than its key is for");
}

TEST_CASE("x= is held against the clock that the validator is given") {
  const TestMessage message = with_tags("t=", "x=1795000000; t=");
  CHECK(judge_arc(message).status == ArcStatus::Pass);
  const ArcVerdict late = judge_arc(message, {}, kSealedAt + std::chrono::seconds(1));
  CHECK(late.status == ArcStatus::Fail);
  CHECK(late.reason == "the ARC-Message-Signature of set 1 has expired");
}

TEST_CASE("l= may be all of the body, and never more") {
  const TestMessage message = with_tags("bh=", "l=13; bh=");
  CHECK(judge_arc(message).status == ArcStatus::Pass);
  CHECK(judge_arc(message).covers_body);
  CHECK(reason_for(with_tags("bh=", "l=14; bh=")) ==
        "the ARC-Message-Signature of set 1 covers more body than there is");
}

TEST_CASE("appended text under l= leaves a good chain that does not cover the body") {
  TestMessage message = with_tags("bh=", "l=13; bh=");
  REQUIRE(judge_arc(message).status == ArcStatus::Pass);
  message.body = "Hello world\r\nadded\r\n";
  const ArcVerdict verdict = judge_arc(message);
  CHECK(verdict.status == ArcStatus::Pass);
  CHECK_FALSE(verdict.covers_body);
}

TEST_CASE("a message signature that leaves out From says nothing about the author") {
  const TestMessage message = with_tags("h=from:from:to:subject;", "h=to:subject;");
  const ArcVerdict verdict = judge_arc(message);
  CHECK(verdict.status == ArcStatus::Pass);
  CHECK_FALSE(verdict.covers_from);
}

TEST_CASE("a Subject that was put on top of a sealed one leaves nothing to rest on") {
  TestMessage message;
  seal_arc(message, "a.example");
  CHECK(judge_arc(message).covers_from);
  message.header = "Subject: pay\r\n" + message.header;
  CHECK(judge_arc(message).status == ArcStatus::Pass);
  CHECK_FALSE(judge_arc(message).covers_from);
}

TEST_CASE("a message signature that signs seals, or asks elsewhere for keys, is not valid") {
  CHECK(reason_for(with_tags("h=from", "h=arc-seal:from")) ==
        "the ARC-Message-Signature of set 1 is not valid: it signs ARC-Seal fields");
  CHECK(reason_for(with_tags("t=", "q=http; t=")) ==
        "the ARC-Message-Signature of set 1 is not valid: its q= tag does not name the DNS");
  CHECK(judge_arc(with_tags("t=", "q=http:dns/txt; t=")).status == ArcStatus::Pass);
}

}  // namespace
}  // namespace rockdove::policy
