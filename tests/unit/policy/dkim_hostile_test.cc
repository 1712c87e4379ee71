// Messages and signatures that were made to be misread: by us, by OpenDKIM, or by either
// differently from what their readers see.
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/policy/dkim_message.h"

namespace rockdove::policy {
namespace {

DkimResult result_of(const Signer& signer, TestMessage message = {}) {
  sign(message, signer);
  const DkimSignature judged = judge_one(message);
  UNSCOPED_INFO(judged.reason);
  return judged.result;
}

DkimSignature judge_with(const TestMessage& message, const std::string& name,
                         std::vector<std::string> texts) {
  DkimVerifier verifier(message.header, kSealedAt);
  verifier.take_body(message.body);
  verifier.body_ended();
  RecordedDns dns;
  dns::Answer answer;
  answer.status = dns::Status::Ok;
  answer.texts = std::move(texts);
  dns.add({name, dns::RecordType::TXT}, std::make_shared<const dns::Answer>(std::move(answer)));
  return verifier.judge(dns).value().front();
}

// OpenDKIM counts a key's octets, of which it has 128 as one of 1,024 bits has. Made with openssl.
TEST_CASE("a key of 1,023 bits is too short") {
  TestMessage message;
  message.header =
      "DKIM-Signature: v=1; c=relaxed/relaxed; a=rsa-sha256; s=short; d=example.net; h=From;"
      " bh=yGIXoM91E1DiKjvCBcC8NlWyw54TdfMQ08sdtwtOO4I=;"
      " b=WYg4X65pbqJxgtaRSFnj5GBm+SgOHupYkQWZlUQJFetJZz2KvCyk40YHbv8CzxOyMdVfb450v1qHWMHHjVuD3CtF"
      "45iIvHOpT1f5eSDlItQG9crsf7FPEHL4Z3hCO9SV88F4120pT2sABOtRR6dSLeIBDSPN9oLU37dj7/zhw5M=\r\n"
      "From: a@example.net\r\n";
  message.body = "Hello world\r\n";
  const DkimSignature judged =
      judge_with(message, "short._domainkey.example.net",
                 {"p="
                  "MIGeMA0GCSqGSIb3DQEBAQUAA4GMADCBiAKBgGpQyd2HBTEm2vumZcyA1DWTxX1zk5AbvIAJmivvVMQ8"
                  "ijp3vSFPf41b"
                  "9XQN0gxRLNpWvJ7/ZJ3+nSat21KyV9+c/"
                  "ROK7H2I2o2j1H+3sC67aXZVtDY923WIa+I9Z7piF+AqDStniSFJuilGmeAw"
                  "9dCqMSvlg6yvqnWXEY9DJmEnAgMBAAE="});
  CHECK(judged.result == DkimResult::PermanentError);
  CHECK(judged.reason.find("1023 bits is too short") != std::string::npos);
}

// OpenDKIM does not see a field with a tab in front of its colon; readers of mail do.
TEST_CASE("a field with a tab before its colon is a field") {
  TestMessage message{"To: b@example.org\r\nSubject: x\r\n", "Hello\r\n"};
  sign(message, {});  // From is signed as one that is not there
  message.header = "From\t: chief@example.net\r\n" + message.header;
  CHECK(judge_one(message).result == DkimResult::Fail);
  TestMessage honest{"From\t: a@example.net\r\nTo : b@example.org\r\n", "Hello\r\n"};
  CHECK(result_of({}, honest) == DkimResult::Pass);
}

TEST_CASE("what is added behind a NUL, or instead of a blank, is seen") {
  TestMessage message;
  sign(message, {});
  for (const char c : {'\0', '\v', '\f', '\r', '\n'}) {
    TestMessage other = message;
    replace_once(other.header, "Subject:  x\r\n y", std::string("Subject:  x\r\n y") + c + "Pay!");
    CHECK(judge_one(other).result == DkimResult::Fail);
    other = message;
    replace_once(other.header, "Subject:  x\r\n y", std::string("Subject:  x") + c + "y");
    CHECK(judge_one(other).result == DkimResult::Fail);
  }
}

// Nobody can hand in such bodies (smtp/body_reader.h); OpenDKIM drops the octet.
TEST_CASE("a bare CR or LF in a body is content") {
  TestMessage message;
  sign(message, {});
  for (const char* body : {"Hel\rlo \t world\r\n\r\n", "Hel\nlo \t world\r\n\r\n",
                           "Hello \t world\r\n\r\r\n", "\rHello \t world\r\n\r\n"}) {
    TestMessage other = message;
    other.body = body;
    CHECK(judge_one(other).result == DkimResult::Fail);
  }
}

// RFC 6376 §3.4.3 and §3.4.4; BDAT (RFC 3030) can bring such bodies.
TEST_CASE("a body without a last CRLF is signed as if it had one") {
  TestMessage message;
  sign(message, {});
  message.body = "Hello \t world";
  CHECK(judge_one(message).result == DkimResult::Pass);
  message.body = "Hello \t world\r";
  CHECK(judge_one(message).result == DkimResult::Fail);
}

// OpenDKIM cuts i= at 256 octets before it compares.
TEST_CASE("i= must be in d=, however long it is") {
  CHECK(result_of({.more = " i=a@example.net;"}) == DkimResult::Pass);
  CHECK(result_of({.more = " i=@Sub.EXAMPLE.net;"}) == DkimResult::Pass);
  CHECK(result_of({.more = " i=\"a@b\"@example.net;"}) == DkimResult::Pass);
  for (const std::string& identity :
       {std::string("a@other.example"), std::string("a"), std::string("a@badexample.net"),
        std::string("@"), std::string("a@example.net@other.example")}) {
    CHECK(result_of({.more = " i=" + identity + ";"}) == DkimResult::PermanentError);
  }
  for (std::size_t octets = 230; octets < 260; ++octets) {
    const std::string identity = std::string(octets, 'a') + "@example.net.other.example";
    CHECK(result_of({crypto::KeyKind::Ed25519, "example.net", "From", " i=" + identity + ";"}) ==
          DkimResult::PermanentError);
  }
}

TEST_CASE("a key with t=s is not for subdomains") {
  TestMessage message;
  sign(message, {.more = " i=a@sub.example.net;"});
  const std::string key =
      "p=" + base::encode_base64(test_key(crypto::KeyKind::Rsa)->public_octets());
  const std::string name = "rsa._domainkey.example.net";
  CHECK(judge_with(message, name, {key}).result == DkimResult::Pass);
  CHECK(judge_with(message, name, {"t=y:s; " + key}).result == DkimResult::PermanentError);
  TestMessage exact;
  sign(exact, {.more = " i=a@Example.net;"});
  CHECK(judge_with(exact, name, {"t=s; " + key}).result == DkimResult::Pass);
}

TEST_CASE("only the value of b= is left out of what is signed") {
  CHECK(result_of({.more = " xb=some;"}) == DkimResult::Pass);
  CHECK(result_of({.b_tag = "b ="}) == DkimResult::Pass);
  CHECK(result_of({.b_tag = "\r\n\tb\r\n\t=\r\n\t"}) == DkimResult::Pass);
  TestMessage message;
  sign(message, {.more = " xb=some;"});
  replace_once(message.header, "xb=some", "xb=else");
  CHECK(judge_one(message).result == DkimResult::Fail);
}

TEST_CASE("domains in letters that are not ASCII are those of their A-labels") {
  const Signer signer{.domain =
                          "b\xc3\xbc"
                          "cher.example",
                      .more =
                          " i=a@B\xc3\xbc"
                          "cher.example;"};
  TestMessage message;
  sign(message, signer);
  const std::string key =
      "p=" + base::encode_base64(test_key(crypto::KeyKind::Rsa)->public_octets());
  CHECK(judge_with(message, "rsa._domainkey.xn--bcher-kva.example", {key}).result ==
        DkimResult::Pass);
}

TEST_CASE("a signature may be longer than OpenDKIM takes it") {
  CHECK(result_of({.more = " n=" + std::string(70'000, 'x') + ";"}) == DkimResult::Pass);
  std::string names = "To";
  for (int i = 0; i < 2000; ++i) names += ":x-name-" + std::to_string(i);
  CHECK(result_of({.names = names + ":From"}) == DkimResult::Pass);
  TestMessage message;
  sign(message, {.names = names + ":From"});
  replace_once(message.header, "From: a@", "From: m@");
  CHECK(judge_one(message).result == DkimResult::Fail);
}

TEST_CASE("a signature beside one that is no tag list, or a very long one, verifies") {
  TestMessage message;
  sign(message, {});
  std::string tags;
  for (int i = 0; i < 30'000; ++i) tags += "a" + std::to_string(i) + "=;";
  message.header = "DKIM-Signature: " + tags +
                   "\r\nDKIM-Signature: ;;\r\nDKIM-Signature\t: \x01\r\n" + message.header;
  const auto results = judge_dkim(message);
  REQUIRE(results.size() == 4);
  CHECK(results[0].result == DkimResult::PermanentError);
  CHECK(results[3].result == DkimResult::Pass);
}

TEST_CASE("a signature may cover other signatures, and one more than there are") {
  TestMessage message;
  sign(message, {crypto::KeyKind::Ed25519});
  sign(message, {.names = "From:DKIM-Signature:DKIM-Signature:Subject"});
  CHECK(judge_dkim(message).front().result == DkimResult::Pass);
  replace_once(message.header, "ed25519-sha256; s=ed", "ed25519-sha256; s=x");
  CHECK(judge_dkim(message).front().result == DkimResult::Fail);
}

TEST_CASE("keys of both kinds may stand at one name") {
  TestMessage message;
  sign(message, {});
  TestMessage other;
  sign(other, {crypto::KeyKind::Ed25519});
  replace_once(other.header, "s=ed;", "s=rsa;");
  const std::string rsa =
      "p=" + base::encode_base64(test_key(crypto::KeyKind::Rsa)->public_octets());
  const std::string ed =
      "k=ed25519;p=" + base::encode_base64(test_key(crypto::KeyKind::Ed25519)->public_octets());
  const std::string name = "rsa._domainkey.example.net";
  CHECK(judge_with(message, name, {ed, rsa}).result == DkimResult::Pass);
  CHECK(judge_with(message, name, {"p=junk", ed, rsa}).result == DkimResult::Pass);
  CHECK(judge_with(message, name, {ed}).result == DkimResult::PermanentError);
  CHECK(judge_with(other, name, {rsa, ed}).result == DkimResult::Fail);  // s= was changed
}

TEST_CASE("signatures of both kinds may have their keys at one name") {
  TestMessage message;
  sign(message, {.selector = "both"});
  sign(message, {.kind = crypto::KeyKind::Ed25519, .selector = "both"});
  DkimVerifier verifier(message.header, kSealedAt);
  verifier.take_body(message.body);
  verifier.body_ended();
  RecordedDns dns;
  dns::Answer answer;
  answer.status = dns::Status::Ok;
  answer.texts = {test_key(crypto::KeyKind::Rsa)->key_record(),
                  test_key(crypto::KeyKind::Ed25519)->key_record()};
  dns.add({"both._domainkey.example.net", dns::RecordType::TXT},
          std::make_shared<const dns::Answer>(std::move(answer)));
  const auto results = verifier.judge(dns).value();
  REQUIRE(results.size() == 2);
  CHECK(results[0].result == DkimResult::Pass);
  CHECK(results[1].result == DkimResult::Pass);
}

TEST_CASE("times are read as they stand") {
  CHECK(result_of({.more = " t=0;"}) == DkimResult::Pass);
  CHECK(result_of({.more = " t=299; x=999999999999;"}) == DkimResult::Pass);
  CHECK(result_of({.more = " t=1795000000; x=1795000000;"}) == DkimResult::PermanentError);
  CHECK(result_of({.more = " t=1795000001; x=1795000000;"}) == DkimResult::PermanentError);
  CHECK(result_of({.more = " x=;"}) == DkimResult::PermanentError);
}

TEST_CASE("forms and algorithms that nobody knows are not taken") {
  TestMessage message;
  sign(message, {});
  for (const char* form : {"c=relaxed/nofws", "c=nofws/relaxed", "c=", "c=relaxed/",
                           "c=relaxed/relaxed/relaxed", "c=Relaxed/relaxed"}) {
    TestMessage other = message;
    replace_once(other.header, "c=relaxed/relaxed", form);
    CHECK(judge_one(other).result == DkimResult::PermanentError);
  }
  for (const char* algorithm : {"rsa-sha1", "rsa-md5", "RSA-SHA256", "ed25519-sha1"}) {
    TestMessage other = message;
    replace_once(other.header, "rsa-sha256", algorithm);
    CHECK(judge_one(other).result == DkimResult::PermanentError);
  }
}

TEST_CASE("blank lines that come in pieces, and l= at any place, are what they are at once") {
  TestMessage message;
  message.body = "a\r\n\r\n  \r\n\t\r\nb \r\n\r\n\r\n";
  for (int length = 0; length < 16; ++length) {
    TestMessage other = message;
    sign(other, {.more = " l=" + std::to_string(length) + ";"});
    // The signer signs all of it; only that many octets are its.
    const DkimSignature judged = judge_one(other);
    CHECK((judged.result == DkimResult::Pass) == (length == 12));
    CHECK((judged.result == DkimResult::PermanentError) == (length > 12));
    if (length == 12) CHECK(judged.covers_body);
  }
}

TEST_CASE("verifiers work on several threads at once") {
  TestMessage good;
  sign(good, {});
  sign(good, {crypto::KeyKind::Ed25519});
  TestMessage bad = good;
  bad.body += "more\r\n";
  std::vector<std::thread> threads;
  std::vector<int> passed(4);
  for (int& count : passed) {
    threads.emplace_back([&count, &good, &bad] {
      const TestZone zone;
      for (int i = 0; i < 40; ++i) {
        const TestMessage& message = i % 2 == 0 ? good : bad;
        DkimVerifier verifier(message.header, kSealedAt);
        RecordedDns dns;
        verifier.want_keys(dns);
        for (Question& question : dns.take_missing()) {
          auto answer = zone.answer(question);
          dns.add(std::move(question), std::move(answer));
        }
        verifier.take_body(message.body);
        verifier.body_ended();
        const auto results = verifier.judge(dns).value();
        for (const DkimSignature& signature : results) {
          if (signature.result == DkimResult::Pass) ++count;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int count : passed) CHECK(count == 40);
}

}  // namespace
}  // namespace rockdove::policy
