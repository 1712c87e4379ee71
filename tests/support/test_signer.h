// A key that signs for a domain in tests, and what a verifier says of what it has signed.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "policy/dkim_verifier.h"
#include "policy/signing_table.h"

namespace rockdove::tests {

class TestSigner {
 public:
  explicit TestSigner(std::string domain) {
    auto identity = std::make_shared<policy::DkimIdentity>();
    identity->domain = std::move(domain);
    identity->selector = "s1";
    identity->key = policy::SigningKey::make(crypto::KeyKind::Ed25519);
    identity->headers = policy::default_signed_headers();
    identity->oversign = policy::default_oversigned_headers();
    identity_ = std::move(identity);
  }

  // A table that has it alone.
  [[nodiscard]] std::shared_ptr<const policy::SigningTable> table(
      policy::SigningConditions conditions = {}) const {
    policy::SigningRule rule;
    rule.identity = identity_;
    rule.conditions = std::move(conditions);
    return std::make_shared<const policy::SigningTable>(std::vector{std::move(rule)});
  }

  // `block`: with the empty line behind it, as it is stored. None: it is not signed.
  [[nodiscard]] policy::DkimResult verdict(std::string_view block, std::string_view body,
                                           base::WallTime now) const {
    policy::RecordedDns dns;
    auto answer = std::make_shared<dns::Answer>();
    answer->status = dns::Status::Ok;
    answer->texts = {identity_->key->key_record()};
    dns.add({"s1._domainkey." + identity_->domain, dns::RecordType::TXT}, answer);
    block.remove_suffix(2);
    policy::DkimVerifier verifier(block, now);
    verifier.take_body(body);
    verifier.body_ended();
    return policy::verdict_of(verifier.judge(dns).value());
  }

 private:
  std::shared_ptr<const policy::DkimIdentity> identity_;
};

}  // namespace rockdove::tests
