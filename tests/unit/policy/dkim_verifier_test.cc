// Signatures are made here with keys of our own; OpenDKIM judges them, too. SHA-1 and short keys
// are in the conformance cases.
#include "policy/dkim_verifier.h"

#include <catch2/catch.hpp>

#include "tests/unit/policy/dkim_message.h"

namespace rockdove::policy {
namespace {

// Why a message that is signed so is not accepted.
std::string reason_for(const Signer& signer) {
  TestMessage message;
  sign(message, signer);
  const DkimSignature result = judge_one(message);
  CHECK(result.result == DkimResult::PermanentError);
  return result.reason;
}

TEST_CASE("signatures with RSA and Ed25519 verify, and a change is noticed") {
  for (const auto kind : {crypto::KeyKind::Rsa, crypto::KeyKind::Ed25519}) {
    TestMessage message;
    sign(message, {kind});
    const DkimSignature good = judge_one(message);
    INFO(good.reason);
    CHECK(good.result == DkimResult::Pass);
    CHECK(good.covers_body);
    CHECK(good.domain == "example.net");
    CHECK(good.b_start.size() == 8);
    CHECK(good.key_bits == (kind == crypto::KeyKind::Rsa ? 2048U : 0U));
    TestMessage other = message;
    other.body += "x\r\n";
    CHECK(judge_one(other).result == DkimResult::Fail);
    CHECK(judge_one(other).reason == "the body is not the one that was signed");
    other = message;
    replace_once(other.header, "Subject:  x", "Subject: z");
    CHECK(judge_one(other).result == DkimResult::Fail);
    CHECK(judge_one(other).reason == "it does not verify");
  }
}

TEST_CASE("a message without signatures has the verdict none, and its body is not looked at") {
  const TestMessage message;
  const DkimVerifier verifier(message.header, kSealedAt);
  CHECK_FALSE(verifier.wants_body());
  CHECK(verdict_of(judge_dkim(message)) == DkimResult::None);
}

TEST_CASE("each signature has its own result, also when the key of another cannot be had") {
  TestMessage message;
  sign(message, {.domain = "good.example"});
  sign(message, {.domain = "slow.example"});
  sign(message, {.domain = "gone.example"});
  TestZone zone;
  zone.broken["rsa._domainkey.slow.example"] = dns::Status::TimedOut;
  zone.broken["rsa._domainkey.gone.example"] = dns::Status::NxDomain;
  const auto results = judge_dkim(message, zone);
  REQUIRE(results.size() == 3);
  CHECK(results[0].result == DkimResult::PermanentError);
  CHECK(results[1].result == DkimResult::TemporaryError);
  CHECK(results[2].result == DkimResult::Pass);
  CHECK(verdict_of(results) == DkimResult::Pass);
}

TEST_CASE("only the ten signatures on top are seen") {
  TestMessage message;
  for (int i = 0; i < 12; ++i) {
    sign(message, {crypto::KeyKind::Ed25519, "d" + std::to_string(i) + ".example"});
  }
  const auto results = judge_dkim(message);
  REQUIRE(results.size() == kDkimSignaturesMax);
  CHECK(results.front().domain == "d11.example");
  for (const DkimSignature& signature : results) CHECK(signature.result == DkimResult::Pass);
}

TEST_CASE("x= and t= are held against the clock that the verifier is given") {
  TestMessage message;
  sign(message, {.more = " t=1000000; x=2000000;"});
  CHECK(judge_one(message, 1'000'000).result == DkimResult::Pass);
  CHECK(judge_one(message, 2'000'000).result == DkimResult::Pass);
  CHECK(judge_one(message, 2'000'001).reason == "it has expired");
  CHECK(judge_one(message, 999'700).result == DkimResult::Pass);
  CHECK(judge_one(message, 999'699).reason == "it was made in the future");
}

TEST_CASE("what is wrong with a signature is told") {
  CHECK(reason_for({.more = " q=http;"}) == "its q= tag does not name the DNS");
  CHECK(reason_for({.more = " q=dns/special;"}) == "its q= tag does not name the DNS");
  CHECK(reason_for({.more = " d=other.example;"}) == "the tag d is there twice");
  CHECK(reason_for({.more = " x=soon;"}) == "its x= tag is not a time");
  CHECK(reason_for({.more = " l=-1;"}) == "its l= tag is not a number");
  CHECK(reason_for({.names = "To:Subject"}) == "it does not sign From");
  CHECK(reason_for({.domain = "example..net"}) == "its selector and domain are no name of the DNS");
  CHECK(reason_for({.more = " i=a@other.example;"}) == "its i= tag is not in its domain");
}

TEST_CASE("a second From, or a second one of a signed field, is no signed message") {
  TestMessage message;
  sign(message, {});
  TestMessage other = message;
  other.header = "Subject: y\r\n" + other.header;
  CHECK(judge_one(other).reason ==
        "the message has 2 fields named subject, and not all are signed");
  other.header = "From: m@example.com\r\n" + message.header;
  CHECK(judge_one(other).reason == "the message has not exactly one From field");
  other.header = "Reply-To: a@b.example\r\nReply-To: c@d.example\r\n" + message.header;
  CHECK(judge_one(other).result == DkimResult::Pass);  // it vouches for neither
}

TEST_CASE("more fields may be signed than there are") {
  TestMessage message;
  sign(message, {.names = "From:To:Subject:From:To:Subject:Date:Cc:X-A:X-B"});
  CHECK(judge_one(message).result == DkimResult::Pass);
}

// OpenDKIM would take the signature for one that it covers; RFC 6376 §3.5 says otherwise.
TEST_CASE("a signature that names DKIM-Signature once more than there are others verifies") {
  TestMessage message;
  sign(message, {.names = "From:To:Subject:DKIM-Signature:Date:Cc:X-A:X-B:X-C:X-D:X-E:X-F"});
  CHECK(judge_one(message).result == DkimResult::Pass);
}

TEST_CASE("text behind what l= covers is told") {
  TestMessage message;
  sign(message, {.more = " l=13;"});
  CHECK(judge_one(message).covers_body);
  message.body = "Hello world\r\nadded\r\n";
  const DkimSignature result = judge_one(message);
  CHECK(result.result == DkimResult::Pass);
  CHECK_FALSE(result.covers_body);
  message.body = "Hello\r\n";
  CHECK(judge_one(message).result == DkimResult::PermanentError);
}

TEST_CASE("keys that the DNS has in other forms are read, and others refused") {
  TestMessage message;
  sign(message, {});
  const std::string key = base::encode_base64(test_key(crypto::KeyKind::Rsa)->public_octets());
  const auto judge_with = [&message](std::vector<std::string> texts) {
    DkimVerifier other(message.header, kSealedAt);
    other.take_body(message.body);
    other.body_ended();
    RecordedDns dns;
    dns::Answer answer;
    answer.status = dns::Status::Ok;
    answer.texts = std::move(texts);
    dns.add({"rsa._domainkey.example.net", dns::RecordType::TXT},
            std::make_shared<const dns::Answer>(std::move(answer)));
    return other.judge(dns).value().front();
  };
  CHECK(judge_with({"p=" + key}).result == DkimResult::Pass);
  // Bare RSAPublicKey: the same without the 24 octets of SubjectPublicKeyInfo in front.
  const std::string bare =
      base::encode_base64(test_key(crypto::KeyKind::Rsa)->public_octets().substr(24));
  CHECK(judge_with({"v=DKIM1; p=" + bare}).result == DkimResult::Pass);
  CHECK(judge_with({"k=ed25519; p=" + key, "k=rsa; p=" + key}).result == DkimResult::Pass);
  CHECK(judge_with({"t=y; p=" + key}).is_testing);
  CHECK(judge_with({"p="}).reason ==
        "the key at rsa._domainkey.example.net cannot be used: the key was revoked");
  CHECK(judge_with({"k=rsa; h=sha1; p=" + key}).reason ==
        "the key at rsa._domainkey.example.net cannot be used: it does not allow SHA-256");
  CHECK(judge_with({"p=" + key + "; n=" + std::string(1000, 'x')}).result == DkimResult::Pass);
  CHECK(judge_with({"v=DKIM2; p=" + key}).result == DkimResult::PermanentError);
  CHECK(judge_with({"v=spf1 -all"}).result == DkimResult::PermanentError);
}

}  // namespace
}  // namespace rockdove::policy
