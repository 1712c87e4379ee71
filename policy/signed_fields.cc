#include "policy/signed_fields.h"

#include <algorithm>
#include <array>

#include "mta/base/assert.h"
#include "mta/base/text.h"
#include "mta/mail/headers.h"

namespace rockdove::policy {
namespace {

using base::Error;

// Fields that a message has once at most (RFC 5322 §3.6).
constexpr std::array<std::string_view, 9> kSingleNames = {
    "date", "sender", "reply-to", "to", "cc", "message-id", "in-reply-to", "references", "subject"};

}  // namespace

HeaderIndex::HeaderIndex(std::string_view header) {
  for (const mail::HeaderField& field : mail::HeaderFields(header)) {
    fields_[base::lower_case(field.name)].push_back(field.whole);
  }
}

std::size_t HeaderIndex::count(const std::string& name) const {
  const auto found = fields_.find(name);
  return found == fields_.end() ? 0 : found->second.size();
}

void HeaderIndex::add_fields(crypto::Sha256& hash, std::span<const std::string> names,
                             mail::Canonicalization how, std::string_view own) const {
  std::unordered_map<std::string_view, std::size_t> used;
  for (const std::string& name : names) {
    const auto found = fields_.find(name);
    if (found == fields_.end()) continue;
    const std::vector<std::string_view>& fields = found->second;
    std::size_t& count = used[name];
    if (count < fields.size() && fields[fields.size() - 1 - count].data() == own.data()) ++count;
    if (count == fields.size()) continue;
    ++count;
    add_field(hash, fields[fields.size() - count], how);
  }
}

std::optional<Error> fault_in_names(std::span<const std::string> names, const HeaderIndex& index) {
  const auto count = [&names](std::string_view name) {
    return static_cast<std::size_t>(std::count(names.begin(), names.end(), name));
  };
  if (count("from") == 0) return Error("it does not sign From");  // RFC 6376 §6.1.1
  if (index.count("from") != 1) return Error("the message has not exactly one From field");
  for (const std::string_view name : kSingleNames) {
    const std::size_t there = index.count(std::string(name));
    if (there < 2) continue;
    const std::size_t signed_ones = count(name);
    if (signed_ones > 0 && signed_ones < there) {
      return Error("the message has " + std::to_string(there) + " fields named " +
                   std::string(name) + ", and not all are signed");
    }
  }
  return std::nullopt;
}

void add_field(crypto::Sha256& hash, std::string_view whole, mail::Canonicalization how) {
  std::string canonical;
  canonical.reserve(whole.size());
  mail::append_canonical_field(canonical, whole, how);
  hash.add(canonical);
}

std::string unsigned_field(std::string_view whole, std::string_view region) {
  MTA_ASSERT(region.data() >= whole.data() &&
             region.data() + region.size() <= whole.data() + whole.size());
  const auto start = static_cast<std::size_t>(region.data() - whole.data());
  std::string text(whole.substr(0, start));
  text += whole.substr(start + region.size());
  if (text.ends_with("\r\n")) text.resize(text.size() - 2);
  return text;
}

}  // namespace rockdove::policy
