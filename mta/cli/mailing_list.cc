#include "mta/cli/mailing_list.h"

#include <charconv>
#include <optional>
#include <sstream>
#include <string_view>

#include "mta/base/text.h"
#include "mta/cli/live_dns.h"

namespace rockdove::cli {

using base::Error;
using base::Result;

namespace {

// Calls take(line) for each line that says something, until one of them is wrong.
template <typename Take>
Result<void> for_each_line(std::istream& input, Take take) {
  std::string text;
  for (std::size_t number = 1; std::getline(input, text); ++number) {
    const std::string_view line = base::trimmed(text);
    if (line.empty() || line.front() == '#') continue;
    if (const Result<void> taken = take(line); !taken)
      return taken.error().in("line " + std::to_string(number));
  }
  if (input.bad()) return Error("it cannot be read");
  return {};
}

std::optional<std::uint64_t> parse_count(std::string_view text) {
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || count > kPlannedMax)
    return std::nullopt;
  return count;
}

Result<void> take_recipients(std::string_view line, MailingList& list) {
  std::uint64_t count = 1;
  std::string_view name = line;
  const std::size_t comma = line.rfind(',');
  const std::size_t at = line.rfind('@');
  // A quoted local part may have commas of its own.
  if (comma != std::string_view::npos && (at == std::string_view::npos || comma > at)) {
    const std::optional<std::uint64_t> counted = parse_count(base::trimmed(line.substr(comma + 1)));
    if (!counted) {
      return Error("\"" + base::printable(line, 60) +
                   "\": write an address, a domain, or a domain, a comma and a count up to " +
                   std::to_string(kPlannedMax));
    }
    count = *counted;
    name = base::trimmed(line.substr(0, comma));
  }
  const Result<std::string> domain = parse_dns_name(name.substr(name.rfind('@') + 1));
  if (!domain) return domain.error();
  if (list.recipients.size() == kPlannedDomainsMax && !list.recipients.contains(*domain))
    return Error("there are more than " + std::to_string(kPlannedDomainsMax) + " domains");
  list.recipients[*domain] += count;
  list.total += count;
  if (list.total > kPlannedMax)
    return Error("there are more than " + std::to_string(kPlannedMax) + " recipients");
  return {};
}

}  // namespace

Result<MailingList> read_mailing_list(std::istream& input) {
  MailingList list;
  const Result<void> read =
      for_each_line(input, [&list](std::string_view line) { return take_recipients(line, list); });
  if (!read) return read.error();
  if (list.total == 0) return Error("there is no recipient in it");
  return list;
}

Result<HostsOfDomains> read_hosts(std::istream& input) {
  HostsOfDomains hosts;
  const Result<void> read = for_each_line(input, [&hosts](std::string_view line) -> Result<void> {
    std::istringstream words{std::string(line)};
    std::string word;
    words >> word;
    std::string domain = word;
    if (word != "*") {
      const Result<std::string> parsed = parse_dns_name(word);
      if (!parsed) return parsed.error();
      domain = *parsed;
    }
    std::vector<std::string>& of_domain = hosts[domain];
    while (words >> word) {
      const Result<std::string> host = parse_dns_name(word);
      if (!host) return host.error();
      of_domain.push_back(*host);
    }
    if (of_domain.empty()) return Error("write a domain and the names of its MX hosts behind it");
    return {};
  });
  if (!read) return read.error();
  return hosts;
}

}  // namespace rockdove::cli
