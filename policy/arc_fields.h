// The three fields of ARC (RFC 8617 §4.1), taken apart: ARC-Authentication-Results, which says what
// a handler found, ARC-Message-Signature, its signature of the message, and ARC-Seal, its signature
// of all such fields. The three with one instance number, 1 to 50, are a set; the sets of a message
// are its chain.
//
// All views are into the header block.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/result.h"
#include "mta/crypto/signing_key.h"
#include "mta/mail/headers.h"
#include "policy/body_digest.h"

namespace rockdove::policy {

inline constexpr std::size_t kArcSetsMax = 50;  // RFC 8617 §4.2.1

// "fail", "none", "pass": what arc= in Authentication-Results and cv= in a seal say (RFC 8617
// §4.4).
enum class ArcStatus : std::uint8_t { None, Pass, Fail };

[[nodiscard]] std::string_view name_of(ArcStatus status);

// What both kinds of signature have.
struct ArcSignature {
  crypto::KeyKind algorithm = crypto::KeyKind::Rsa;  // a=rsa-sha256 or ed25519-sha256
  std::string_view domain;
  std::string_view selector;
  std::string octets;         // b=
  std::string unsigned_text;  // the field without it, as it was signed
};

// What was signed in which form.
struct ArcForms {
  mail::Canonicalization header = mail::Canonicalization::Simple;
  BodyScope body;
};

struct ArcMessageSignature {
  ArcSignature signature;
  std::vector<std::string> names;  // of the signed fields, in lower case
  // One, or two where there is no c=: RFC 6376 §3.5 calls that simple/simple, and sealers that
  // leave it out mean relaxed/relaxed. A signature in either form is the sealer's.
  std::vector<ArcForms> forms;
  std::string body_digest;               // bh=
  std::optional<std::uint64_t> expires;  // x=, in seconds since 1970
};

struct ArcSeal {
  ArcSignature signature;
  ArcStatus status = ArcStatus::None;  // cv=
};

// Errors are sentences, "its b= tag is not base64".
[[nodiscard]] base::Result<ArcMessageSignature> parse_arc_message_signature(
    const mail::HeaderField& field);
[[nodiscard]] base::Result<ArcSeal> parse_arc_seal(const mail::HeaderField& field);

struct ArcSet {
  std::optional<mail::HeaderField> results;
  std::optional<mail::HeaderField> message_signature;
  std::optional<mail::HeaderField> seal;

  // Of ARC-Authentication-Results, behind the instance: "mx.example; spf=pass …". Not trimmed.
  [[nodiscard]] std::string_view results_text() const;
};

// All fields of ARC in a header.
struct ArcFields {
  std::array<ArcSet, kArcSetsMax> sets;  // by instance - 1
  std::size_t highest = 0;               // instance; 0: there is none that can be read
  // What is wrong with the chain's form, as a sentence, or nothing: a field without a good
  // instance, two in one place, a set with a gap in it or before it.
  std::string problem;

  [[nodiscard]] bool is_empty() const { return highest == 0 && problem.empty(); }
};

[[nodiscard]] ArcFields collect_arc_fields(std::string_view header);

}  // namespace rockdove::policy
