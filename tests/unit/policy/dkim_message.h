// What the tests of DKIM share: messages that are signed here with keys of our own, and judged.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "mta/base/text.h"
#include "policy/dkim_verifier.h"
#include "tests/unit/policy/arc_chain.h"

namespace rockdove::policy {

inline constexpr std::int64_t kNowSeconds = 1'795'000'000;

struct Signer {
  crypto::KeyKind kind = crypto::KeyKind::Rsa;
  std::string domain = "example.net";
  std::string names = "From:To:Subject";
  std::string more = {};  // tags, each with its semicolon
  std::string b_tag = "b=";
  std::string selector = {};  // "rsa" or "ed" where it is empty
};

// Puts a relaxed/relaxed signature on top.
inline void sign(TestMessage& message, const Signer& signer) {
  const bool is_rsa = signer.kind == crypto::KeyKind::Rsa;
  BodyDigests body;
  const BodyScope scope{mail::Canonicalization::Relaxed, std::nullopt};
  body.want(scope);
  body.take(message.body);
  body.finish();
  std::string field = "DKIM-Signature: v=1; c=relaxed/relaxed; a=";
  field += is_rsa ? "rsa-sha256; s=" : "ed25519-sha256; s=";
  field += signer.selector.empty() ? (is_rsa ? "rsa" : "ed") : signer.selector;
  field += "; d=" + signer.domain + ";" + signer.more + " h=" + signer.names +
           ";\r\n\tbh=" + base::encode_base64(crypto::as_text(body.find(scope)->digest)) + "; " +
           signer.b_tag;
  std::vector<std::string> names;
  for (const std::string_view name : split_at_colons(signer.names)) {
    names.push_back(base::lower_case(name));
  }
  crypto::Sha256 hash;
  HeaderIndex(message.header).add_fields(hash, names, mail::Canonicalization::Relaxed);
  add_field(hash, field, mail::Canonicalization::Relaxed);
  field += base::encode_base64(test_key(signer.kind)->sign(hash.finish()));
  message.header = field + "\r\n" + message.header;
}

inline std::vector<DkimSignature> judge_dkim(const TestMessage& message, const TestZone& zone = {},
                                             std::int64_t now = kNowSeconds) {
  DkimVerifier verifier(message.header, base::WallTime(std::chrono::seconds(now)));
  RecordedDns dns;
  for (const char& c : message.body) verifier.take_body({&c, 1});
  verifier.body_ended();
  for (;;) {
    if (auto results = verifier.judge(dns)) return *std::move(results);
    auto missing = dns.take_missing();
    REQUIRE_FALSE(missing.empty());
    for (Question& question : missing) {
      auto answer = zone.answer(question);
      dns.add(std::move(question), std::move(answer));
    }
  }
}

inline DkimSignature judge_one(const TestMessage& message, std::int64_t now = kNowSeconds) {
  const auto results = judge_dkim(message, {}, now);
  REQUIRE(results.size() == 1);
  return results.front();
}

}  // namespace rockdove::policy
