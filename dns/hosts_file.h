// The machine's own table of host names, /etc/hosts (hosts(5)): for smarthosts given by name, as
// "localhost". Never for mail domains, which are looked up in the DNS only (RFC 5321 §5.1).
//
// Immutable once read, so all loops may share one.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mta/base/ip_address.h"
#include "mta/base/result.h"

namespace rockdove::dns {

class HostsFile {
 public:
  // An empty table, in which "localhost" is still 127.0.0.1 and ::1 (RFC 6761 §6.3).
  HostsFile() = default;

  // Lines that cannot be read are skipped, as everybody else does.
  static HostsFile parse(std::string_view text);

  // A file that is not there is an empty table. At most 1 MiB is read.
  static base::Result<HostsFile> read(const std::string& path);

  // Empty: the name is not in the table. Letter case and a final dot do not matter.
  [[nodiscard]] std::vector<base::IpAddress> addresses_of(std::string_view name) const;

 private:
  std::unordered_map<std::string, std::vector<base::IpAddress>> hosts_;
};

}  // namespace rockdove::dns
