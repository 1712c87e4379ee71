#include "policy/dkim_verifier.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "mta/base/base64.h"
#include "mta/base/text.h"
#include "mta/crypto/signing_key.h"
#include "policy/dkim_key.h"

namespace rockdove::policy {
namespace {

using base::Result;

constexpr std::string_view kFieldName = "DKIM-Signature";
constexpr std::size_t kTimeDigitsMax = 12;       // RFC 6376 §3.5
constexpr std::size_t kLengthDigitsMax = 18;     // what OpenDKIM can count
constexpr std::uint64_t kClockSecondsOff = 300;  // how far a signer's clock may be ahead
constexpr std::size_t kComparisonsMax =
    1'000'000;                           // OpenDKIM looks through the header for each name
constexpr std::size_t kStartOctets = 8;  // of b=, RFC 6008 §4

// Fields that a message has once at most (RFC 5322 §3.6). Where one was added, readers may show
// that and not the signed one (RFC 6376 §8.15).
constexpr std::array<std::string_view, 9> kSingleNames = {
    "date", "sender", "reply-to", "to", "cc", "message-id", "in-reply-to", "references", "subject"};

std::int64_t seconds_of(base::WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
}

std::string quoted(std::string_view name) {
  return std::string(name) + "= tag";
}

std::string text_of(const TagList& tags, std::string_view name) {
  const Tag* tag = tags.find(name);
  return tag == nullptr ? std::string() : without_blanks(tag->value);
}

std::optional<std::string> fault_in_needed(const TagList& tags) {
  for (const std::string_view name : {"v", "a", "b", "bh", "d", "h", "s"}) {
    const Tag* tag = tags.find(name);
    if (tag == nullptr) return "it has no " + quoted(name);
    if (tag->value.empty()) return "its " + quoted(name) + " is empty";
  }
  if (tags.find("v")->value != "1") return "its version is not 1";
  for (const std::string_view name : {"b", "bh"}) {
    if (!decode_tag_base64(tags.find(name)->value)) return "its " + quoted(name) + " is not base64";
  }
  return std::nullopt;
}

// RFC 6376 §3.5: there must be a way to get the key that we know.
std::optional<std::string> fault_in_query(const TagList& tags) {
  const Tag* query = tags.find("q");
  if (query == nullptr) return std::nullopt;
  const std::vector<std::string_view> ways = split_at_colons(query->value);
  const bool is_known = std::find(ways.begin(), ways.end(), "dns/txt") != ways.end();
  return is_known ? std::nullopt : std::optional<std::string>("its q= tag does not name the DNS");
}

std::optional<std::string> fault_in_names(const std::vector<std::string>& names,
                                          const HeaderIndex& index, std::size_t fields) {
  if (names.size() * fields > kComparisonsMax) return "it signs too many fields";
  const auto count = [&names](std::string_view name) {
    return static_cast<std::size_t>(std::count(names.begin(), names.end(), name));
  };
  if (count("from") == 0) return "it does not sign From";  // RFC 6376 §6.1.1
  if (index.count("from") != 1) return "the message has not exactly one From field";
  for (const std::string_view name : kSingleNames) {
    const std::size_t there = index.count(std::string(name));
    if (count(name) > 0 && count(name) < there) {
      return "the message has " + std::to_string(there) + " fields named " + std::string(name) +
             ", and not all are signed";
    }
  }
  return std::nullopt;
}

// Of several records, the one for the signature's algorithm.
const std::string& choose_record(const std::vector<std::string>& texts, bool is_ed25519) {
  for (const std::string& text : texts) {
    const Result<TagList> tags = TagList::parse(text);
    if (!tags || tags->find("p") == nullptr) continue;
    const Tag* type = tags->find("k");
    if ((type != nullptr && type->value == "ed25519") == is_ed25519) return text;
  }
  return texts.front();
}

// The record as OpenDKIM can read it: short, because its buffer is, and RSA keys as
// SubjectPublicKeyInfo, where RFC 6376 §3.6.1 has them bare, too. What cannot be read is left for
// OpenDKIM to refuse.
std::string readable_record(const std::string& record) {
  const Result<TagList> tags = TagList::parse(record);
  const Tag* data = tags ? tags->find("p") : nullptr;
  const auto octets = data == nullptr ? std::nullopt : decode_tag_base64(data->value);
  if (!octets) return record;
  std::string text;
  for (const std::string_view name : {"v", "h", "k", "s", "t"}) {
    const Tag* tag = tags->find(name);
    if (tag != nullptr)
      text.append(name).append("=").append(without_blanks(tag->value)).append(";");
  }
  const Result<crypto::PublicKey> key = crypto::PublicKey::from_rsa(*octets);
  return text + "p=" + base::encode_base64(key ? key->octets() : *octets);
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
  const mail::HeaderFields all(header);
  if (!mail::find_field(header, kFieldName)) return;
  fields_ = static_cast<std::size_t>(std::distance(all.begin(), all.end()));
  const HeaderIndex index(header);
  for (const mail::HeaderField& field : all) {
    if (field.is(kFieldName) && candidates_.size() < kDkimSignaturesMax) {
      read_signature(field, index);
    }
  }
  if (!wants_body()) return;
  seal_.emplace();
  show_header(all);
}

void DkimVerifier::show_header(const mail::HeaderFields& all) {
  std::size_t signatures = 0;
  for (const mail::HeaderField& field : all) {
    if (field.is(kFieldName) && ++signatures > kDkimSignaturesMax) continue;
    std::string_view whole = field.whole;
    if (whole.ends_with("\r\n")) whole.remove_suffix(2);
    seal_->add_field(whole);
  }
  std::vector<bool> chosen;
  for (const Candidate& candidate : candidates_) {
    chosen.push_back(!candidate.key_name.empty());
    if (candidate.body_octets_max) counter_of(candidate.body_form).is_wanted = true;
  }
  seal_->end_header(std::move(chosen), seconds_of(now_));
}

void DkimVerifier::read_signature(const mail::HeaderField& field, const HeaderIndex& index) {
  Candidate& candidate = candidates_.emplace_back();
  const Result<TagList> tags = TagList::parse(field.value);
  if (!tags) {
    candidate.signature.reason = tags.error().text();
    return;
  }
  candidate.signature.domain = text_of(*tags, "d");
  candidate.signature.selector = text_of(*tags, "s");
  candidate.signature.algorithm = text_of(*tags, "a");
  candidate.signature.identity = text_of(*tags, "i");
  candidate.signature.b_start = text_of(*tags, "b").substr(0, kStartOctets);
  if (std::optional<std::string> fault = fault_in(*tags, index, candidate)) {
    candidate.signature.reason = *std::move(fault);
    return;
  }
  Result<std::string> name =
      dkim_key_name(candidate.signature.selector, candidate.signature.domain);
  if (name) {
    candidate.key_name = *std::move(name);
  } else {
    candidate.signature.reason = name.error().text();
  }
}

std::optional<std::string> DkimVerifier::fault_in(const TagList& tags, const HeaderIndex& index,
                                                  Candidate& candidate) const {
  if (auto fault = fault_in_needed(tags)) return fault;
  if (auto fault = fault_in_query(tags)) return fault;
  if (auto fault = fault_in_time(tags)) return fault;
  std::vector<std::string> names;
  for (const std::string_view name : split_at_colons(tags.find("h")->value)) {
    names.push_back(base::lower_case(name));
  }
  if (auto fault = fault_in_names(names, index, fields_)) return fault;
  const Tag* length = tags.find("l");
  if (length != nullptr) {
    candidate.body_octets_max = parse_tag_number(length->value, kLengthDigitsMax);
    if (!candidate.body_octets_max) return "its l= tag is not a number";
  }
  const Tag* forms = tags.find("c");
  if (forms != nullptr && forms->value.ends_with("/relaxed")) {
    candidate.body_form = mail::Canonicalization::Relaxed;
  }
  candidate.is_ed25519 = candidate.signature.algorithm == "ed25519-sha256";
  return std::nullopt;
}

std::optional<std::string> DkimVerifier::fault_in_time(const TagList& tags) const {
  const auto now = static_cast<std::uint64_t>(seconds_of(now_));
  std::array<std::optional<std::uint64_t>, 2> times;
  for (std::size_t i = 0; i < times.size(); ++i) {
    const std::string_view name = i == 0 ? "t" : "x";
    const Tag* tag = tags.find(name);
    if (tag == nullptr) continue;
    times[i] = parse_tag_number(tag->value, kTimeDigitsMax);
    if (!times[i]) return "its " + quoted(name) + " is not a time";
  }
  if (times[0] && *times[0] > now + kClockSecondsOff) return "it was made in the future";
  if (times[1] && *times[1] < now) return "it has expired";
  return std::nullopt;
}

DkimVerifier::Counter& DkimVerifier::counter_of(mail::Canonicalization how) {
  return how == mail::Canonicalization::Simple ? simple_ : relaxed_;
}

void DkimVerifier::want_keys(RecordedDns& dns) const {
  for (const Candidate& candidate : candidates_) {
    if (candidate.key_name.empty()) continue;
    static_cast<void>(dns.find(candidate.key_name, dns::RecordType::TXT));
  }
}

bool DkimVerifier::wants_body() const {
  return std::any_of(candidates_.begin(), candidates_.end(),
                     [](const Candidate& candidate) { return !candidate.key_name.empty(); });
}

void DkimVerifier::take_body(std::string_view octets) {
  if (!wants_body()) return;
  seal_->add_body(octets);
  for (Counter* counter : {&simple_, &relaxed_}) {
    if (counter->is_wanted) counter->canonicalizer.write(octets, *counter);
  }
}

void DkimVerifier::body_ended() {
  for (Counter* counter : {&simple_, &relaxed_}) {
    if (counter->is_wanted) counter->canonicalizer.finish(*counter);
  }
}

std::optional<std::vector<DkimKeyText>> DkimVerifier::find_keys(RecordedDns& dns) const {
  std::vector<DkimKeyText> keys(candidates_.size());
  bool is_complete = true;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const Candidate& candidate = candidates_[i];
    if (candidate.key_name.empty()) continue;
    const dns::Answer* answer = dns.find(candidate.key_name, dns::RecordType::TXT);
    if (answer == nullptr) {
      is_complete = false;
    } else if (answer->status == dns::Status::Ok && !answer->texts.empty()) {
      keys[i] = {DkimKeyText::Kind::Record,
                 readable_record(choose_record(answer->texts, candidate.is_ed25519))};
    } else if (dns::is_temporary(answer->status)) {
      keys[i].kind = DkimKeyText::Kind::Unavailable;
    }
  }
  if (!is_complete) return std::nullopt;
  return keys;
}

std::optional<std::vector<DkimSignature>> DkimVerifier::judge(RecordedDns& dns) {
  if (results_) return results_;
  std::optional<std::vector<DkimKeyText>> keys = find_keys(dns);
  if (!keys) return std::nullopt;
  std::vector<DkimSealResult> sealed;
  if (seal_) sealed = seal_->finish(*std::move(keys));
  results_.emplace();
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (!candidates_[i].key_name.empty()) settle(candidates_[i], sealed[i]);
    results_->push_back(candidates_[i].signature);
  }
  return results_;
}

// What OpenDKIM says, and what it should have said.
void DkimVerifier::settle(Candidate& candidate, const DkimSealResult& result) {
  DkimSignature& signature = candidate.signature;
  signature.reason = result.reason;
  signature.is_testing = result.is_testing;
  if (!candidate.is_ed25519) signature.key_bits = result.key_bits;
  switch (result.outcome) {
    case DkimSealResult::Outcome::Fail:
      signature.result = DkimResult::Fail;
      return;
    case DkimSealResult::Outcome::PermanentError:
      signature.result = DkimResult::PermanentError;
      return;
    case DkimSealResult::Outcome::TemporaryError:
      signature.result = DkimResult::TemporaryError;
      return;
    case DkimSealResult::Outcome::Pass:
      break;
  }
  if (signature.algorithm != "rsa-sha256" && !candidate.is_ed25519) {
    signature.reason = "it was made with SHA-1, which proves nothing";  // RFC 8301 §3.1
    return;
  }
  if (!candidate.is_ed25519 && signature.key_bits < crypto::kRsaBitsMin) {  // RFC 8301 §3.2
    signature.reason = "its key has " + std::to_string(signature.key_bits) +
                       " bits, and less than 1,024 prove nothing";
    return;
  }
  signature.result = DkimResult::Pass;
  signature.covers_body = !candidate.body_octets_max ||
                          *candidate.body_octets_max == counter_of(candidate.body_form).count;
  signature.reason = signature.covers_body
                         ? "it verifies"
                         : "it verifies, but text was added behind what it covers";
}

}  // namespace rockdove::policy
