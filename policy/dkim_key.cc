#include "policy/dkim_key.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "mta/base/text.h"
#include "mta/base/utf8.h"
#include "mta/mail/idna.h"
#include "policy/tag_list.h"

namespace rockdove::policy {
namespace {

using base::Error;
using base::Result;

bool has_part(const Tag* list, std::string_view part) {
  if (list == nullptr) return false;
  const std::vector<std::string_view> parts = split_at_colons(list->value);
  return std::find(parts.begin(), parts.end(), part) != parts.end();
}

// What keeps a record from being used at all, whatever its key is.
std::optional<Error> fault_of(const TagList& record) {
  const Tag* version = record.find("v");
  // RFC 6376 §3.6.1: v= must be the first tag, if it is there.
  if (version != nullptr && (version->value != "DKIM1" || version != &record.tags().front())) {
    return Error("it is not a DKIM1 record");
  }
  const Tag* hashes = record.find("h");
  if (hashes != nullptr && !has_part(hashes, "sha256")) return Error("it does not allow SHA-256");
  const Tag* services = record.find("s");
  if (services != nullptr && !has_part(services, "*") && !has_part(services, "email")) {
    return Error("it is not for mail");
  }
  return std::nullopt;
}

Result<crypto::PublicKey> key_of(const TagList& record) {
  const Tag* data = record.find("p");
  if (data == nullptr) return Error("it has no p= tag");
  if (data->value.empty()) return Error("the key was revoked");
  const std::optional<std::string> octets = decode_tag_base64(data->value);
  if (!octets) return Error("its p= tag is not base64");
  const Tag* type = record.find("k");
  if (type == nullptr || type->value == "rsa") return crypto::PublicKey::from_rsa(*octets);
  if (type->value == "ed25519") return crypto::PublicKey::from_ed25519(*octets);
  return Error("its key type is not known");
}

}  // namespace

Result<DkimKey> parse_dkim_key(std::string_view record) {
  if (record.size() > kKeyRecordOctetsMax) return Error("it is too long");
  const Result<TagList> tags = TagList::parse(record);
  if (!tags) return tags.error();
  if (const std::optional<Error> fault = fault_of(*tags)) return *fault;
  Result<crypto::PublicKey> key = key_of(*tags);
  if (!key) return key.error();
  const Tag* flags = tags->find("t");
  return DkimKey{std::move(*key), has_part(flags, "y"), has_part(flags, "s")};
}

Result<std::string> dkim_key_name(std::string_view selector, std::string_view domain) {
  const Error no_name("its selector and domain are no name of the DNS");
  if (selector.empty() || domain.empty() || domain.ends_with('.')) return no_name;
  std::string name(selector);
  name += "._domainkey.";
  if (base::is_ascii(domain)) {
    name += domain;
  } else {
    const Result<std::string> labels = mail::to_ascii_domain(domain);
    if (!labels) return labels.error();
    name += *labels;
  }
  std::optional<std::string> normalised = dns::normalised_name(name);
  if (!normalised) return no_name;
  return *std::move(normalised);
}

std::optional<std::variant<DkimKey, NoDkimKey>> find_dkim_key(RecordedDns& dns,
                                                              std::string_view selector,
                                                              std::string_view domain,
                                                              std::optional<crypto::KeyKind> kind) {
  const Result<std::string> name = dkim_key_name(selector, domain);
  if (!name) return NoDkimKey{name.error().text()};
  const dns::Answer* answer = dns.find(*name, dns::RecordType::TXT);
  if (answer == nullptr) return std::nullopt;
  if (answer->status != dns::Status::Ok) {
    return NoDkimKey{
        "there is no key at " + *name + " (" + std::string(dns::name_of(answer->status)) + ")",
        dns::is_temporary(answer->status)};
  }
  std::string reason;
  for (const std::string& text : answer->texts) {
    Result<DkimKey> key = parse_dkim_key(text);
    if (key && (!kind || key->key.kind() == *kind)) return *std::move(key);
    if (reason.empty()) reason = key ? "it is of another kind" : key.error().text();
  }
  if (reason.empty()) reason = "there is no record";
  return NoDkimKey{"the key at " + *name + " cannot be used: " + reason};
}

}  // namespace rockdove::policy
