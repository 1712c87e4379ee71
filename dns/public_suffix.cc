#include "dns/public_suffix.h"

#include <cerrno>
#include <cstdio>
#include <libpsl.h>

#include "mta/base/text.h"

namespace rockdove::dns {
namespace {

constexpr std::size_t kOctetsMax = 1024;  // U-labels take more octets than their A-labels

struct Close {
  void operator()(std::FILE* file) const { static_cast<void>(std::fclose(file)); }
};

}  // namespace

base::Result<std::shared_ptr<const PublicSuffixes>> PublicSuffixes::load(const std::string& path) {
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "re"));
  if (!file) return base::Error::system("reading the public suffix list " + path, errno);
  psl_ctx_t* const list = psl_load_fp(file.get());
  if (list == nullptr) return base::Error(path + " cannot be read as a public suffix list");
  std::shared_ptr<const PublicSuffixes> suffixes(new PublicSuffixes(list));
  // A compiled list does not count its rules; a text without rules is some other file.
  if (psl_suffix_count(list) == 0) return base::Error(path + " has no public suffix in it");
  return suffixes;
}

PublicSuffixes::~PublicSuffixes() {
  psl_free(list_);
}

std::optional<std::string> PublicSuffixes::registrable_domain(std::string_view name) const {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > kOctetsMax || name.front() == '.' ||
      name.find("..") != std::string_view::npos || name.find('\0') != std::string_view::npos)
    return std::nullopt;
  const std::string lowered = base::lower_case(name);
  const char* const domain = psl_registrable_domain(list_, lowered.c_str());
  if (domain == nullptr) return std::nullopt;
  return domain;
}

}  // namespace rockdove::dns
