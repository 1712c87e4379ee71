// SHA-256 digests of a message's body in canonical form, several at once, each perhaps of its first
// octets only (`l=`, RFC 6376 §3.5). The body comes in pieces of any size and is kept nowhere.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "mta/crypto/digest.h"
#include "mta/mail/canonical.h"

namespace rockdove::policy {

inline constexpr std::size_t kBodyDigestsMax = 4;

struct BodyScope {
  mail::Canonicalization how = mail::Canonicalization::Simple;
  std::optional<std::uint64_t> octets_max;  // of the canonical form

  bool operator==(const BodyScope&) const = default;
};

class BodyDigests {
 public:
  // Before the body. Returns false when it would be more than kBodyDigestsMax different ones.
  bool want(const BodyScope& scope);

  void take(std::string_view octets);
  void finish();

  struct Result {
    crypto::Digest digest{};
    std::uint64_t body_octets = 0;  // of the whole body in canonical form
  };

  // After finish(). nullptr: it was not wanted, or there was no room for it.
  [[nodiscard]] const Result* find(const BodyScope& scope) const;

 private:
  struct Job {
    BodyScope scope;
    crypto::Sha256 hash;
    Result result;
  };

  // One canonical form, and all digests that are made of it.
  class Form final : public mail::CanonicalOutput {
   public:
    explicit Form(mail::Canonicalization how) : canonicalizer(how) {}

    void take(std::string_view octets) override;

    mail::BodyCanonicalizer canonicalizer;
    std::vector<Job> jobs;
    std::uint64_t octets = 0;
  };

  [[nodiscard]] Form& form_of(mail::Canonicalization how);

  Form simple_{mail::Canonicalization::Simple};
  Form relaxed_{mail::Canonicalization::Relaxed};
};

}  // namespace rockdove::policy
