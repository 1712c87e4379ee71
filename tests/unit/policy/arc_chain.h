// What the tests of ARC share: keys and their zone, a message, and hops that seal it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "mta/base/base64.h"
#include "policy/arc_sealer.h"
#include "policy/arc_validator.h"

namespace rockdove::policy {

inline constexpr base::WallTime kSealedAt = base::from_unix_milliseconds(1'795'000'000'000);

// One key a kind, made once: they take their time.
inline const std::shared_ptr<const SigningKey>& test_key(crypto::KeyKind kind) {
  static const auto kRsa = SigningKey::make(crypto::KeyKind::Rsa);
  static const auto kEd25519 = SigningKey::make(crypto::KeyKind::Ed25519);
  return kind == crypto::KeyKind::Rsa ? kRsa : kEd25519;
}

struct TestMessage {
  std::string header = "From: a@example.net\r\nTo: b@example.org\r\nSubject:  x\r\n y\r\n";
  std::string body = "Hello \t world\r\n\r\n";
};

// Keys at rsa._domainkey.* and ed._domainkey.* of every domain; other names do not exist.
class TestZone {
 public:
  std::map<std::string, dns::Status> broken;  // names that get no answer, and what they get

  [[nodiscard]] dns::AnswerPointer answer(const Question& question) const {
    dns::Answer answer;
    answer.status = dns::Status::NxDomain;
    const bool is_rsa = question.name.starts_with("rsa.");
    if (const auto found = broken.find(question.name); found != broken.end()) {
      answer.status = found->second;
    } else if (is_rsa || question.name.starts_with("ed.")) {
      const auto kind = is_rsa ? crypto::KeyKind::Rsa : crypto::KeyKind::Ed25519;
      answer.status = dns::Status::Ok;
      answer.texts = {test_key(kind)->key_record()};
    }
    return std::make_shared<const dns::Answer>(std::move(answer));
  }
};

inline ArcVerdict judge_arc(const TestMessage& message, const TestZone& zone = {},
                            base::WallTime now = kSealedAt) {
  ArcValidator validator(message.header, now);
  RecordedDns dns;
  for (const char& c : message.body) validator.take_body({&c, 1});
  validator.body_ended();
  for (;;) {
    if (auto verdict = validator.judge(dns)) return *std::move(verdict);
    auto missing = dns.take_missing();
    REQUIRE_FALSE(missing.empty());
    for (Question& question : missing) {
      auto answer = zone.answer(question);
      dns.add(std::move(question), std::move(answer));
    }
  }
}

// Puts a set on the message, as the handler of `domain` who judged it before.
inline void seal_arc(TestMessage& message, const std::string& domain,
                     crypto::KeyKind kind = crypto::KeyKind::Rsa) {
  const std::string selector = kind == crypto::KeyKind::Rsa ? "rsa" : "ed";
  const ArcVerdict verdict = judge_arc(message);
  ArcSealer sealer({domain, selector, test_key(kind)});
  sealer.take_body(message.body);
  sealer.body_ended();
  const auto fields = sealer.seal(message.header, verdict, domain + "; spf=pass", kSealedAt);
  REQUIRE(fields);
  message.header = *fields + message.header;
}

inline void replace_once(std::string& text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
}

}  // namespace rockdove::policy
