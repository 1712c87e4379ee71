#include "policy/arc_sealer.h"

#include <utility>

#include "mta/base/assert.h"
#include "mta/base/base64.h"
#include "mta/base/text.h"
#include "policy/signature_text.h"

namespace rockdove::policy {
namespace {

using base::Error;
using base::Result;

constexpr mail::Canonicalization kHeader = mail::Canonicalization::Relaxed;
constexpr BodyScope kBody{mail::Canonicalization::Relaxed, std::nullopt};
constexpr std::size_t kFieldLineOctetsMax = 998;  // RFC 5322 §2.1.1

// What is signed of the header: RFC 6376 §5.4.1, and DKIM-Signature as RFC 8617 §4.1.2 wants it.
// None of those that handlers take away or change: Authentication-Results, Received, Return-Path,
// ARC's own.
const std::vector<std::string>& signed_headers() {
  static const std::vector<std::string> kNames = {"from",
                                                  "to",
                                                  "cc",
                                                  "subject",
                                                  "date",
                                                  "reply-to",
                                                  "message-id",
                                                  "in-reply-to",
                                                  "references",
                                                  "sender",
                                                  "resent-date",
                                                  "resent-from",
                                                  "resent-to",
                                                  "resent-cc",
                                                  "mime-version",
                                                  "content-type",
                                                  "content-transfer-encoding",
                                                  "list-id",
                                                  "list-unsubscribe",
                                                  "list-unsubscribe-post",
                                                  "list-post",
                                                  "dkim-signature"};
  return kNames;
}

const std::vector<std::string>& oversigned_headers() {
  static const std::vector<std::string> kNames = {"from"};
  return kNames;
}

// Printable text, perhaps folded: what can stand in a field without beginning another.
bool is_field_value(std::string_view text) {
  std::size_t line_octets = 0;
  bool has_content = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto octet = static_cast<unsigned char>(text[i]);
    if (text[i] == '\r') {
      const bool is_fold =
          i + 2 < text.size() && text[i + 1] == '\n' && (text[i + 2] == ' ' || text[i + 2] == '\t');
      if (!is_fold || !has_content) return false;
      i += 2;
      line_octets = 0;
      has_content = false;
    } else if (octet == '\t' || (octet >= 32 && octet != 127)) {
      has_content = has_content || (octet != ' ' && octet != '\t');
    } else {
      return false;
    }
    if (++line_octets > kFieldLineOctetsMax) return false;
  }
  return has_content;
}

}  // namespace

ArcSealer::ArcSealer(ArcIdentity identity) : identity_(std::move(identity)) {
  MTA_ASSERT(identity_.key != nullptr);
  body_.want(kBody);
}

void ArcSealer::take_body(std::string_view octets) {
  body_.take(octets);
}

void ArcSealer::body_ended() {
  body_.finish();
}

std::string ArcSealer::message_signature(std::string_view header, std::size_t instance,
                                         base::WallTime now) const {
  const HeaderIndex index(header);
  const std::vector<std::string> names =
      names_to_sign(index, signed_headers(), oversigned_headers());
  std::string field = "ARC-Message-Signature: i=" + std::to_string(instance) +
                      "; a=" + std::string(identity_.key->algorithm()) + "; c=relaxed/relaxed;";
  field.append(kSignatureFold).append("d=").append(identity_.domain);
  field.append("; s=").append(identity_.selector);
  field.append("; t=").append(signature_time(now)).append(";").append(kSignatureFold).append("h=");
  append_signed_names(field, names);
  field.append(";").append(kSignatureFold).append("bh=");
  field.append(base::encode_base64(crypto::as_text(body_.find(kBody)->digest))).append(";");
  field.append(kSignatureFold).append("b=");
  crypto::Sha256 hash;
  index.add_fields(hash, names, kHeader);
  return sign_field(std::move(field), hash, kHeader, *identity_.key);
}

Result<std::string> ArcSealer::seal(std::string_view header, const ArcVerdict& incoming,
                                    std::string_view results, base::WallTime now) const {
  if (incoming.is_ended) return std::string();
  const ArcFields before = collect_arc_fields(header);
  const bool is_good = incoming.status != ArcStatus::Fail;
  if (before.highest != incoming.highest || (is_good && !before.problem.empty())) {
    return Error("the verdict is not of this message's ARC sets");
  }
  if (incoming.highest == kArcSetsMax)
    return Error("the message has as many ARC sets as there may be");
  results = base::trimmed(results);
  if (results.size() > kArcResultsOctetsMax || !is_field_value(results)) {
    return Error("the authentication results cannot be put into a field");
  }
  const std::size_t instance = incoming.highest + 1;
  const std::string number = std::to_string(instance);
  const std::string own_results =
      "ARC-Authentication-Results: i=" + number + "; " + std::string(results) + "\r\n";
  const std::string own_signature = message_signature(header, instance, now);
  crypto::Sha256 chain;
  // RFC 8617 §5.1.2: the seal of a broken chain covers its own set only.
  for (std::size_t i = 0; is_good && i < incoming.highest; ++i) {
    const ArcSet& set = before.sets[i];
    for (const auto& field : {set.results, set.message_signature, set.seal}) {
      add_field(chain, field->whole, kHeader);
    }
  }
  add_field(chain, own_results, kHeader);
  add_field(chain, own_signature, kHeader);
  std::string own_seal = "ARC-Seal: i=" + number +
                         "; a=" + std::string(identity_.key->algorithm()) +
                         "; cv=" + std::string(name_of(incoming.status)) + ";";
  own_seal.append(kSignatureFold).append("d=").append(identity_.domain);
  own_seal.append("; s=").append(identity_.selector);
  own_seal.append("; t=")
      .append(signature_time(now))
      .append(";")
      .append(kSignatureFold)
      .append("b=");
  return sign_field(std::move(own_seal), chain, kHeader, *identity_.key) + own_signature +
         own_results;
}

}  // namespace rockdove::policy
