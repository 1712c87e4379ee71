// Signs a message that goes out: makes its DKIM-Signature fields (RFC 6376, RFC 8301, RFC 8463),
// one for each identity. Feed it the body as it will be sent, then ask for the fields. The body is
// hashed once for each canonical form, however many keys there are, and nothing of it is kept. For
// a worker thread: an RSA signature takes most of a millisecond. Who signs what is chosen by
// policy/signing_table.h.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mta/base/time.h"
#include "mta/mail/canonical.h"
#include "policy/body_digest.h"
#include "policy/signing_key.h"

namespace rockdove::policy {

// In whose name, with which key, and what is signed. Names of fields are in lower case.
struct DkimIdentity {
  std::string domain;                     // d=, in A-labels
  std::string selector;                   // SELECTOR._domainkey.DOMAIN publishes the key
  std::shared_ptr<const SigningKey> key;  // never null
  // Fields that are signed where they are there; "from" is, whether or not it is named (RFC 6376
  // §5.4).
  std::vector<std::string> headers;
  // Fields that are signed once more than they are there, so that none can be added (§8.15).
  std::vector<std::string> oversign;
  mail::Canonicalization header = mail::Canonicalization::Relaxed;
  mail::Canonicalization body = mail::Canonicalization::Relaxed;
};

// What is signed unless somebody decides otherwise: RFC 6376 §5.4.1's list, MIME's fields, which
// say how the body reads, and List-Unsubscribe-Post (RFC 8058 §4).
[[nodiscard]] const std::vector<std::string>& default_signed_headers();
// From, Subject, To, Date, Reply-To, Message-ID.
[[nodiscard]] const std::vector<std::string>& default_oversigned_headers();

class DkimSigner {
 public:
  explicit DkimSigner(std::vector<std::shared_ptr<const DkimIdentity>> identities);

  // The body as on the wire, without dot-stuffing, in pieces of any size.
  void take_body(std::string_view octets);
  void body_ended();

  // After body_ended(): the fields, each with its CRLF, in the order of the identities, to be put
  // in front of `header`. That is the header as it will be sent, but for them.
  [[nodiscard]] std::string sign(std::string_view header, base::WallTime now) const;

 private:
  std::vector<std::shared_ptr<const DkimIdentity>> identities_;
  BodyDigests body_;
};

}  // namespace rockdove::policy
