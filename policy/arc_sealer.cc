#include "policy/arc_sealer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "mta/base/assert.h"
#include "mta/base/base64.h"
#include "mta/base/text.h"
#include "mta/mail/headers.h"

namespace rockdove::policy {
namespace {

using base::Error;
using base::Result;

constexpr BodyScope kBody{mail::Canonicalization::Relaxed, std::nullopt};
constexpr std::string_view kFold = "\r\n\t";
constexpr std::size_t kLineOctetsMax = 76;
constexpr std::size_t kFieldLineOctetsMax = 998;  // RFC 5322 §2.1.1
constexpr std::size_t kFieldsOfANameMax = 10;

// What is signed of the header: RFC 6376 §5.4.1, and DKIM-Signature as RFC 8617 §4.1.2 wants it.
// None of those that handlers take away or change: Authentication-Results, Received, Return-Path,
// ARC's own.
constexpr std::array<std::string_view, 22> kSignedNames = {"From",
                                                           "To",
                                                           "Cc",
                                                           "Subject",
                                                           "Date",
                                                           "Reply-To",
                                                           "Message-ID",
                                                           "In-Reply-To",
                                                           "References",
                                                           "Sender",
                                                           "Resent-Date",
                                                           "Resent-From",
                                                           "Resent-To",
                                                           "Resent-Cc",
                                                           "MIME-Version",
                                                           "Content-Type",
                                                           "Content-Transfer-Encoding",
                                                           "List-Id",
                                                           "List-Unsubscribe",
                                                           "List-Unsubscribe-Post",
                                                           "List-Post",
                                                           "DKIM-Signature"};

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

std::string_view algorithm_of(crypto::KeyKind kind) {
  switch (kind) {
    case crypto::KeyKind::Rsa:
      return "rsa-sha256";
    case crypto::KeyKind::Ed25519:
      return "ed25519-sha256";
  }
  return {};
}

std::string seconds_of(base::WallTime time) {
  return std::to_string(base::to_unix_milliseconds(time) / 1000);
}

// Base64 on lines of its own length, without blanks at the front: "AAAA…\r\n\tBBBB…".
void append_folded_base64(std::string& out, std::string_view octets) {
  const std::string text = base::encode_base64(octets);
  for (std::size_t i = 0; i < text.size(); i += kLineOctetsMax - 4) {
    if (i > 0) out += kFold;
    out += text.substr(i, kLineOctetsMax - 4);
  }
}

// The names of all such fields that are there, and From once more, so that no other can be added.
std::vector<std::string_view> signed_names(const HeaderIndex& index) {
  std::vector<std::string_view> names;
  for (const std::string_view name : kSignedNames) {
    const std::size_t count = std::min(index.count(base::lower_case(name)), kFieldsOfANameMax);
    names.insert(names.end(), count, name);
  }
  names.emplace_back("From");
  return names;
}

// "From:To:…", folded.
void append_names(std::string& out, const std::vector<std::string_view>& names) {
  std::size_t line_octets = 2;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) out += ':';
    if (line_octets + names[i].size() > kLineOctetsMax) {
      out += kFold;
      line_octets = 0;
    }
    out += names[i];
    line_octets += names[i].size() + 1;
  }
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

// `field` ends in "b="; all that is signed before it is in `before`.
std::string ArcSealer::signed_text(std::string field, const crypto::Sha256& before) const {
  crypto::Sha256 hash = before;
  add_field(hash, field, mail::Canonicalization::Relaxed);
  append_folded_base64(field, identity_.key->sign(hash.finish()));
  return field + "\r\n";
}

std::string ArcSealer::message_signature(std::string_view header, std::size_t instance,
                                         base::WallTime now) const {
  const HeaderIndex index(header);
  const std::vector<std::string_view> names = signed_names(index);
  std::string field = "ARC-Message-Signature: i=" + std::to_string(instance) +
                      "; a=" + std::string(algorithm_of(identity_.key->kind())) +
                      "; c=relaxed/relaxed;";
  field.append(kFold)
      .append("d=")
      .append(identity_.domain)
      .append("; s=")
      .append(identity_.selector);
  field.append("; t=").append(seconds_of(now)).append(";");
  field.append(kFold).append("h=");
  append_names(field, names);
  field.append(";").append(kFold).append("bh=");
  field.append(base::encode_base64(crypto::as_text(body_.find(kBody)->digest))).append(";");
  field.append(kFold).append("b=");
  std::vector<std::string> lower_names;
  for (const std::string_view name : names) lower_names.push_back(base::lower_case(name));
  crypto::Sha256 hash;
  index.add_fields(hash, lower_names, mail::Canonicalization::Relaxed);
  return signed_text(std::move(field), hash);
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
  constexpr auto kForm = mail::Canonicalization::Relaxed;
  const std::string own_results =
      "ARC-Authentication-Results: i=" + number + "; " + std::string(results) + "\r\n";
  const std::string own_signature = message_signature(header, instance, now);
  crypto::Sha256 chain;
  // RFC 8617 §5.1.2: the seal of a broken chain covers its own set only.
  for (std::size_t i = 0; is_good && i < incoming.highest; ++i) {
    const ArcSet& set = before.sets[i];
    for (const auto& field : {set.results, set.message_signature, set.seal}) {
      add_field(chain, field->whole, kForm);
    }
  }
  add_field(chain, own_results, kForm);
  add_field(chain, own_signature, kForm);
  std::string own_seal = "ARC-Seal: i=" + number +
                         "; a=" + std::string(algorithm_of(identity_.key->kind())) +
                         "; cv=" + std::string(name_of(incoming.status)) + ";";
  own_seal.append(kFold).append("d=").append(identity_.domain);
  own_seal.append("; s=").append(identity_.selector);
  own_seal.append("; t=").append(seconds_of(now)).append(";").append(kFold).append("b=");
  return signed_text(std::move(own_seal), chain) + own_signature + own_results;
}

}  // namespace rockdove::policy
