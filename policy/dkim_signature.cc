#include "policy/dkim_signature.h"

#include <algorithm>
#include <array>
#include <utility>

#include "mta/base/text.h"
#include "mta/base/utf8.h"
#include "mta/mail/idna.h"
#include "policy/dkim_key.h"

namespace rockdove::policy {
namespace {

using base::Error;
using base::Result;

constexpr std::size_t kTimeDigitsMax = 12;      // RFC 6376 §3.5
constexpr std::size_t kLengthDigitsMax = 76;    // RFC 6376 §3.5
constexpr std::int64_t kClockSecondsOff = 300;  // how far a signer's clock may be ahead
constexpr std::string_view kSha1 = "rsa-sha1";
constexpr std::size_t kStartOctets = 8;  // of b=, RFC 6008 §4

// OpenDKIM takes this much and no more, or differently (contrib/doc/adr/0015).
constexpr std::size_t kOpendkimFieldOctetsMax = 16 * 1024;
constexpr std::size_t kOpendkimNamesOctetsMax = 4000;
constexpr std::size_t kOpendkimNamesMax = 500;
constexpr std::size_t kOpendkimIdentityOctetsMax = 250;
constexpr std::uint64_t kOpendkimClockSeconds = 300;

std::string quoted(std::string_view name) {
  return std::string(name) + "= tag";
}

std::string text_of(const TagList& tags, std::string_view name) {
  const Tag* tag = tags.find(name);
  return tag == nullptr ? std::string() : without_blanks(tag->value);
}

std::optional<Error> fault_in_needed(const TagList& tags) {
  for (const std::string_view name : {"v", "a", "b", "bh", "d", "h", "s"}) {
    const Tag* tag = tags.find(name);
    if (tag == nullptr) return Error("it has no " + quoted(name));
    if (tag->value.empty()) return Error("its " + quoted(name) + " is empty");
  }
  if (tags.find("v")->value != "1") return Error("its version is not 1");
  return std::nullopt;
}

// RFC 6376 §3.5: there must be a way to get the key that we know.
std::optional<Error> fault_in_query(const TagList& tags) {
  const Tag* query = tags.find("q");
  if (query == nullptr) return std::nullopt;
  const std::vector<std::string_view> ways = split_at_colons(query->value);
  const bool is_known = std::find(ways.begin(), ways.end(), "dns/txt") != ways.end();
  return is_known ? std::nullopt : std::optional<Error>("its q= tag does not name the DNS");
}

std::optional<Error> fault_in_time(const TagList& tags, std::int64_t now) {
  std::array<std::optional<std::uint64_t>, 2> times;
  for (std::size_t i = 0; i < times.size(); ++i) {
    const std::string_view name = i == 0 ? "t" : "x";
    const Tag* tag = tags.find(name);
    if (tag == nullptr) continue;
    times[i] = parse_tag_number(tag->value, kTimeDigitsMax);
    if (!times[i]) return Error("its " + quoted(name) + " is not a time");
  }
  const auto& [made, expires] = times;
  if (made && std::cmp_greater(*made, now + kClockSecondsOff)) {
    return Error("it was made in the future");
  }
  if (expires && std::cmp_less(*expires, now)) return Error("it has expired");
  if (made && expires && *expires <= *made) return Error("it expires before it was made");
  return std::nullopt;
}

Result<crypto::KeyKind> read_algorithm(std::string_view name) {
  if (name == "rsa-sha256" || name == kSha1) return crypto::KeyKind::Rsa;
  if (name == "ed25519-sha256") return crypto::KeyKind::Ed25519;
  return Error("its algorithm is not known");
}

// Two domains that are one in whatever way they are written have one A-label form (RFC 8616 §5).
Result<std::string> one_form_of(std::string_view domain) {
  return base::is_ascii(domain) ? base::lower_case(domain) : mail::to_ascii_domain(domain);
}

// RFC 6376 §3.5, i=: in d=, or in a subdomain of it.
Result<bool> is_in_subdomain(const TagList& tags, std::string_view domain) {
  const Error outside("its i= tag is not in its domain");
  if (tags.find("i") == nullptr) return false;
  const std::string identity = text_of(tags, "i");
  const std::size_t at = identity.rfind('@');
  if (at == std::string::npos) return outside;
  const Result<std::string> other = one_form_of(std::string_view(identity).substr(at + 1));
  const Result<std::string> own = one_form_of(domain);
  if (!other || !own) return outside;
  if (*other == *own) return false;
  if (!other->ends_with("." + *own)) return outside;
  return true;
}

Result<mail::Canonicalization> read_form(std::string_view name) {
  if (name == "simple") return mail::Canonicalization::Simple;
  if (name == "relaxed") return mail::Canonicalization::Relaxed;
  return Error("its c= tag is not known");
}

struct Forms {
  mail::Canonicalization header = mail::Canonicalization::Simple;
  mail::Canonicalization body = mail::Canonicalization::Simple;
};

// RFC 6376 §3.5: simple/simple without c=, and a simple body where only one is named.
Result<Forms> read_forms(const TagList& tags) {
  const Tag* tag = tags.find("c");
  if (tag == nullptr) return Forms{};
  const std::size_t slash = tag->value.find('/');
  const Result<mail::Canonicalization> header = read_form(tag->value.substr(0, slash));
  if (!header) return header.error();
  if (slash == std::string_view::npos) return Forms{*header, mail::Canonicalization::Simple};
  const Result<mail::Canonicalization> body = read_form(tag->value.substr(slash + 1));
  if (!body) return body.error();
  return Forms{*header, *body};
}

// See contrib/doc/adr/0015 for each of these.
bool suits_opendkim(const mail::HeaderField& field, const TagList& tags,
                    const std::vector<std::string>& names) {
  if (field.whole.size() > kOpendkimFieldOctetsMax || !base::is_ascii(field.whole)) return false;
  if (field.whole.substr(field.name.size(), 1) != ":") return false;
  if (tags.find("h")->value.size() > kOpendkimNamesOctetsMax || names.size() > kOpendkimNamesMax ||
      std::find(names.begin(), names.end(), base::lower_case(kDkimFieldName)) != names.end()) {
    return false;
  }
  if (const std::string identity = text_of(tags, "i");
      identity.size() > kOpendkimIdentityOctetsMax || identity.find('=') != std::string::npos ||
      identity.find('@') != identity.rfind('@')) {
    return false;
  }
  if (const Tag* made = tags.find("t")) {
    if (parse_tag_number(made->value, kTimeDigitsMax).value_or(0) < kOpendkimClockSeconds) {
      return false;
    }
  }
  if (const Tag* length = tags.find("l"); length != nullptr && length->value.size() > 18) {
    return false;
  }
  return std::all_of(tags.tags().begin(), tags.tags().end(), [](const Tag& tag) {
    const char* behind_name = tag.name.data() + tag.name.size();
    return tag.name == "b" ? behind_name + 1 == tag.region.data() : !tag.name.ends_with('b');
  });
}

}  // namespace

DkimNames names_of(const TagList& tags) {
  return {text_of(tags, "d"), text_of(tags, "s"), text_of(tags, "a"), text_of(tags, "i"),
          text_of(tags, "b").substr(0, kStartOctets)};
}

Result<DkimSignatureParts> read_dkim_signature(const mail::HeaderField& field, const TagList& tags,
                                               const HeaderIndex& index, std::int64_t now) {
  if (const auto fault = fault_in_needed(tags)) return *fault;
  if (const auto fault = fault_in_query(tags)) return *fault;
  if (const auto fault = fault_in_time(tags, now)) return *fault;
  DkimSignatureParts parts;
  for (const std::string_view name : split_at_colons(tags.find("h")->value)) {
    parts.names.push_back(base::lower_case(name));
  }
  if (const auto fault = fault_in_names(parts.names, index)) return *fault;
  const Result<crypto::KeyKind> kind = read_algorithm(tags.find("a")->value);
  if (!kind) return kind.error();
  parts.kind = *kind;
  parts.is_sha1 = tags.find("a")->value == kSha1;
  parts.domain = text_of(tags, "d");
  parts.selector = text_of(tags, "s");
  if (const Result<std::string> name = dkim_key_name(parts.selector, parts.domain); !name) {
    return name.error();
  }
  const Result<bool> is_below = is_in_subdomain(tags, parts.domain);
  if (!is_below) return is_below.error();
  parts.is_in_subdomain = *is_below;
  const Result<Forms> forms = read_forms(tags);
  if (!forms) return forms.error();
  parts.body.how = forms->body;
  if (const Tag* length = tags.find("l")) {
    parts.body.octets_max = parse_tag_number(length->value, kLengthDigitsMax);
    if (!parts.body.octets_max) return Error("its l= tag is not a number");
  }
  std::optional<std::string> octets = decode_tag_base64(tags.find("b")->value);
  if (!octets) return Error("its b= tag is not base64");
  parts.octets = *std::move(octets);
  std::optional<std::string> digest = decode_tag_base64(tags.find("bh")->value);
  if (!digest) return Error("its bh= tag is not base64");
  parts.body_digest = *std::move(digest);
  crypto::Sha256 hash;
  index.add_fields(hash, parts.names, forms->header, field.whole);
  add_field(hash, unsigned_field(field.whole, tags.find("b")->region), forms->header);
  parts.header = hash.finish();
  parts.suits_opendkim = !parts.is_sha1 && suits_opendkim(field, tags, parts.names);
  return parts;
}

}  // namespace rockdove::policy
