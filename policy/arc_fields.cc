#include "policy/arc_fields.h"

#include <algorithm>
#include <utility>

#include "mta/base/text.h"
#include "policy/signed_fields.h"
#include "policy/tag_list.h"

namespace rockdove::policy {
namespace {

using base::Error;
using base::Result;

constexpr std::string_view kResultsName = "ARC-Authentication-Results";
constexpr std::string_view kMessageSignatureName = "ARC-Message-Signature";
constexpr std::string_view kSealName = "ARC-Seal";
constexpr std::size_t kTimeDigitsMax = 12;    // RFC 6376 §3.5, t= and x=
constexpr std::size_t kLengthDigitsMax = 76;  // l=

// 1 to 50 in at most two digits (RFC 8617 §3.9).
std::optional<std::size_t> parse_instance(std::string_view text) {
  const std::optional<std::uint64_t> number = parse_tag_number(text, 2);
  if (!number || *number == 0 || *number > kArcSetsMax) return std::nullopt;
  return static_cast<std::size_t>(*number);
}

std::optional<std::size_t> instance_of_tags(std::string_view value) {
  const Result<TagList> tags = TagList::parse(value);
  if (!tags) return std::nullopt;
  const Tag* instance = tags->find("i");
  return instance == nullptr ? std::nullopt : parse_instance(instance->value);
}

// Takes blanks, folds and comments (RFC 5322 §3.2.2) from the front of `text`.
void skip_comments(std::string_view& text) {
  std::size_t depth = 0;
  while (!text.empty()) {
    const char c = text.front();
    if (c == '(') {
      ++depth;
    } else if (c == ')' && depth > 0) {
      --depth;
    } else if (c == '\\' && depth > 0 && text.size() > 1) {
      text.remove_prefix(1);
    } else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n') {
      return;
    }
    text.remove_prefix(1);
  }
}

bool take_character(std::string_view& text, char c) {
  skip_comments(text);
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

// The instance of "i=1; …", and what stands behind its semicolon.
std::optional<std::pair<std::size_t, std::string_view>> split_results(std::string_view text) {
  if (!take_character(text, 'i') || !take_character(text, '=')) return std::nullopt;
  skip_comments(text);
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::optional<std::size_t> instance = parse_instance(text.substr(0, digits));
  text.remove_prefix(digits);
  if (!instance || !take_character(text, ';')) return std::nullopt;
  return std::pair(*instance, text);
}

// The value of a tag that must be there and not be empty.
Result<std::string_view> needed(const TagList& tags, std::string_view name) {
  const Tag* tag = tags.find(name);
  if (tag == nullptr) return Error("it has no " + std::string(name) + "= tag");
  if (tag->value.empty()) return Error("its " + std::string(name) + "= tag is empty");
  return tag->value;
}

Result<std::string> needed_base64(const TagList& tags, std::string_view name) {
  const Result<std::string_view> value = needed(tags, name);
  if (!value) return value.error();
  std::optional<std::string> octets = decode_tag_base64(*value);
  if (!octets) return Error("its " + std::string(name) + "= tag is not base64");
  return *std::move(octets);
}

// nullopt when the tag is not there.
Result<std::optional<std::uint64_t>> number_of(const TagList& tags, std::string_view name,
                                               std::size_t digits_max) {
  const Tag* tag = tags.find(name);
  if (tag == nullptr) return std::optional<std::uint64_t>();
  const std::optional<std::uint64_t> number = parse_tag_number(tag->value, digits_max);
  if (!number) return Error("its " + std::string(name) + "= tag is not a number");
  return number;
}

Result<ArcSignature> parse_signature(const mail::HeaderField& field, const TagList& tags) {
  ArcSignature signature;
  const Result<std::string_view> algorithm = needed(tags, "a");
  if (!algorithm) return algorithm.error();
  if (*algorithm == "ed25519-sha256") {
    signature.algorithm = crypto::KeyKind::Ed25519;
  } else if (*algorithm != "rsa-sha256") {  // RFC 8301 §3.1: rsa-sha1 is no more
    return Error("its algorithm is not one that counts");
  }
  const Result<std::string_view> domain = needed(tags, "d");
  if (!domain) return domain.error();
  const Result<std::string_view> selector = needed(tags, "s");
  if (!selector) return selector.error();
  Result<std::string> octets = needed_base64(tags, "b");
  if (!octets) return octets.error();
  const auto time = number_of(tags, "t", kTimeDigitsMax);
  if (!time) return time.error();
  signature.domain = *domain;
  signature.selector = *selector;
  signature.octets = *std::move(octets);
  signature.unsigned_text = unsigned_field(field.whole, tags.find("b")->region);
  return signature;
}

Result<mail::Canonicalization> parse_form(std::string_view name) {
  if (name == "simple") return mail::Canonicalization::Simple;
  if (name == "relaxed") return mail::Canonicalization::Relaxed;
  return Error("its c= tag is not known");
}

// RFC 6376 §3.5: where the second part is missing the body is simple.
Result<std::vector<ArcForms>> parse_forms(const TagList& tags,
                                          std::optional<std::uint64_t> body_octets_max) {
  using mail::Canonicalization;
  const auto both = [body_octets_max](Canonicalization how) {
    return ArcForms{how, {how, body_octets_max}};
  };
  const Tag* tag = tags.find("c");
  if (tag == nullptr) {
    return std::vector{both(Canonicalization::Simple), both(Canonicalization::Relaxed)};
  }
  const std::size_t slash = tag->value.find('/');
  const Result<Canonicalization> header = parse_form(tag->value.substr(0, slash));
  if (!header) return header.error();
  ArcForms forms = both(Canonicalization::Simple);
  forms.header = *header;
  if (slash != std::string_view::npos) {
    const Result<Canonicalization> body = parse_form(tag->value.substr(slash + 1));
    if (!body) return body.error();
    forms.body.how = *body;
  }
  return std::vector{forms};
}

bool is_field_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(),
                                      [](char c) { return c > 32 && c < 127 && c != ':'; });
}

// "h=" alone names no field; RFC 6376 §3.5 wants one, but a chain under it is only worth less
// (ArcVerdict::covers_from).
Result<std::vector<std::string>> parse_names(const TagList& tags) {
  const Tag* tag = tags.find("h");
  if (tag == nullptr) return Error("it has no h= tag");
  std::vector<std::string> names;
  if (tag->value.empty()) return names;
  for (const std::string_view name : split_at_colons(tag->value)) {
    if (!is_field_name(name)) return Error("its h= tag is not a list of fields");
    // RFC 8617 §4.1.2. That it also forbids the other two is left to sealers: those that were first
    // to seal sign them, and it harms nobody.
    if (base::equals_ignoring_case(name, kSealName)) return Error("it signs ARC-Seal fields");
    names.push_back(base::lower_case(name));
  }
  return names;
}

// Puts the field into its place.
void place(ArcFields& fields, std::optional<std::size_t> instance, const mail::HeaderField& field,
           std::optional<mail::HeaderField> ArcSet::*member) {
  const std::string name(field.name);
  if (!instance) {
    if (fields.problem.empty()) fields.problem = "an " + name + " field has no valid instance";
    return;
  }
  fields.highest = std::max(fields.highest, *instance);
  std::optional<mail::HeaderField>& there = fields.sets[*instance - 1].*member;
  if (there && fields.problem.empty()) {
    fields.problem = "set " + std::to_string(*instance) + " has two " + name + " fields";
  }
  there = field;
}

std::string gap_in(const ArcFields& fields) {
  for (std::size_t instance = 1; instance <= fields.highest; ++instance) {
    const ArcSet& set = fields.sets[instance - 1];
    const std::string lacks = "set " + std::to_string(instance) + " has no ";
    if (!set.results) return lacks + std::string(kResultsName) + " field";
    if (!set.message_signature) return lacks + std::string(kMessageSignatureName) + " field";
    if (!set.seal) return lacks + std::string(kSealName) + " field";
  }
  return {};
}

}  // namespace

std::string_view name_of(ArcStatus status) {
  switch (status) {
    case ArcStatus::None:
      return "none";
    case ArcStatus::Pass:
      return "pass";
    case ArcStatus::Fail:
      return "fail";
  }
  return {};
}

Result<ArcMessageSignature> parse_arc_message_signature(const mail::HeaderField& field) {
  const Result<TagList> tags = TagList::parse(field.value);
  if (!tags) return tags.error();
  ArcMessageSignature result;
  Result<ArcSignature> signature = parse_signature(field, *tags);
  if (!signature) return signature.error();
  result.signature = *std::move(signature);
  Result<std::string> digest = needed_base64(*tags, "bh");
  if (!digest) return digest.error();
  result.body_digest = *std::move(digest);
  Result<std::vector<std::string>> names = parse_names(*tags);
  if (!names) return names.error();
  result.names = *std::move(names);
  const auto length = number_of(*tags, "l", kLengthDigitsMax);
  if (!length) return length.error();
  Result<std::vector<ArcForms>> forms = parse_forms(*tags, *length);
  if (!forms) return forms.error();
  result.forms = *std::move(forms);
  const auto expires = number_of(*tags, "x", kTimeDigitsMax);
  if (!expires) return expires.error();
  result.expires = *expires;
  const Tag* query = tags->find("q");
  if (query != nullptr) {
    const std::vector<std::string_view> ways = split_at_colons(query->value);
    if (std::find(ways.begin(), ways.end(), "dns/txt") == ways.end()) {
      return Error("its q= tag does not name the DNS");
    }
  }
  return result;
}

Result<ArcSeal> parse_arc_seal(const mail::HeaderField& field) {
  const Result<TagList> tags = TagList::parse(field.value);
  if (!tags) return tags.error();
  if (tags->find("h") != nullptr) return Error("it has an h= tag");  // RFC 8617 §4.1.3
  ArcSeal seal;
  Result<ArcSignature> signature = parse_signature(field, *tags);
  if (!signature) return signature.error();
  seal.signature = *std::move(signature);
  const Result<std::string_view> status = needed(*tags, "cv");
  if (!status) return status.error();
  for (const ArcStatus known : {ArcStatus::None, ArcStatus::Pass, ArcStatus::Fail}) {
    if (*status != name_of(known)) continue;
    seal.status = known;
    return seal;
  }
  return Error("its cv= tag is not known");
}

std::string_view ArcSet::results_text() const {
  const auto split = results ? split_results(results->value) : std::nullopt;
  return split ? split->second : std::string_view();
}

ArcFields collect_arc_fields(std::string_view header) {
  ArcFields fields;
  for (const mail::HeaderField& field : mail::HeaderFields(header)) {
    if (field.is(kResultsName)) {
      const auto split = split_results(field.value);
      place(fields, split ? std::optional(split->first) : std::nullopt, field, &ArcSet::results);
    } else if (field.is(kMessageSignatureName)) {
      place(fields, instance_of_tags(field.value), field, &ArcSet::message_signature);
    } else if (field.is(kSealName)) {
      place(fields, instance_of_tags(field.value), field, &ArcSet::seal);
    }
  }
  if (fields.problem.empty()) fields.problem = gap_in(fields);
  return fields;
}

}  // namespace rockdove::policy
