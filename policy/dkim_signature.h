// A DKIM-Signature field taken apart (RFC 6376 §3.5), and judged by all that can be known without
// its key and the message's body: its tags, the clock, who is named in it, which fields it covers.
// What it signs of the header is hashed at once, so that nothing of the header need be kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/result.h"
#include "mta/crypto/digest.h"
#include "mta/crypto/signing_key.h"
#include "mta/mail/headers.h"
#include "policy/body_digest.h"
#include "policy/signed_fields.h"
#include "policy/tag_list.h"

namespace rockdove::policy {

inline constexpr std::string_view kDkimFieldName = "DKIM-Signature";

// What is told of a signature whatever becomes of it; empty where it cannot be read.
struct DkimNames {
  std::string domain;     // d=, as it was written
  std::string selector;   // s=
  std::string algorithm;  // a=, "rsa-sha256"
  std::string identity;   // i=
  std::string b_start;    // the first octets of b=, which tell signatures apart (RFC 6008 §4)
};

[[nodiscard]] DkimNames names_of(const TagList& tags);

struct DkimSignatureParts {
  crypto::KeyKind kind = crypto::KeyKind::Rsa;
  bool is_sha1 = false;  // rsa-sha1: whatever it signs, it cannot pass (RFC 8301 §3.1)
  std::string domain;    // d= and s=, as they were written
  std::string selector;
  bool is_in_subdomain = false;  // i= is not in d= itself, which a key with t=s forbids
  std::string octets;            // b=
  crypto::Digest header{};       // of all that is signed of the header, the field itself included
  BodyScope body;
  std::string body_digest;         // bh=
  std::vector<std::string> names;  // h=, in lower case
  // OpenDKIM may be asked, too. It may not where it is known to read a signature otherwise than
  // RFC 6376 has it, or to take far too long (contrib/doc/adr/0015).
  bool suits_opendkim = false;
};

// Errors are sentences, "it has expired". `tags` are the field's, `index` is of its header, and
// `now` is in seconds since 1970.
[[nodiscard]] base::Result<DkimSignatureParts> read_dkim_signature(const mail::HeaderField& field,
                                                                   const TagList& tags,
                                                                   const HeaderIndex& index,
                                                                   std::int64_t now);

}  // namespace rockdove::policy
