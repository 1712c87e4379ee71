// What `rockdove plan` reads: whom a mailing goes to, and, if wished, which hosts take a domain's
// mail, so that nobody need be asked.
#pragma once

#include <cstdint>
#include <istream>
#include <map>
#include <string>
#include <vector>

#include "mta/base/result.h"

namespace rockdove::cli {

struct MailingList {
  std::map<std::string, std::uint64_t> recipients;  // by domain, in A-labels and lower case
  std::uint64_t total = 0;
};

inline constexpr std::uint64_t kPlannedMax = 100'000'000;  // recipients
inline constexpr std::size_t kPlannedDomainsMax = 1'000'000;

// A line each: "bob@example.net", "example.net" (one recipient), or "example.net,4711". Empty lines
// and those that begin with "#" do not count. The error names the line.
[[nodiscard]] base::Result<MailingList> read_mailing_list(std::istream& input);

// The hosts of domains: "example.net mx1.example.org mx2.example.org", of equal preference; "*" is
// all domains that have no line.
using HostsOfDomains = std::map<std::string, std::vector<std::string>>;
[[nodiscard]] base::Result<HostsOfDomains> read_hosts(std::istream& input);

}  // namespace rockdove::cli
