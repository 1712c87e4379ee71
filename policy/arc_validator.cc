#include "policy/arc_validator.h"

#include <algorithm>
#include <utility>

#include "mta/base/assert.h"

namespace rockdove::policy {
namespace {

using base::Result;

std::string of_set(std::string_view field, std::size_t instance) {
  return "the " + std::string(field) + " of set " + std::to_string(instance);
}

constexpr std::string_view kSignature = "ARC-Message-Signature";
constexpr std::string_view kSeal = "ARC-Seal";

}  // namespace

ArcValidator::ArcValidator(std::string_view header, base::WallTime now)
    : now_(now),
      fields_(collect_arc_fields(header)),
      index_(fields_.is_empty() ? std::string_view() : header) {
  if (fields_.is_empty()) {
    verdict_.emplace();
    verdict_->reason = "the message has no ARC sets";
    return;
  }
  parse_chain();
  if (verdict_) return;
  // The newest comes first, so that it is always among those that there is room for.
  for (std::size_t i = signatures_.size(); i-- > 0;) {
    if (!signatures_[i]) continue;
    for (const ArcForms& forms : signatures_[i]->forms) body_.want(forms.body);
  }
}

void ArcValidator::fail(std::string reason) {
  verdict_.emplace();
  verdict_->status = ArcStatus::Fail;
  verdict_->highest = fields_.highest;
  verdict_->reason = std::move(reason);
}

// RFC 8617 §5.2 steps 1 to 3.
void ArcValidator::parse_chain() {
  if (fields_.highest > 0 && fields_.sets[fields_.highest - 1].seal) {
    const Result<ArcSeal> newest = parse_arc_seal(*fields_.sets[fields_.highest - 1].seal);
    if (newest && newest->status == ArcStatus::Fail) {
      fail(of_set(kSeal, fields_.highest) + " says cv=fail");
      verdict_->is_ended = true;
      return;
    }
  }
  if (!fields_.problem.empty()) return fail(fields_.problem);
  for (std::size_t instance = 1; instance <= fields_.highest; ++instance) {
    const ArcSet& set = fields_.sets[instance - 1];
    Result<ArcSeal> seal = parse_arc_seal(*set.seal);
    if (!seal) return fail(of_set(kSeal, instance) + " is not valid: " + seal.error().text());
    const ArcStatus expected = instance == 1 ? ArcStatus::None : ArcStatus::Pass;
    if (seal->status != expected) {
      fail(of_set(kSeal, instance) + " says cv=" + std::string(name_of(seal->status)) + ", not " +
           std::string(name_of(expected)));
      verdict_->is_ended = seal->status == ArcStatus::Fail;
      return;
    }
    seals_.push_back(*std::move(seal));
    signatures_.push_back(parse_arc_message_signature(*set.message_signature));
  }
  // Only the newest must be valid; of older ones it is only told which are.
  if (!signatures_.back()) {
    fail(of_set(kSignature, fields_.highest) +
         " is not valid: " + signatures_.back().error().text());
  }
}

std::vector<ArcValidator::KeyName> ArcValidator::key_names() const {
  std::vector<KeyName> names;
  for (const ArcSeal& seal : seals_)
    names.emplace_back(seal.signature.selector, seal.signature.domain);
  for (const Result<ArcMessageSignature>& signature : signatures_) {
    if (signature) names.emplace_back(signature->signature.selector, signature->signature.domain);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

void ArcValidator::want_keys(RecordedDns& dns) const {
  if (verdict_) return;
  for (const auto& [selector, domain] : key_names()) {
    const Result<std::string> name = dkim_key_name(selector, domain);
    if (name) static_cast<void>(dns.find(*name, dns::RecordType::TXT));
  }
}

std::optional<ArcValidator::Keys> ArcValidator::find_keys(RecordedDns& dns) const {
  Keys keys;
  bool is_complete = true;
  for (const KeyName& name : key_names()) {
    std::optional<KeyAnswer> answer = find_dkim_key(dns, name.first, name.second);
    if (answer) {
      keys.emplace(name, *std::move(answer));
    } else {
      is_complete = false;
    }
  }
  if (!is_complete) return std::nullopt;
  return keys;
}

void ArcValidator::take_body(std::string_view octets) {
  if (wants_body()) body_.take(octets);
}

void ArcValidator::body_ended() {
  if (wants_body()) body_.finish();
}

std::optional<ArcVerdict> ArcValidator::judge(RecordedDns& dns) {
  if (verdict_) return verdict_;
  const std::optional<Keys> keys = find_keys(dns);
  if (!keys) return std::nullopt;
  const auto newest = judge_message_signature(*keys, fields_.highest);  // step 4
  const auto* forms = std::get_if<ArcForms>(&newest);
  const std::optional<Fault> fault =
      forms == nullptr ? std::get<Fault>(newest) : judge_seals(*keys);  // step 6
  if (fault) {
    fail(fault->reason);
    verdict_->is_temporary = fault->is_temporary;
  } else {
    verdict_ = passed(*keys, *forms);
  }
  return verdict_;
}

// `hash` has all that was signed but the signature's own field.
std::optional<ArcValidator::Fault> ArcValidator::verify(const Keys& keys,
                                                        const ArcSignature& signature,
                                                        const crypto::Sha256& hash) {
  const auto found = keys.find({signature.selector, signature.domain});
  MTA_ASSERT(found != keys.end());
  if (const auto* none = std::get_if<NoDkimKey>(&found->second)) {
    return Fault{"cannot be verified: " + none->reason, none->is_temporary};
  }
  const crypto::PublicKey& key = std::get<DkimKey>(found->second).key;
  if (key.kind() != signature.algorithm)
    return Fault{"names another algorithm than its key is for"};
  if (!key.has_signed(hash.finish(), signature.octets)) return Fault{"does not verify"};
  return std::nullopt;
}

std::optional<ArcValidator::Fault> ArcValidator::judge_forms(const Keys& keys,
                                                             const ArcMessageSignature& signature,
                                                             const ArcForms& forms) const {
  const BodyDigests::Result* body = body_.find(forms.body);
  if (body == nullptr) return Fault{"was not looked at: there are too many kinds of them"};
  // RFC 6376 §3.5: l= must not be more than there is.
  if (forms.body.octets_max && *forms.body.octets_max > body->body_octets) {
    return Fault{"covers more body than there is"};
  }
  if (crypto::as_text(body->digest) != signature.body_digest) {
    return Fault{"is of another body: it was changed after that"};
  }
  crypto::Sha256 hash;
  index_.add_fields(hash, signature.names, forms.header);
  add_field(hash, signature.signature.unsigned_text, forms.header);
  return verify(keys, signature.signature, hash);
}

std::variant<ArcForms, ArcValidator::Fault> ArcValidator::judge_message_signature(
    const Keys& keys, std::size_t instance) const {
  const Result<ArcMessageSignature>& signature = signatures_[instance - 1];
  const auto fault = [instance](const std::string& what) {
    return Fault{of_set(kSignature, instance) + " " + what};
  };
  if (!signature) return fault("is not valid: " + signature.error().text());
  const auto now = std::chrono::floor<std::chrono::seconds>(now_.time_since_epoch());
  if (signature->expires && std::cmp_less(*signature->expires, now.count())) {
    return fault("has expired");
  }
  std::optional<Fault> first;
  for (const ArcForms& forms : signature->forms) {
    std::optional<Fault> wrong = judge_forms(keys, *signature, forms);
    if (!wrong) return forms;
    if (!first) first = std::move(wrong);
  }
  first->reason = of_set(kSignature, instance) + " " + first->reason;
  return *std::move(first);
}

// A seal covers the sets before its own, then its own two other fields and itself (RFC 8617
// §5.1.1).
std::optional<ArcValidator::Fault> ArcValidator::judge_seals(const Keys& keys) const {
  constexpr auto kForm = mail::Canonicalization::Relaxed;
  crypto::Sha256 chain;
  for (std::size_t instance = 1; instance <= fields_.highest; ++instance) {
    const ArcSet& set = fields_.sets[instance - 1];
    const ArcSignature& signature = seals_[instance - 1].signature;
    add_field(chain, set.results->whole, kForm);
    add_field(chain, set.message_signature->whole, kForm);
    crypto::Sha256 sealed = chain;
    add_field(sealed, signature.unsigned_text, kForm);
    std::optional<Fault> wrong = verify(keys, signature, sealed);
    if (wrong) {
      wrong->reason = of_set(kSeal, instance) + " " + wrong->reason;
      return wrong;
    }
    add_field(chain, set.seal->whole, kForm);
  }
  return std::nullopt;
}

std::size_t ArcValidator::oldest_pass(const Keys& keys) const {
  std::size_t oldest = fields_.highest;
  while (oldest > 1 &&
         std::holds_alternative<ArcForms>(judge_message_signature(keys, oldest - 1))) {
    --oldest;
  }
  return oldest == 1 ? 0 : oldest;
}

ArcVerdict ArcValidator::passed(const Keys& keys, const ArcForms& forms) const {
  ArcVerdict verdict;
  verdict.status = ArcStatus::Pass;
  verdict.highest = fields_.highest;
  verdict.oldest_pass = oldest_pass(keys);
  const ArcMessageSignature& newest = *signatures_.back();
  const std::optional<std::uint64_t>& octets_max = forms.body.octets_max;
  verdict.covers_body = !octets_max || *octets_max == body_.find(forms.body)->body_octets;
  verdict.covers_from = !fault_in_names(newest.names, index_);
  for (std::size_t i = 0; i < seals_.size(); ++i) {
    const ArcSignature& seal = seals_[i].signature;
    verdict.handlers.push_back({std::string(seal.domain), std::string(seal.selector),
                                std::string(fields_.sets[i].results_text())});
  }
  verdict.reason = verdict.highest == 1
                       ? "the seal and the message signature of its one ARC set verify"
                       : "all " + std::to_string(verdict.highest) +
                             " seals and the newest message signature verify";
  return verdict;
}

}  // namespace rockdove::policy
