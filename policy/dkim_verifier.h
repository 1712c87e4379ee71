// Judges the DKIM signatures of a message (RFC 6376, RFC 8301, RFC 8463), each by itself. The
// signatures are verified by OpenDKIM (policy/dkim_seal.h); what it lets pass and should not, and
// what it cannot be trusted with, is judged here: tag lists, the clock, q=, SHA-1, short keys,
// fields that stand in the header more often than they are signed, and how much of the body is
// covered.
//
// A check that never waits: give it the header, ask with want_keys(), feed it the body, and call
// judge() until it has an answer. It keeps nothing of the body. For a worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/time.h"
#include "mta/mail/canonical.h"
#include "mta/mail/headers.h"
#include "policy/dkim_seal.h"
#include "policy/recorded_dns.h"
#include "policy/signed_fields.h"
#include "policy/tag_list.h"

namespace rockdove::policy {

// Of one message that many are looked at, from the top; others are not seen at all.
inline constexpr std::size_t kDkimSignaturesMax = 10;

// As Authentication-Results names them (RFC 8601 §2.7.1); None is of a message without signatures.
enum class DkimResult : std::uint8_t { None, Pass, Fail, PermanentError, TemporaryError };

// "none", "pass", "fail", "permerror", "temperror".
[[nodiscard]] std::string_view name_of(DkimResult result);

struct DkimSignature {
  DkimResult result = DkimResult::PermanentError;
  std::string reason;        // in a sentence for a person, without a final full stop
  std::string domain;        // d=, as it was written
  std::string selector;      // s=
  std::string algorithm;     // a=, "rsa-sha256"
  std::string identity;      // i=, as it was written; empty when it is not there
  std::string b_start;       // the first octets of b=, which tell signatures apart (RFC 6008)
  std::size_t key_bits = 0;  // of an RSA key
  bool is_testing = false;  // t=y: a failure is not to be held against the domain (RFC 6376 §3.6.1)
  bool covers_body = false;  // all of it: false when text stands behind what l= covers
};

// Pass when any signature passes; else what a receiver would act on first: a temporary error, a
// failure, an error. None without signatures.
[[nodiscard]] DkimResult verdict_of(const std::vector<DkimSignature>& signatures);

class DkimVerifier {
 public:
  // `header` is a block as mail/headers.h has it, and must outlive the verifier. `now` is for t=
  // and x=.
  DkimVerifier(std::string_view header, base::WallTime now);

  void want_keys(RecordedDns& dns) const;
  // False when the results are certain without the body.
  [[nodiscard]] bool wants_body() const;

  void take_body(std::string_view octets);
  void body_ended();

  // After body_ended(). nullopt: keys are missing and have been noted in `dns`; call again. In the
  // order of the header; a second call after an answer gives the same.
  [[nodiscard]] std::optional<std::vector<DkimSignature>> judge(RecordedDns& dns);

 private:
  struct Candidate {
    DkimSignature signature;
    std::string key_name;  // empty: it is not to be verified, signature.reason says why
    bool is_ed25519 = false;
    mail::Canonicalization body_form = mail::Canonicalization::Simple;
    std::optional<std::uint64_t> body_octets_max;
  };

  // Counts what is canonical of the body.
  class Counter final : public mail::CanonicalOutput {
   public:
    explicit Counter(mail::Canonicalization how) : canonicalizer(how) {}

    void take(std::string_view octets) override { count += octets.size(); }

    mail::BodyCanonicalizer canonicalizer;
    std::uint64_t count = 0;
    bool is_wanted = false;
  };

  void show_header(const mail::HeaderFields& all);
  void read_signature(const mail::HeaderField& field, const HeaderIndex& index);
  [[nodiscard]] std::optional<std::string> fault_in(const TagList& tags, const HeaderIndex& index,
                                                    Candidate& candidate) const;
  [[nodiscard]] std::optional<std::string> fault_in_time(const TagList& tags) const;
  [[nodiscard]] Counter& counter_of(mail::Canonicalization how);
  [[nodiscard]] std::optional<std::vector<DkimKeyText>> find_keys(RecordedDns& dns) const;
  void settle(Candidate& candidate, const DkimSealResult& result);

  base::WallTime now_;
  std::size_t fields_ = 0;  // in the header
  std::vector<Candidate> candidates_;
  std::optional<DkimSealVerifier> seal_;  // only when there is something to verify
  Counter simple_{mail::Canonicalization::Simple};
  Counter relaxed_{mail::Canonicalization::Relaxed};
  std::optional<std::vector<DkimSignature>> results_;
};

}  // namespace rockdove::policy
