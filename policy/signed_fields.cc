#include "policy/signed_fields.h"

#include "mta/base/assert.h"
#include "mta/base/text.h"
#include "mta/mail/headers.h"

namespace rockdove::policy {

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
