#include "dns/hosts_file.h"

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "dns/answers.h"
#include "mta/base/text.h"

namespace rockdove::dns {
namespace {

constexpr std::size_t kFileOctetsMax = 1024 * 1024;

std::string_view take_word(std::string_view& line) {
  const std::size_t start = std::min(line.find_first_not_of(" \t\r"), line.size());
  line.remove_prefix(start);
  const std::size_t end = std::min(line.find_first_of(" \t\r"), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

}  // namespace

HostsFile HostsFile::parse(std::string_view text) {
  HostsFile file;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = line.substr(0, line.find('#'));
    const std::optional<base::IpAddress> address = base::parse_ip_address(take_word(line));
    if (!address) continue;
    for (std::string_view word = take_word(line); !word.empty(); word = take_word(line)) {
      const std::optional<std::string> name = normalised_name(word);
      if (!name) continue;
      std::vector<base::IpAddress>& addresses = file.hosts_[*name];
      if (addresses.size() == kRecordsMax) continue;
      if (std::find(addresses.begin(), addresses.end(), *address) == addresses.end()) {
        addresses.push_back(*address);
      }
    }
  }
  return file;
}

base::Result<HostsFile> HostsFile::read(const std::string& path) {
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    if (errno == ENOENT) return HostsFile();
    return base::Error::system("opening " + path, errno);
  }
  std::string text(kFileOctetsMax, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (stream.bad()) return base::Error::system("reading " + path, errno);
  return parse(text);
}

std::vector<base::IpAddress> HostsFile::addresses_of(std::string_view name) const {
  const std::optional<std::string> normal = normalised_name(name);
  if (!normal) return {};
  const auto found = hosts_.find(*normal);
  if (found != hosts_.end()) return found->second;
  if (*normal != "localhost") return {};
  return {base::IpAddress::v4({127, 0, 0, 1}),
          base::IpAddress::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})};
}

}  // namespace rockdove::dns
