// Judges the DKIM signatures of a message (RFC 6376, RFC 8301, RFC 8463, RFC 8616), each by itself.
//
// A signature passes when it verifies here, by the same parts that ARC is verified with, and when
// OpenDKIM (policy/dkim_seal.h) agrees. OpenDKIM is shown what is signed and nothing else, and is
// not asked about signatures that it is known to misread; contrib/doc/adr/0015 names them.
//
// A check that never waits: give it the header, ask with want_keys(), feed it the body, and call
// judge() until it has an answer. It keeps nothing of header and body. For a worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mta/base/result.h"
#include "mta/base/time.h"
#include "mta/mail/headers.h"
#include "policy/body_digest.h"
#include "policy/dkim_key.h"
#include "policy/dkim_seal.h"
#include "policy/dkim_signature.h"
#include "policy/recorded_dns.h"

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
  // `header` is a block as mail/headers.h has it. `now` is for t= and x=.
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
    std::optional<DkimSignatureParts> parts;  // nothing: signature.reason says why
    bool is_shown = false;                    // to OpenDKIM
  };

  using KeyAnswer = std::variant<DkimKey, NoDkimKey>;

  void read_signature(const mail::HeaderField& field, const HeaderIndex& index);
  void choose_shown();
  void show_header(const mail::HeaderFields& all);
  [[nodiscard]] std::optional<std::vector<KeyAnswer>> find_keys(RecordedDns& dns) const;
  void verify(Candidate& candidate, const KeyAnswer& answer) const;
  void ask_opendkim(const std::vector<KeyAnswer>& keys);

  base::WallTime now_;
  std::vector<Candidate> candidates_;
  BodyDigests body_;
  std::optional<DkimSealVerifier> seal_;  // when any is shown
  bool has_body_ = false;
  bool is_body_ended_ = false;        // the last two octets were CRLF
  bool has_carriage_return_ = false;  // the last octet was a CR
  std::optional<std::vector<DkimSignature>> results_;
};

}  // namespace rockdove::policy
