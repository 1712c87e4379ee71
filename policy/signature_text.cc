#include "policy/signature_text.h"

#include <algorithm>

#include "mta/base/base64.h"

namespace rockdove::policy {
namespace {

constexpr std::size_t kLineOctetsMax = 76;
constexpr std::size_t kBase64LineOctets = 72;

bool has(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::vector<std::string> names_to_sign(const HeaderIndex& index,
                                       const std::vector<std::string>& headers,
                                       const std::vector<std::string>& oversign) {
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    if (has(names, name)) return;
    const std::size_t count = index.count(name);
    names.insert(names.end(), std::min(count, kSignedFieldsOfANameMax), name);
    if (count <= kSignedFieldsOfANameMax && has(oversign, name)) names.push_back(name);
  };
  add("from");
  for (const std::string& name : headers) add(name);
  for (const std::string& name : oversign) add(name);
  return names;
}

void append_signed_names(std::string& out, const std::vector<std::string>& names) {
  std::size_t line_octets = 2;  // "h="
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) out += ':';
    if (i > 0 && line_octets + names[i].size() > kLineOctetsMax) {
      out += kSignatureFold;
      line_octets = 0;
    }
    out += names[i];
    line_octets += names[i].size() + 1;
  }
}

std::string signature_time(base::WallTime time) {
  return std::to_string(base::to_unix_milliseconds(time) / 1000);
}

std::string sign_field(std::string field, const crypto::Sha256& before, mail::Canonicalization how,
                       const SigningKey& key) {
  crypto::Sha256 hash = before;
  add_field(hash, field, how);
  const std::string text = base::encode_base64(key.sign(hash.finish()));
  for (std::size_t i = 0; i < text.size(); i += kBase64LineOctets) {
    if (i > 0) field += kSignatureFold;
    field.append(text, i, kBase64LineOctets);
  }
  return field + "\r\n";
}

}  // namespace rockdove::policy
