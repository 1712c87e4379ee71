#include "policy/dkim_verifier.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "mta/base/base64.h"
#include "mta/base/text.h"

namespace rockdove::policy {
namespace {

using base::Result;

// OpenDKIM's buffer for a record holds some 1,000 octets.
constexpr std::size_t kOpendkimKeyBitsMax = 4096;
// It looks through all fields for each name.
constexpr std::size_t kOpendkimComparisonsMax = 100'000;

std::int64_t seconds_of(base::WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
}

// Without octets that OpenDKIM takes for blanks, ends at, or does not take at all.
bool is_plain(const mail::HeaderField& field) {
  if (field.whole.substr(field.name.size(), 1) != ":") return false;
  std::string_view rest = field.value;
  for (std::size_t i = 0; i < rest.size(); ++i) {
    const auto octet = static_cast<unsigned char>(rest[i]);
    if (rest.substr(i, 2) == "\r\n") {
      ++i;
    } else if ((octet < 32 && octet != '\t') || octet == 127) {
      return false;
    }
  }
  return true;
}

std::string record_of(const crypto::PublicKey& key) {
  return std::string(key.kind() == crypto::KeyKind::Rsa ? "k=rsa; p=" : "k=ed25519; p=") +
         base::encode_base64(key.octets());
}

}  // namespace

std::string_view name_of(DkimResult result) {
  switch (result) {
    case DkimResult::None:
      return "none";
    case DkimResult::Pass:
      return "pass";
    case DkimResult::Fail:
      return "fail";
    case DkimResult::PermanentError:
      return "permerror";
    case DkimResult::TemporaryError:
      return "temperror";
  }
  return {};
}

DkimResult verdict_of(const std::vector<DkimSignature>& signatures) {
  for (const DkimResult result : {DkimResult::Pass, DkimResult::TemporaryError, DkimResult::Fail,
                                  DkimResult::PermanentError}) {
    const bool is_there = std::any_of(
        signatures.begin(), signatures.end(),
        [result](const DkimSignature& signature) { return signature.result == result; });
    if (is_there) return result;
  }
  return DkimResult::None;
}

DkimVerifier::DkimVerifier(std::string_view header, base::WallTime now) : now_(now) {
  if (!mail::find_field(header, kDkimFieldName)) return;
  const mail::HeaderFields all(header);
  const HeaderIndex index(header);
  for (const mail::HeaderField& field : all) {
    if (!field.is(kDkimFieldName)) continue;
    read_signature(field, index);
    if (candidates_.size() == kDkimSignaturesMax) break;
  }
  choose_shown();
  show_header(all);
}

void DkimVerifier::read_signature(const mail::HeaderField& field, const HeaderIndex& index) {
  Candidate& candidate = candidates_.emplace_back();
  const Result<TagList> tags = TagList::parse(field.value);
  if (!tags) {
    candidate.signature.reason = tags.error().text();
    return;
  }
  DkimNames names = names_of(*tags);
  candidate.signature.domain = std::move(names.domain);
  candidate.signature.selector = std::move(names.selector);
  candidate.signature.algorithm = std::move(names.algorithm);
  candidate.signature.identity = std::move(names.identity);
  candidate.signature.b_start = std::move(names.b_start);
  Result<DkimSignatureParts> parts = read_dkim_signature(field, *tags, index, seconds_of(now_));
  if (!parts) {
    candidate.signature.reason = parts.error().text();
  } else if (!parts->is_sha1 && !body_.want(parts->body)) {
    candidate.signature.reason = "the body is signed in too many ways";
  } else {
    candidate.parts = *std::move(parts);
  }
}

// Where two signatures have keys of different kinds at one name, OpenDKIM takes the first's for
// both.
void DkimVerifier::choose_shown() {
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    Candidate& candidate = candidates_[i];
    if (!candidate.parts || !candidate.parts->suits_opendkim) continue;
    candidate.is_shown = std::none_of(
        candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(i),
        [&own = *candidate.parts](const Candidate& other) {
          return other.is_shown && other.parts->kind != own.kind &&
                 other.parts->selector == own.selector && other.parts->domain == own.domain;
        });
  }
}

// OpenDKIM sees the signatures that it may judge, and the fields that these sign.
void DkimVerifier::show_header(const mail::HeaderFields& all) {
  std::set<std::string, std::less<>> names;
  std::size_t named = 0;
  for (const Candidate& candidate : candidates_) {
    if (!candidate.is_shown) continue;
    names.insert(candidate.parts->names.begin(), candidate.parts->names.end());
    named += candidate.parts->names.size();
  }
  if (names.empty()) return;
  std::vector<std::string_view> shown;
  std::size_t place = 0;
  for (const mail::HeaderField& field : all) {
    const bool is_signature = field.is(kDkimFieldName);
    const std::size_t at = is_signature ? place++ : place;
    if (is_signature && at < candidates_.size()) {
      if (!candidates_[at].is_shown) continue;
    } else if (is_signature || !names.contains(base::lower_case(field.name))) {
      continue;
    } else if (!is_plain(field)) {
      shown.clear();
      break;
    }
    std::string_view whole = field.whole;
    if (whole.ends_with("\r\n")) whole.remove_suffix(2);
    shown.push_back(whole);
  }
  if (shown.empty() || shown.size() * named > kOpendkimComparisonsMax) {
    for (Candidate& candidate : candidates_) candidate.is_shown = false;
    return;
  }
  seal_.emplace();
  for (const std::string_view field : shown) seal_->add_field(field);
  const auto count = std::count_if(candidates_.begin(), candidates_.end(),
                                   [](const Candidate& candidate) { return candidate.is_shown; });
  seal_->end_header(std::vector<bool>(static_cast<std::size_t>(count), true), seconds_of(now_));
}

void DkimVerifier::want_keys(RecordedDns& dns) const {
  static_cast<void>(find_keys(dns));
}

bool DkimVerifier::wants_body() const {
  return std::any_of(candidates_.begin(), candidates_.end(),
                     [](const Candidate& candidate) { return candidate.parts.has_value(); });
}

void DkimVerifier::take_body(std::string_view octets) {
  if (octets.empty() || !wants_body()) return;
  body_.take(octets);
  if (!seal_) return;
  seal_->add_body(octets);
  has_body_ = true;
  is_body_ended_ = octets == "\n" ? has_carriage_return_ : octets.ends_with("\r\n");
  has_carriage_return_ = octets.ends_with('\r');
}

void DkimVerifier::body_ended() {
  if (!wants_body()) return;
  body_.finish();
  // RFC 6376 §3.4.3: a body that does not end so is signed as if it did; OpenDKIM wants to see it.
  if (seal_ && has_body_ && !is_body_ended_) seal_->add_body("\r\n");
}

std::optional<std::vector<DkimVerifier::KeyAnswer>> DkimVerifier::find_keys(
    RecordedDns& dns) const {
  std::vector<KeyAnswer> keys;
  bool is_complete = true;
  for (const Candidate& candidate : candidates_) {
    std::optional<KeyAnswer> answer;
    if (candidate.parts) {
      answer = find_dkim_key(dns, candidate.parts->selector, candidate.parts->domain,
                             candidate.parts->kind);
      is_complete = is_complete && answer;
    }
    keys.push_back(answer ? *std::move(answer) : NoDkimKey{});
  }
  if (!is_complete) return std::nullopt;
  return keys;
}

std::optional<std::vector<DkimSignature>> DkimVerifier::judge(RecordedDns& dns) {
  if (results_) return results_;
  const std::optional<std::vector<KeyAnswer>> keys = find_keys(dns);
  if (!keys) return std::nullopt;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (candidates_[i].parts) verify(candidates_[i], (*keys)[i]);
  }
  if (seal_) ask_opendkim(*keys);
  results_.emplace();
  for (const Candidate& candidate : candidates_) results_->push_back(candidate.signature);
  return results_;
}

// RFC 6376 §6.1.2 and §6.1.3.
void DkimVerifier::verify(Candidate& candidate, const KeyAnswer& answer) const {
  DkimSignature& signature = candidate.signature;
  const DkimSignatureParts& parts = *candidate.parts;
  if (const auto* none = std::get_if<NoDkimKey>(&answer)) {
    signature.reason = none->reason;
    if (none->is_temporary) signature.result = DkimResult::TemporaryError;
    return;
  }
  if (parts.is_sha1) {
    signature.reason = "it was made with SHA-1, which proves nothing";
    return;
  }
  const auto& key = std::get<DkimKey>(answer);
  signature.is_testing = key.is_testing;
  if (parts.kind == crypto::KeyKind::Rsa) signature.key_bits = key.key.bits();
  if (key.is_exact_domain && parts.is_in_subdomain) {
    signature.reason = "its i= tag is in a subdomain, which its key does not allow";
    return;
  }
  const BodyDigests::Result* body = body_.find(parts.body);
  if (parts.body.octets_max && *parts.body.octets_max > body->body_octets) {
    signature.reason = "it covers more body than there is";  // RFC 6376 §3.5, l=
    return;
  }
  if (!key.key.has_signed(parts.header, parts.octets)) {
    signature.result = DkimResult::Fail;
    signature.reason = "it does not verify";
    return;
  }
  if (crypto::as_text(body->digest) != parts.body_digest) {
    signature.result = DkimResult::Fail;
    signature.reason = "the body is not the one that was signed";
    return;
  }
  signature.result = DkimResult::Pass;
  signature.covers_body = !parts.body.octets_max || *parts.body.octets_max == body->body_octets;
  signature.reason = signature.covers_body
                         ? "it verifies"
                         : "it verifies, but text was added behind what it covers";
}

// What has passed here must pass there.
void DkimVerifier::ask_opendkim(const std::vector<KeyAnswer>& keys) {
  std::vector<DkimKeyText> records;
  std::vector<DkimSignature*> asked;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (!candidates_[i].is_shown) continue;
    DkimKeyText& record = records.emplace_back();
    DkimSignature& signature = candidates_[i].signature;
    const bool is_asked =
        signature.result == DkimResult::Pass && signature.key_bits <= kOpendkimKeyBitsMax;
    asked.push_back(is_asked ? &signature : nullptr);
    if (is_asked) {
      record = {DkimKeyText::Kind::Record, record_of(std::get<DkimKey>(keys[i]).key)};
    }
  }
  const std::vector<DkimSealResult> sealed = seal_->finish(std::move(records));
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (asked[i] == nullptr || sealed[i].outcome == DkimSealResult::Outcome::Pass) continue;
    asked[i]->result = DkimResult::Fail;
    asked[i]->covers_body = false;
    asked[i]->reason = "it verifies here, and OpenDKIM disagrees: " + sealed[i].reason;
  }
}

}  // namespace rockdove::policy
