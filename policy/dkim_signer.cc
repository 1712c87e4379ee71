#include "policy/dkim_signer.h"

#include <utility>

#include "mta/base/assert.h"
#include "mta/base/base64.h"
#include "policy/signature_text.h"
#include "policy/signed_fields.h"

namespace rockdove::policy {
namespace {

BodyScope scope_of(const DkimIdentity& identity) {
  return {identity.body, std::nullopt};
}

std::string_view name_of(mail::Canonicalization how) {
  switch (how) {
    case mail::Canonicalization::Simple:
      return "simple";
    case mail::Canonicalization::Relaxed:
      return "relaxed";
  }
  return {};
}

// What a signature covers of the header, which is mostly the same for all keys.
struct HeaderDigest {
  std::vector<std::string> names;
  mail::Canonicalization how = mail::Canonicalization::Relaxed;
  crypto::Sha256 hash;
};

// The field up to "b=" (RFC 6376 §3.5).
std::string unsigned_signature(const DkimIdentity& identity, const HeaderDigest& header,
                               const crypto::Digest& body, base::WallTime now) {
  std::string field = "DKIM-Signature: v=1; a=";
  field.append(identity.key->algorithm()).append("; c=").append(name_of(identity.header));
  field.append("/").append(name_of(identity.body)).append(";").append(kSignatureFold);
  field.append("d=").append(identity.domain).append("; s=").append(identity.selector);
  field.append("; t=").append(signature_time(now)).append(";").append(kSignatureFold);
  field.append("h=");
  append_signed_names(field, header.names);
  field.append(";").append(kSignatureFold);
  field.append("bh=").append(base::encode_base64(crypto::as_text(body))).append(";");
  return field.append(kSignatureFold).append("b=");
}

}  // namespace

const std::vector<std::string>& default_signed_headers() {
  static const std::vector<std::string> kNames = {"from",
                                                  "reply-to",
                                                  "subject",
                                                  "date",
                                                  "to",
                                                  "cc",
                                                  "message-id",
                                                  "resent-date",
                                                  "resent-from",
                                                  "resent-to",
                                                  "resent-cc",
                                                  "in-reply-to",
                                                  "references",
                                                  "mime-version",
                                                  "content-type",
                                                  "content-transfer-encoding",
                                                  "list-id",
                                                  "list-help",
                                                  "list-unsubscribe",
                                                  "list-unsubscribe-post",
                                                  "list-subscribe",
                                                  "list-post",
                                                  "list-owner",
                                                  "list-archive"};
  return kNames;
}

const std::vector<std::string>& default_oversigned_headers() {
  static const std::vector<std::string> kNames = {"from", "subject",  "to",
                                                  "date", "reply-to", "message-id"};
  return kNames;
}

DkimSigner::DkimSigner(std::vector<std::shared_ptr<const DkimIdentity>> identities)
    : identities_(std::move(identities)) {
  for (const auto& identity : identities_) {
    MTA_ASSERT(identity != nullptr && identity->key != nullptr);
    MTA_ASSERT(body_.want(scope_of(*identity)));  // there are only two forms
  }
}

void DkimSigner::take_body(std::string_view octets) {
  body_.take(octets);
}

void DkimSigner::body_ended() {
  body_.finish();
}

std::string DkimSigner::sign(std::string_view header, base::WallTime now) const {
  const HeaderIndex index(header);
  std::vector<HeaderDigest> digests;
  std::string fields;
  for (const auto& identity : identities_) {
    HeaderDigest wanted{
        names_to_sign(index, identity->headers, identity->oversign), identity->header, {}};
    const bool is_known = !digests.empty() && digests.back().how == wanted.how &&
                          digests.back().names == wanted.names;
    if (!is_known) {
      index.add_fields(wanted.hash, wanted.names, wanted.how);
      digests.push_back(std::move(wanted));
    }
    const HeaderDigest& covered = digests.back();
    const BodyDigests::Result* const body = body_.find(scope_of(*identity));
    fields += sign_field(unsigned_signature(*identity, covered, body->digest, now), covered.hash,
                         identity->header, *identity->key);
  }
  return fields;
}

}  // namespace rockdove::policy
